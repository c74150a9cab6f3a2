"""The papers' own numbers beside a run: never in one table with ours."""

from __future__ import annotations

import importlib
import pkgutil

import pandas as pd

from dirbench.results import published
from dirbench.results.source import Source
from dirbench.results.table import Table, TableKind


class Published(TableKind):
    """What the papers in ``results/published/`` have of the run's metrics, from each file's ``tables(metrics)``;
    nothing beside scores that do not exist."""

    name, chapter, order = "published", "Published numbers", 70

    def tables(self, source: Source, cells: pd.DataFrame) -> list[Table]:
        return published_tables(set(source.rows.loc[source.rows["status"] != "not_applicable", "metric"]))


def published_tables(metrics: set[str]) -> list[Table]:
    """The papers' tables of any of ``metrics``, paper by paper."""
    papers = [importlib.import_module(f"{published.__name__}.{info.name}")
              for info in pkgutil.iter_modules(published.__path__)]
    return [table for paper in papers for table in paper.tables(metrics)]

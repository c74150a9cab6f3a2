"""Scores of single GANs: a line a method, a column a GAN."""

from __future__ import annotations

import pandas as pd

from dirbench.results.source import Source
from dirbench.results.table import Table, TableKind
from dirbench.results.tables._by_method import by_gan, groups, metrics_of


class ByGan(TableKind):
    """A line a method, a column a GAN, then the mean with every spread, chance and the difference to the baseline; a
    table a metric of single GANs and a group of protocols."""

    name, chapter, order = "by_gan", "By GAN", 60

    def tables(self, source: Source, cells: pd.DataFrame) -> list[Table]:
        return [table for group in groups(source) for metric in metrics_of(source, "single", group)
                for table in by_gan(source, source.plain, metric, "single", group, f"by_gan_{metric}",
                                    f"{source.arrow(metric)}, by GAN")]

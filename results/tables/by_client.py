"""Tables 4 and 5 of the xGA paper in shape: a line a method, a column a client of the reference."""

from __future__ import annotations

import pandas as pd

from dirbench.results.source import Source
from dirbench.results.statistics.summary import HEADLINE
from dirbench.results.table import Table, TableKind
from dirbench.results.tables._by_method import by_gan, groups, metrics_of


class ByClient(TableKind):
    """A line a method, a column a client of the reference, then the mean with every spread, chance and the difference
    to the baseline; a table a metric of pairs and a group of protocols."""

    name, chapter, order = "by_client", "By client", 50

    def tables(self, source: Source, cells: pd.DataFrame) -> list[Table]:
        return [table for group in groups(source) for metric in metrics_of(source, "pair", group)
                for table in by_client(source, metric, group)]


def by_client(source: Source, metric: str, group: str = HEADLINE) -> list[Table]:
    """The table of one metric and group of protocols; none where there are no such rows."""
    rows = source.plain[source.plain["reference"] == source.reference]
    number = source.said(metric, "paper_table")
    name = f"table{number}_{metric}" if number else f"by_client_{metric}"
    shape = f" (in the shape of the paper's table {number})" if number else ""
    return by_gan(source, rows, metric, "pair", group, name,
                  f"{source.arrow(metric)}, reference {source.reference}, by client{shape}")

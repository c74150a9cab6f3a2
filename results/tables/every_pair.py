"""Pairwise tables, one a method: lines are references, columns clients."""

from __future__ import annotations

import re

import pandas as pd

from dirbench.results.source import Source, group_words
from dirbench.results.statistics.summary import HEADLINE, Entry, Summary, long_form
from dirbench.results.table import DAGGER, Table, TableKind, frame_of, with_interval, wrap
from dirbench.results.tables._by_method import groups, metrics_of
from dirbench.results.tables._footnotes import INTERVAL, Footnotes


class EveryPair(TableKind):
    """Pairwise tables, as in the xGA paper's appendix E, of the metrics that have a table of the paper's.

    A score that is the same whichever GAN is the reference fills the upper triangle only. A method that was run with
    one reference has no such table: the tables by client have all of it.
    """

    name, chapter, order = "every_pair", "Every pair", 90

    def tables(self, source: Source, cells: pd.DataFrame) -> list[Table]:
        return [table for group in groups(source) for metric in metrics_of(source, "pair", group)
                if source.said(metric, "paper_table") for table in matrices(source, metric, group)]


def matrices(source: Source, metric: str, group: str = HEADLINE) -> list[Table]:
    """The pairwise tables of one metric, one a method that was run with several references."""
    summaries = source.summarise(source.plain, metric, "pair", group)
    gans = source.in_order("gans", (g for s in summaries for pair in s.cells for g in pair))
    return [_matrix(source, s, gans, group, [t.entry for t in summaries]) for s in summaries
            if len({reference for reference, _ in s.cells}) > 1]


def _matrix(source: Source, s: Summary, gans: list[str], group: str, among: list[Entry]) -> Table:
    digits, feet, lines = source.digits(s.metric), Footnotes(), {}
    symmetric, label = not source.said(s.metric, "ordered"), feet.entry(s, among)
    for i, reference in enumerate(gans):
        line = {}
        for j, client in enumerate(gans):
            cell = s.cells.get((reference, client))
            if symmetric and j > i:
                cell = cell or s.cells.get((client, reference))
            line[wrap(client)] = "" if i == j or (symmetric and j < i) else feet.cell(cell, digits)
        lines[reference] = line
    frame = frame_of(lines, "reference \\ client")
    if symmetric:
        frame = frame.iloc[:-1, 1:]
    notes = [*feet.notes(), f"Mean over the {len(s.values)} pairs with a score: "
                            f"{with_interval(s.mean, s.low, s.high, digits)} ({INTERVAL}); chance: "
                            f"{with_interval(s.chance, s.chance_low, s.chance_high, digits)} (the band holds 95% of "
                            f"{source.band_words('pair')})."]
    slug = re.sub(r"[^\w.-]+", "_", label.replace(f" {DAGGER}", "")).strip("_")
    words = "" if group == HEADLINE else f"; {group_words(group, 'pair')}"
    return Table(f"pairs_{s.metric}_{slug}" + ("" if group == HEADLINE else f"_{group}"),
                 f"{source.arrow(s.metric)} of every pair: {label}{words}", frame, long_form([s]), source.caption(),
                 tuple(notes), linked=True, folder="pairs")

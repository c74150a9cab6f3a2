"""Every method and every headline score in one table, each with its difference to the baseline."""

from __future__ import annotations

import pandas as pd

from dirbench.results.source import Source
from dirbench.results.statistics.summary import long_form
from dirbench.results.table import Table, TableKind, frame_of
from dirbench.results.tables._by_method import score_lines
from dirbench.results.tables._footnotes import AT_CHANCE_WORDS, BETTER, INTERVAL, Footnotes, chance_words


class AllScores(TableKind):
    """One line a method, every headline score of pairs and of single GANs in it: the mean as in the headline tables
    and, below it, the difference to the baseline, paired by GAN. None unless there are two methods, a baseline among
    them."""

    name, chapter, order = "all_scores", "All scores", 20

    def tables(self, source: Source, cells: pd.DataFrame) -> list[Table]:
        found = source.headlines("pair") | source.headlines("single")
        summaries = [s for own in found.values() for s in own]
        methods = {s.entry.method for s in summaries}
        if source.baseline not in methods or len(methods) < 2:
            return []
        feet = Footnotes()
        lines = score_lines(source, found, feet, over_baseline=True)
        notes = [
            *feet.notes(),
            f"First line of a cell: mean [{INTERVAL}]. Second: the same minus the method {source.baseline}, paired by "
            f"GAN, with its interval; a pairing of a method's own has none, as {source.baseline} has no such pairing. "
            f"{BETTER}",
            chance_words(source, "pair or GAN") + ".",
            AT_CHANCE_WORDS,
            "Methods that search two GANs at once are scored on pairs only."]
        return [Table("all_scores", "Every method, every headline score", frame_of(lines), long_form(summaries),
                      source.caption(), tuple(notes))]

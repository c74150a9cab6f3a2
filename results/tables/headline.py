"""The tables to read first: one line a method, every headline score of pairs, and of single GANs."""

from __future__ import annotations

import pandas as pd

from dirbench.results.source import Source
from dirbench.results.statistics.summary import CENTRED, long_form
from dirbench.results.table import Table, TableKind, frame_of
from dirbench.results.tables._by_method import score_lines
from dirbench.results.tables._footnotes import (
    AT_CHANCE_WORDS,
    BETTER,
    INTERVAL,
    Footnotes,
    any_interval_missing,
    chance_words,
)


class Headline(TableKind):
    """One line a method: the mean of every metric under its headline protocol, with its interval over GANs, and the
    band of chance above them. Every method's mean is over the same pairs: those that all of them were run on."""

    name, chapter, order, printed = "headline", "Headline", 10, True

    def tables(self, source: Source, cells: pd.DataFrame) -> list[Table]:
        return [table for kind in ("pair", "single") for table in headline(source, kind)]


def headline(source: Source, kind: str) -> list[Table]:
    """The table of ``kind`` ("pair" or "single"); none where there are no such rows."""
    found = source.headlines(kind)
    if not found:
        return []
    summaries = [s for own in found.values() for s in own]
    feet = Footnotes()
    lines = score_lines(source, found, feet, kind)
    what = "pairs" if kind == "pair" else "GANs"
    counts = {m: len({cell for s in own for cell in s.values}) for (m, _), own in found.items()}
    over = str(next(iter(counts.values()))) if len(set(counts.values())) == 1 \
        else ", ".join(f"{m}: {n}" for m, n in counts.items())
    present = {s.entry.method for s in summaries}
    ends = [words for role, words in (("baseline", "{} is the baseline"),
                                      ("ceiling", "{}, which is given what the others have to find, the ceiling"))
            for words in [words.format(name) for name in source.of_role(role) if name in present]]
    notes = [
        *feet.notes(),
        f"Mean [{INTERVAL}] over the {what} that every method was run on and that have the score ({over}); "
        f"(a/b): only a of b succeeded. {BETTER}",
        chance_words(source, what[:-1]) + "." + (f" {' and '.join(ends)}." if ends else "")]
    if any_interval_missing(summaries):
        notes.append("No interval where fewer than three GANs vary.")
    if any(source.at_chance(s) for s in summaries):
        notes.append(AT_CHANCE_WORDS)
    if any(group == CENTRED for _, group in found):
        notes.append("shared response removed: the response that all directions of a GAN share is taken out first; "
                     "what a score loses by it was not the directions' own.")
    if any(s.entry.own_pairing for s in summaries):
        notes.append("own pairing: the method's own; the other lines are paired greedily on the matching half, which "
                     "favours everyone: compare each with its own chance.")
    title = "Headline scores of GAN pairs" if kind == "pair" else "Headline scores of single GANs"
    return [Table(f"headline_{what.lower()}", title, frame_of(lines), long_form(summaries), source.caption(),
                  tuple(notes))]

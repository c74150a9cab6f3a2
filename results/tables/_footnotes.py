"""Cells of tables with their marks, and the notes that say what the marks stand for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from dirbench.results.source import Source
from dirbench.results.statistics.summary import HEADLINE, Cell, Entry, Summary, group_of
from dirbench.results.table import (
    APART,
    AT_CHANCE,
    DAGGER,
    NOT_APPLICABLE,
    NOT_RUN,
    number,
    with_interval,
)

AT_CHANCE_WORDS = (f"{AT_CHANCE} not better than chance: inside the 95% band of random directions, or on its worse "
                   "side. Of the means of a method at chance one in twenty lies outside.")
INTERVAL = "95% interval from leaving out one GAN at a time; for these GANs only"
BETTER = "↑ more is better, ↓ less is better."
FAILURES_NAMED = 8


class Footnotes:
    """Collects what marks in a table stand for."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        self.marks: set[str] = set()
        self.short: dict[str, str] = {}
        self.apart: list[str] = []
        self.differences: list[str] = []

    def cell(self, cell: Cell | None, digits: int) -> str:
        """The text of a cell; failures get a letter, and their reason a note."""
        if cell is None:
            self.marks.add(NOT_RUN)
            return NOT_RUN
        if cell.status == "not_applicable":
            self.marks.add(NOT_APPLICABLE)
            return NOT_APPLICABLE
        letter = f" {self.letter(cell.reason)}" if cell.reason else ""
        return ("failed" if cell.status == "failed" else number(cell.value, digits)) + letter

    def entry(self, summary: Summary, among: Sequence[Entry]) -> str:
        """The label of an entry, with a dagger where it was trained for fewer steps than published."""
        label = summary.entry.label(among)
        if summary.steps < summary.published_steps:
            plain = replace(summary.entry, own_pairing=False).label(among)
            self.short[plain] = f"{plain} {summary.steps:,} of {summary.published_steps:,} steps"
            return f"{label} {DAGGER}"
        return label

    def mean(self, source: Source, s: Summary, gap: str = "") -> str:
        """A mean with its interval and marks; ``gap`` says what it is without (``statistics.summary.gaps``)."""
        text = with_interval(s.mean, s.low, s.high, source.digits(s.metric))
        text += AT_CHANCE if source.at_chance(s) else ""
        if gap:
            self.apart.append(f"{s.entry.label()}, {_of(s)}: {gap}")
        return text + (APART if gap else "")

    def mean_cell(self, source: Source, s: Summary | None, gap: str) -> str:
        """A mean as one cell of many: how many of its cells failed, with a letter for the reason."""
        if s is None:
            return self.cell(None, 0)
        if s.status != "ok":
            return self.cell(next(c for c in s.cells.values() if c.status == s.status), source.digits(s.metric))
        # Where the score does not exist it is nobody's fault and the same for all; a failure must show.
        failed = [c for c in s.cells.values() if c.status == "failed"]
        text = self.mean(source, s, gap)
        if failed:
            text += f" ({len(s.values)}/{len(s.values) + len(failed)})"
        some_seeds = [c for c in s.cells.values() if c.status == "ok" and c.reason]
        return " ".join([text, *(self.letter(c.reason) for c in (failed + some_seeds)[:1])])

    def over_baseline(self, source: Source, s: Summary) -> str:
        """The difference to the baseline; where it is not that of the two means shown, a note has the two it is of."""
        digits = source.digits(s.metric)
        text = with_interval(s.over_baseline, s.over_baseline_low, s.over_baseline_high, digits, sign=True)
        if s.same_as_baseline or not s.shared:
            return text
        what = "cell" if len(s.shared) == 1 else "cells"
        self.differences.append(f"{s.entry.label()}, {_of(s)}: {number(s.baseline_mean + s.over_baseline, digits)} "
                                f"minus {number(s.baseline_mean, digits)} over {len(s.shared)} {what}")
        return text + APART

    def notes(self) -> list[str]:
        """One sentence a mark."""
        out = []
        if self.short:
            out.append(f"{DAGGER} trained for fewer steps than published: {'; '.join(self.short.values())}.")
        if NOT_APPLICABLE in self.marks:
            out.append(f"{NOT_APPLICABLE} not applicable: the score does not exist there, which is not a zero.")
        if NOT_RUN in self.marks:
            out.append(f"{NOT_RUN} not run.")
        if self.apart:
            out.append(f"{APART} a mean over fewer cells or seeds than other methods' in this table, which it cannot "
                       f"simply be compared with: {_some(self.apart)}.")
        if self.differences:
            out.append(f"{APART} minus the baseline is over the cells that both have, and so no difference of the "
                       f"means shown: {_some(self.differences)}.")
        out += [f"[{letter}] failed: {reason}" for reason, letter in list(self.reasons.items())[:FAILURES_NAMED]]
        if len(self.reasons) > FAILURES_NAMED:
            out.append(f"… and {len(self.reasons) - FAILURES_NAMED} more reasons; the rows have them all.")
        return out

    def letter(self, reason: str) -> str:
        """``[a]``, which a note explains."""
        n = len(self.reasons)
        return f"[{self.reasons.setdefault(reason, chr(97 + n) if n < 26 else f'a{n}')}]"


def chance_words(source: Source, one: str) -> str:
    """The note on chance in a table of means over ``one`` (pair, GAN, client)."""
    return "chance: random directions through the same protocol, with the band that holds 95% of " \
           f"{source.band_words(one)}"


def _of(s: Summary) -> str:
    group = group_of(s.protocol)
    return s.metric if group == HEADLINE else f"{s.metric} ({group})"


def _some(sentences: Sequence[str]) -> str:
    rest = len(sentences) - FAILURES_NAMED
    return "; ".join(sentences[:FAILURES_NAMED]) + (f"; and {rest} more, which the CSV has" if rest > 0 else "")


def any_interval_missing(summaries: Sequence[Summary]) -> bool:
    """Whether some mean has no interval."""
    return any(s.values and not math.isfinite(s.low) for s in summaries)

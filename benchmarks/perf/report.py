"""The table: goals, what was measured, and whether they are reached."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dirbench.benchmarks.perf.timing import Ratio

HEADER = ("goal", "what", "target", "stretch", "median", "min", "max", "ms", "reached")

NOTE = """\
Ratios of CPU seconds, one thread. The two tasks of a row take turns, a ratio is taken in each repeat; the milliseconds
are medians, numerator / denominator. A goal's number is no more than its name.

Bounds of goals 7, 8 and 13 were set against official code. What stands above the line here is the project's own: a loop
written from the formula, the textbook's solver, and images made by this project's generator.

Not here, because they take the official implementations: goals 1 and 2 (generator, official / here), 5 and 6 (training
steps, official / here) and 14 (peak memory, official / here). Goals 10, 11, 12 and 15 count images exactly and are
ordinary tests (`tests/benchmarks/stages/test_image_counts.py`, `tests/methods/test_xga.py`). Goals 10 and 11 are met
for one sign of the edits; both signs, which is what a run makes, take 16,896 and 67,584 images."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        goal: its number. what: what is divided by what. target, stretch: bounds of the median, lower ones for
            ``at_most`` and upper ones otherwise.
    """

    goal: int
    what: str
    target: float
    stretch: float
    ratio: Ratio
    at_most: bool

    @property
    def reached(self) -> str:
        """"stretch", "target" or "no"."""
        median = self.ratio.median if self.at_most else -self.ratio.median
        bounds = [bound if self.at_most else -bound for bound in (self.stretch, self.target)]
        return "stretch" if median <= bounds[0] else "target" if median <= bounds[1] else "no"

    def cells(self) -> tuple[str, ...]:
        """The text of each column."""
        r, sign = self.ratio, "<=" if self.at_most else ">="
        return (str(self.goal), self.what, f"{sign} {self.target:g}", f"{self.stretch:g}",
                *(f"{x:.3g}" for x in (r.median, r.low, r.high)), f"{r.above:.3g} / {r.below:.3g}", self.reached)


def table(rows: Iterable[Row], repeats: int, remarks: Iterable[str] = ()) -> str:
    """Markdown: the rows, how they were measured, and what was left out."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (HEADER, ("---",) * len(HEADER), *(r.cells() for r in rows))]
    return "\n".join([*lines, "", f"{repeats} repeats. {NOTE}", *("\n" + remark for remark in remarks)]) + "\n"

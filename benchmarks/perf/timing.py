"""The clock: CPU seconds of tasks that take turns, so that a busy machine slows them all alike."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import process_time

Task = Callable[[], object]


def seconds(task: Task, times: int = 1) -> float:
    """CPU seconds of this process for one call of ``task``, averaged over ``times`` calls."""
    start = process_time()
    for _ in range(times):
        task()
    return (process_time() - start) / times


def interleaved(tasks: Mapping[str, Task], repeats: int, times: int = 1) -> dict[str, list[float]]:
    """CPU seconds [repeats] of each task, one after another in every repeat; a first round is not counted."""
    for task in tasks.values():
        task()
    found: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, task in tasks.items():
            found[name].append(seconds(task, times))
    return found


@dataclass(frozen=True)
class Ratio:
    """A ratio of two times, over the repeats.

    Attributes:
        median, low, high: of the repeats' ratios. above, below: median milliseconds of numerator and denominator.
    """

    median: float
    low: float
    high: float
    above: float
    below: float

    @classmethod
    def of(cls, above: list[float], below: list[float]) -> Ratio:
        """Of seconds that were measured in turns: entry i of both belongs to repeat i."""
        ratios = [a / b for a, b in zip(above, below, strict=True)]
        return cls(statistics.median(ratios), min(ratios), max(ratios), 1e3 * statistics.median(above),
                   1e3 * statistics.median(below))


class Turns:
    """A ``Context.progress`` for a training run: times each of its steps and, after each, the ``floor``.

    So it is the method's own loop that is measured, nothing rebuilt for the purpose. ``above`` and ``below`` are the
    seconds of a step and of a floor, averaged over each round of ``steps``; the first round, which warms up, is left
    out.
    """

    def __init__(self, floor: Task, steps: int = 1) -> None:
        self.floor, self.steps = floor, steps
        self.above: list[float] = []
        self.below: list[float] = []
        self.mark, self.spent, self.least = 0.0, 0.0, 0.0

    def __call__(self, done: int, total: int) -> None:
        if done:
            self.spent += process_time() - self.mark
            self.least += seconds(self.floor)
            if done % self.steps == 0:
                if done > self.steps:
                    self.above.append(self.spent / self.steps)
                    self.below.append(self.least / self.steps)
                self.spent, self.least = 0.0, 0.0
        self.mark = process_time()

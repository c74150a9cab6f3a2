"""Whether what a metric returned can be a row: a stranger's ``compute`` may return anything."""

from __future__ import annotations

import json
import math
from typing import Any

from dirbench.checks import place
from dirbench.metric import Metric, Score


class MetricError(RuntimeError):
    """A metric raised, or returned what is no score; the message says what, and what was expected.

    Attributes:
        place: where the metric's class is written, where no line of its own raised anything.
    """

    def __init__(self, sentence: str, place: str = "") -> None:
        super().__init__(sentence)
        self.place = place


def score_faults(metric: Metric, score: Any) -> list[str]:
    """What keeps ``score`` from being a row of ``metric``, in sentences; nothing where all is well."""
    if not isinstance(score, Score):
        return [f"compute returns a {type(score).__name__}, expected a Score"]
    try:
        value, low, high = (float(x) for x in (score.value, score.ci_low, score.ci_high))
        n = int(score.n)
    except (TypeError, ValueError, OverflowError) as error:
        return [f"value, ci_low, ci_high and n of a Score are numbers: {error}"]
    if not math.isfinite(value):
        return [f"the value is {value}: raise Inapplicable with the reason where the score does not exist"]
    if not metric.bounds[0] <= value <= metric.bounds[1]:
        return [f"the value {value} is outside of its bounds, {list(metric.bounds)}"]
    if low > high:
        return [f"the interval [{low}, {high}] is upside down"]
    if n < 0:
        return [f"n is {score.n}, expected the number of latents"]
    try:
        json.dumps(score.details)
    except (TypeError, ValueError) as error:
        return [f"details must be plain values that JSON can hold: {error}"]
    return []


def checked(metric: Metric, score: Any) -> Score:
    """``score`` itself, with plain numbers. Raises MetricError where it can be no row."""
    faults = score_faults(metric, score)
    if faults:
        raise MetricError("; ".join(faults), place(type(metric)))
    return Score(float(score.value), float(score.ci_low), float(score.ci_high), int(score.n), score.details)

"""How many directions do nothing that can be measured."""

from __future__ import annotations

import numpy as np

from dirbench.metric import Score, SingleInputs
from dirbench.single_metric import SingleCase, SingleMetric


class DeadDirections(SingleMetric):
    """Number of directions without measurable effect at either sign (``changes.live``).

    Decided on the matching half; they are left out of every headline score. A count of decisions has
    no interval.
    """

    name = "dead_directions"
    source = "this project"
    higher_is_better = False
    bounds = (0.0, np.inf)
    tolerance = 1.0
    live_only = False

    def standardised(self, change: np.ndarray) -> np.ndarray:
        return change[0, :, :, :0]  # the decisions are all it needs

    def values(self, means: np.ndarray, case: SingleCase) -> np.ndarray:
        return np.full(len(means), float((~case.live).sum()))

    def compute(self, inputs: SingleInputs, protocol: str, resamples: int = 0) -> Score:
        return super().compute(inputs, protocol, resamples=0)

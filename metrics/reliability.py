"""Split-half reliability of the directions' mean changes."""

from __future__ import annotations

import numpy as np

from dirbench.changes import reliability_of_moments
from dirbench.single_metric import SingleCase, SingleMetric


class Reliability(SingleMetric):
    """Split-half reliability of the mean change (``changes.reliability``), mean over directions and signs.

    1: the samples agree on what the direction changes; 0: the mean change is sampling noise. It grows with
    the number of samples. Dead directions count; a direction's negative estimate counts as 0.
    """

    name = "reliability"
    source = "this project; split-half reliability of psychometrics, averaged over all splits"
    higher_is_better = True
    bounds = (0.0, 1.0)
    tolerance = 0.05
    live_only = False

    def standardised(self, change: np.ndarray) -> np.ndarray:
        moments = np.concatenate((change, np.square(change).sum(-1, keepdims=True)), axis=-1)
        return np.concatenate((moments[0], moments[1]), axis=-1)

    def values(self, means: np.ndarray, case: SingleCase) -> np.ndarray:
        moments = means.reshape(*means.shape[:-1], 2, case.n_attributes + 1)
        each = reliability_of_moments(moments[..., :-1], moments[..., -1], case.n)
        return np.maximum(each, 0.0).mean((-2, -1))

"""Effect size of a GAN's directions."""

from __future__ import annotations

import numpy as np

from dirbench.single_metric import SingleCase, SingleMetric


class Effect(SingleMetric):
    """Mean |standardised logit change| over directions, signs, samples and attributes.

    In units of the spread of an attribute over unedited samples: 1 means that an edit moves the average
    attribute by as much as another sample would. Dead directions count. A strong edit is not a clean one:
    read it beside the others.
    """

    name = "effect"
    source = "this project"
    higher_is_better = True
    bounds = (0.0, np.inf)
    tolerance = 0.05
    live_only = False

    def standardised(self, change: np.ndarray) -> np.ndarray:
        return np.abs(change).mean(axis=(0, 3))[..., None]

    def values(self, means: np.ndarray, case: SingleCase) -> np.ndarray:
        return means[..., 0].mean(-1)

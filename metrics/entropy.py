"""Prediction entropy: does a direction change one attribute or all of them?"""

from __future__ import annotations

import numpy as np
from scipy.special import entr

from dirbench.errors import Inapplicable
from dirbench.metrics._change_profiles import ProfileMetric, profile, released_softmax
from dirbench.responses import Responses
from dirbench.single_metric import HEADLINE, SingleCase


class Entropy(ProfileMetric):
    """How evenly a direction's change spreads over the attributes (xGA, eq. 9); low is clean.

    Mean over directions. Headline: entropy of |d[k]| / sum |d[k]| over log M: 0 for one attribute, 1 for all
    alike, whatever the size of the edit. ``published``: per sample the entropy in nats of softmax(|change|),
    divided by M as released, on probabilities; at M = 40 it is confined to 0.089-0.092.
    ``published-logits``: the same on logits, where it moves, largely with the size of the edit.
    """

    name = "entropy"
    source = "Olson et al., xGA, CVPR 2023, Sec. 4.5, eq. 9"
    higher_is_better = False
    bounds = (0.0, 1.0)
    tolerance = 0.02

    def published(self, responses: Responses, protocol: str) -> np.ndarray:
        return entr(released_softmax(responses, protocol)).mean(-1, keepdims=True)

    def values(self, means: np.ndarray, case: SingleCase) -> np.ndarray:
        if case.protocol != HEADLINE:
            return means[..., 0].mean(-1)
        if case.n_attributes < 2:
            raise Inapplicable("the oracle reads one attribute well; how a change spreads takes two")
        return entr(profile(means)).sum(-1).mean(-1) / np.log(case.n_attributes)

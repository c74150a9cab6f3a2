"""Deviation: do the directions change different attributes?"""

from __future__ import annotations

import numpy as np

from dirbench.metrics._change_profiles import ProfileMetric, profile, released_softmax
from dirbench.responses import Responses
from dirbench.single_metric import HEADLINE, SingleCase


class Deviation(ProfileMetric):
    """Standard deviation across directions of what each changes (xGA, eq. 10); high is diverse.

    Headline: of the profiles |d[k]| / sum |d[k]|, whatever the size of the edit; 0 for K copies of one
    direction. ``published`` and ``published-logits``: of the mean over samples of softmax(|change|), on
    probabilities or logits (the release's "diversity" takes logits). Unbiased, then the mean over attributes.
    """

    name = "deviation"
    source = "Olson et al., xGA, CVPR 2023, Sec. 4.5, eq. 10"
    higher_is_better = True
    bounds = (0.0, 1.0)
    tolerance = 0.01
    min_live = 2

    def published(self, responses: Responses, protocol: str) -> np.ndarray:
        return released_softmax(responses, protocol)

    def values(self, means: np.ndarray, case: SingleCase) -> np.ndarray:
        profiles = profile(means) if case.protocol == HEADLINE else means
        return profiles.std(axis=1, ddof=1).mean(-1)

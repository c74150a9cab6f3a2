"""What entropy and deviation share: how a direction's change spreads over the attributes."""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from dirbench.responses import Responses
from dirbench.single_metric import HEADLINE, SingleMetric

PROTOCOLS = (HEADLINE, "published", "published-logits")


def signed_at_both(change: np.ndarray) -> np.ndarray:
    """[K, n, 2M] changes at both signs side by side, of changes [2, K, n, M].

    >>> signed_at_both(np.zeros((2, 3, 10, 5))).shape
    (3, 10, 10)
    """
    return np.concatenate((change[0], change[1]), axis=-1)


def profile(means: np.ndarray) -> np.ndarray:
    """[..., K, M] share of each attribute in |d[k]|, from mean changes at both signs [..., K, 2M].

    |d| is averaged over the signs; shares of a direction sum to 1, whatever the size of the edit.

    >>> profile(np.array([3.0, 1.0, -3.0, -1.0]))  # two attributes, at +strength and at -strength
    array([0.75, 0.25])
    """
    size = np.abs(means).reshape(*means.shape[:-1], 2, -1).mean(-2)
    return size / size.sum(-1, keepdims=True)


def released_softmax(responses: Responses, protocol: str) -> np.ndarray:
    """[K, N, M] softmax over attributes of |edited - unedited| of each sample, as in the xGA release.

    ``published`` takes probabilities (its cross-GAN evaluator), ``published-logits`` logits (its single-GAN
    evaluator); the edits are those of +strength.
    """
    used = responses.probabilities() if protocol == "published" else responses
    return softmax(np.abs(used.plus - used.before), axis=-1)


class ProfileMetric(SingleMetric):
    """A score of the profiles of a GAN's directions."""

    protocols = PROTOCOLS

    def standardised(self, change: np.ndarray) -> np.ndarray:
        return signed_at_both(change)

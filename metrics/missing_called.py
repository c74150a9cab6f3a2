"""Recall of an audit: which share of what is missing from the client does it call missing?"""

from __future__ import annotations

import numpy as np

from dirbench.matching import Match
from dirbench.pair_metric import PairCase, PairMetric, magnitude


def called(size: np.ndarray) -> np.ndarray:
    """[B, M] whether an attribute is the largest change of some direction, of magnitudes ``size`` [B, U, M].

    That is what an audit says when it names each unique direction after what it changes most. Without directions
    nothing is called.

    >>> called(np.array([[[3.0, 2.0, 1.0], [0.0, 0.0, 5.0]]]))
    array([[ True, False,  True]])
    """
    out = np.zeros((size.shape[0], size.shape[2]), bool)
    if size.shape[1]:
        np.put_along_axis(out, size.argmax(-1), True, axis=-1)
    return out


class MissingCalled(PairMetric):
    """Share of the missing attributes that an audit calls missing.

    Called missing is the most changed attribute of each of the reference's unique directions. Stricter than attribute
    recovery, which gives part marks to rank 2. Without missing attributes there is no score.
    """

    name = "missing_called"
    reads_missing = True
    source = "this project; after Olson et al., xGA, CVPR 2023, Sec. 4.4"
    higher_is_better = True
    bounds = (0.0, 1.0)
    tolerance = 0.1
    asks_for_missing = True

    def values(self, reference: np.ndarray, client: np.ndarray, found: Match, case: PairCase) -> np.ndarray:
        return called(magnitude(reference[:, :, found.unique]))[:, list(case.asked)].mean(-1)

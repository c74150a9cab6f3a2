"""Attribute recovery: do the reference's unique directions show what the client lacks?"""

from __future__ import annotations

import numpy as np

from dirbench.matching import Match
from dirbench.pair_metric import PairCase, PairMetric, magnitude


def best_reciprocal_ranks(size: np.ndarray, attributes: tuple[int, ...]) -> np.ndarray:
    """[B, S] for each attribute the largest 1 / rank over directions, of magnitudes ``size`` [B, U, M].

    Rank 1 is the largest magnitude of a direction; equal ones share their mean rank. No direction (U = 0)
    gives 0: what is not retrieved has reciprocal rank 0.

    >>> size = np.array([[[3.0, 2.0, 1.0]]])  # one version, one direction, three attributes
    >>> best_reciprocal_ranks(size, (0, 1))
    array([[1. , 0.5]])
    """
    own = size[:, :, list(attributes), None]
    others = size[:, :, None, :]
    rank = 1 + (others > own).sum(-1) + ((others == own).sum(-1) - 1) / 2
    return (1 / rank).max(1, initial=0.0)


class AttributeRecovery(PairMetric):
    """Mean reciprocal rank of missing attributes in the reference's unique directions (xGA, eq. 8).

    For each missing attribute s in S the largest, over the reference's unique directions k, of 1 / rank of s
    in |d[k]|; the mean over S. As published, S is what the client's subset excludes by name; headline, what
    varies in the reference's data and not in the client's. Without S there is no score. Chance level of the ranks:
    ``dirbench.results.statistics.chance.recovery_chance``. Beside it in the details: ``specificity``, the same over
    attributes that are not missing.
    """

    name = "attribute_recovery"
    reads_missing = True
    source = "Olson et al., xGA, CVPR 2023, Sec. 4.4, eq. 8"
    higher_is_better = True
    bounds = (0.0, 1.0)
    tolerance = 0.05
    paper_table = "4"
    asks_for_missing = True

    def values(self, reference: np.ndarray, client: np.ndarray, found: Match, case: PairCase) -> np.ndarray:
        return best_reciprocal_ranks(magnitude(reference[:, :, found.unique]), case.asked).mean(-1)

    def details(self, reference: np.ndarray, client: np.ndarray, found: Match, case: PairCase) -> dict:
        size = magnitude(reference[:, :, found.unique])
        rest = tuple(s for s in range(len(case.names)) if s not in case.asked)
        each = best_reciprocal_ranks(size, case.asked)[0]
        return {"missing": {case.names[s]: round(float(r), 6) for s, r in zip(case.asked, each)},
                "specificity": float(best_reciprocal_ranks(size, rest).mean()) if rest else None}

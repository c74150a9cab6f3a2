"""Alignment score of a reference and a client GAN."""

from __future__ import annotations

import numpy as np

from dirbench.matching import Match, cosine
from dirbench.pair_metric import PairCase, PairMetric


class Alignment(PairMetric):
    """How alike matched directions change attributes (xGA, eq. 7).

    For each of the ``n_common`` pairs the cosine of the two mean changes d_reference[k] and d_client[k]; the
    mean over the pairs that were asked for. A pair that cannot be made because too few directions do anything
    aligns nothing: it adds 0. Chance is well above 0 (``dirbench.results.statistics.chance``).
    """

    name = "alignment"
    source = "Olson et al., xGA, CVPR 2023, Sec. 4.3, eq. 7"
    higher_is_better = True
    bounds = (-1.0, 1.0)
    tolerance = 0.03
    ordered = False
    paper_table = "5"
    also_headline = ("greedy-centred",)

    def values(self, reference: np.ndarray, client: np.ndarray, found: Match, case: PairCase) -> np.ndarray:
        a = reference[:, found.poles[:, 0], found.pairs[:, 0]]
        b = client[:, found.poles[:, 1], found.pairs[:, 1]]
        return cosine(a, b).sum(-1) / case.n_common

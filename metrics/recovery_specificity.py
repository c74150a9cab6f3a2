"""Specificity of attribute recovery: what the unique directions show that is not missing."""

from __future__ import annotations

import numpy as np

from dirbench.errors import Inapplicable
from dirbench.matching import Match
from dirbench.metrics.attribute_recovery import best_reciprocal_ranks
from dirbench.pair_metric import PairCase, PairMetric, magnitude


class RecoverySpecificity(PairMetric):
    """Attribute recovery (xGA, eq. 8) of what is *not* missing; lower is more specific.

    Unique directions that show everything recover what is missing, too. An audit says something only where
    its recovery exceeds this. With nothing missing it covers all attributes.
    """

    name = "recovery_specificity"
    reads_missing = True
    source = "after Olson et al., xGA, CVPR 2023, Sec. 4.4, eq. 8"
    higher_is_better = False
    bounds = (0.0, 1.0)

    def values(self, reference: np.ndarray, client: np.ndarray, found: Match, case: PairCase) -> np.ndarray:
        rest = tuple(s for s in range(len(case.names)) if s not in case.asked)
        if not rest:
            raise Inapplicable("every attribute is missing from the client")
        return best_reciprocal_ranks(magnitude(reference[:, :, found.unique]), rest).mean(-1)

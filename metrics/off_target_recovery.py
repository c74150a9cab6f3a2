"""Off-target recovery: what the unique directions show that is not missing."""

from __future__ import annotations

import numpy as np

from dirbench.errors import Inapplicable
from dirbench.matching import Match
from dirbench.metrics.attribute_recovery import best_reciprocal_ranks
from dirbench.pair_metric import PairCase, PairMetric, magnitude


class OffTargetRecovery(PairMetric):
    """Attribute recovery (xGA, eq. 8) of what is *not* missing; lower is better.

    Unique directions that show everything recover what is missing, too. An audit says something only where
    its recovery exceeds this. With nothing missing it covers all attributes.
    """

    name = "off_target_recovery"
    reads_missing = True
    source = "after Olson et al., xGA, CVPR 2023, Sec. 4.4, eq. 8"
    higher_is_better = False
    bounds = (0.0, 1.0)
    tolerance = 0.05
    on_control = "how prominently unique directions show attributes that are not missing"
    level_of = "attribute_recovery"

    def values(self, reference: np.ndarray, client: np.ndarray, found: Match, case: PairCase) -> np.ndarray:
        rest = tuple(s for s in range(len(case.names)) if s not in case.asked)
        if not rest:
            raise Inapplicable("every attribute is missing from the client")
        return best_reciprocal_ranks(magnitude(reference[:, :, found.unique]), rest).mean(-1)

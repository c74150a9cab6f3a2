"""N_discov: how many attributes are discovered."""

from __future__ import annotations

import numpy as np

from dirbench.metrics._change_matrix import ChangeMatrixMetric


class NDiscov(ChangeMatrixMetric):
    """Number of attributes that are the largest entry of some direction's row of the change matrix.

    No threshold: a row of noise discovers something, too, so the headline leaves dead directions out.
    """

    name = "n_discov"
    source = "Zhu et al., ContraFeat, AAAI 2023, eq. 18"
    higher_is_better = True
    bounds = (0.0, np.inf)
    tolerance = 1.0
    min_live = 0

    def of_matrix(self, matrix: np.ndarray) -> np.ndarray:
        winners = matrix.argmax(-1)
        hit = np.zeros((len(matrix), matrix.shape[-1]))
        np.put_along_axis(hit, winners, 1.0, axis=1)
        return hit.sum(1)

"""S_disen: how clean directions are."""

from __future__ import annotations

import numpy as np

from dirbench.errors import Inapplicable
from dirbench.metrics._change_matrix import ChangeMatrixMetric


class SDisen(ChangeMatrixMetric):
    """Mean over directions of (largest - second largest) entry of the row-normalised change matrix.

    1: every direction changes a single attribute; 0: every direction changes two alike.
    """

    name = "s_disen"
    source = "Zhu et al., ContraFeat, AAAI 2023, eq. 17"
    higher_is_better = True
    bounds = (0.0, 1.0)
    tolerance = 0.03

    def of_matrix(self, matrix: np.ndarray) -> np.ndarray:
        if matrix.shape[-1] < 2:
            raise Inapplicable("there is one attribute, so no second largest change")
        top = np.partition(matrix, -2, axis=-1)[..., -2:]
        return (top[..., 1] - top[..., 0]).mean(-1)

"""What ContraFeat's two metrics share: the matrix of how much each direction changes each attribute."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from dirbench.responses import Responses
from dirbench.single_metric import HEADLINE, SingleCase, SingleMetric

FIRST_ROWS = 30


def row_normalised(matrix: np.ndarray) -> np.ndarray:
    """[..., K, M] with every row divided by its maximum (eq. 16); a row without any change stays 0.

    >>> row_normalised(np.array([[2.0, 1.0], [0.0, 0.0]]))
    array([[1. , 0.5],
           [0. , 0. ]])
    """
    top = matrix.max(-1, keepdims=True)
    return np.divide(matrix, top, out=np.zeros(matrix.shape), where=top > 0)


class ChangeMatrixMetric(SingleMetric):
    """A score of the row-normalised change matrix (ContraFeat, eq. 15 and 16).

    Headline: mean over samples and signs of |standardised logit change|. ``published``: as released, |mean
    over samples of (moved forward - moved backward)|, the first 30 directions. ``published-paper``: as
    written, mean over samples of |moved - original|, all directions. The published forms are in raw scores
    (here logits).
    """

    protocols = (HEADLINE, "published", "published-paper")

    def standardised(self, change: np.ndarray) -> np.ndarray:
        return np.abs(change).mean(0)

    def published(self, responses: Responses, protocol: str) -> np.ndarray:
        if protocol == "published":
            return responses.plus - responses.minus
        return np.abs(responses.plus - responses.before)

    def values(self, means: np.ndarray, case: SingleCase) -> np.ndarray:
        rows = np.abs(means[:, :FIRST_ROWS] if case.protocol == "published" else means)
        return self.of_matrix(row_normalised(rows))

    @abstractmethod
    def of_matrix(self, matrix: np.ndarray) -> np.ndarray:
        """Scores [B] of row-normalised matrices [B, K, M]."""

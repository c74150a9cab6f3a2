"""K vectors that stay orthonormal (or of unit length) while their free parameters are trained."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dirbench.directions import Vectors


def gram_schmidt(rows: Tensor) -> Tensor:
    """Orthonormal rows [K, D], K <= D: row k is what ``rows[k]`` adds to the span of the rows before it.

    A QR decomposition whose signs are chosen so that R has a positive diagonal is the same map, with the same
    gradient, as the official codes' loops over rows. Rows that depend on each other give no meaningful answer.
    """
    q, r = torch.linalg.qr(rows.T)
    return (q * r.diagonal().sign()).T


def skew_exponential(half: Tensor) -> Tensor:
    """Orthonormal columns [D, K]: the first K of exp(S), S = L - L^T, where L [D, D] is ``half`` [D, K] and zeros.

    For K = D any L - L^T. For K < D the block of S that would only turn the other D - K columns among themselves stays
    zero; every set of K orthonormal columns is still reached. S then has rank 2K, and so its exponential is that of a
    2K x 2K matrix between orthonormal columns (Edelman, Arias & Smith, SIAM J. Matrix Anal. Appl. 1998, Sec. 2.4.2):
    a millisecond at D = 512, K = 16, where the whole exponential and its gradient take a second.
    """
    d, k = half.shape
    if 2 * k >= d:
        full = F.pad(half, (0, d - k))
        return torch.linalg.matrix_exp(full - full.T)[:, :k]
    turn = half[:k] - half[:k].T
    basis, lift = torch.linalg.qr(half[k:])
    blocks = torch.cat((torch.cat((turn, -lift.T), dim=1), torch.cat((lift, torch.zeros_like(turn)), dim=1)))
    columns = torch.linalg.matrix_exp(blocks)[:, :k]
    return torch.cat((columns[:k], basis @ columns[k:]))


class VectorModel(nn.Module, ABC):
    """K trainable vectors of width D; a subclass says how ``rows`` come from its parameter."""

    @abstractmethod
    def rows(self) -> Tensor:
        """Unit rows [K, D], with gradient."""

    def directions(self, space: str, notes: dict) -> Vectors:
        """What was learned, on the CPU."""
        return Vectors(self.rows().detach().cpu(), space, notes=notes)


class UnitColumns(VectorModel):
    """Columns of a matrix [D, K], each divided by its length; starts as 0.1 times a normal draw."""

    def __init__(self, k: int, dim: int, rng: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.1 * torch.randn(dim, k, generator=rng))

    def rows(self) -> Tensor:
        return (self.weight / self.weight.norm(dim=0)).T


class ExponentialColumns(VectorModel):
    """``skew_exponential`` of a matrix [D, K]; starts normal."""

    def __init__(self, k: int, dim: int, rng: torch.Generator) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(dim, k, generator=rng))

    def rows(self) -> Tensor:
        return skew_exponential(self.matrix).T


class GramSchmidtRows(VectorModel):
    """``gram_schmidt`` of a matrix [K, D]; starts normal with variance 2 / D (Kaiming)."""

    def __init__(self, k: int, dim: int, rng: torch.Generator) -> None:
        super().__init__()
        self.matrix = nn.Parameter((2 / dim) ** 0.5 * torch.randn(k, dim, generator=rng))

    def rows(self) -> Tensor:
        return gram_schmidt(self.matrix)

"""ContraFeat's navigator: a direction in a subspace of w and, for each direction, an attention over the rows of w+."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dirbench.directions import Layerwise

SIDE, CENTRE = 0.27406862, 0.45186276  # a normalised Gaussian of size 3 and standard deviation 1


def smooth(weights: Tensor) -> Tensor:
    """Weights [K, L], L >= 2, averaged over neighbouring layers by a Gaussian of size 3; ends are reflected.

    Rows no longer sum to exactly one, as in the release.
    """
    padded = F.pad(weights, (1, 1), "reflect")
    return SIDE * (padded[:, :-2] + padded[:, 2:]) + CENTRE * padded[:, 1:-1]


class LayerAttention(nn.Module):
    """K attentions over ``n_layers`` rows of w+, of which the first ``attended`` compete in a softmax (eq. 1)."""

    def __init__(self, k: int, n_layers: int, attended: int, rng: torch.Generator) -> None:
        super().__init__()
        self.n_layers = n_layers
        self.logits = nn.Parameter(torch.randn(k, attended, generator=rng))

    def forward(self) -> Tensor:
        """Weights [K, L]; rows beyond the attended ones get what smoothing lets through."""
        return smooth(F.pad(self.logits.softmax(dim=1), (0, self.n_layers - self.logits.shape[1])))


class Navigator(nn.Module):
    """Layer-wise moves: attention x direction (Zhu et al., AAAI 2023, eq. 1 to 4).

    Args:
        attention: of K directions.
        coordinates: [K, n], learned where it is a parameter and fixed where it is not.
        basis: [n, D]: rows span the subspace that directions lie in.
    """

    coordinates: Tensor
    basis: Tensor

    def __init__(self, attention: LayerAttention, coordinates: Tensor, basis: Tensor) -> None:
        super().__init__()
        self.attention = attention
        if isinstance(coordinates, nn.Parameter):
            self.coordinates = coordinates
        else:
            self.register_buffer("coordinates", coordinates)
        self.register_buffer("basis", basis)

    def moves(self) -> Tensor:
        """[K, L, D] at the method's own scale of 1: attention times a direction of norm sqrt(D)."""
        vectors = self.coordinates @ self.basis
        vectors = F.normalize(vectors, dim=1) * vectors.shape[1] ** 0.5
        return self.attention()[:, :, None] * vectors[:, None]

    def directions(self, space: str, notes: dict) -> Layerwise:
        """What was learned, on the CPU; ``scales`` are the strengths that the method's own scale of 1 stands for."""
        with torch.no_grad():
            vectors, weights = (self.coordinates @ self.basis).cpu(), self.attention().cpu()
        return Layerwise(vectors, weights, space, weights.amax(dim=1) * vectors.shape[1] ** 0.5, notes)

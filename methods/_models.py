"""Trainable direction models of LatentCLR and xGA: a vector, a linear map or a small network for each direction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dirbench.directions import Conditional, Directions, Mlp, Vectors


def _uniform(*shape: int, fan_in: int, rng: torch.Generator) -> nn.Parameter:
    """What ``nn.Linear`` starts with: uniform in +-1 / sqrt(fan_in), weights and biases alike."""
    return nn.Parameter((2 * torch.rand(*shape, generator=rng) - 1) / fan_in**0.5)


class DirectionModel(nn.Module, ABC):
    """K directions of latents of width D; a subclass gives ``moves`` and ``directions``."""

    @abstractmethod
    def moves(self, latent: Tensor, ks: Sequence[int]) -> Tensor:
        """Unit moves [len(ks), N, D] of latents [N, D]."""

    def shift(self, latent: Tensor, alpha: float, ks: Sequence[int]) -> Tensor:
        """Latents [len(ks) * N, ...] of latents [N, D] or w+ [N, L, D] moved by ``alpha``, direction-major."""
        moves = self.moves(latent.flatten(0, -2).float(), ks).unflatten(1, latent.shape[:-1])
        return (latent + alpha * moves).flatten(0, 1)

    @abstractmethod
    def directions(self, space: str, notes: dict) -> Directions:
        """What was learned, on the CPU."""


class GlobalModel(DirectionModel):
    """One vector a direction, the same for every latent; starts normal."""

    def __init__(self, k: int, dim: int, rng: torch.Generator) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(k, dim, generator=rng))

    def moves(self, latent: Tensor, ks: Sequence[int]) -> Tensor:
        chosen = self.vectors if list(ks) == list(range(len(self.vectors))) else self.vectors[list(ks)]
        # of unit length, as by F.normalize, which is a dozen kernels on the way back
        units = torch._weight_norm(chosen, chosen.new_ones(len(chosen), 1))
        return units[:, None].expand(-1, len(latent), -1)

    def directions(self, space: str, notes: dict) -> Directions:
        return Vectors(self.vectors.detach().cpu(), space, notes=notes)


class LinearModel(DirectionModel):
    """An affine map a direction. Each is a parameter of its own, so that Adam passes over those not in use."""

    def __init__(self, k: int, dim: int, rng: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.ParameterList(_uniform(dim, dim, fan_in=dim, rng=rng) for _ in range(k))
        self.bias = nn.ParameterList(_uniform(dim, fan_in=dim, rng=rng) for _ in range(k))

    def moves(self, latent: Tensor, ks: Sequence[int]) -> Tensor:
        return F.normalize(torch.stack([F.linear(latent, self.weight[k], self.bias[k]) for k in ks]), dim=2)

    def directions(self, space: str, notes: dict) -> Directions:
        weight, bias = (torch.stack([p.detach().cpu() for p in part]) for part in (self.weight, self.bias))
        return Conditional(weight, bias, space, notes=notes)


class MlpModel(DirectionModel):
    """A network a direction: linear, batch norm, ReLU, twice over, then linear without bias.

    In training mode batch norm goes by the latents at hand, for each direction by itself; the learned directions use
    the running statistics, folded into the linear layers.
    """

    def __init__(self, k: int, dim: int, rng: torch.Generator, depth: int = 3) -> None:
        super().__init__()
        self.weight = nn.ParameterList(_uniform(k, dim, dim, fan_in=dim, rng=rng) for _ in range(depth))
        self.bias = nn.ParameterList(_uniform(k, dim, fan_in=dim, rng=rng) for _ in range(depth - 1))
        self.norm = nn.ModuleList(nn.BatchNorm1d(k * dim) for _ in range(depth - 1))

    def moves(self, latent: Tensor, ks: Sequence[int]) -> Tensor:
        k, dim = len(self.weight[0]), latent.shape[1]
        if list(ks) != list(range(k)):
            raise ValueError(f"MlpModel moves all {k} directions at once, asked for {list(ks)}")
        x = latent.expand(k, -1, -1)
        for weight, bias, norm in zip(self.weight, self.bias, self._norms()):
            x = torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))  # [K, N, D]
            x = norm(x.transpose(0, 1).flatten(1)).relu().unflatten(1, (k, dim)).transpose(0, 1)
        return F.normalize(x @ self.weight[-1].transpose(1, 2), dim=2)

    def _norms(self) -> list[nn.BatchNorm1d]:
        return [norm for norm in self.norm if isinstance(norm, nn.BatchNorm1d)]

    def directions(self, space: str, notes: dict) -> Directions:
        weights, biases = [w.detach().cpu() for w in self.weight], []
        for i, (bias, norm) in enumerate(zip(self.bias, self._norms())):
            assert norm.running_mean is not None and norm.running_var is not None
            gain = norm.weight * (norm.running_var + norm.eps).rsqrt()
            gain, mean, shift = (t.detach().cpu().view(bias.shape) for t in (gain, norm.running_mean, norm.bias))
            weights[i] = weights[i] * gain[:, :, None]
            biases.append((bias.detach().cpu() - mean) * gain + shift)
        return Mlp(weights, biases, space, notes=notes)


MODELS: dict[str, type[DirectionModel]] = {"global": GlobalModel, "linear": LinearModel, "nonlinear": MlpModel}

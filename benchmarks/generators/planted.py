"""Generators whose factors are known exactly, with an oracle, an extractor and a density ratio to go with them.

Each factor is one unit direction of the latent space (rows of a random rotation) and paints one image pattern, of an
own strength; factors also differ in the variance of the latent along them and in how many style channels they
drive, for equal factors behind a rotation cannot be told apart by SeFa or PCA, or by anyone.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dirbench.directions import Directions
from dirbench.fingerprint import state_fingerprint
from dirbench.generator import Generator, Layers
from dirbench.oracle import AttributeOracle, FeatureExtractor
from dirbench.oracles.networks.density_ratio import DensityRatio, feature_pools, train_density_ratio

SIDE = 16
DIM = 32


def pattern(factor: int) -> Tensor:
    """The image [3, 16, 16] of one factor (0..71): a cosine wave in one mixture of colours; all orthonormal."""
    axis = (torch.arange(SIDE) + 0.5) * math.pi / SIDE
    waves = [(total - down, down) for total in range(1, 9) for down in range(total + 1)][:24]
    across, down = waves[factor % 24]
    wave = torch.cos(across * axis)[None] * torch.cos(down * axis)[:, None]
    colour = torch.tensor([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0], [1.0, 1.0, -2.0]])[factor // 24]
    image = colour[:, None, None] * wave
    return image / image.norm()


class PlantedGenerator(Generator):
    """A small style-based generator with known factors: image = sum of strength * tanh(gain * factor) * pattern.

    Args:
        factors: which patterns it has; two generators with a factor in common paint it alike, along directions of
            their own.
        space: "w" (mapped from z linearly, with falling variances and a mean) or "z" (isotropic, no mapping).
        seed: of the rotation.

    ``planted`` [P, D] holds the directions of ``factors``, in that order. Channels that paint next to nothing
    belong to the other D - P directions.
    """

    latent_dim, n_layers, resolution = DIM, 3, SIDE
    layer_names = ("s4", "s8", "s16")
    own_rng: torch.Generator  # there where a clause asks whether a method leaves it alone

    def __init__(self, factors: tuple[int, ...] = (0, 1, 2, 3, 4, 5), space: str = "w", seed: int = 0) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self.space, self.factors = space, tuple(factors)
        self.w_dim = DIM if space == "w" else 0
        n = len(factors)
        rotation = torch.linalg.qr(torch.randn(DIM, DIM, generator=rng)).Q
        self.planted = rotation[:n].clone()
        rank = torch.arange(DIM)
        sigma = torch.where(rank < n, 1.6 - 0.9 * rank / n, 0.5 - 0.3 * rank / DIM)
        self.spread = nn.Parameter((sigma[:, None] * rotation).T.contiguous())  # w = mean + z @ spread^T
        self.mean = nn.Parameter(torch.randn(DIM, generator=rng) * (space == "w"))
        channels = torch.where(rank < n, n + 2 - rank, 1)  # 8, 7, 6, ... channels of one factor, in each layer
        owner = rank.repeat_interleave(channels)
        gain = torch.where(owner < n, 0.8, 0.2)
        layers = [rotation[owner] * (gain * (1 + layer / 4))[:, None] for layer in range(self.n_layers)]
        self.affine = nn.ParameterList(nn.Parameter(weight) for weight in layers)
        strength = torch.where(rank < n, 5.0 - 2.5 * rank / n, 0.05)
        patterns = torch.stack([pattern(f) for f in factors] + [pattern(24 + i) for i in range(DIM - n)])
        self.paint = nn.Parameter((strength / channels / self.n_layers)[owner, None, None, None] * patterns[owner])
        self.freeze()

    def map(self, z: Tensor) -> Tensor:
        return self.mean + z.to(self.mean.dtype) @ self.spread.T if self.w_dim else super().map(z)

    def _styles(self, latent: Tensor, space: str | None, layer: int) -> Tensor:
        latent = self.map(latent) if self.check_space(space) == "z" and self.w_dim else latent
        if latent.shape[-1] != DIM or latent.shape[1:-1] not in ((), (self.n_layers,)):
            raise ValueError(f"expected latents [N, {DIM}] or [N, {self.n_layers}, {DIM}], got {list(latent.shape)}")
        row = (latent if latent.ndim == 2 else latent[:, layer]).to(self.mean.dtype)
        return torch.tanh((row - self.mean) @ self.affine[layer].T)

    def synthesize(self, latent: Tensor, space: str | None = None) -> Tensor:
        styles = sum(self._styles(latent, space, layer) for layer in range(self.n_layers))
        return torch.einsum("nc,cijk->nijk", styles, self.paint)

    def activations(self, latent: Tensor, layer: str, space: str | None = None) -> Tensor:
        index = self.layer_names.index(self.check_layer(layer))
        ramp = torch.linspace(0.5, 1.0, 4 * 2**index, dtype=self.mean.dtype)  # no activation is flat in space
        return self._styles(latent, space, index)[:, :, None, None] * ramp[:, None] * ramp

    def affine_weights(self, layers: Layers = "all") -> list[Tensor]:
        chosen = self.layer_ids(layers)
        return [self.affine[i].detach() for i in (range(self.n_layers) if chosen is None else chosen)]


class PlantedOracle(AttributeOracle):
    """Reads how much of each pattern an image shows; one attribute a factor, named ``factor_0``, ..."""

    patterns: Tensor

    def __init__(self, factors: tuple[int, ...], readable: tuple[bool, ...] | None = None) -> None:
        super().__init__()
        self.names = tuple(f"factor_{f}" for f in factors)
        self.readable = readable or (True,) * len(factors)
        self.register_buffer("patterns", torch.stack([pattern(f) for f in factors]))

    def logits(self, images: Tensor) -> Tensor:
        return torch.einsum("nijk,mijk->nm", images, self.patterns)

    def fingerprint(self) -> str:
        return state_fingerprint(self, self.names)


class PlantedExtractor(FeatureExtractor):
    """A fixed random convolution and its pooled output: enough to tell patterns apart, and differentiable."""

    name, width = "planted", 64
    kernel: Tensor
    mix: Tensor

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(seed)
        self.register_buffer("kernel", torch.randn(16, 3, 4, 4, generator=rng) / 7)
        self.register_buffer("mix", torch.linalg.qr(torch.randn(256, 64, generator=rng)).Q)

    def maps(self, images: Tensor) -> list[Tensor]:
        first = F.softplus(F.conv2d(images, self.kernel, stride=2, padding=1))
        return [first, F.avg_pool2d(first, 2)]

    def features(self, images: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(self.maps(images)[0], 4).flatten(1) @ self.mix

    def fingerprint(self) -> str:
        return state_fingerprint(self)


def planted_ratio(reference: tuple[int, ...], client: tuple[int, ...], steps: int = 100) -> DensityRatio:
    """Density ratios between two planted generators (by their factors) in the planted extractor's features."""
    rng, extractor = torch.Generator().manual_seed(0), PlantedExtractor()
    here, there = (feature_pools(PlantedGenerator(factors, seed=seed), [extractor], 512, rng, 128)[0]
                   for seed, factors in enumerate((reference, client)))
    return train_density_ratio(here, there, loss="kliep", steps=steps, batch=32, rng=rng)


@torch.no_grad()
def recovery(directions: Directions, generator: PlantedGenerator, n: int = 64) -> float:
    """How well the planted factors were found, in 0..1: mean over factors of the best direction's ``|cosine|``.

    The cosine of a direction that depends on the latent is the mean over n sampled latents.
    """
    latents = generator.sample(n, torch.Generator().manual_seed(7), directions.space).float()
    moves = F.normalize(directions.moves(latents, torch.arange(len(directions))).float(), dim=-1)
    if moves.ndim == 4:  # layer-wise: as a move of w, its rows' sum
        moves = F.normalize(moves.sum(dim=2), dim=-1)
    cosines = (moves @ generator.planted.T).abs().mean(dim=1)  # [K, P]
    return cosines.amax(dim=0).mean().item()

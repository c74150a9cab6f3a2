"""What is measured on: sizes, and the networks made to them, with random weights (which do not change cost)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from dirbench.benchmarks.generators.stylegan2 import StyleGAN2
from dirbench.method import Context
from dirbench.oracles.efficientnet import EfficientNetLite0
from dirbench.oracles.networks.density_ratio import DensityRatio


@dataclass(frozen=True)
class Sizes:
    """The sizes that the goals were set at; tests take smaller ones.

    Attributes:
        resolution, channels, w_dim: of the generator. input_size: of the extractor, in pixels.
        chunk: images synthesised at a time. batches: of the generator alone (goal 3).
        rows: of features in a contrastive loss (goal 7). sefa: layers and width (goal 8).
        samples, mapped, components: of GANSpace, w's width (goal 9). pool: feature rows of each GAN (goal 13).
        methods: hyperparameters for a step (goal 4) where the published batch is too large to repeat.
    """

    resolution: int = 64
    channels: dict[int, int] = field(default_factory=lambda: {4: 128, 8: 128, 16: 64, 32: 32, 64: 16})
    w_dim: int = 128
    input_size: int = 64
    chunk: int = 32
    batches: tuple[int, ...] = (8, 32)
    rows: int = 64
    sefa: tuple[int, int] = (18, 512)
    samples: int = 100_000
    mapped: int = 512
    components: int = 80
    pool: int = 2_000
    methods: dict[str, dict] = field(default_factory=lambda: {
        "hessian": {"batch": 8}, "contrafeat": {"n_samples": 20_000}, "ganspace+attention": {"n_samples": 20_000}})


@dataclass
class Setup:
    """Networks of those sizes, made when first asked for."""

    sizes: Sizes
    repeats: int

    @cached_property
    def pair(self) -> tuple[StyleGAN2, StyleGAN2]:
        """Two frozen generators."""
        s = self.sizes
        first, second = (StyleGAN2(z_dim=s.w_dim, w_dim=s.w_dim, resolution=s.resolution, channels=s.channels,
                                   rng=torch.Generator().manual_seed(seed)) for seed in range(2))
        for generator in (first, second):
            generator.freeze()
        return first, second

    @cached_property
    def extractor(self) -> EfficientNetLite0:
        """Frozen, ImageNet weights."""
        return EfficientNetLite0(self.sizes.input_size).requires_grad_(False)

    def ratio(self) -> DensityRatio:
        """Of the extractor's features, untrained."""
        return DensityRatio(self.extractor.width).requires_grad_(False)

    def context(self, **more) -> Context:
        """What methods are given."""
        return Context(extractor=self.extractor, density_ratio=self.ratio(), chunk=self.sizes.chunk, **more)

    def latents(self, n: int, seed: int = 0) -> Tensor:
        """w [n, w_dim] of the first generator."""
        with torch.no_grad():
            return self.pair[0].sample(n, torch.Generator().manual_seed(seed))

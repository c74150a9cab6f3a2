"""Zoos trained on image data: what each GAN is trained on, and the settings for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dirbench.benchmarks.data.celeba import celeba
from dirbench.benchmarks.data.decoding import CACHE
from dirbench.benchmarks.data.image_set import TRAIN, ImageSet
from dirbench.benchmarks.data.subsets import lacking
from dirbench.benchmarks.training.config import GanConfig

RESOLUTIONS = (64, 128, 256)


@dataclass(frozen=True)
class CelebASource:
    """Where a zoo's GANs get their images: CelebA's training part, less what each subset lacks.

    Attributes:
        data, resolution, crop, cache: see ``celeba``.
    """

    data: Path
    resolution: int = 64
    crop: str = "centre"
    cache: Path = CACHE

    @property
    def name(self) -> str:
        """Of the zoo, and of its folder of checkpoints."""
        return f"celeba{self.resolution}" + ("" if self.crop == "centre" else f"-{self.crop}")

    @property
    def title(self) -> str:
        """For captions."""
        return f"CelebA zoo ({self.resolution}x{self.resolution}, {self.crop} crop)"

    def __call__(self, name: str) -> ImageSet:
        """The training images of the GAN ``name``. Raises DataError, ValueError, KeyError (no such subset)."""
        pairs = lacking(name)
        return celeba(self.data, self.resolution, self.crop, self.cache).part(TRAIN).lacking(pairs)


def celeba_config(resolution: int, device: str = "cpu") -> GanConfig:
    """StyleGAN2 (skip, without noise inputs) for CelebA at ``resolution``.

    Widths and rates are those of NVIDIA's StyleGAN2-ADA for 256-pixel data: 16384 / side channels, at most 512; Adam
    at 0.0025; R1 of 0.0002 R^2 / batch (its "auto" configuration); an averaged generator with a half-life of 10
    thousand images. Eight mapping layers and 0.9 style mixing as StyleGAN2 (arXiv:1912.04958). Without noise inputs
    all variation is in the latent, where directions are looked for.
    """
    batch, rate = 32, 2.5e-3
    width = {4 << i: min(512, 16384 // (4 << i)) for i in range((resolution // 4).bit_length())}
    return GanConfig(resolution=resolution, mapping_layers=8, channels=width,
                     d_channels={side: count for side, count in width.items() if side < resolution}, batch=batch,
                     lr_g=rate, lr_d=rate, lr_g_later=(0, rate), r1_gamma=0.0002 * resolution**2 / batch, mixing=0.9,
                     half_images=0, projected=0, boosted=(0, 0),
                     precision="bf16" if device.startswith("cuda") else "fp32")

"""A golden file of each generator family, and how it is read. A new family is one line of ``FAMILIES``."""

from __future__ import annotations

import functools
import math

import torch

import helpers
from dirbench.benchmarks.contract.reading import Source
from dirbench.benchmarks.generators.biggan import BigGAN
from dirbench.benchmarks.generators.biggan_deep import BigGANDeep
from dirbench.benchmarks.generators.pggan import PGGAN
from dirbench.benchmarks.generators.sngan import SNGAN
from dirbench.benchmarks.generators.stylegan1 import StyleGAN1
from dirbench.benchmarks.generators.stylegan2 import StyleGAN2
from dirbench.benchmarks.generators.stylegan3 import StyleGAN3
from dirbench.generator import Generator


class Case:
    """A golden file and the family that reads it; ``settings`` are what the tensors do not say."""

    def __init__(self, cls: type[Generator], file: str, **settings: object) -> None:
        self.cls, self.file, self.settings = cls, file, settings

    @functools.cached_property
    def state(self) -> dict[str, torch.Tensor]:
        return torch.load(helpers.GOLDEN / f"{self.file}.pt", weights_only=True)["state_dict"]

    def read(self, state: dict[str, torch.Tensor] | None = None) -> Generator:
        gan = self.cls.from_state_dict(self.state if state is None else state, **self.settings).freeze()
        if gan.n_classes and gan.label is None:
            gan.label = 1
        return gan

    @functools.cached_property
    def gan(self) -> Generator:
        """Shared by the clauses, which leave it as it is."""
        return self.read()

    @functools.cached_property
    def source(self) -> Source:
        return Source(self.state, self.read, self.gan)


FAMILIES = {
    "biggan": Case(BigGAN, "generators/biggan"),
    "biggan-deep": Case(BigGANDeep, "generators/biggan_deep_hf"),
    "sngan": Case(SNGAN, "generators/sngan"),
    "stylegan2": Case(StyleGAN2, "stylegan2_ada"),
    "stylegan2-classes": Case(StyleGAN2, "stylegan2_ada_cond", clamp=1.5, mapping_lr=0.02),
    "stylegan2-rosinality": Case(StyleGAN2, "stylegan2_rosinality", clamp=math.inf),
    "stylegan2-genforce": Case(StyleGAN2, "generators/genforce_stylegan2", clamp=math.inf),
    "stylegan3-t": Case(StyleGAN3, "generators/stylegan3_t"),
    "stylegan3-r": Case(StyleGAN3, "generators/stylegan3_r", clamp=1.0),
    "stylegan1": Case(StyleGAN1, "generators/genforce_stylegan"),
    "stylegan1-fused-classes": Case(StyleGAN1, "generators/genforce_stylegan_fused_label", fused_scale=True),
    "pggan": Case(PGGAN, "generators/genforce_pggan"),
    "pggan-fused-classes": Case(PGGAN, "generators/genforce_pggan_fused_label", n_classes=4),
    "proggan": Case(PGGAN, "generators/proggan"),
}

"""Metrics of a generator with its directions: what they look at, the evaluator they train, and what is kept of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from dirbench.directions import Directions
from dirbench.generator import Generator
from dirbench.method import Context
from dirbench.metric import RESAMPLES, Band, Metric, Score
from dirbench.single_metric import HEADLINE


@dataclass(frozen=True)
class GeneratorInputs:
    """A generator with its directions.

    Attributes:
        generator: frozen; a metric leaves it as it was.
        latents: [n, ...] of the directions' space, to score on: the suite's own, never trained on.
        alpha: the suite's edit strength.
        context: random source, chunk, and a long training's checkpoint and progress.

    >>> import torch
    >>> from dirbench.benchmarks.generators.planted import PlantedGenerator
    >>> from dirbench.directions import Vectors
    >>> gan, directions = PlantedGenerator(), Vectors(torch.eye(PlantedGenerator.latent_dim)[:4], space="z")
    >>> inputs = GeneratorInputs(gan, directions, gan.sample(8, torch.Generator().manual_seed(0)), 3.0, Context())
    >>> edited = inputs.directions.shift(inputs.latents, 0, inputs.alpha)
    >>> round((edited - inputs.latents).norm(dim=1).mean().item(), 3)
    3.0
    """

    generator: Generator
    directions: Directions
    latents: Tensor
    alpha: float
    context: Context


@dataclass(frozen=True)
class Measured:
    """What ``measure`` saw, as stored. ``seed`` is of the bootstrap.

    >>> float(Measured({"hits": np.array([True, False])}, seed=1).arrays["hits"].mean())
    0.5
    """

    arrays: Mapping[str, np.ndarray]
    seed: int = 0


class GeneratorMetric(Metric):
    """A score that responses do not suffice for: it synthesises images, and may train an evaluator on them.

    Two halves: ``measure``, the expensive one, whose arrays are an artifact of the store; and ``compute``, a pure
    function of those arrays. A subclass is a frozen dataclass: its fields are sizes and settings, published values by
    default, which profiles override under ``metrics:``.

    >>> class PixelChange(GeneratorMetric):
    ...     name, bounds = "pixel-change", (0.0, 2.0)
    ...     def images(self, k, n):
    ...         return (k + 1) * n
    ...     def measure(self, inputs):
    ...         gan, space = inputs.generator, inputs.directions.space
    ...         before = gan.synthesize(inputs.latents, space)
    ...         after = [gan.synthesize(inputs.directions.shift(inputs.latents, k, inputs.alpha), space)
    ...                  for k in range(len(inputs.directions))]
    ...         return {"change": np.stack([(image - before).abs().mean((1, 2, 3)).numpy() for image in after])}
    ...     def compute(self, inputs, protocol, resamples=RESAMPLES):
    ...         self.check_protocol(protocol)
    ...         return Score(float(inputs.arrays["change"].mean()), n=inputs.arrays["change"].shape[1])
    ...     def chance(self, inputs, protocol):
    ...         return Band(np.nan, np.nan, np.nan)  # not known
    >>> PixelChange().compute(Measured({"change": np.full((4, 8), 0.5)}), "headline").value
    0.5
    """

    needs: ClassVar[str] = "generator"
    protocols: ClassVar[tuple[str, ...]] = (HEADLINE,)

    @abstractmethod
    def images(self, k: int, n: int) -> int:
        """How many images ``measure`` synthesises for k directions and n latents."""

    @abstractmethod
    def measure(self, inputs: GeneratorInputs) -> dict[str, np.ndarray]:
        """The arrays that the score is made from. Same seed, same answer.

        Raises:
            NotApplicable: the score cannot exist for this generator. DiscoveryError: a training failed.
        """

    @abstractmethod
    def compute(self, inputs: Measured, protocol: str, resamples: int = RESAMPLES) -> Score:
        """The score; ``resamples=0`` leaves the interval out."""

    @abstractmethod
    def chance(self, inputs: Measured, protocol: str) -> Band:
        """What chance gives: known without an experiment, since no random directions are measured."""

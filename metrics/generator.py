"""Metrics of a generator with its directions: what they look at, the evaluator they train, and what is kept of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from benchmarks.generators.base import Generator
from methods.base import Context
from methods.directions import Directions
from metrics.base import RESAMPLES, Metric, Score
from metrics.null import Band
from metrics.single import HEADLINE


@dataclass(frozen=True)
class GeneratorInputs:
    """A generator with its directions.

    Attributes:
        generator: frozen; a metric leaves it as it was.
        latents: [n, ...] of the directions' space, to score on: the suite's own, never trained on.
        alpha: the suite's edit strength.
        context: random source, chunk, and a long training's checkpoint and progress.

    >>> import torch
    >>> from benchmarks.generators.zoo import load_zoo
    >>> from methods.directions import Vectors
    >>> generator = load_zoo("mini").load("full")
    >>> latents = generator.sample(4, torch.Generator().manual_seed(0), "w")
    >>> axes = Vectors(torch.eye(generator.w_dim)[:2], space="w")
    >>> inputs = GeneratorInputs(generator, axes, latents, alpha=3.0, context=Context(seed=0))
    >>> len(inputs.directions), inputs.latents.shape
    (2, torch.Size([4, 512]))
    """

    generator: Generator
    directions: Directions
    latents: Tensor
    alpha: float
    context: Context


@dataclass(frozen=True)
class Measured:
    """What ``measure`` saw, as stored. ``seed`` is of the bootstrap.

    >>> float(Measured({"right": np.array([1.0, 0.0])}).arrays["right"].mean())
    0.5
    """

    arrays: Mapping[str, np.ndarray]
    seed: int = 0


class GeneratorMetric(Metric):
    """A score that responses do not suffice for: it synthesises images, and may train an evaluator on them.

    Two halves: ``measure``, the expensive one, whose arrays are an artifact of the store; and ``compute``, a pure
    function of those arrays. A subclass is a frozen dataclass: its fields are sizes and settings, published values by
    default, which profiles override under ``metrics:``.

    >>> @dataclass(frozen=True)
    ... class Brightness(GeneratorMetric):
    ...     name = "brightness"
    ...     threshold: float = 0.0
    ...
    ...     def images(self, k, n):
    ...         return n
    ...
    ...     def measure(self, inputs):
    ...         images = inputs.generator.synthesize(inputs.latents, inputs.directions.space)
    ...         return {"bright": images.mean((1, 2, 3)).numpy() > self.threshold}
    ...
    ...     def compute(self, inputs, protocol, resamples=RESAMPLES):
    ...         return Score(float(inputs.arrays["bright"].mean()), n=len(inputs.arrays["bright"]))
    ...
    ...     def chance(self, inputs, protocol):
    ...         return Band(0.5, 0.0, 1.0)
    >>> Brightness().compute(Measured({"bright": np.array([True, True])}), "headline").value
    1.0
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
        """What chance gives: known without an experiment, since no bank of random directions is measured."""

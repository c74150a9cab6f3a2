"""Random directions: what any method has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from dirbench.directions import Directions, Vectors
from dirbench.generator import Generator
from dirbench.method import Context, DirectionMethod
from dirbench.sampling import vector_space


@dataclass(frozen=True)
class RandomDirections(DirectionMethod):
    """K independent directions, uniform on the unit sphere of the generator's latent space.

    Voynov & Babenko (ICML 2020, Table 2) make their random ones orthonormal. These are independent, so that
    each is a draw of its own and K may exceed the dimension; in hundreds of dimensions the difference is
    small.
    """

    name: ClassVar[str] = "random"
    source: ClassVar[str] = 'Voynov & Babenko, ICML 2020, arXiv:2002.03754, Sec. 4 and Table 2, "Random"'
    role: ClassVar[str] = "baseline"
    why_not: ClassVar[str] = "it is the random baseline itself"

    space: str | None = None

    def discover(self, generator: Generator, context: Context) -> Directions:
        space = vector_space(generator, self.space, self.name)
        draws = torch.randn(self.n_directions, generator.dim(space), generator=context.rng(self.name))
        return Vectors(draws, space)

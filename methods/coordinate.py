"""Coordinate axes of the latent space: a baseline that costs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from dirbench.directions import Directions, Vectors
from dirbench.generator import Generator
from dirbench.method import Context, DirectionMethod
from dirbench.sampling import vector_space


@dataclass(frozen=True)
class Coordinate(DirectionMethod):
    """K different axes of the generator's latent space.

    The "Coordinate" of Voynov & Babenko (ICML 2020, Sec. 4 and Table 2), whose direction matrix is the
    identity. The number of an axis means nothing, so here *which* K axes is a draw without replacement from the
    context's seed: repetitions then show the spread over axes, which the first K never would. ``notes["axes"]``
    names them.
    """

    name: ClassVar[str] = "coordinate"
    source: ClassVar[str] = 'Voynov & Babenko, ICML 2020, arXiv:2002.03754, Sec. 4 and Table 2, "Coordinate"'
    why_not: ClassVar[str] = "behind a random rotation of the factors an axis is a random direction"

    space: str | None = None

    def discover(self, generator: Generator, context: Context) -> Directions:
        space = vector_space(generator, self.space, self.name)
        dim = generator.dim(space)
        self.check_k(dim)
        axes = torch.randperm(dim, generator=context.rng(self.name))[: self.n_directions].sort().values
        return Vectors(torch.eye(dim)[axes], space, notes={"axes": axes.tolist()})

"""A method with small settings on planted generators, and its answers: what the clauses of methods look at."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from dirbench.benchmarks.contract.report import demand
from dirbench.benchmarks.generators.counting import count_images
from dirbench.benchmarks.generators.planted import (
    DIM,
    PlantedExtractor,
    PlantedGenerator,
    PlantedOracle,
    planted_ratio,
)
from dirbench.directions import Directions
from dirbench.method import Context, DirectionMethod, PairedMethod
from dirbench.plugins import Method

K = 6
FEW_STEPS = 8  # of a training, where how well it ends does not matter
FACTORS = (0, 1, 2, 3, 4, 5)
CLIENT_FACTORS = (0, 1, 2, 3, 6, 7)  # four in common with the reference
LENT = {"extractor": functools.cache(PlantedExtractor), "teacher": functools.cache(lambda: PlantedOracle(FACTORS)),
        "density_ratio": functools.cache(lambda: planted_ratio(FACTORS, CLIENT_FACTORS))}


@dataclasses.dataclass(frozen=True)
class Watched:
    """One discovery: its answer, [(done, total, images made by then)] of its progress, images made and planned."""

    answer: list[Directions]
    words: list[tuple[int, int, int]]
    images: int
    planned: int


class Case:
    """A method class with small settings (its ``test_params``), and what it may need.

    Args:
        ours: of this project, and held to more: it says where it comes from and how it does beside random directions,
            and a ValueError for weights of NaN is not enough.
        long: trained in full even where ``test_params`` name no ``n_steps``.

    ``params`` are the settings of most clauses, ``full`` those that recovery is measured with.
    """

    def __init__(self, cls: type[Method], ours: bool = False, long: bool = False) -> None:
        self.cls, self.ours, self.long = cls, ours, long
        self._watched: dict[str, Watched] = {}
        sizes = {"n_directions": K, "n_common": 4} if cls.paired else {"n_directions": K}
        self.full = {**sizes, **cls.test_params}
        trained = any(f.name == "n_steps" for f in dataclasses.fields(cls))
        self.params = {**self.full, "n_steps": FEW_STEPS} if trained else self.full

    @property
    def method(self) -> Method:
        """The method with ``params``."""
        return self.cls(**self.params)

    def gans(self, space: str = "w") -> list[PlantedGenerator]:
        """Reference and client, or one generator."""
        pair = [PlantedGenerator(FACTORS, space, seed=0), PlantedGenerator(CLIENT_FACTORS, space, seed=1)]
        return pair if self.cls.paired else pair[:1]

    def discover(self, gans: list[PlantedGenerator] | None = None, seed: int = 0, params: dict | None = None,
                 **context: Any) -> list[Directions]:
        """Directions of each generator. Raises Fault if the answer is something else."""
        gans = self.gans() if gans is None else gans
        method = self.cls(**{**self.params, **(params or {})})
        needed = {name: LENT[name]() for name in method.needs if name in LENT}
        given = Context(**{"seed": seed, **needed, **context})
        if self.cls.paired:
            reference, client = gans
            found: Sequence[Directions] = cast(PairedMethod, method).discover_pair(reference, client, given)
        else:
            gan, = gans
            found = [cast(DirectionMethod, method).discover(gan, given)]
        for directions in found:
            demand(isinstance(directions, Directions), f"it returns a {type(directions).__name__}, expected Directions "
                   "(Vectors, Conditional, ...)")
        return list(found)

    def watched(self, space: str = "w") -> Watched:
        """Discovery with seed 0 on ``gans(space)``, done once."""
        if space not in self._watched:
            gans, words = self.gans(space), []
            planned = self.method.images_on(*gans)
            with count_images(*gans) as count:
                answer = self.discover(gans, progress=lambda done, total: words.append((done, total, count.images)))
            self._watched[space] = Watched(answer, words, count.images, planned)
        return self._watched[space]

    @property
    def usual(self) -> list[Directions]:
        """The answer to the usual question: in w, seed 0."""
        return self.watched().answer


def moves(directions: Directions, n: int = 8, strength: float = 3.0) -> Tensor:
    """Edits less originals [K, n, ...] of fixed latents."""
    latents = torch.randn(n, DIM, generator=torch.Generator().manual_seed(5))
    edits = directions.shift_all(latents, strength).unflatten(0, (len(directions), n))
    return edits - (latents if edits.ndim == 3 else latents[:, None])


def gap(one: list[Directions], other: list[Directions]) -> float:
    """Largest difference of any edit between two answers; infinite where even their shapes differ."""
    pairs = [(moves(a), moves(b)) for a, b in zip(one, other, strict=True)]
    return max((a - b).abs().max().item() if a.shape == b.shape else float("inf") for a, b in pairs)

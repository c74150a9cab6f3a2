"""A plug-in that breaks its contract: ``Misused``, and the check of what a method, perhaps a user's own, gives back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dirbench.benchmarks.stages.latents import evaluation_latents
from dirbench.checks import place
from dirbench.directions import Directions
from dirbench.generator import Generator
from dirbench.plugins import Method


class Misused(ValueError):
    """A plug-in broke its contract; ``place`` says where its code is, since the error is raised by ours."""

    def __init__(self, sentence: str, cls: type) -> None:
        super().__init__(sentence)
        self.place = place(cls)


def given_back(found: Any, method: Method, name: str, generators: Sequence[Generator]) -> list[Directions]:
    """``found`` as a list, if it is as many Directions as asked for, for each of ``generators``, that fit its latents.

    Raises Misused.
    """
    cls, many = type(method), len(generators) > 1
    function = "discover_pair" if many else "discover"
    sides = list(found) if many and isinstance(found, list | tuple) else [found]
    if len(sides) != len(generators) or not all(isinstance(side, Directions) for side in sides):
        kinds = f"{len(sides)} of {', '.join(type(side).__name__ for side in sides)}" if many else type(found).__name__
        expected = "two Directions, the reference's and the client's" if many else "Directions"
        raise Misused(f"{name}: {function} returns {kinds}, expected {expected}, such as Vectors([K, D], "
                      "space=generator.space)", cls)
    for directions, generator in zip(sides, generators, strict=True):
        _check_fit(directions, cls, name, generator)
        if len(directions) != method.n_directions:
            raise Misused(f"{name}: {function} returns {len(directions)} directions, {method.n_directions} were asked "
                          "for (n_directions): scores of fewer or more cannot be compared", cls)
    return sides


def _check_fit(directions: Directions, cls: type, name: str, generator: Generator) -> None:
    try:
        latents = evaluation_latents(generator, directions.space, 2, 0)
    except ValueError as error:
        raise Misused(f"{name}: its directions cannot be used: {error}", cls) from error
    try:
        moved = directions.to(latents.device).shift_all(latents, 1.0)
    except (RuntimeError, IndexError) as error:
        raise Misused(f"{name}: its directions ({_sizes(directions)}) fit no latent of space {directions.space}, which "
                      f"is [N, {latents.shape[-1]}] here ({error})", cls) from error
    if len(moved) != 2 * len(directions) or moved.shape[-1] != latents.shape[-1]:
        raise Misused(f"{name}: its directions ({_sizes(directions)}) make latents {tuple(moved.shape)} of two "
                      f"{tuple(latents.shape)}, expected {len(directions)} times as many of the same size", cls)


def _sizes(directions: Directions) -> str:
    return ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in directions.tensors().items())

"""What the scoring oracle reads before and after each direction is applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch

from dirbench.directions import Directions
from dirbench.generator import Generator
from dirbench.oracle import AttributeOracle
from dirbench.responses import Responses


def images_needed(n: int, k: int) -> int:
    """How many images ``respond`` synthesises for n latents and k directions: n (1 + 2k).

    >>> images_needed(n=100, k=16)
    3300
    """
    return n * (1 + 2 * k)


def respond(generator: Generator, directions: Directions, oracle: AttributeOracle, latents: torch.Tensor,
            strength: float, chunk: int = 64,
            progress: Callable[[int, int], None] = lambda done, total: None) -> Responses:
    """The responses of ``oracle`` to every direction at +strength and -strength, for latents [N, D].

    Unedited images are synthesised once and shared by all directions: ``images_needed(N, K)`` images in all,
    at most ``chunk`` at a time. The answer does not depend on ``chunk`` (but for rounding). ``strength`` is
    in units of ``directions.space``, which is also the space of ``latents``. ``progress(done, total)`` counts
    images.

    >>> from dirbench.benchmarks.generators.planted import PlantedGenerator, PlantedOracle
    >>> from dirbench.directions import Vectors
    >>> generator, oracle = PlantedGenerator(factors=(0, 1, 2)), PlantedOracle(factors=(0, 1, 2))
    >>> latents = generator.sample(4, torch.Generator().manual_seed(0))
    >>> responses = respond(generator, Vectors(generator.planted, generator.space), oracle, latents, strength=3.0)
    >>> responses.plus.shape[:2]  # directions, latents
    (3, 4)
    """
    device = generator.device
    latents, directions = latents.to(device), directions.to(device)
    n, k = len(latents), len(directions)
    if n == 0 or k == 0 or chunk < 1:
        raise ValueError(f"respond: needs latents, directions and a chunk of at least 1; got {n}, {k} and "
                         f"{chunk}")
    done, total, together = 0, images_needed(n, k), max(1, chunk // n)  # small batches cost more an image

    def read(edits: Sequence[Callable[[], torch.Tensor]]) -> np.ndarray:
        nonlocal done
        out = []
        for start in range(0, len(edits), together):
            for block in torch.cat([edit() for edit in edits[start:start + together]]).split(chunk):
                logits = oracle.logits(generator.synthesize(block, directions.space))
                out.append(logits.float().cpu())
                done += len(block)
                progress(done, total)
        return torch.cat(out).numpy()

    with torch.inference_mode():
        before = read([lambda: latents])
        sides = [read([partial(directions.shift, latents, i, step) for i in range(k)]).reshape(k, n, -1)
                 for step in (strength, -strength)]
    return Responses(before, *sides)

"""The latents that directions are scored on: one canonical draw for a seed, whatever the batch, device or GAN."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from dirbench.generator import Generator


def evaluation_latents(generator: Generator, space: str, n: int, seed: int | str) -> Tensor:
    """Latents [n, D] of ``space`` ([n, L, D] where a generator's rows of w differ), as the generator samples them.

    One after another, so that they are the first n of any longer draw; the same z for every generator of a size that
    samples alike. ``seed`` is the suite's, or a name such as ``"chance"`` for a stream of its own.

    >>> from dirbench.benchmarks.generators.planted import PlantedGenerator
    >>> few, more = (evaluation_latents(PlantedGenerator(), "z", n, seed=0) for n in (2, 3))
    >>> torch.equal(few, more[:2])
    True
    """
    digest = hashlib.sha256(f"evaluation latents {seed}".encode()).digest()
    rng = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    z = torch.cat([generator.sample_z(1, rng) for _ in range(n)])
    if generator.check_space(space) == "z":
        return z
    with torch.inference_mode():
        return generator.map(z).clone()

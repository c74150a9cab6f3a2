"""The latents that directions are scored on: one canonical draw for a seed, whatever the batch, device or GAN."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from benchmarks.generators.base import Generator


def evaluation_latents(generator: Generator, space: str, n: int, seed: int | str) -> Tensor:
    """Latents [n, D] of ``space``: the same z for every generator of a size, the first n of any longer draw.

    ``seed`` is the suite's, or a name such as ``"chance"`` for a stream of its own.
    """
    digest = hashlib.sha256(f"evaluation latents {seed}".encode()).digest()
    rng = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    z = torch.cat([torch.randn(1, generator.latent_dim, generator=rng) for _ in range(n)]).to(generator.device)
    if generator.check_space(space) == "z":
        return z
    with torch.inference_mode():
        return generator.map(z).clone()

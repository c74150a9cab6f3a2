"""Latents drawn for discovery, in blocks of one size: results do not depend on how images are chunked."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from dirbench.errors import NotApplicable
from dirbench.generator import Generator

BLOCK = 10_000  # mapping networks are quickest on large batches (20 MB of w at 512 dimensions)


def latent_blocks(generator: Generator, n: int, rng: torch.Generator, space: str) -> Iterator[Tensor]:
    """Yields n latents of ``space`` as blocks [<= 10,000, D] of float32 or better, without gradients.

    Raises:
        ValueError: the space has other latents than vectors (w+, or w truncated differently by layer).
    """
    for start in range(0, n, BLOCK):
        with torch.no_grad():  # around the call only: a generator function would keep it on between blocks
            latents = generator.sample(min(BLOCK, n - start), rng, space)
        if latents.ndim != 2:
            raise ValueError(f"expected latents [N, D] of {space!r}, got {tuple(latents.shape)}, which differ by "
                             "layer; use z, or w without truncation by layer")
        yield latents.to(torch.promote_types(latents.dtype, torch.float32))


def vector_space(generator: Generator, space: str | None, method: str) -> str:
    """``space`` or the generator's own, if its latents are single vectors; else ValueError.

    Raises NotApplicable where nothing can be added to latents, or the generator lacks the space.
    """
    if not generator.euclidean:
        raise NotApplicable(f"latents are not Euclidean in {type(generator).__name__}: {method} adds vectors to them")
    space = generator.check_space(space)
    if space == "w+":
        raise ValueError(f'{method}: space="w+" is not searched; use "z" or "w" (one vector for all layers)')
    return space

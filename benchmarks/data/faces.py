"""Rendered faces: cartoon images whose every attribute is known, for training generators and oracles."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from dirbench.benchmarks.data.attributes import DRAWN
from dirbench.benchmarks.data.drawing import N_NUISANCE, draw
from dirbench.benchmarks.data.labels import sample_labels

__all__ = ["CHUNK", "faces", "render", "sample_labels"]

CHUNK = 256
"""Faces are drawn in chunks of this size, each from a seed of its own."""


def render(labels: Tensor, rng: torch.Generator, resolution: int = 32) -> Tensor:
    """Draw one face for each row of ``labels``: float32 [n, 3, R, R] in [-1, 1].

    Args:
        labels: bool [n, len(DRAWN)].
        rng: CPU generator for what the labels leave open: pose, skin, clothes, background, light.
        resolution: R, at least 8. The same labels and generator state give the same faces, only sharper.
    Raises:
        ValueError: labels of another width, or a resolution below 8.
    """
    if labels.ndim != 2 or labels.shape[1] != len(DRAWN):
        raise ValueError(f"render: expected labels [n, {len(DRAWN)}] (one column for each of DRAWN), "
                         f"got {tuple(labels.shape)}")
    if resolution < 8:
        raise ValueError(f"render: resolution is {resolution}, expected at least 8")
    return draw(labels.bool(), torch.rand(len(labels), N_NUISANCE, generator=rng), resolution)


def faces(n: int, seed: int, mix: str = "natural", subset: str = "full",
          resolution: int = 32) -> tuple[Tensor, Tensor]:
    """Rendered faces and their labels: uint8 [n, 3, R, R] (0..255) and bool [n, len(DRAWN)].

    A pure function of its arguments. Face i does not depend on n: the first 100 of a thousand are
    ``faces(100, ...)``.

    Raises:
        ValueError: n or seed below 0, an unknown mix, a resolution below 8. KeyError: an unknown subset.
    """
    if n < 0:
        raise ValueError(f"faces: n is {n}, expected 0 or more")
    if seed < 0:
        raise ValueError(f"faces: seed is {seed}, expected 0 or more")
    if resolution < 8:
        raise ValueError(f"faces: resolution is {resolution}, expected at least 8")
    images = torch.empty(n, 3, resolution, resolution, dtype=torch.uint8)
    labels = torch.empty(n, len(DRAWN), dtype=torch.bool)
    for index, start in enumerate(range(0, n, CHUNK)):
        state = np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0]
        rng = torch.Generator().manual_seed(int(state) >> 1)
        rows = min(CHUNK, n - start)
        # A whole chunk is always drawn, then cut: vector code may round a batch's tail differently.
        chunk = sample_labels(CHUNK, rng, mix, subset)
        pixels = render(chunk, rng, resolution).add_(1).mul_(127.5).round_()
        images[start:start + rows] = pixels[:rows].to(torch.uint8)
        labels[start:start + rows] = chunk[:rows]
    return images, labels

"""Images as pictures to look at: bytes of them, and a sheet of many."""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib.image
import torch
from torch import Tensor


def to_uint8(images: Tensor) -> Tensor:
    """Images in [-1, 1] as uint8 on the CPU, clipped and rounded."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu()


def save_sheet(images: Tensor, path: Path, columns: int = 12, zoom: int = 2) -> None:
    """PNG of uint8 images [n, 3, R, R] in rows of ``columns``, each pixel ``zoom`` pixels wide; the rest is cut."""
    rows, side = max(1, len(images) // columns), images.shape[-1]
    columns = min(columns, len(images))
    grid = images[: rows * columns].reshape(rows, columns, 3, side, side).permute(0, 3, 1, 4, 2)
    grid = grid.reshape(rows * side, columns * side, 3).repeat_interleave(zoom, 0).repeat_interleave(zoom, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.png")
    matplotlib.image.imsave(part, grid.numpy())
    os.replace(part, path)

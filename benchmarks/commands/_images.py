"""Images of latents that a user gives, and the pictures and arrays that they are written to."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dirbench.generator import Generator

MAX_SIDE = 4096  # pixels of a sheet


def images_of(generator: Generator, latents: Tensor, space: str, *, psi: float | None = None, label: int | None = None,
              chunk: int = 16) -> Tensor:
    """float32 images [N, 3, R, R] of ``latents``, on the CPU.

    Args:
        latents: of z or w [N, D], of w+ [N, L, D] or one alone, [L, D].
        psi: truncation; z is truncated when it is mapped, w and w+ are moved towards the mean w just so.
        label: the class, for a generator that has classes.
    Raises:
        ValueError: the generator lacks the space, the class or truncation, or latents have another shape.
    """
    who = f"{generator.family} ({type(generator).__name__})"
    generator.check_space(space)
    if space == "w+" and latents.ndim == 2:
        if latents.shape != (generator.n_layers, generator.w_dim):
            one = f"{generator.n_layers}, {generator.w_dim}]"
            raise ValueError(f"latents {list(latents.shape)} are no w+ of this {who}: expected [N, {one}, or one "
                             f"alone, [{one}; for w's say --space w")
        latents = latents[None]
    if label is not None:
        if not 0 <= label < generator.n_classes:
            has = f"classes 0 to {generator.n_classes - 1}" if generator.n_classes else "no classes"
            raise ValueError(f"--class {label}: this {who} has {has}")
        generator.label = label
    elif generator.n_classes and generator.label is None and space == "z":
        raise ValueError(f"this {who} has {generator.n_classes} classes: say --class N, 0 to {generator.n_classes - 1}")
    if psi is not None:
        latents = _truncate(generator, latents, space, psi, who)
    with torch.inference_mode():
        parts = [generator.synthesize(part.to(generator.device), space).float().cpu() for part in latents.split(chunk)]
    return torch.cat(parts)


class _Truncated(Protocol):
    """What generators with truncation have: style-based ones the first two, BigGAN-deep the last."""

    truncation_psi: float
    w_avg: Tensor
    truncation: float


def _truncate(generator: Generator, latents: Tensor, space: str, psi: float, who: str) -> Tensor:
    if not math.isfinite(psi):
        raise ValueError(f"--psi {psi}: expected a number, 1 for none")
    truncated = cast(_Truncated, generator)
    if hasattr(generator, "truncation_psi"):
        if space == "z":
            truncated.truncation_psi = psi
            return latents
        if latents.shape[-1] != generator.w_dim:
            raise ValueError(f"{who}: expected latents of {generator.w_dim} numbers, got {list(latents.shape)}")
        return truncated.w_avg.cpu().float().lerp(latents, psi)
    if isinstance(getattr(generator, "truncation", None), float):  # selects statistics: BigGAN-deep
        if not 0 < psi <= 1:
            raise ValueError(f"--psi {psi}: this {who} has statistics for truncations above 0 up to 1")
        truncated.truncation = psi
        return latents
    if psi != 1:
        raise ValueError(f"--psi {psi}: a {who} has no truncation of given latents; leave --psi out")
    return latents


# -- pictures ----------------------------------------------------------------------------------------
def save_images(images: Tensor, path: Path) -> None:
    """``.npy``: the images as they are; ``.png``: a sheet of them."""
    if path.suffix == ".png":
        save_sheet(images, path)
    else:
        into_place(lambda part: np.save(part, images.numpy()), path)


def save_sheet(images: Tensor, path: Path) -> None:
    """A PNG of images [N, 3, R, R] in [-1, 1], clipped, in about as many rows as columns; small ones enlarged.

    Raises:
        ValueError: see ``check_fits``.
    """
    n, _, side, _ = images.shape
    check_fits(n, side)
    columns, zoom = _columns(n), _zoom(side)
    rows = math.ceil(n / columns)
    pixels = ((images.float() + 1) * 127.5).round().clamp(0, 255).nan_to_num(0).to(torch.uint8).cpu()
    sheet = torch.full((rows * columns, 3, side, side), 255, dtype=torch.uint8)
    sheet[:n] = pixels.expand(n, 3, side, side)
    sheet = sheet.view(rows, columns, 3, side, side).permute(0, 3, 1, 4, 2).reshape(rows * side, columns * side, 3)
    picture = Image.fromarray(sheet.numpy()).resize((columns * side * zoom, rows * side * zoom),
                                                    Image.Resampling.NEAREST)
    into_place(lambda part: picture.save(part, "PNG"), path)


def check_fits(n: int, side: int) -> None:
    """ValueError where ``n`` images of ``side`` pixels do not fit into a sheet's 4096 pixels a side."""
    if _columns(n) * side * _zoom(side) > MAX_SIDE and n > 1:
        raise ValueError(f"{n} images of {side} pixels do not fit on one sheet; ask for fewer, or for .npy")


def _columns(n: int) -> int:
    return math.ceil(math.sqrt(n))


def _zoom(side: int) -> int:
    return max(1, 96 // side)


def into_place(write: Callable[[Path], Any], path: Path) -> None:
    """A file that is there whole or not at all."""
    part = path.with_name(f".{path.stem}.part{path.suffix}")
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        os.replace(part, path)
    except OSError as error:  # told with the name that the user knows
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        part.unlink(missing_ok=True)

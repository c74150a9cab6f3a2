"""What the commands do with a checkpoint: describe it, convert it, make images of given latents."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from dirbench.benchmarks.checkpoints.errors import CheckpointError
from dirbench.benchmarks.checkpoints.reading import (
    BESIDE,
    Checkpoint,
    check_finite,
    not_finite,
    read_checkpoint,
    sha256_of,
)
from dirbench.benchmarks.generators.families import build
from dirbench.generator import Generator, Labelled

FORMAT = "dirbench-checkpoint-1"
MAX_SIDE = 4096  # pixels of a sheet


def describe(checkpoint: Checkpoint, generator: Generator) -> dict[str, str]:
    """What a file holds, for printing: {"family": "stylegan2", "latent spaces": "z 512, w 512, w+ 18 x 512", ...}."""
    spaces = [f"z {generator.latent_dim}"]
    if generator.w_dim:
        spaces += [f"w {generator.w_dim}", f"w+ {generator.n_layers} x {generator.w_dim}"]
    elif generator.n_layers:
        spaces.append(f"z for each of {generator.n_layers} layers")
    weights = sum(p.numel() for p in generator.parameters())
    everything = sum(value.numel() for value in checkpoint.state.values())
    dtypes = ", ".join(sorted({str(v.dtype).removeprefix("torch.") for v in checkpoint.state.values()}))
    beside = {k: v for k, v in checkpoint.extras.items() if not isinstance(v, Tensor)}
    warning = not_finite(checkpoint.state)
    return {
        **({"warning": f"{warning}: convert, synthesize, runs and audits refuse it"} if warning else {}),
        "file": f"{checkpoint.path} ({checkpoint.kind})", "sha256": checkpoint.sha256,
        "network": checkpoint.wrapper or "the only one of the file",
        "family": f"{generator.family} ({type(generator).__name__})",
        "resolution": f"{generator.resolution}x{generator.resolution}",
        "latent spaces": ", ".join(spaces) + f" (directions in {generator.space} by default)",
        "classes": str(generator.n_classes) if generator.n_classes else "none",
        "parameters": f"{weights:,} in the network; {everything:,} numbers in {len(checkpoint.state)} tensors of the "
                      f"file, {dtypes}",
        "layers": f"{len(generator.layer_names)}: {', '.join(generator.layer_names)}",
        **{f"says {key}": json.dumps(value)[:400] for key, value in beside.items()
           if key in ("class_name", "init_kwargs", "config", "source_sha256")},
    }


def samples(generator: Generator, n: int) -> Tensor:
    """[n, 3, R, R] images of z drawn with seed 0, classes in turn."""
    z = generator.sample_z(n, torch.Generator().manual_seed(0))
    with torch.inference_mode():
        if not generator.n_classes:
            return torch.cat([generator.synthesize(part, "z") for part in z.split(8)])
        c = (torch.arange(n) % generator.n_classes).to(z.device)
        labelled = cast(Labelled, generator)
        return torch.cat([labelled.synthesize(p, "z", q) for p, q in zip(z.split(8), c.split(8))])


def convert(source: Path, target: Path, family: str | None = None, key: str | None = None) -> dict[str, str]:
    """Writes the generator of ``source`` as safetensors, in its own layout; returns the metadata and the sha256.

    The metadata hold the family, the network's settings, what the source said beside the weights, and its sha256.

    Args:
        key: the place of the generator in ``source``, where the file does not make it clear.
    Raises:
        CheckpointError: ``source`` cannot be read or holds weights that are not finite, ``target`` is no name for
            safetensors or is ``source``, or the written file does not make the same images.
    """
    if target.suffix != ".safetensors":
        raise CheckpointError(f"--to {target}: expected a name ending in .safetensors")
    checkpoint = read_checkpoint(source, key)
    check_finite(checkpoint.state, source)
    if target.exists() and target.samefile(source):
        raise CheckpointError(f"--to {target} is the file to be converted; give another name")
    generator = build(checkpoint, family)
    beside = {k: v for k, v in checkpoint.extras.items() if isinstance(v, Tensor)}
    settings = {"resolution": generator.resolution, "latent_dim": generator.latent_dim, "w_dim": generator.w_dim,
                "n_layers": generator.n_layers, "n_classes": generator.n_classes, **getattr(generator, "config", {})}
    said = {k: v for k, v in checkpoint.extras.items() if not isinstance(v, Tensor)}
    facts = {"format": FORMAT, "family": generator.family, "generator_config": json.dumps(settings),
             "extras": json.dumps(said), "source": checkpoint.path.name,
             "source_sha256": checkpoint.sha256, "source_network": checkpoint.wrapper}
    tensors = checkpoint.state | {f"{BESIDE}{k}": v for k, v in beside.items()}
    tensors = {k: v.detach().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}

    def write(part: Path) -> None:
        save_file(tensors, part, metadata=facts)
        again = build(read_checkpoint(part), family)
        if not torch.equal(samples(generator, 2), samples(again, 2)):
            raise CheckpointError(f"{source}: converted, it makes other images; nothing was written. Please report it")

    _into_place(write, target)
    return {**facts, "sha256": sha256_of(target)}


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
        _into_place(lambda part: np.save(part, images.numpy()), path)


def save_sheet(images: Tensor, path: Path) -> None:
    """A PNG of images [N, 3, R, R] in [-1, 1], clipped, in about as many rows as columns; small ones enlarged.

    Raises:
        ValueError: they do not fit into 4096 pixels a side.
    """
    n, _, side, _ = images.shape
    columns = math.ceil(math.sqrt(n))
    rows, zoom = math.ceil(n / columns), max(1, 96 // side)
    if columns * side * zoom > MAX_SIDE and columns > 1:
        raise ValueError(f"{n} images of {side} pixels do not fit on one sheet; ask for fewer, or for .npy")
    pixels = ((images.float() + 1) * 127.5).round().clamp(0, 255).nan_to_num(0).to(torch.uint8).cpu()
    sheet = torch.full((rows * columns, 3, side, side), 255, dtype=torch.uint8)
    sheet[:n] = pixels.expand(n, 3, side, side)
    sheet = sheet.view(rows, columns, 3, side, side).permute(0, 3, 1, 4, 2).reshape(rows * side, columns * side, 3)
    picture = Image.fromarray(sheet.numpy()).resize((columns * side * zoom, rows * side * zoom),
                                                    Image.Resampling.NEAREST)
    _into_place(lambda part: picture.save(part, "PNG"), path)


def _into_place(write: Callable[[Path], Any], path: Path) -> None:
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

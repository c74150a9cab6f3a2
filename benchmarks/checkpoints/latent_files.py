"""Latents that a user has in a file: ``.npy``, ``.npz`` or ``.pt``, by what it begins with."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dirbench.benchmarks.checkpoints.errors import CheckpointError
from dirbench.benchmarks.checkpoints.torch_files import is_torch_zip, load_torch
from dirbench.files import at_home

EXPECTED = "expected what numpy.save writes of an array of numbers [N, D], or [N, L, D] for w+"
LATENT_NAMES = ("latents", "latent", "z", "w", "ws", "w_plus", "wplus")
MAX_BYTES = 4 << 30  # of one array, unpacked


def read_latents(path: Path) -> Tensor:
    """float32 [N, D] or [N, L, D] of a ``.npy``, ``.npz`` or ``.pt`` file; nothing in it is run.

    A file of several arrays must call one of them ``latents``, ``z``, ``w`` or the like.

    Raises:
        ValueError: no such file, no array of finite real numbers, several, or one of another rank.
    """
    path = at_home(path)
    if not path.is_file():
        raise ValueError(f"{path} is no file of latents ({'it is a folder' if path.is_dir() else 'not there'}); "
                         f"{EXPECTED}")
    with path.open("rb") as stream:
        start = stream.read(16)
    try:
        if start.startswith(b"PK"):
            array = _the_one(path, load_torch(path)) if is_torch_zip(path) else _from_npz(path)
        elif start[:1] == b"\x80":
            array = _the_one(path, load_torch(path))
        elif not start.startswith(b"\x93NUMPY"):
            raise ValueError(f"{path} is no array of latents (it begins with {start[:8]!r}); {EXPECTED}")
        else:
            array = np.load(path, mmap_mode="r", allow_pickle=False)  # mapped: a declared size costs nothing
    except CheckpointError as error:
        raise ValueError(f"{path} is no file of latents: {error}; {EXPECTED}") from error
    except (OSError, ValueError, EOFError, SyntaxError, TypeError, MemoryError, OverflowError, KeyError,
            zipfile.BadZipFile) as error:
        if str(error).startswith(str(path)):
            raise
        raise ValueError(f"{path} is no array of latents ({str(error)[:200]}); {EXPECTED}") from error
    return _checked(path, array)


def _from_npz(path: Path) -> np.ndarray:
    """The one array of an ``.npz``."""
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    with np.load(path, allow_pickle=False) as arrays:
        name = _choose(path, {name: "" for name in arrays.files}, ".npz")
        if sizes.get(f"{name}.npy", sizes.get(name, 0)) > MAX_BYTES:
            raise ValueError(f"{path}: {name} has more than {MAX_BYTES} bytes; latents are read up to there")
        return arrays[name]


def _the_one(path: Path, value: Any) -> Any:
    """The one tensor of what ``torch.save`` wrote: a tensor, or a list or dict of one."""
    if isinstance(value, list | tuple):
        value = {str(i): item for i, item in enumerate(value)}
    if not isinstance(value, dict):
        return value
    tensors = {str(name): item for name, item in value.items() if isinstance(item, Tensor)}
    return tensors[_choose(path, {name: list(item.shape) for name, item in tensors.items()}, ".pt")]


def _choose(path: Path, names: dict[str, Any], kind: str) -> str:
    """The name that latents go by, of those in a file."""
    meant = list(names) if len(names) == 1 else [name for name in names if name in LATENT_NAMES]
    if len(meant) != 1:
        held = ", ".join(f"{name} {shape}".strip() for name, shape in list(names.items())[:8]) or "none"
        raise ValueError(f"{path} is a {kind} of {len(names)} arrays ({held}), expected one, or one that is called "
                         f"{' or '.join(LATENT_NAMES[2:4])}: save the one that is meant alone, as .npy with numpy.save")
    return meant[0]


def _checked(path: Path, array: Any) -> Tensor:
    """float32 of an array or tensor, if it is one of latents."""
    if isinstance(array, Tensor):
        kind, shape = str(array.dtype).removeprefix("torch."), list(array.shape)
        numbers = not (array.is_complex() or array.dtype is torch.bool or array.is_quantized
                       or array.layout is not torch.strided)
    else:
        kind, shape = str(getattr(array, "dtype", type(array).__name__)), list(getattr(array, "shape", []))
        numbers = isinstance(array, np.ndarray) and array.dtype.kind in "fiu"
    if not numbers or len(shape) not in (2, 3) or 0 in shape:
        one = "; one latent alone is array[None]" if numbers and len(shape) == 1 and shape[0] else ""
        raise ValueError(f"{path} holds {kind} {shape}; expected numbers [N, D], or [N, L, D] for w+{one}")
    if isinstance(array, Tensor):
        latents = array.detach().float()
    else:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused below
            latents = torch.from_numpy(np.array(array, dtype=np.float32))
    if not (finite := latents.flatten(1).isfinite().all(dim=1)).all():
        bad = (~finite).nonzero().flatten().tolist()
        raise ValueError(f"{path} holds latents that are not finite: rows {', '.join(map(str, bad[:5]))}"
                         f"{' ...' * (len(bad) > 5)} have NaN or infinite numbers (or too large ones for float32)")
    return latents

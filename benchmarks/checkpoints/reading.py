"""``read_checkpoint``: the generator's state dict out of any file that people share, and what stands beside it."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_safetensors
from torch import Tensor

from benchmarks.checkpoints import archives, pickles, torch_files
from benchmarks.checkpoints.errors import CheckpointError

NVIDIA, TORCH, SAFETENSORS = "NVIDIA network snapshot", "torch", "safetensors"
WRAPPERS = ("g_ema", "G_ema", "generator_smooth", "netG_ema", "params_ema", "ema", "generator", "netG", "G", "g",
            "state_dict", "params", "model")  # averaged weights before the last ones
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and torch.compile
BESIDE = "extras."  # tensors beside the state, in a file that `convert` wrote
OLD_TORCH = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
MAX_BYTES = 8 << 30
MAX_WRAPPED = 4
_STARTS = ((b"<", "a web page: the download was refused or has expired; fetch the file again"),
           (b"version https://git-lfs", "a Git LFS pointer: fetch the real file with 'git lfs pull'"),
           (b"\x1f\x8b", "compressed with gzip: unpack it first"), (b"BZh", "compressed with bzip2: unpack it first"),
           (b"\xfd7zXZ", "compressed with xz: unpack it first"), (b"\x89HDF", "an HDF5 file (Keras?), not read here"))


@dataclass(frozen=True)
class Checkpoint:
    """A generator's weights as a file has them.

    Attributes:
        state: name -> dense tensor on the CPU, names without wrappers' prefixes.
        extras: what the file says beside them: ``class_name``, ``init_kwargs``, ``latent_avg``, settings, ...
        kind: ``NVIDIA``, ``TORCH`` or ``SAFETENSORS``.
        wrapper: where in the file the state lies (``"G_ema"``, ``"state_dict"``), or "".
        sha256: hex, of the whole file.
        path: of the file.
    """

    state: dict[str, Tensor]
    extras: dict[str, Any]
    kind: str
    wrapper: str
    sha256: str
    path: Path = field(default=Path())


def read_checkpoint(path: Path | str) -> Checkpoint:
    """The generator in a ``.pkl``, ``.pt``, ``.pth`` or ``.safetensors`` file, or in a zip or tar around one.

    Its first bytes say what it is, not its name. No code of the file is run or imported, whatever it asks for.

    Raises:
        CheckpointError: no file, or one that is damaged, hostile, of an unknown kind, or without a generator.
    """
    path = Path(path)
    if not path.exists():
        raise CheckpointError(f"no checkpoint {path}: there is no such file")
    if not path.is_file():
        raise CheckpointError(f"{path} is no file: name the checkpoint itself")
    try:
        digest = sha256_of(path)
        kind, wrapper, state, extras = _read(path)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    return Checkpoint(state, extras, kind, wrapper, digest, path)


def sha256_of(path: Path) -> str:
    """sha256 (hex) of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while part := stream.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


Read = tuple[str, str, dict[str, Tensor], dict[str, Any]]


def _read(source: Path | bytes, inside: bool = False) -> Read:
    """(kind, wrapper, state, extras), looking into an archive first."""
    start = _start(source)
    unpack = None
    if start[:2] == b"PK" and not _is_safetensors(start) and not torch_files.is_torch_zip(source):
        unpack = archives.from_zip
    elif start[257:262] == b"ustar" and not _is_safetensors(start):
        unpack = archives.from_tar
    if unpack is None:
        read = _read_file(source, start)
        _check_state(read[2], len(source) if isinstance(source, bytes) else source.stat().st_size)
        return read
    if inside:
        raise CheckpointError("is an archive within an archive; unpack it first")
    name, raw = unpack(source)
    kind, wrapper, state, extras = _read(raw, inside=True)
    return kind, f"{name}: {wrapper}".removesuffix(": "), state, extras


def _read_file(source: Path | bytes, start: bytes) -> Read:
    """By the first bytes."""
    if _is_safetensors(start):
        return _safetensors(source)
    if start[:2] == b"PK" or start.startswith(OLD_TORCH):
        return _torch(source)
    if start[:1] == b"\x80":
        return _snapshot(source)
    for beginning, words in _STARTS:
        if start.lstrip().startswith(beginning):
            raise CheckpointError(f"is {words}")
    raise CheckpointError(f"is no checkpoint known here: it begins with {start[:8]!r}; expected NVIDIA's .pkl, a .pt "
                          "or .pth of torch, .safetensors, or a zip or tar with one of them")


def _is_safetensors(start: bytes) -> bool:
    """To be asked first: its first eight bytes are a length, which may look like the start of anything else."""
    return start[8:9] == b"{" and int.from_bytes(start[:8], "little") < MAX_BYTES


def _start(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[:512]
    with source.open("rb") as stream:
        return stream.read(512)


def _bytes(source: Path | bytes) -> bytes:
    if isinstance(source, Path) and source.stat().st_size > MAX_BYTES:
        raise CheckpointError(f"has {source.stat().st_size} bytes; files of this kind are read up to {MAX_BYTES}")
    return source if isinstance(source, bytes) else source.read_bytes()


# -- kinds -------------------------------------------------------------------------------------------
def _snapshot(source: Path | bytes) -> Read:
    name, network = pickles.choose_network(pickles.read_snapshot(_bytes(source)))
    extras = {"class_name": network.class_name, "init_args": pickles.plain(network.init_args),
              "init_kwargs": pickles.plain(network.init_kwargs)}
    return NVIDIA, name, pickles.flat_state(network), extras


def _torch(source: Path | bytes) -> Read:
    wrapper, state, extras = unwrap(torch_files.load_torch(source))
    return TORCH, wrapper, state, extras


def _safetensors(source: Path | bytes) -> Read:
    try:
        if isinstance(source, Path):
            with safe_open(source, "pt") as stream:
                state = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118 - it is no dict
                metadata = stream.metadata() or {}
        else:
            state = load_safetensors(source)
            metadata = json.loads(source[8:8 + int.from_bytes(source[:8], "little")]).get("__metadata__", {})
    except Exception as error:  # the library's own errors, and torch's for a type that it lacks
        if isinstance(error, (KeyboardInterrupt, MemoryError)):
            raise
        reason = error if isinstance(error, SafetensorError) else f"{type(error).__name__}: {error}"
        raise CheckpointError(f"is a damaged safetensors file ({str(reason)[:200]})") from error
    extras: dict[str, Any] = {name.removeprefix(BESIDE): state.pop(name) for name in list(state)
                              if name.startswith(BESIDE)}
    facts = {key: _decoded(value) for key, value in metadata.items()}
    said = facts.pop("extras", None)
    return SAFETENSORS, "", _bare(state), {**facts, **(said if isinstance(said, dict) else {}), **extras}


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


# -- state dicts -----------------------------------------------------------------------------------------
def unwrap(value: Any) -> tuple[str, dict[str, Tensor], dict[str, Any]]:
    """(wrapper, state, extras) of what ``torch.save`` wrote: a state dict, or dicts around one.

    Raises:
        CheckpointError: there is none, or names are no texts.
    """
    path: list[str] = []
    extras: dict[str, Any] = {}
    while True:
        if not isinstance(value, Mapping):
            raise CheckpointError(f"holds a {type(value).__name__}; expected a generator's state dict")
        key = next((k for k in WRAPPERS if isinstance(value.get(k), Mapping) and value[k]), None)
        if key is None or len(path) == MAX_WRAPPED:
            break
        extras.update({k: _beside(v) for k, v in value.items() if k != key and isinstance(k, str)})
        path.append(key)
        value = value[key]
    state = {k: v for k, v in value.items() if isinstance(v, Tensor)}
    if not state:
        held = ", ".join(f"{str(k)[:40]} ({type(v).__name__})" for k, v in list(value.items())[:6]) or "nothing"
        raise CheckpointError(f"holds no state dict: {'.'.join(path) or 'the file'} has {held}; expected tensors by "
                              f"name, or one of {', '.join(WRAPPERS)} with them")
    if not all(isinstance(k, str) for k in state):
        raise CheckpointError("holds tensors whose names are no texts; expected a generator's state dict")
    extras.update({k: _beside(v) for k, v in value.items() if k not in state and isinstance(k, str)})
    return ".".join(path), _bare(state), {k: v for k, v in extras.items() if v is not None}


def _beside(value: Any) -> Any:
    """A tensor or plain settings; None for what says nothing about a generator (other networks, optimisers)."""
    if isinstance(value, Tensor):
        return value if value.numel() <= 1 << 20 else None
    if isinstance(value, argparse.Namespace):
        value = vars(value)
    if isinstance(value, Mapping) and any(isinstance(v, (Tensor, Mapping)) and _tensors(v) for v in value.values()):
        return None
    return pickles.plain(value)


def _tensors(value: Any) -> bool:
    return isinstance(value, Tensor) or any(isinstance(v, Tensor) for v in value.values())


def _bare(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names without what DataParallel or torch.compile put before them."""
    for prefix in PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _check_state(state: dict[str, Tensor], size: int) -> None:
    """CheckpointError unless all is dense and plain, and no larger than the file can honestly hold."""
    if not state:
        raise CheckpointError("holds a network without tensors")
    total = 0
    for name, value in state.items():
        if value.layout is not torch.strided or value.is_quantized or value.device.type != "cpu" or value.is_complex():
            raise CheckpointError(f"holds {name[:80]!r} as a {value.layout} tensor of {value.dtype} on {value.device}; "
                                  "expected dense numbers")
        total += value.numel() * value.element_size()
    if total > 4 * size + 4096:  # networks may share weights, but not without end
        raise CheckpointError(f"declares tensors of {total} bytes in a file of {size}")

"""``read_checkpoint``: the generator's state dict out of any file that people share, and what stands beside it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_safetensors
from torch import Tensor

from dirbench.benchmarks.checkpoints import archives, pickles, torch_files
from dirbench.benchmarks.checkpoints.choosing import Found, choose
from dirbench.benchmarks.checkpoints.errors import CheckpointError
from dirbench.benchmarks.checkpoints.machine import Opaque

NVIDIA, TORCH, SAFETENSORS, PICKLE = "NVIDIA network snapshot", "torch", "safetensors", "pickle"
BESIDE = "extras."  # tensors beside the state, in a file that `convert` wrote
OLD_TORCH = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # torch's magic number as a pickle, which files before 1.6 begin with
OLD_PICKLE = re.compile(rb"\((dp|lp|c|i)|[}\]]q|c[A-Za-z_][\w.]*\n")  # protocols 0 and 1, Python 2's own choice
MAX_BYTES, MAX_BESIDE = 8 << 30, 1000
_STARTS = ((b"<", "a web page: the download was refused or has expired; fetch the file again"),
           (b"{", "a text (JSON?): perhaps what a server answered instead of the file; fetch the file again"),
           (b"\x00\x05\x16\x07", "a Mac's companion of a file (its name begins with ._): take the file itself"),
           (b"\x93NUMPY", "an array of numpy: latents, perhaps, but no network"),
           (b"\x89PNG", "a picture, no checkpoint"), (b"\xff\xd8\xff", "a picture, no checkpoint"),
           (b"Rar!", "a RAR archive: unpack it first"), (b"7z\xbc\xaf", "a 7z archive: unpack it first"),
           (b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it first"),
           (b"version https://git-lfs", "a Git LFS pointer: fetch the real file with 'git lfs pull'"),
           (b"\x1f\x8b", "compressed with gzip: unpack it first"), (b"BZh", "compressed with bzip2: unpack it first"),
           (b"\xfd7zXZ", "compressed with xz: unpack it first"), (b"\x89HDF", "an HDF5 file (Keras?), not read here"))


@dataclass(frozen=True)
class Checkpoint:
    """A generator's weights as a file has them.

    Attributes:
        state: name -> dense tensor on the CPU, names without wrappers' prefixes.
        extras: what the file says beside them: ``class_name``, ``init_kwargs``, ``latent_avg``, settings, ...
        kind: ``NVIDIA``, ``TORCH``, ``SAFETENSORS`` or ``PICKLE``.
        wrapper: where in the file the state lies (``"G_ema"``, ``"state_dict.generator"``), or "".
        sha256: hex, of the whole file.
        path: of the file.
    """

    state: dict[str, Tensor]
    extras: dict[str, Any]
    kind: str
    wrapper: str
    sha256: str
    path: Path = field(default=Path())


def read_checkpoint(path: Path | str, key: str | None = None, names: Iterable[str] | None = None) -> Checkpoint:
    """The generator in a ``.pkl``, ``.pt``, ``.pth`` or ``.safetensors`` file, or in a zip or tar around one.

    Its first bytes say what it is, not its name. No code of the file is run or imported, whatever it asks for; which
    network of it is the generator, :mod:`dirbench.benchmarks.checkpoints.choosing` says.

    Args:
        key: the place of the network, where the file does not make it clear: ``"a.b"``, of keys and prefixes of names.
        names: of the tensors that are needed, where they are known (an own network's).
    Raises:
        CheckpointError: no file, or one that is damaged, hostile, of an unknown kind, or without a generator.
    """
    path = Path(path)
    if path.with_name(f"{path.name}.index").exists() or (path / "saved_model.pb").exists():
        raise CheckpointError(f"{path} is a model that TensorFlow saved, which is not read here")
    if not path.exists():
        raise CheckpointError(f"no checkpoint {path}: there is no such file")
    if path.is_dir() and any(path.glob("**/data.pkl")):
        raise CheckpointError(f"{path} is the folder of an unpacked torch file; use the .pt file itself, or pack the "
                              f"folder again without compression: zip -0 -r model.pt {path.name}")
    if not path.is_file():
        raise CheckpointError(f"{path} is no file: name the checkpoint itself")
    try:
        digest = sha256_of(path)
        read = _read(path, key, names)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    return Checkpoint(read.state, read.extras, read.kind, read.wrapper, digest, path)


def sha256_of(path: Path) -> str:
    """sha256 (hex) of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while part := stream.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


@dataclass(frozen=True)
class _Tree:
    """All that a file holds, what it says of itself, and what kind it is."""

    value: Any
    kind: str
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Read:
    state: dict[str, Tensor]
    extras: dict[str, Any]
    kind: str
    wrapper: str


def _read(source: Path | bytes, key: str | None, names: Iterable[str] | None, inside: bool = False) -> _Read:
    """The generator, looking into an archive first."""
    start = _start(source)
    unpack = None
    if start[:2] == b"PK" and not _is_safetensors(start) and not torch_files.is_torch_zip(source):
        unpack = archives.from_zip
    elif start[257:262] == b"ustar" and not _is_safetensors(start):
        unpack = archives.from_tar
    if unpack is None:
        tree = _tree(source, start)
        found = choose(tree.value, key, names)
        _check_state(found.state, len(source) if isinstance(source, bytes) else source.stat().st_size)
        kind = NVIDIA if found.network is not None and found.network.persistent else tree.kind
        return _Read(found.state, {**tree.facts, **_extras(found)}, kind, found.key)
    if inside:
        raise CheckpointError("is an archive within an archive; unpack it first")
    name, raw = unpack(source)
    read = _read(raw, key, names, inside=True)
    return replace(read, wrapper=f"{name}: {read.wrapper}".removesuffix(": "))


def _tree(source: Path | bytes, start: bytes) -> _Tree:
    """By the first bytes."""
    if not start:
        raise CheckpointError("is empty (0 bytes): the download failed, or the disk was full; fetch it again")
    if _is_safetensors(start):
        return _safetensors(source)
    if start[:2] == b"PK" or OLD_TORCH in start[:32]:
        return _Tree(torch_files.load_torch(source), TORCH)
    if start[:1] == b"\x80" or OLD_PICKLE.match(start):
        return _Tree(pickles.read_pickle(_bytes(source)), PICKLE)
    for beginning, words in _STARTS:
        if start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(beginning):
            raise CheckpointError(f"is {words}")
    text = start[:64].isascii() and start[:64].decode("ascii").replace("\n", " ").replace("\r", " ").isprintable()
    words = " but a text, perhaps what a server answered (YAML that names a network is for check-generator and audit)"
    raise CheckpointError(f"is no checkpoint known here{words * text}: it "
                          f"begins with {start[:8]!r}; expected NVIDIA's .pkl, a .pt or .pth of torch, .safetensors, "
                          "or a zip or tar with one of them")


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
def _safetensors(source: Path | bytes) -> _Tree:
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
    extras = {name.removeprefix(BESIDE): state.pop(name) for name in list(state) if name.startswith(BESIDE)}
    facts = {key: _decoded(value) for key, value in metadata.items()}
    said = facts.pop("extras", None)
    return _Tree(state, SAFETENSORS, {**facts, **(said if isinstance(said, dict) else {}), **extras})


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


# -- around the state dict -------------------------------------------------------------------------------
def _extras(found: Found) -> dict[str, Any]:
    """Tensors and plain settings beside a network, and what NVIDIA's code says of its constructor."""
    beside = {name: _beside(value) for name, value in islice(found.beside().items(), MAX_BESIDE)}
    extras = {name: value for name, value in beside.items() if value is not None}
    if found.network is not None:
        extras |= {"class_name": pickles.class_name(found.network), **pickles.init_kwargs(found.network)}
    return extras


def _beside(value: Any) -> Any:
    """A tensor or plain settings; None for what says nothing about a generator (other networks, optimisers)."""
    as_tensor = pickles.as_tensor(value)
    if as_tensor is not None:
        return as_tensor if as_tensor.numel() <= 1 << 20 else None
    if pickles.is_network(value):
        return None
    if isinstance(value, Opaque):
        value = value.content()
    if isinstance(value, Mapping) and (not value or any(_tensors(v) for v in value.values())):
        return None
    return pickles.plain(value)


def _tensors(value: Any) -> bool:
    held = value.values() if isinstance(value, Mapping) else [value]
    return any(isinstance(v, Tensor) for v in held)


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


# -- numbers -------------------------------------------------------------------------------------------------
def not_finite(state: Mapping[str, Tensor]) -> str | None:
    """Which tensors hold NaN or infinity, and how many, in words; None if none does."""
    bad = {name: int((~value.isfinite()).sum()) for name, value in state.items() if value.is_floating_point()}
    bad = {name: n for name, n in bad.items() if n}
    if not bad:
        return None
    shown = ", ".join(f"{name[:80]} ({n} of {state[name].numel()})" for name, n in list(bad.items())[:4])
    more = " ..." * (len(bad) > 4)
    return f"weights that are not finite (NaN or infinite) in {len(bad)} of {len(state)} tensors: {shown}{more}"


def check_finite(state: Mapping[str, Tensor], where: object) -> None:
    """CheckpointError if a weight is NaN or infinite: what such a network makes are no images."""
    if said := not_finite(state):
        raise CheckpointError(f"{where} holds {said}. The training diverged; take an earlier checkpoint")

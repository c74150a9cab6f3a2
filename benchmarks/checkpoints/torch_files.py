"""``.pt`` and ``.pth`` files: checked by our own pickle machine first, then loaded by torch with ``weights_only=True``.

The check comes first because torch, though it runs no foreign code so, believes the sizes that a file declares: a
tensor may be declared larger than its data, and a tuple nested deep enough as a key ends the process.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.checkpoints import rebuild
from benchmarks.checkpoints.archives import check_names
from benchmarks.checkpoints.errors import CheckpointError
from benchmarks.checkpoints.machine import Machine, Table
from benchmarks.checkpoints.rebuild import Storage

MAX_PICKLE = 1 << 28  # bytes of a torch archive's data.pkl, which holds names and shapes only
_DTYPES = frozenset(("torch", str(dtype).removeprefix("torch.")) for dtype in rebuild.DTYPES.values())


def load_torch(source: Path | bytes) -> Any:
    """What ``torch.save`` wrote, on the CPU; large files are mapped, not read.

    Raises:
        CheckpointError: the file is damaged, declares more than it holds, or asks for more than tensors and plain
            containers.
    """
    stream = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    with stream:
        start = stream.read(2)
        stream.seek(0)
        zipped = start == b"PK"
        (check_zip if zipped else _check_old)(stream)
        stream.seek(0)
        mapped = zipped and isinstance(source, Path)
        try:
            with torch.serialization.safe_globals([argparse.Namespace]):  # plain settings, in training checkpoints
                return torch.load(str(source) if mapped else stream, map_location="cpu", weights_only=True, mmap=mapped)
        except Exception as error:  # whatever torch's reader makes of a damaged file
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            raise CheckpointError(f"torch cannot read it: {reason}") from error


def is_torch_zip(source: Path | bytes) -> bool:
    """True if a zip archive is one that ``torch.save`` writes. Raises CheckpointError for a damaged one."""
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            return any(name.endswith("/data.pkl") and name.count("/") == 1 for name in archive.namelist())
    except Exception as error:  # odd headers lead zipfile to many kinds of errors
        raise CheckpointError(f"is a damaged or truncated zip archive ({str(error)[:200]})") from error


def check_zip(stream: io.BufferedIOBase) -> None:
    """CheckpointError unless the archive of ``torch.save`` holds, uncompressed, all that its pickle declares."""
    try:
        with zipfile.ZipFile(stream) as archive:
            members = {info.filename: info for info in check_names(archive.infolist())}
            pickles = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
            if len(pickles) != 1:
                raise CheckpointError(f"is a zip archive with {len(pickles)} data.pkl, expected one, as torch writes")
            root = pickles[0].rpartition("/")[0]
            if any(name.startswith((f"{root}/code/", f"{root}/constants")) for name in members):
                raise CheckpointError("is a TorchScript archive, which contains a program; save the network's "
                                      "state_dict() with torch.save instead")
            for info in members.values():
                if info.compress_type or info.file_size != info.compress_size or info.flag_bits & 1:
                    raise CheckpointError(f"holds {info.filename[:80]!r} compressed or encrypted, which torch never "
                                          "writes")
            if members[pickles[0]].file_size > MAX_PICKLE:
                raise CheckpointError(f"declares a data.pkl of {members[pickles[0]].file_size} bytes; at most "
                                      f"{MAX_PICKLE} are read")
            order = members.get(f"{root}/byteorder")
            if order is not None and archive.read(order)[:10] != b"little":
                raise CheckpointError("was written on a big-endian machine; save it again on another")

            def persistent(pid: Any) -> Storage:
                made = rebuild.storage_from_id(pid)
                entry = members.get(f"{root}/data/{made.key}")
                if entry is None or entry.file_size != made.numel * made.dtype.itemsize:
                    held = "is missing" if entry is None else f"has {entry.file_size} bytes"
                    raise CheckpointError(f"declares {made.numel} numbers of {made.dtype}, but their entry "
                                          f"{made.key[:40]!r} {held}")
                return made

            Machine(io.BytesIO(archive.read(pickles[0])), table(persistent)).run()
    except CheckpointError:
        raise
    except Exception as error:  # odd headers lead zipfile to many kinds of errors
        raise CheckpointError(f"is a damaged or truncated zip archive ({str(error)[:200]})") from error


def _check_old(stream: io.BufferedIOBase) -> None:
    """CheckpointError unless the file, in torch's format before 1.6, holds all that its pickle declares."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    _, storages = rebuild.old_torch_stream(stream, table, size)
    for storage in storages:
        if int.from_bytes(stream.read(8), "little") != storage.numel:
            raise CheckpointError(f"declares two different sizes for storage {storage.key[:40]!r}")
        stream.seek(storage.numel * storage.dtype.itemsize, io.SEEK_CUR)


def table(persistent: Callable[[Any], Storage]) -> Table:
    """What a state dict, or a training checkpoint around it, may name; a subset of what torch allows."""
    containers = (("collections", "OrderedDict"), ("argparse", "Namespace"))
    return Table(calls={**rebuild.PLAIN, **rebuild.TENSORS, ("torch", "Size"): _size, ("torch", "device"): _device},
                 new={pair: rebuild.plain_dict for pair in containers},
                 inert=rebuild.STORAGES | _DTYPES, build=_build, persistent=persistent)


def _size(items: Any = ()) -> tuple:
    return tuple(rebuild.count(n, "size") for n in items)


def _device(*parts: Any) -> str:
    return ":".join(str(part)[:20] for part in parts)


def _build(target: Any, state: Any) -> None:
    """Attributes of an OrderedDict (``_metadata``) and settings of a Namespace: plain, and loaded by torch itself."""
    if not isinstance(target, dict) or not isinstance(state, dict):
        raise CheckpointError(f"sets the state of a {type(target).__name__}")

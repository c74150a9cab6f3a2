"""``.pt`` and ``.pth`` files, in both of torch's formats, read by our own pickle machine.

``torch.load(weights_only=True)`` runs no foreign code either, but it believes the sizes that a file declares (a tensor
may be declared larger than its data, and a tuple nested deep enough as a key ends the process), and it refuses the
whole file for one foreign class beside the weights. Here sizes are checked and foreign classes stay opaque.
"""

from __future__ import annotations

import io
import mmap
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

from dirbench.benchmarks.checkpoints import pickles, rebuild
from dirbench.benchmarks.checkpoints.archives import check_names
from dirbench.benchmarks.checkpoints.errors import CheckpointError
from dirbench.benchmarks.checkpoints.machine import Machine, Opaque
from dirbench.benchmarks.checkpoints.rebuild import Storage

MAX_PICKLE = 1 << 28  # bytes of a torch archive's data.pkl, which holds names and shapes only
LOCAL_HEADER = 30  # bytes before the name of a member of a zip archive


def load_torch(source: Path | bytes) -> Any:
    """What ``torch.save`` wrote, on the CPU; numbers in large files are mapped, not read.

    Raises:
        CheckpointError: the file is damaged, declares more than it holds, or asks for what runs code.
    """
    if isinstance(source, bytes):
        return _load(io.BytesIO(source), source)
    with source.open("rb") as stream:  # mapped as long as a tensor lies in it; one may be written to, the file not
        return _load(stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY))


def _load(stream: BinaryIO, buffer: bytes | mmap.mmap) -> Any:
    if buffer[:2] == b"PK":
        return _load_zip(stream, buffer)
    return rebuild.old_torch_stream(stream, pickles.table, len(buffer))


def is_torch_zip(source: Path | bytes) -> bool:
    """True if a zip archive is one that ``torch.save`` writes. Raises CheckpointError for a damaged one."""
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            return any(name.endswith("/data.pkl") and name.count("/") == 1 for name in archive.namelist())
    except Exception as error:  # odd headers lead zipfile to many kinds of errors
        raise CheckpointError(f"is a damaged or truncated zip archive ({str(error)[:200]}); is the download whole?"
                              ) from error


def _load_zip(stream: BinaryIO, buffer: bytes | mmap.mmap) -> Any:
    """The object in the archive of ``torch.save``, which must hold, uncompressed, all that its pickle declares."""
    try:
        with zipfile.ZipFile(stream) as archive:
            members = {info.filename: info for info in check_names(archive.infolist())}
            root = _root(members)
            order = members.get(f"{root}/byteorder")
            if order is not None and archive.read(order)[:10] != b"little":
                raise CheckpointError("was written on a big-endian machine; save it again on another")
            raw = archive.read(members[f"{root}/data.pkl"])
    except CheckpointError:
        raise
    except Exception as error:  # odd headers lead zipfile to many kinds of errors
        raise CheckpointError(f"is a damaged or truncated zip archive ({str(error)[:200]})") from error
    seen: dict[str, Storage] = {}

    def persistent(pid: Any) -> Storage | Opaque:
        made = rebuild.storage_from_id(pid)
        if isinstance(made, Opaque):
            return made
        entry = members.get(f"{root}/data/{made.key}")
        if entry is None or entry.file_size != made.numel * made.dtype.itemsize:
            held = "is missing" if entry is None else f"has {entry.file_size} bytes"
            raise CheckpointError(f"declares {made.numel} numbers of {made.dtype}, but their entry {made.key[:40]!r} "
                                  f"{held}")
        known = seen.setdefault(made.key, made)
        if known.dtype != made.dtype:
            raise CheckpointError(f"declares storage {made.key[:40]!r} twice, in different ways")
        if known.data is None:
            known.data = rebuild.numbers(buffer, made.dtype, made.numel, _start(buffer, entry))
        return known

    return Machine(io.BytesIO(raw), pickles.table(persistent)).run()


def _root(members: dict[str, zipfile.ZipInfo]) -> str:
    """The folder in the archive of ``torch.save``. Raises CheckpointError for what torch does not write."""
    found = [name for name in members if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(found) != 1:
        raise CheckpointError(f"is a zip archive with {len(found)} data.pkl, expected one, as torch writes")
    root = found[0].rpartition("/")[0]
    if any(name.startswith((f"{root}/code/", f"{root}/constants")) for name in members):
        raise CheckpointError("is a TorchScript archive, which contains a program; save the network's state_dict() "
                              "with torch.save instead")
    for info in members.values():
        if info.compress_type or info.file_size != info.compress_size or info.flag_bits & 1:
            raise CheckpointError(f"holds {info.filename[:80]!r} compressed or encrypted, which torch never writes; if "
                                  "it was unpacked and packed again, pack it without compression: zip -0 -r")
    if members[found[0]].file_size > MAX_PICKLE:
        raise CheckpointError(f"declares a data.pkl of {members[found[0]].file_size} bytes; at most {MAX_PICKLE} are "
                              "read")
    return root


def _start(buffer: bytes | mmap.mmap, entry: zipfile.ZipInfo) -> int:
    """The first byte of an uncompressed member. Raises CheckpointError if the file ends before its last one."""
    header = buffer[entry.header_offset:entry.header_offset + LOCAL_HEADER]
    names = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    start = entry.header_offset + LOCAL_HEADER + names
    if header[:4] != b"PK\3\4" or start + entry.file_size > len(buffer):
        raise CheckpointError(f"is a damaged or truncated zip archive: {entry.filename[:80]!r} is not at its place")
    return start

"""Zip and tar archives around one checkpoint: nothing is unpacked to disk, sizes are limited, odd names are refused."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from dirbench.benchmarks.checkpoints.errors import CheckpointError

ENDINGS = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".pth.tar", ".pt.tar", ".bin", ".safetensors")
STARTS = (b"PK\3\4", b"\x80")  # of a torch file and of a pickle, whatever its name
MAX_MEMBERS, MAX_NAME, MAX_LOOKED_INTO = 100_000, 300, 100
MAX_BYTES, BLOCK = 8 << 30, 512
MAX_RATIO = 100  # weights are noise to a compressor: more than this is a bomb
Info = TypeVar("Info", zipfile.ZipInfo, tarfile.TarInfo)


def check_names(infos: Iterable[Info]) -> list[Info]:
    """The members, if there are not too many and each has a name of its own inside the archive.

    Raises:
        CheckpointError: absolute names, "..", backslashes, drive letters, control characters, a name twice.
    """
    out: dict[str, Info] = {}
    for info in infos:
        name = info.filename if isinstance(info, zipfile.ZipInfo) else info.name
        if len(out) >= MAX_MEMBERS:
            raise CheckpointError(f"has more than {MAX_MEMBERS} members")
        odd = (not name or len(name) > MAX_NAME or name.startswith("/") or "\\" in name or ".." in name.split("/")
               or name[1:2] == ":" or not name.isprintable())
        if odd or name in out:
            raise CheckpointError(f"has a member named {name[:80]!r}, {'twice' if name in out else 'a path trick'}; an "
                                  "archive with a checkpoint needs no such names")
        out[name] = info
    return list(out.values())


def one_checkpoint(names: Iterable[str], start: Callable[[str], bytes]) -> str:
    """The one name that is a checkpoint's: by its ending, or else by the file's first bytes, which ``start`` gives.

    What a Mac puts beside each file (``__MACOSX/._name``) is none.
    """
    names = [name for name in names if not name.endswith("/") and not name.startswith("__MACOSX/")
             and not name.rpartition("/")[2].startswith(".")]
    found = ([name for name in names if name.lower().endswith(ENDINGS)]
             or [name for name in names[:MAX_LOOKED_INTO] if start(name).startswith(STARTS)])
    if len(found) != 1:
        held = ", ".join(name[:60] for name in (found or names)[:4]) or "no file"
        raise CheckpointError(f"is an archive with {len(found)} checkpoints (it has {held}); expected one file ending "
                              f"in {', '.join(ENDINGS)}: unpack the one that is meant")
    return found[0]


def from_zip(source: Path | bytes) -> tuple[str, bytes]:
    """(name, bytes) of the one checkpoint in a zip archive.

    Raises:
        CheckpointError: a damaged archive, odd names, a size or compression beyond the limits, none or several.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            infos = {info.filename: info for info in check_names(archive.infolist())}

            def start(name: str) -> bytes:
                with archive.open(infos[name]) as stream:
                    return stream.read(8)

            info = infos[one_checkpoint(infos, start)]
            if info.flag_bits & 1:
                raise CheckpointError(f"holds {info.filename!r} encrypted; unpack it first")
            limit = min(MAX_BYTES, MAX_RATIO * max(info.compress_size, 1) + 4096)
            if info.file_size > limit:
                raise CheckpointError(f"declares {info.file_size} bytes for {info.filename!r}, packed in "
                                      f"{info.compress_size}; at most {limit} are read")
            with archive.open(info) as stream:
                raw = stream.read(info.file_size + 1)
            if len(raw) != info.file_size:
                raise CheckpointError(f"declares {info.file_size} bytes for {info.filename!r} and holds others")
            return info.filename, raw
    except CheckpointError:
        raise
    except Exception as error:  # each way to compress has errors of its own
        raise CheckpointError(f"is a damaged zip archive ({str(error)[:200] or type(error).__name__})") from error


def from_tar(source: Path | bytes) -> tuple[str, bytes]:
    """(name, bytes) of the one checkpoint in an uncompressed tar archive; see ``from_zip``.

    Headers are walked here, 512 bytes at a time and always forwards: odd ones have sent Python's tar reader in circles.
    """
    with (io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")) as stream:
        total = stream.seek(0, io.SEEK_END)
        places: dict[tarfile.TarInfo, int] = {}
        at = 0
        while at < total:
            stream.seek(at)
            block = stream.read(BLOCK)
            if not block.strip(b"\0"):
                break
            try:
                info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            except tarfile.HeaderError as error:
                raise CheckpointError(f"is a damaged tar archive ({error})") from error
            if info.size < 0 or at + BLOCK + info.size > total or len(places) >= MAX_MEMBERS:
                raise CheckpointError(f"is a tar archive that declares {info.size} bytes for {info.name[:80]!r} and "
                                      f"has {total} in all; truncated?")
            if info.type in (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME):
                pass  # facts about the next member, none of which are needed
            elif not info.isdir() and info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
                raise CheckpointError(f"has the member {info.name[:80]!r}, a link or device; unpack what is meant")
            else:
                places[info] = at + BLOCK
            at += BLOCK + -(-info.size // BLOCK) * BLOCK
        infos = {info.name: info for info in check_names(places)}

        def start(name: str) -> bytes:
            stream.seek(places[infos[name]])
            return stream.read(8)

        info = infos[one_checkpoint(infos, start)]
        if info.size > MAX_BYTES:
            raise CheckpointError(f"declares {info.size} bytes for {info.name!r}; at most {MAX_BYTES} are read")
        stream.seek(places[info])
        return info.name, stream.read(info.size)

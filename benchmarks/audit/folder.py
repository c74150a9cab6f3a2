"""The folder that an audit is written into: all of it at the end, or nothing."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RECORD = "audit.json"


@contextmanager
def audit_folder(out: Path, written: tuple[str, ...]) -> Iterator[Path]:
    """A folder beside ``out`` to write into; its files are moved to ``out`` at the end.

    If anything is raised inside, what an earlier audit left in ``out`` stays as it is, and nothing else is left.

    Args:
        written: names that an audit may write; those of an earlier one that are not written again go.
    Raises:
        ValueError: ``out`` cannot be written to, or is something else than a new folder, an empty one or an audit's.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file, expected a folder; choose another folder with --out")
    if out.is_dir() and any(out.iterdir()) and not (out / RECORD).is_file():
        raise ValueError(f"{out} has files in it but is no audit's folder; choose an empty or a new one with --out")
    made = _first_new(out)
    work = out / f".audit-{uuid.uuid4().hex}"
    try:
        try:
            work.mkdir(parents=True)
            (work / RECORD).touch()
        except OSError as error:
            raise ValueError(f"{out} cannot be written to ({error.strerror}); choose another folder with --out") \
                from error
        yield work
        for name in written:
            (out / name).unlink(missing_ok=True)
        for path in sorted(work.iterdir(), key=lambda path: path.name == RECORD):  # the record last
            path.replace(out / path.name)
        work.rmdir()
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        if made is not None:
            _remove_empty(out, made)
        raise


def _first_new(out: Path) -> Path | None:
    """The topmost folder of ``out`` that is not there yet."""
    absent = [path for path in (out, *out.parents) if not path.exists()]
    return absent[-1] if absent else None


def _remove_empty(folder: Path, top: Path) -> None:
    while folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        if folder == top:
            return
        folder = folder.parent

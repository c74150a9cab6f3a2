"""The store's garbage collector: what the store holds, and removal of what has not been used for longest."""

from __future__ import annotations

import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dirbench.results.artifacts.locks import Timeout, lock
from dirbench.results.artifacts.store import PRIVATE, Store

DAY = 86_400.0
_TRASH = ".removed."
_OURS = re.compile(r"\.removed\.[0-9a-f]{32}|\.?[0-9a-f]{40}(\..*)?|\.write-[0-9a-f]{32}|\.lock-[0-9a-f]{32}")


@dataclass(frozen=True)
class Artifact:
    """One artifact of a store: its folder, its size in bytes, and when it was last made or used (seconds, Unix)."""

    path: Path
    size: int
    used: float

    @property
    def kind(self) -> str:
        return self.path.parent.name


def artifacts(store: Store) -> list[Artifact]:
    """All whole artifacts, the longest unused first."""
    found = []
    for made in store.root.glob("*/*/made.json"):
        folder = made.parent
        if folder.parent.name in PRIVATE or folder.name.startswith("."):
            continue
        try:
            size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
            found.append(Artifact(folder, size, made.stat().st_mtime))
        except FileNotFoundError:
            continue  # another process is removing it
    return sorted(found, key=lambda a: (a.used, str(a.path)))


def to_remove(found: list[Artifact], now: float, days: float | None, limit: int | None) -> list[Artifact]:
    """Which of ``found`` (longest unused first) to remove.

    Args:
        days: all that were not used for so many days; None for no limit.
        limit: then the longest unused, until at most so many bytes are left; None for no limit.
    """
    chosen = [a for a in found if days is not None and now - a.used > days * DAY]
    left = [a for a in found if a not in set(chosen)]
    total = sum(a.size for a in left)
    for artifact in left:
        if limit is None or total <= limit:
            break
        chosen.append(artifact)
        total -= artifact.size
    return chosen


def collect(store: Store, days: float | None = None, limit: int | None = None,
            dry_run: bool = False) -> tuple[list[Artifact], int]:
    """Removes what ``to_remove`` chooses, and what killed processes left behind more than a day ago.

    An artifact disappears by one rename under its lock, so no process ever sees half of it; one that is being made
    or waited for is left alone. A later run makes removed artifacts again when it needs them.

    Returns:
        The artifacts removed (with ``dry_run``: that would be), and the bytes of the leftovers.
    """
    now, removed = time.time(), []
    for artifact in to_remove(artifacts(store), now, days, limit):
        if dry_run or _remove(store, artifact.path):
            removed.append(artifact)
    leftovers = 0
    for path in _leftovers(store, now):
        leftovers += sum(p.stat().st_size for p in (path, *path.rglob("*")) if p.is_file())
        if not dry_run:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return removed, leftovers


def _remove(store: Store, folder: Path) -> bool:
    try:
        with lock(store.root / "locks" / f"{folder.name}.lock", timeout=0):
            gone = folder.with_name(f"{_TRASH}{uuid.uuid4().hex}")
            os.rename(folder, gone)
    except (Timeout, FileNotFoundError):
        return False
    shutil.rmtree(gone)
    return True


def _leftovers(store: Store, now: float) -> Iterator[Path]:
    """Half-made artifacts, half-removed ones and checkpoints that nobody has written to for a day."""
    for pattern in ("*/.*", "work/*"):
        for path in store.root.glob(pattern):
            if not _OURS.fullmatch(path.name):  # a store may lie in a folder that has hidden files of other kinds
                continue
            key = path.name.strip(".").split(".")[0]
            try:
                if now - path.stat().st_mtime <= DAY:
                    continue
                with lock(store.root / "locks" / f"{key}.lock", timeout=0):
                    yield path
            except (Timeout, FileNotFoundError):
                continue


def summary(found: list[Artifact]) -> list[tuple[str, int, int]]:
    """(kind, how many, bytes) of artifacts, the largest kind first."""
    kinds = sorted({a.kind for a in found})
    rows = [(kind, sum(a.kind == kind for a in found), sum(a.size for a in found if a.kind == kind)) for kind in kinds]
    return sorted(rows, key=lambda row: -row[2])

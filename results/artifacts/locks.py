"""Locks between processes, also on file systems that have none."""

from __future__ import annotations

import errno
import sys
import uuid
from functools import lru_cache
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

__all__ = ["Timeout", "lock"]

_NONE_THERE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL)


def lock(path: Path, timeout: float = -1) -> BaseFileLock:
    """A lock on ``path``, whose folder exists: the operating system's, or a file that is there while it is held.

    The latter where the file system has no locks (some network and FUSE mounts): one of a process that was killed is
    taken over by others on its machine only.

    Args:
        timeout: seconds to wait for it, -1 for as long as it takes; then ``Timeout`` is raised.
    """
    kind = FileLock if _has_locks(path.parent.resolve()) else SoftFileLock
    return kind(path, timeout=timeout)


@lru_cache
def _has_locks(folder: Path) -> bool:
    probe = folder / f".lock-{uuid.uuid4().hex}"
    why = "tried with one of our own"
    try:
        tried: BaseFileLock = FileLock(probe, timeout=0)
        with tried:
            if not isinstance(tried, SoftFileLock):  # which newer filelocks make of it
                return True
    except Timeout:  # nobody else knows its name: an older filelock, which takes every answer for "held by another"
        pass
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in _NONE_THERE:
            raise
        why = str(error)
    finally:
        probe.unlink(missing_ok=True)
    print(f"{folder} is on a file system without locks ({why}): lock files are used instead. If another machine dies "
          f"while it holds one, delete {folder}/*.lock", file=sys.stderr)
    return False

"""Files written whole or not at all, and paths as a user writes them."""

from __future__ import annotations

import os
import uuid
from pathlib import Path


def write_atomically(path: Path, text: str) -> None:
    """Writes ``text`` to ``path`` by a rename, so that a reader never sees half of it."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:  # told with the name that the user knows
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def at_home(path: Path | str) -> Path:
    """The path, with a leading ``~/`` (or a ``~`` alone) as the user's home folder; ``~name`` is a file's own name."""
    path = Path(path)
    return path.expanduser() if path.parts[:1] == ("~",) else path

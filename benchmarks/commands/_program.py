"""How the user called us, for usage and advice."""

from __future__ import annotations

import sys
from pathlib import Path

from dirbench.places import checkout


def program() -> str:
    """What the user typed: ``dirbench``, ``python -m dirbench`` or ``run_bench.py``.

    >>> program() in ("dirbench", "run_bench.py")
    True
    """
    called = Path(sys.argv[0])
    if called.name == "__main__.py" and called.parent.name == "dirbench":
        return "python -m dirbench"
    return "run_bench.py" if checkout() is not None and called.stem != "dirbench" else "dirbench"


def typed(words: str) -> str:
    """A command line to type next, from what follows the program's name."""
    return f"{'python ' if program() == 'run_bench.py' else ''}{program()} {words}"

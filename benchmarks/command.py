"""The command: ``dirbench`` where it is installed, ``run_bench.py`` in a checkout; both run ``main``."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def _take_our_own_packages() -> None:
    """A ``metrics.py`` of the user's, in a folder on PYTHONPATH, must not be taken for the package of that name."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    try:
        for package in ("methods", "metrics", "oracles", "results"):
            importlib.import_module(package)
    finally:
        del sys.path[0]


_take_our_own_packages()  # wherever this file is imported: workers of a GPU begin with it, too


def program() -> str:
    """What the user typed, for usage and advice: ``dirbench``, or ``run_bench.py``.

    >>> program() in ("dirbench", "run_bench.py")
    True
    """
    return "dirbench" if Path(sys.argv[0]).stem == "dirbench" else "run_bench.py"


def main() -> None:
    """Runs the command line and exits with its code.

    One thread a worker: cells run side by side, and the same sums in the same order give the same numbers. Libraries
    read these variables when they are loaded, so nothing that loads one is imported before.
    """
    for variable in THREAD_VARIABLES:
        os.environ[variable] = "1"
    if sys.argv[1:] == ["--version"]:
        from benchmarks.version import version_line
        print(version_line())
        return
    from benchmarks.cli import main as run
    sys.exit(run(sys.argv[1:]))

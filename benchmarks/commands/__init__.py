"""The commands, one file each: ``dirbench`` where it is installed, ``run_bench.py`` in a checkout; both run ``main``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


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
        from dirbench.version import version_line
        print(version_line())
        return
    from dirbench.benchmarks.commands._main import main as run
    sys.exit(run(sys.argv[1:]))

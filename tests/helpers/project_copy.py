"""A copy of the project in which files can be laid, and its command line in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from helpers import ROOT

FOLDERS = ("benchmarks", "dirbench", "methods", "metrics", "oracles", "results")
MADE = shutil.ignore_patterns("__pycache__", "runs", "store")


def copy_project(folder: Path, more: Mapping[str, str]) -> Path:
    """``folder``, with all that a run needs and with ``more``: {path: text}, none of which is there already."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=MADE)
    shutil.copy(ROOT / "run_bench.py", folder)
    for path, text in more.items():
        with open(folder / path, "x", encoding="utf-8") as file:
            file.write(text)
    return folder


def run_in(root: Path, *words: str) -> str:
    """What ``run_bench.py`` with these words prints; AssertionError with what it complains of where it fails."""
    done = subprocess.run([sys.executable, "run_bench.py", *words], cwd=root, text=True, capture_output=True,
                          env={**os.environ, "DIRBENCH_STORE": str(root / "store"), "PYTHONPATH": ""})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout

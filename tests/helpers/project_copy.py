"""A copy of the project in which files can be laid, and its command line in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from helpers import ROOT

FOLDERS = ("benchmarks", "methods", "metrics", "oracles", "results")


def copy_project(folder: Path, more: Mapping[str, str] = MappingProxyType({})) -> Path:
    """``folder``, with the code laid out as in a checkout, whether this is one or an unpacked source archive.

    With ``more``: {path: text}, none of which is there already.
    """
    def without(*names):
        return shutil.ignore_patterns("__pycache__", *names)

    shutil.copytree(ROOT / "dirbench", folder / "dirbench", ignore=without(*FOLDERS))
    for name in FOLDERS:
        shutil.copytree(ROOT / "dirbench" / name, folder / name, ignore=without("runs", "store"))
        (folder / "dirbench" / name).symlink_to(f"../{name}")
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

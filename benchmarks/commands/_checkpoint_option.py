"""The checkpoint that three commands take."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_checkpoint(p: argparse.ArgumentParser) -> None:
    """A file, and what it may not say of itself."""
    p.add_argument("file", type=Path, metavar="FILE", help=".pkl of NVIDIA, .pt, .pth, .safetensors, or a zip or tar "
                   "around one; no code in it is run")
    p.add_argument("--family", metavar="NAME", help="generator family, where the names alone do not say it")
    p.add_argument("--key", metavar="A.B", help="where in the file the generator lies, if several networks are in it: "
                   "keys and prefixes of names, with dots between them")


def check_ending(option: str, path: Path, *endings: str) -> None:
    """ValueError unless the path's name ends in one of them.

    >>> check_ending("--out", Path("images.jpg"), ".npy", ".png")
    Traceback (most recent call last):
    ValueError: --out images.jpg: expected a name ending in .npy or .png
    """
    if path.suffix not in endings:
        raise ValueError(f"{option} {path}: expected a name ending in {' or '.join(endings)}")

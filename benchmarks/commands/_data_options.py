"""Options of the commands that read image data, and what is checked of them."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

CACHE = Path(".training/images")


def add_data(p: argparse.ArgumentParser) -> None:
    """Image data, and how they are read."""
    p.add_argument("--data", type=Path, metavar="DIR", help="celeba: the folder with img_align_celeba/ (or .zip), "
                   "list_attr_celeba.txt and list_eval_partition.txt (or .csv); else IDX files, a folder of images, or "
                   "a zip")
    p.add_argument("--resolution", type=int, metavar="R", help="pixels (default: celeba 64, sngan 32)")
    add_reading(p, "celeba: 178x178 pixels, or the 128x128 of Progressive GAN's CelebA")


def add_reading(p: argparse.ArgumentParser, crop_help: str) -> None:
    """How CelebA's images are cut, of which ``crop_help`` speaks, and where decoded images are kept."""
    p.add_argument("--crop", choices=("centre", "face"), default="centre", help=crop_help)
    p.add_argument("--cache", type=Path, default=CACHE, metavar="DIR", help="decoded images")


def refuse_unused(args: argparse.Namespace, what: str, **defaults: object) -> None:
    """Options that ``what`` does not read must be left at their default: whoever gave one believes that it counts."""
    unused = [f"--{name.replace('_', '-')}" for name, default in defaults.items() if getattr(args, name) != default]
    if unused:
        raise ValueError(f"{what}: {' and '.join(unused)} would not be used here; leave such options out")


def check_alone(what: str) -> None:
    """ValueError under torchrun, for a training that does not share its batches: each process would do all of it."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError(f"{what} runs in one process; start it without torchrun")


def check_range(option: str, value: float, least: float, most: float) -> None:
    """ValueError unless the value is from ``least`` to ``most``."""
    if not least <= value <= most:
        raise ValueError(f"{option} {value}: expected a number from {least} to {most}")


def data_folder(args: argparse.Namespace, command: str) -> Path:
    """Where the data are. Raises ValueError where that was not said."""
    if args.data is None:
        raise ValueError(f"{command}: say where the data are with --data")
    return args.data

"""``inspect-checkpoint``: what a file holds."""

from __future__ import annotations

import argparse
from pathlib import Path

from dirbench.benchmarks.commands._checkpoint_option import add_checkpoint, check_ending

GROUP = "checkpoints"
HELP = "say what generator a checkpoint file holds"
EXAMPLES = ("snapshot.pkl", "snapshot.pkl --sheet samples.png")


def arguments(p: argparse.ArgumentParser) -> None:
    """A checkpoint, and where to draw samples of it."""
    add_checkpoint(p)
    p.add_argument("--sheet", type=Path, metavar="OUT.png", help="also write samples of seed 0 there")
    p.add_argument("--samples", type=int, default=16, metavar="N", help="images on the sheet (default: 16)")


def run(args: argparse.Namespace) -> int:
    """Prints family, sizes, latent spaces and sha256; writes the sheet."""
    if args.sheet:
        check_ending("--sheet", args.sheet, ".png")
        if args.samples < 1:
            raise ValueError(f"--samples {args.samples}: expected a positive number")
    from dirbench.benchmarks.checkpoints import read_checkpoint
    from dirbench.benchmarks.commands._checkpoint_work import describe, samples
    from dirbench.benchmarks.commands._images import check_fits, save_sheet
    from dirbench.benchmarks.generators.families import build

    checkpoint = read_checkpoint(args.file, args.key)
    generator = build(checkpoint, args.family)
    if args.sheet:
        check_fits(args.samples, generator.resolution)
    facts = describe(checkpoint, generator)
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:<{width}}  {value}")
    for note in generator.notes:
        print(f"{'note':<{width}}  {note}")
    if args.sheet:
        save_sheet(samples(generator, args.samples), args.sheet)
        print(f"{'sheet':<{width}}  {args.sheet}")
    return 0

"""``convert``: any checkpoint as safetensors."""

from __future__ import annotations

import argparse
from pathlib import Path

from dirbench.benchmarks.commands._checkpoint_option import add_checkpoint, check_ending

GROUP = "checkpoints"
HELP = "write a checkpoint's generator as safetensors"
EXAMPLES = ("snapshot.pkl --to mine.safetensors",)


def arguments(p: argparse.ArgumentParser) -> None:
    """A checkpoint, and the file to write."""
    add_checkpoint(p)
    p.add_argument("--to", type=Path, required=True, metavar="OUT.safetensors")


def run(args: argparse.Namespace) -> int:
    """Writes the file and says what it holds."""
    check_ending("--to", args.to, ".safetensors")
    from dirbench.benchmarks.commands._checkpoint_work import convert

    facts = convert(args.file, args.to, args.family, args.key)
    print(f"{args.to}: {facts['family']}, sha256 {facts['sha256']}; makes the same images as {args.file}")
    return 0

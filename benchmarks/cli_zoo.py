"""The commands that make and check what the embedded suite stands on: ``zoo``, ``train-zoo`` and ``train-oracle``."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_zoo(commands) -> None:
    """``zoo check``: the fitness report."""
    p = commands.add_parser("zoo", help="report whether a zoo's GANs are fit for the benchmark")
    p.add_argument("action", choices=("check",))
    p.add_argument("--zoo", default="mini", metavar="NAME")
    p.add_argument("--samples", type=int, default=2000, metavar="N", help="images per GAN (default: 2000)")
    p.add_argument("--out", type=Path, metavar="DIR", help="also write cards and sample sheets there")
    p.set_defaults(function=zoo_check)


def zoo_check(args: argparse.Namespace) -> int:
    """Prints the report; returns 1 if a GAN is unfit."""
    from benchmarks.zoo_report import check_zoo
    return check_zoo(args.zoo, args.samples, args.out)


def add_train_zoo(commands) -> None:
    """``train-zoo``: makes a zoo again."""
    p = commands.add_parser("train-zoo", help="train a zoo's GANs from nothing, or go on where training stopped")
    p.add_argument("zoo", choices=("mini",))
    p.add_argument("--only", action="append", metavar="NAME", help="only this GAN; may be repeated")
    p.add_argument("--images", type=int, default=200_000, metavar="N",
                   help="images that each GAN sees (default: 200000)")
    p.add_argument("--device", default="cpu")
    p.add_argument("--workers", type=int, default=1, metavar="N", help="GANs trained side by side")
    p.add_argument("--out", type=Path, default=Path(".training"), metavar="DIR", help="state, samples and weights")
    p.set_defaults(function=train_zoo)


def train_zoo(args: argparse.Namespace) -> int:
    """Trains until every chosen GAN has seen its images."""
    from benchmarks.training.zoo_training import train_zoo as train
    train(args.only, args.images, args.out, args.device, args.workers)
    return 0


def add_train_oracle(commands) -> None:
    """``train-oracle``: makes an attribute oracle again."""
    p = commands.add_parser("train-oracle", help="train an attribute oracle of the rendered faces from nothing")
    p.add_argument("oracle", choices=("scorer", "teacher"))
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="where weights and card are written")
    p.set_defaults(function=train_oracle)


def train_oracle(args: argparse.Namespace) -> int:
    """Trains one oracle and prints its card."""
    from oracles.training import train_oracle as train
    print(train(args.oracle, args.out))
    return 0

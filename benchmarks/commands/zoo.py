"""The commands that make and check what suites stand on: ``zoo``, ``train-zoo`` and ``train-oracle``."""

from __future__ import annotations

import argparse
import contextlib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dirbench.names import check_name, did_you_mean

RENDERED = ("scorer", "teacher")


@contextlib.contextmanager
def notes_as_sentences() -> Iterator[None]:
    """Notes on image data are printed as a sentence, by one process of several; other warnings as Python does."""
    from dirbench.benchmarks.data.sources import DataNote
    usual = warnings.formatwarning

    def sentence(message: Warning | str, category: type[Warning], filename: str, lineno: int,
                 line: str | None = None) -> str:
        if not issubclass(category, DataNote):
            return usual(message, category, filename, lineno, line)
        return f"note: {message}\n" if os.environ.get("RANK", "0") == "0" else ""

    warnings.formatwarning = sentence
    try:
        yield
    finally:
        warnings.formatwarning = usual


def add_zoo(commands) -> None:
    """``zoo check``: the fitness report."""
    p = commands.add_parser("zoo", help="report whether a zoo's GANs are fit for the benchmark: against rendered faces "
                            "(mini), or CelebA's test part (--data)")
    p.add_argument("action", choices=("check",))
    p.add_argument("--zoo", default="mini", metavar="ZOO", help="mini (default), or a zoo's folder or YAML file")
    p.add_argument("--samples", type=int, default=2000, metavar="N", help="images per GAN (default: 2000)")
    p.add_argument("--out", type=Path, metavar="DIR", help="also write cards and sample sheets there")
    p.add_argument("--data", type=Path, metavar="DIR", help="CelebA, which another zoo's GANs were trained on")
    p.add_argument("--crop", choices=("centre", "face"), default="centre", help="as in training")
    p.add_argument("--cache", type=Path, default=Path(".training/images"), metavar="DIR", help="decoded images")
    p.add_argument("--oracle", metavar="FILE", help="what reads attributes (default: what the zoo's manifest names)")
    p.set_defaults(function=zoo_check)


@notes_as_sentences()
def zoo_check(args: argparse.Namespace) -> int:
    """Prints the report; returns 1 if a GAN is unfit."""
    from dirbench.benchmarks.zoo.cards import check_zoo
    from dirbench.benchmarks.zoo.zoo import load_zoo
    if args.samples < 2:
        raise ValueError(f"zoo check: --samples {args.samples}: expected a whole number from 2")
    zoo = load_zoo(args.zoo)
    if zoo.name == "mini":
        _refuse_unused(args, "zoo check, on rendered faces", data=None, crop="centre", oracle=None)
        return check_zoo(args.zoo, args.samples, args.out)
    if args.data is None:
        raise ValueError(f"zoo check: {zoo.title} was not trained on rendered faces: say with --data where its CelebA "
                         "is, and its samples are compared with that (other data cannot be compared with here)")
    oracle = args.oracle or zoo.oracle
    if oracle is None:
        raise ValueError(f"zoo check: {zoo.title} names no oracle; say what reads its attributes with --oracle FILE "
                         "(`train-oracle celeba` makes one)")
    from dirbench.benchmarks.zoo.fitness import celeba_held_out
    from dirbench.oracles.networks.classifier import load_oracle
    return check_zoo(args.zoo, args.samples, args.out, load_oracle(oracle),
                     held_out=celeba_held_out(zoo, args.data, args.crop, args.cache), data="CelebA images")


def _add_data(p) -> None:
    p.add_argument("--data", type=Path, metavar="DIR", help="celeba: the folder with img_align_celeba/ (or .zip), "
                   "list_attr_celeba.txt and list_eval_partition.txt (or .csv); else IDX files, a folder of images, or "
                   "a zip")
    p.add_argument("--resolution", type=int, metavar="R", help="pixels (default: celeba 64, sngan 32)")
    p.add_argument("--crop", choices=("centre", "face"), default="centre", help="celeba: 178x178 pixels, or the "
                   "128x128 of Progressive GAN's CelebA")
    p.add_argument("--cache", type=Path, default=Path(".training/images"), metavar="DIR", help="decoded images")


def _refuse_unused(args: argparse.Namespace, what: str, **defaults: object) -> None:
    """Options that ``what`` does not read must be left at their default: whoever gave one believes that it counts."""
    unused = [f"--{name.replace('_', '-')}" for name, default in defaults.items() if getattr(args, name) != default]
    if unused:
        raise ValueError(f"{what}: {' and '.join(unused)} would not be used here; leave such options out")


def _check_range(command: str, option: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"{command}: {option} {value}: expected a number from {least} to {most}")


def _data(args: argparse.Namespace, command: str) -> Path:
    if args.data is None:
        raise ValueError(f"{command}: say where the data are with --data")
    return args.data


def add_train_zoo(commands) -> None:
    """``train-zoo``: makes a zoo."""
    p = commands.add_parser("train-zoo", help="train a zoo's GANs from nothing, or go on where training stopped; under "
                            "torchrun the processes share each batch")
    p.add_argument("zoo", choices=("mini", "celeba", "sngan"), help="mini: rendered faces; celeba: the paper's eight "
                   "subsets and a control; sngan: one SN-GAN of MNIST (IDX) or of any images")
    p.add_argument("--only", action="append", metavar="NAME", help="only this GAN; may be repeated")
    p.add_argument("--images", type=int, metavar="N", help="images that each GAN sees (default: mini 212000, celeba "
                   "5000000, sngan 6400000)")
    p.add_argument("--device", default="cpu", help="cpu, cuda, ..., or auto (default: %(default)s)")
    p.add_argument("--workers", type=int, default=1, metavar="N", help="GANs trained side by side")
    p.add_argument("--out", type=Path, default=Path(".training"), metavar="DIR", help="state, samples and weights")
    _add_data(p)
    p.set_defaults(function=train_zoo)


@notes_as_sentences()
def train_zoo(args: argparse.Namespace) -> int:
    """Trains until every chosen GAN has seen its images."""
    from dirbench.benchmarks.commands._arguments import usable_device
    from dirbench.benchmarks.training.distributed import joined
    args.device = usable_device(args.device)
    until = args.images
    if until is not None and until < 1:
        raise ValueError(f"train-zoo {args.zoo}: --images is {until}, expected at least 1")
    if args.workers < 1:
        raise ValueError(f"train-zoo {args.zoo}: --workers {args.workers}: expected a whole number from 1")
    unused: dict[str, dict[str, Any]] = {"mini": {"data": None, "resolution": None, "crop": "centre"}, "celeba": {},
                                         "sngan": {"only": None, "workers": 1, "crop": "centre"}}
    _refuse_unused(args, f"train-zoo {args.zoo}", **unused[args.zoo])
    if args.zoo == "sngan":
        return _train_sngan(args, until)
    from dirbench.benchmarks.data.subsets import SUBSETS
    from dirbench.benchmarks.training import data_zoo
    from dirbench.benchmarks.training.zoo_training import MINI_IMAGES
    from dirbench.benchmarks.training.zoo_training import train_zoo as train
    for name in args.only or ():
        if name not in SUBSETS:
            raise ValueError(f"train-zoo {args.zoo}: --only: {did_you_mean('GAN', name, list(SUBSETS))}")
    if args.zoo == "mini":
        with joined(args.device) as group:
            train(args.only, until or MINI_IMAGES, args.out, group.device, args.workers, group=group)
        return 0
    resolution = 64 if args.resolution is None else args.resolution
    if resolution not in data_zoo.RESOLUTIONS:
        raise ValueError(f"train-zoo celeba: resolution is {resolution}, expected one of {data_zoo.RESOLUTIONS}")
    source = data_zoo.CelebASource(_data(args, "train-zoo celeba"), resolution, args.crop, args.cache)
    with joined(args.device) as group:
        train(args.only, until or 5_000_000, args.out, group.device, args.workers,
              config=data_zoo.celeba_config(resolution, group.device), source=source, group=group)
    return 0


def _train_sngan(args: argparse.Namespace, until: int | None) -> int:
    from dirbench.benchmarks.data.folder import folder
    from dirbench.benchmarks.data.idx import idx, is_idx
    from dirbench.benchmarks.training.sngan import train_sngan
    path, resolution = _data(args, "train-zoo sngan"), 32 if args.resolution is None else args.resolution
    data = (idx(path, resolution, args.cache) if is_idx(path) else folder(path, resolution, cache=args.cache))
    print(train_sngan(data, args.out, until or 6_400_000, args.device))
    return 0


def add_train_oracle(commands) -> None:
    """``train-oracle``: makes an attribute oracle."""
    p = commands.add_parser("train-oracle", help="train an attribute oracle from nothing; under torchrun the processes "
                            "share each batch")
    p.add_argument("oracle", choices=(*RENDERED, "celeba", "folder"), help="scorer, teacher: the mini zoo's; celeba: "
                   "40 attributes; folder: images with an attributes.csv")
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="where weights and card are written")
    _add_data(p)
    p.add_argument("--attributes", type=Path, metavar="CSV", help="folder: its attributes (default: attributes.csv in "
                   "it, or in the zip)")
    p.add_argument("--name", help="of the files (default: the network's)")
    p.add_argument("--network", default="resnet50", choices=("resnet50", "resnet18", "small"))
    p.add_argument("--epochs", type=int, default=10, metavar="N")
    p.add_argument("--seed", type=int, default=101)
    p.add_argument("--readable-from", type=float, default=0.0, metavar="B", help="balanced accuracy from which an "
                   "attribute counts (default: 0, all, as in the papers)")
    p.add_argument("--device", default="cpu", help="cpu, cuda, ..., or auto (default: %(default)s)")
    p.set_defaults(function=train_oracle)


_RENDERED_UNUSED = {"data": None, "resolution": None, "crop": "centre", "attributes": None, "name": None,
                    "network": "resnet50", "epochs": 10, "seed": 101, "readable_from": 0.0}
UNUSED: dict[str, dict[str, Any]] = {"scorer": _RENDERED_UNUSED, "teacher": _RENDERED_UNUSED,
                                     "celeba": {"attributes": None}, "folder": {"crop": "centre"}}
"""What a kind of oracle does not read, and the default that says that it was not asked for."""


@notes_as_sentences()
def train_oracle(args: argparse.Namespace) -> int:
    """Trains one oracle and prints its path."""
    from dirbench.benchmarks.commands._arguments import usable_device
    from dirbench.benchmarks.training.oracles import train_oracle as train
    command = f"train-oracle {args.oracle}"
    _refuse_unused(args, command, **UNUSED[args.oracle])
    _check_range(command, "--epochs", args.epochs, 1, 10**6)
    _check_range(command, "--seed", args.seed, 0, 2**32 - 1)
    _check_range(command, "--readable-from", args.readable_from, 0, 1)
    args.device = usable_device(args.device)
    if args.oracle in RENDERED:
        print(train(args.oracle, args.out))
        return 0
    from dirbench.benchmarks.data.celeba import celeba
    from dirbench.benchmarks.data.folder import folder
    from dirbench.benchmarks.training.distributed import joined
    from dirbench.benchmarks.training.oracles import train_oracle_on
    if args.name is not None:
        check_name(args.name, "oracle")
    path = _data(args, f"train-oracle {args.oracle}")
    resolution = 64 if args.resolution is None else args.resolution
    with joined(args.device) as group:
        data = (celeba(path, resolution, args.crop, args.cache) if args.oracle == "celeba" else
                folder(path, resolution, args.attributes, args.cache))
        made = train_oracle_on(data, args.name or args.network, args.out, args.network, args.epochs, args.seed,
                               readable_from=args.readable_from, group=group, crop=args.crop,
                               progress=lambda done, total: print(f"{done} of {total} rounds", flush=True))
        if group.leads:
            print(made)
    return 0

"""``train-oracle``: what reads attributes off images, trained from nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dirbench.benchmarks.commands._data_options import (
    CACHE,
    add_data,
    check_alone,
    check_range,
    data_folder,
    refuse_unused,
)
from dirbench.benchmarks.commands._options import SEEDS_BELOW
from dirbench.benchmarks.data.sources import notes_as_sentences
from dirbench.names import check_name

GROUP = "zoos and oracles"
HELP = "train an attribute oracle from nothing; of image data, under torchrun the processes share each batch"
EXAMPLES = ("scorer --out my-oracle", "folder --data pictures --network small --out my-oracle")
_RENDERED = {"data": None, "resolution": None, "crop": "centre", "attributes": None, "name": None,
             "network": "resnet50", "epochs": 10, "seed": 101, "readable_from": 0.0, "device": "cpu", "cache": CACHE}
UNUSED: dict[str, dict[str, Any]] = {"scorer": _RENDERED, "teacher": _RENDERED,
                                     "celeba": {"attributes": None}, "folder": {"crop": "centre"}}
"""What a kind of oracle does not read, and the default that says that it was not asked for."""


def arguments(p: argparse.ArgumentParser) -> None:
    """The oracle, its data and its training."""
    p.add_argument("oracle", choices=tuple(UNUSED), help="scorer, teacher: the mini zoo's; celeba: "
                   "40 attributes; folder: images with an attributes.csv")
    p.add_argument("--out", type=Path, required=True, metavar="DIR", help="where weights and card are written")
    add_data(p)
    p.add_argument("--attributes", type=Path, metavar="CSV", help="folder: its attributes (default: attributes.csv in "
                   "it, or in the zip)")
    p.add_argument("--name", help="of the files (default: the network's)")
    p.add_argument("--network", default="resnet50", choices=("resnet50", "resnet18", "small"))
    p.add_argument("--epochs", type=int, default=10, metavar="N")
    p.add_argument("--seed", type=int, default=101)
    p.add_argument("--readable-from", type=float, default=0.0, metavar="B", help="balanced accuracy from which an "
                   "attribute counts (default: 0, all, as in the papers)")
    p.add_argument("--device", default="cpu", help="cpu, cuda, ..., or auto (default: %(default)s)")


@notes_as_sentences()
def run(args: argparse.Namespace) -> int:
    """Trains one oracle and prints its path."""
    command = f"train-oracle {args.oracle}"
    refuse_unused(args, command, **UNUSED[args.oracle])
    check_range(f"{command}: --epochs", args.epochs, 1, 10**6)
    check_range(f"{command}: --seed", args.seed, 0, SEEDS_BELOW - 1)
    check_range(f"{command}: --readable-from", args.readable_from, 0, 1)
    if args.name is not None:
        check_name(args.name, "oracle")
    data = None if UNUSED[args.oracle] is _RENDERED else data_folder(args, command)
    from dirbench.benchmarks.config.device import usable_device
    from dirbench.benchmarks.training.oracles import train_oracle

    device = usable_device(args.device)
    if data is not None:
        return _train_on(args, data, device)
    check_alone(command)
    print(train_oracle(args.oracle, args.out, progress=_rounds))
    return 0


def _rounds(done: int, total: int) -> None:
    print(f"{done} of {total} rounds", flush=True)


def _train_on(args: argparse.Namespace, path: Path, device: str) -> int:
    from dirbench.benchmarks.data.celeba import celeba
    from dirbench.benchmarks.data.folder import folder
    from dirbench.benchmarks.training.distributed import joined
    from dirbench.benchmarks.training.oracles import train_oracle_on

    resolution = 64 if args.resolution is None else args.resolution
    with joined(device) as group:
        data = (celeba(path, resolution, args.crop, args.cache) if args.oracle == "celeba" else
                folder(path, resolution, args.attributes, args.cache))
        made = train_oracle_on(data, args.name or args.network, args.out, args.network, args.epochs, args.seed,
                               readable_from=args.readable_from, group=group, crop=args.crop,
                               progress=_rounds)
        if group.leads:
            print(made)
    return 0

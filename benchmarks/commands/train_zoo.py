"""``train-zoo``: a zoo's GANs, trained from nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dirbench.benchmarks.commands._data_options import CACHE, add_data, check_alone, data_folder, refuse_unused
from dirbench.benchmarks.commands._options import check_whole
from dirbench.benchmarks.data.sources import notes_as_sentences
from dirbench.names import did_you_mean

GROUP = "zoos and oracles"
HELP = ("train a zoo's GANs from nothing, or go on where training stopped; under torchrun the processes share each "
        "batch")
EXAMPLES = ("mini", "celeba --data celeba --resolution 64 --device cuda")
UNUSED: dict[str, dict[str, Any]] = {"mini": {"data": None, "resolution": None, "crop": "centre", "cache": CACHE},
                                     "celeba": {},
                                     "sngan": {"only": None, "workers": 1, "crop": "centre"}}
"""What the training of a zoo does not read, and the default that says that it was not asked for."""


def arguments(p: argparse.ArgumentParser) -> None:
    """The zoo, how long it is trained, and on what."""
    p.add_argument("zoo", choices=tuple(UNUSED), help="mini: rendered faces; celeba: the paper's eight "
                   "subsets and a control; sngan: one SN-GAN of MNIST (IDX) or of any images")
    p.add_argument("--only", action="append", metavar="NAME", help="only this GAN; may be repeated")
    p.add_argument("--images", type=int, metavar="N", help="images that each GAN sees (default: mini 212000, celeba "
                   "5000000, sngan 6400000)")
    p.add_argument("--device", default="cpu", help="cpu, cuda, ..., or auto (default: %(default)s)")
    p.add_argument("--workers", type=int, default=1, metavar="N", help="GANs trained side by side")
    p.add_argument("--out", type=Path, default=Path(".training"), metavar="DIR", help="state, samples and weights")
    add_data(p)


@notes_as_sentences()
def run(args: argparse.Namespace) -> int:
    """Trains until every chosen GAN has seen its images."""
    command = f"train-zoo {args.zoo}"
    if args.images is not None and args.images < 1:
        raise ValueError(f"{command}: --images is {args.images}, expected at least 1")
    check_whole(f"{command}: --workers", args.workers, 1)
    refuse_unused(args, command, **UNUSED[args.zoo])
    data = None if args.zoo == "mini" else data_folder(args, command)
    if args.zoo == "sngan":
        check_alone(command)
    from dirbench.benchmarks.config.device import usable_device
    from dirbench.benchmarks.data.subsets import SUBSETS

    for name in args.only or ():
        if name not in SUBSETS:
            raise ValueError(f"{command}: --only: {did_you_mean('GAN', name, list(SUBSETS))}")
    device = usable_device(args.device)
    if data is None:
        return _train_mini(args, device)
    return (_train_celeba if args.zoo == "celeba" else _train_sngan)(args, data, device)


def _train_mini(args: argparse.Namespace, device: str) -> int:
    from dirbench.benchmarks.training.distributed import joined
    from dirbench.benchmarks.training.zoo_training import MINI_IMAGES, train_zoo

    with joined(device) as group:
        train_zoo(args.only, args.images or MINI_IMAGES, args.out, group.device, args.workers, group=group)
    return 0


def _train_celeba(args: argparse.Namespace, data: Path, device: str) -> int:
    from dirbench.benchmarks.training import data_zoo
    from dirbench.benchmarks.training.distributed import joined
    from dirbench.benchmarks.training.zoo_training import train_zoo

    resolution = 64 if args.resolution is None else args.resolution
    if resolution not in data_zoo.RESOLUTIONS:
        raise ValueError(f"train-zoo celeba: resolution is {resolution}, expected one of {data_zoo.RESOLUTIONS}")
    source = data_zoo.CelebASource(data, resolution, args.crop, args.cache)
    with joined(device) as group:
        train_zoo(args.only, args.images or 5_000_000, args.out, group.device, args.workers,
                  config=data_zoo.celeba_config(resolution, group.device), source=source, group=group)
    return 0


def _train_sngan(args: argparse.Namespace, data: Path, device: str) -> int:
    from dirbench.benchmarks.data.folder import folder
    from dirbench.benchmarks.data.idx import idx, is_idx
    from dirbench.benchmarks.training.sngan import train_sngan

    resolution = 32 if args.resolution is None else args.resolution
    images = idx(data, resolution, args.cache) if is_idx(data) else folder(data, resolution, cache=args.cache)
    print(train_sngan(images, args.out, args.images or 6_400_000, device))
    return 0

"""``zoo check``: whether a zoo's GANs are fit for the benchmark."""

from __future__ import annotations

import argparse
from pathlib import Path

from dirbench.benchmarks.commands._data_options import add_reading, refuse_unused
from dirbench.benchmarks.commands._options import check_whole
from dirbench.benchmarks.data.sources import notes_as_sentences

GROUP = "zoos and oracles"
HELP = ("report whether a zoo's GANs are fit for the benchmark: against rendered faces (mini), or CelebA's test part "
        "(--data)")
EXAMPLES = ("check", "check --zoo my-zoo --data celeba --oracle my-oracle/resnet50.safetensors")


def arguments(p: argparse.ArgumentParser) -> None:
    """A zoo, and what its samples are compared with."""
    p.add_argument("action", choices=("check",))
    p.add_argument("--zoo", default="mini", metavar="ZOO", help="mini (default), or a zoo's folder or YAML file")
    p.add_argument("--samples", type=int, default=2000, metavar="N", help="images per GAN (default: 2000)")
    p.add_argument("--out", type=Path, metavar="DIR", help="also write cards and sample sheets there")
    p.add_argument("--data", type=Path, metavar="DIR", help="CelebA, which another zoo's GANs were trained on")
    add_reading(p, "as in training")
    p.add_argument("--oracle", metavar="FILE", help="what reads attributes (default: what the zoo's manifest names)")


@notes_as_sentences()
def run(args: argparse.Namespace) -> int:
    """Prints the report; returns 1 if a GAN is unfit."""
    check_whole("zoo check: --samples", args.samples, 2)
    from dirbench.benchmarks.zoo.cards import check_zoo
    from dirbench.benchmarks.zoo.fitness import celeba_held_out
    from dirbench.benchmarks.zoo.zoo import load_zoo
    from dirbench.oracles.networks.classifier import load_oracle

    zoo = load_zoo(args.zoo)
    if zoo.name == "mini":
        refuse_unused(args, "zoo check, on rendered faces", data=None, crop="centre", oracle=None)
        return check_zoo(args.zoo, args.samples, args.out)
    if args.data is None:
        raise ValueError(f"zoo check: {zoo.title} was not trained on rendered faces: say with --data where its CelebA "
                         "is, and its samples are compared with that (other data cannot be compared with here)")
    oracle = args.oracle or zoo.oracle
    if oracle is None:
        raise ValueError(f"zoo check: {zoo.title} names no oracle; say what reads its attributes with --oracle FILE "
                         "(`train-oracle celeba` makes one)")
    return check_zoo(args.zoo, args.samples, args.out, load_oracle(oracle),
                     held_out=celeba_held_out(zoo, args.data, args.crop, args.cache), data="CelebA images")

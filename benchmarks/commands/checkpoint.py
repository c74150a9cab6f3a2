"""The commands on one checkpoint: ``inspect-checkpoint``, ``convert`` and ``synthesize``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def _checkpoint(p: argparse.ArgumentParser) -> None:
    p.add_argument("file", type=Path, metavar="FILE", help=".pkl of NVIDIA, .pt, .pth, .safetensors, or a zip or tar "
                   "around one; no code in it is run")
    p.add_argument("--family", metavar="NAME", help="generator family, where the names alone do not say it")
    p.add_argument("--key", metavar="A.B", help="where in the file the generator lies, if several networks are in it: "
                   "keys and prefixes of names, with dots between them")


def add_inspect(commands) -> None:
    """``inspect-checkpoint``: what a file holds."""
    p = commands.add_parser("inspect-checkpoint", help="say what generator a checkpoint file holds")
    _checkpoint(p)
    p.add_argument("--sheet", type=Path, metavar="OUT.png", help="also write samples of seed 0 there")
    p.add_argument("--samples", type=int, default=16, metavar="N", help="images on the sheet (default: 16)")
    p.set_defaults(function=inspect)


def inspect(args: argparse.Namespace) -> int:
    """Prints family, sizes, latent spaces and sha256; writes the sheet."""
    from dirbench.benchmarks.checkpoints import read_checkpoint
    from dirbench.benchmarks.commands._checkpoint_tools import describe, samples, save_sheet
    from dirbench.benchmarks.generators.families import build
    if args.sheet and args.sheet.suffix != ".png":
        raise ValueError(f"--sheet {args.sheet}: expected a name ending in .png")
    if args.sheet and args.samples < 1:
        raise ValueError(f"--samples {args.samples}: expected a positive number")
    checkpoint = read_checkpoint(args.file, args.key)
    generator = build(checkpoint, args.family)
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


def add_convert(commands) -> None:
    """``convert``: any checkpoint as safetensors."""
    p = commands.add_parser("convert", help="write a checkpoint's generator as safetensors")
    _checkpoint(p)
    p.add_argument("--to", type=Path, required=True, metavar="OUT.safetensors")
    p.set_defaults(function=convert)


def convert(args: argparse.Namespace) -> int:
    """Writes the file and says what it holds."""
    from dirbench.benchmarks.commands._checkpoint_tools import convert as write
    facts = write(args.file, args.to, args.family, args.key)
    print(f"{args.to}: {facts['family']}, sha256 {facts['sha256']}; makes the same images as {args.file}")
    return 0


def add_synthesize(commands) -> None:
    """``synthesize``: images of given latents."""
    p = commands.add_parser("synthesize", help="make images of latents with a checkpoint")
    _checkpoint(p)
    p.add_argument("--latents", type=Path, required=True, metavar="Z.npy", help=".npy, .npz or .pt of one "
                   "array: [N, D], for w+ [N, L, D]")
    p.add_argument("--space", choices=("z", "w", "w+"), default="z")
    p.add_argument("--psi", type=float, metavar="PSI", help="truncation, 1 for none (default: the family's own)")
    p.add_argument("--class", type=int, dest="label", metavar="N", help="class of a class-conditional generator")
    p.add_argument("--out", type=Path, required=True, metavar="OUT", help="images.npy: float32 [N, 3, R, R] as the "
                   "network returns them, about [-1, 1]; images.png: a sheet")
    p.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ..., or auto (default: %(default)s)")
    p.add_argument("--chunk", type=int, default=16, metavar="N", help="images at a time (default: 16)")
    p.set_defaults(function=synthesize)


def synthesize(args: argparse.Namespace) -> int:
    """Writes the images."""
    from dirbench.benchmarks.commands._arguments import usable_device
    from dirbench.benchmarks.commands._checkpoint_tools import images_of, save_images
    from dirbench.benchmarks.commands._latent_files import read_latents
    from dirbench.benchmarks.generators.families import load_generator
    if args.out.suffix not in (".npy", ".png"):
        raise ValueError(f"--out {args.out}: expected a name ending in .npy or .png")
    if args.chunk < 1:
        raise ValueError(f"--chunk {args.chunk}: expected a positive number")
    device, latents = usable_device(args.device), read_latents(args.latents)
    spec = {"checkpoint": args.file, "checkpoint_key": args.key, "family": args.family}
    generator = load_generator(spec, device)
    for note in generator.notes:
        print(f"note: {note}", file=sys.stderr)
    images = images_of(generator, latents, args.space, psi=args.psi, label=args.label, chunk=args.chunk)
    save_images(images, args.out)
    print(f"{args.out}: {len(images)} images of {images.shape[-1]}x{images.shape[-1]} pixels")
    return 0

"""``synthesize``: images of given latents."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dirbench.benchmarks.commands._checkpoint_option import add_checkpoint, check_ending

GROUP = "checkpoints"
HELP = "make images of latents with a checkpoint"
EXAMPLES = ("snapshot.pkl --latents z.npy --out images.png",
            "snapshot.pkl --latents w.npy --space w+ --psi 0.7 --out images.npy")


def arguments(p: argparse.ArgumentParser) -> None:
    """A checkpoint, latents, and the file to write."""
    add_checkpoint(p)
    p.add_argument("--latents", type=Path, required=True, metavar="Z.npy", help=".npy, .npz or .pt of one "
                   "array: [N, D], for w+ [N, L, D]")
    p.add_argument("--space", choices=("z", "w", "w+"), default="z")
    p.add_argument("--psi", type=float, metavar="PSI", help="truncation, 1 for none (default: the family's own)")
    p.add_argument("--class", type=int, dest="label", metavar="N", help="class of a class-conditional generator")
    p.add_argument("--out", type=Path, required=True, metavar="OUT", help="images.npy: float32 [N, 3, R, R] as the "
                   "network returns them, about [-1, 1]; images.png: a sheet")
    p.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, ..., or auto (default: %(default)s)")
    p.add_argument("--chunk", type=int, default=16, metavar="N", help="images at a time (default: 16)")


def run(args: argparse.Namespace) -> int:
    """Writes the images."""
    check_ending("--out", args.out, ".npy", ".png")
    if args.chunk < 1:
        raise ValueError(f"--chunk {args.chunk}: expected a positive number")
    from dirbench.benchmarks.checkpoints.latent_files import read_latents
    from dirbench.benchmarks.commands._images import check_fits, images_of, save_images
    from dirbench.benchmarks.config.device import usable_device
    from dirbench.benchmarks.generators.families import load_generator

    device, latents = usable_device(args.device), read_latents(args.latents)
    spec = {"checkpoint": args.file, "checkpoint_key": args.key, "family": args.family}
    generator = load_generator(spec, device)
    if args.out.suffix == ".png" and not (args.space == "w+" and latents.ndim == 2):  # which is one latent alone
        check_fits(len(latents), generator.resolution)
    for note in generator.notes:
        print(f"note: {note}", file=sys.stderr)
    images = images_of(generator, latents, args.space, psi=args.psi, label=args.label, chunk=args.chunk)
    save_images(images, args.out)
    print(f"{args.out}: {len(images)} images of {images.shape[-1]}x{images.shape[-1]} pixels")
    return 0

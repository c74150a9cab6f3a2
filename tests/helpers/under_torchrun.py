"""Run by ``torchrun`` from a test: an oracle and a zoo of tiny GANs on the CelebA folder in argv[1], into argv[2]."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from dirbench.benchmarks.data.celeba import celeba
from dirbench.benchmarks.training.config import GanConfig
from dirbench.benchmarks.training.data_zoo import CelebASource
from dirbench.benchmarks.training.distributed import joined
from dirbench.benchmarks.training.oracles import train_oracle_on
from dirbench.benchmarks.training.zoo_training import train_zoo

TINY = GanConfig(resolution=16, z_dim=16, w_dim=16, channels={4: 8, 8: 8, 16: 8}, d_channels={8: 8, 4: 8}, batch=8,
                 r1_every=2, half_images=0, projected=0)
GANS = ["full", "no_hats"]


def train(data: Path, out: Path) -> None:
    """The same calls whether this process is alone or one of several."""
    torch.set_num_threads(1)
    source = CelebASource(data, 16, cache=out / "cache")
    with joined("cpu") as group:
        train_oracle_on(celeba(data, 16, cache=out / "cache"), "tiny", out, "small", epochs=2, batch=8, group=group)
        train_zoo(GANS, 32, out, slice_images=16, config=TINY, source=source, group=group)


if __name__ == "__main__":
    train(Path(sys.argv[1]), Path(sys.argv[2]))

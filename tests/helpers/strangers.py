"""A generator that nobody here wrote, an oracle for it, and suites of them, written into a folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from dirbench.oracles.networks.classifier import NETWORKS

MODULE = '''
import torch
from torch import nn


class Net(nn.Module):
    """A small DCGAN: z [N, D, 1, 1] in, images of 16 pixels out."""

    def __init__(self, dim=24):
        super().__init__()
        self.head = nn.ConvTranspose2d(dim, 16, 4)
        self.body = nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(16, 8, 4, 2, 1), nn.ReLU(),
                                  nn.ConvTranspose2d(8, 3, 4, 2, 1), nn.Tanh())

    def forward(self, z):
        return self.body(4 * self.head(z))
'''
SUITE = """\
suite: mine
title: Three methods on my own generator
generators:
  mine:
    module: {module}:Net
    checkpoint: net.pt
    latent_dim: 24
    input_shape: [24, 1, 1]
methods: [random, sefa, ganspace]
{oracle}
"""


def write_network(folder: Path, module: str, name: str = "net.pt", seed: int = 1) -> None:
    """The stranger's module and weights; every test needs a ``module`` name of its own, for imports are remembered."""
    (folder / f"{module}.py").write_text(MODULE)
    space: dict = {}
    exec(MODULE, space)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        torch.save(space["Net"]().state_dict(), folder / name)


def write_suite(folder: Path, module: str, oracle: str = "") -> Path:
    """Network, weights and a suite of ten lines."""
    write_network(folder, module)
    path = folder / "mine.yaml"
    path.write_text(SUITE.format(module=module, oracle=f"oracle: {oracle}" if oracle else "").rstrip() + "\n")
    return path


def write_oracle(folder: Path, name: str, attributes: tuple[str, ...], resolution: int = 16, seed: int = 0) -> Path:
    """An oracle file as ``train-oracle`` writes one, of random weights; all attributes count."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        state = NETWORKS["small"](len(attributes), norm=False, resolution=resolution).state_dict()
    path = folder / f"{name}.safetensors"
    save_file({key: value.half().contiguous() for key, value in state.items()}, path)
    card = {"oracle": name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "network": "small",
            "resolution": resolution, "attributes": list(attributes), "readable": [True] * len(attributes),
            "training": {"data": "noise"}}
    path.with_suffix(".json").write_text(json.dumps(card))
    return path

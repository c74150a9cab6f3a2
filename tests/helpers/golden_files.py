"""The checkpoints among the golden files, by name."""

import torch

import helpers

PATHS = {**{path.stem: path for path in (helpers.GOLDEN / "generators").glob("*.pt")},
         **{path.stem: path for path in helpers.GOLDEN.glob("stylegan2_*.pt")}}


def golden(name):
    """What is in the file of that name."""
    return torch.load(PATHS[name], weights_only=True)

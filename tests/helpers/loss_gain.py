"""Whether a training lowers its loss, told apart from the luck of its draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from dirbench.directions import Directions
from dirbench.plugins import Method


def gain(method: Method, discover: Callable[[Method, int], Directions], seeds: int = 1) -> float:
    """How much higher the loss of the last tenth is when the same draws teach nothing; mean over ``seeds`` seeds.

    Args:
        method: with a learning rate ``lr``, which is set to zero for the comparison.
        discover: directions of a method and a seed, with ``loss_last`` in their notes.
    """
    still = dataclasses.replace(method, lr=0.0)
    return float(np.mean([discover(still, seed).notes["loss_last"] - discover(method, seed).notes["loss_last"]
                          for seed in range(seeds)]))

"""The global random sources, which nothing here may draw from: how it is seen that something does."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def random_state() -> tuple:
    """Where the global sources stand; to draw from one changes it."""
    numpys = np.random.get_state(legacy=False)["state"]
    return (torch.get_rng_state().numpy().tobytes(), numpys["key"].tobytes(), random.getstate())


def seed_all(seed: int) -> None:
    """Starts the global sources at ``seed``."""
    torch.manual_seed(seed), np.random.seed(seed), random.seed(seed)


@contextmanager
def kept_random_state() -> Iterator[None]:
    """The global sources stand after it where they stood before."""
    kept = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        torch.set_rng_state(kept[0])
        np.random.set_state(kept[1])
        random.setstate(kept[2])

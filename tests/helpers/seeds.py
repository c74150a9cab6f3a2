"""``pytest --seed-shift N``: other random numbers everywhere, to see that no verdict hangs on a lucky seed."""

from __future__ import annotations

from numbers import Integral

import numpy as np
import torch


def shift_seeds(by: int) -> None:
    """Adds ``by`` to every seed that this process gives to a random source of PyTorch or NumPy from now on."""
    plain_torch, plain_numpy = torch.manual_seed, np.random.default_rng

    class Shifted(torch.Generator):
        def manual_seed(self, seed: int) -> torch.Generator:
            return super().manual_seed(seed + by)

    def numpy_source(seed: object = None) -> np.random.Generator:
        if isinstance(seed, Integral):
            return plain_numpy(int(seed) + by)
        return plain_numpy([*seed, by] if isinstance(seed, (list, tuple)) else seed)

    torch.Generator = Shifted  # type: ignore[misc]
    torch.manual_seed = lambda seed: plain_torch(seed + by)
    np.random.default_rng = numpy_source  # type: ignore[assignment]

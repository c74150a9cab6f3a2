"""What stands for noise inputs that a checkpoint lacks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

State = Mapping[str, Tensor]
DRAWN = ("the file has the strengths of its noise but not the noise itself: standard normal noise drawn with seed 0 "
         "stands for it, so that fine detail is other than where the file came from")
NONE = "the file has no noise inputs: the network was made without, and images have no noise"
MAX_SIDE = 1 << 12  # a name may lie about a side, and what a file lacks costs memory


def stand_ins(state: State, places: Mapping[tuple[str, str], tuple[tuple[int, ...], tuple[int, ...]]]) \
        -> tuple[dict[str, Tensor], str | None]:
    """(tensors for the noise that ``state`` lacks, a sentence) where all of it is gone, or all constants; else nothing.

    Args:
        places: (name of a constant, name of its strength) -> the shapes of both, in the order of the layers.
    """
    constants, strengths = ([pair[k] in state for pair in places] for k in (0, 1))
    lies = any(side > MAX_SIDE for shapes in places.values() for shape in shapes for side in shape)
    if any(constants) or (any(strengths) and not all(strengths)) or lies:
        return {}, None  # what is missing then is missing
    rng, out = torch.Generator().manual_seed(0), {}
    for (constant, strength), (shape, strength_shape) in places.items():
        out[constant] = torch.randn(shape, generator=rng)
        if strength not in state:
            out[strength] = torch.zeros(strength_shape)
    return out, DRAWN if any(strengths) else NONE

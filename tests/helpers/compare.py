"""How near our numbers must come to those of the official codes."""

from __future__ import annotations

from torch import Tensor


def close(got: Tensor, want: Tensor, tolerance: float = 5e-5) -> None:
    """Asserts equal shapes, and differences of at most ``tolerance`` of the largest wanted value.

    Both are of float32, through networks that add up thousands of products in an order that depends on the processor.
    The largest difference seen is 3e-6 of the largest value, on processors with and without wide vectors.
    """
    assert got.shape == want.shape
    assert (got - want).abs().max() <= tolerance * want.abs().max()

"""What a network is to the store: a hash of its weights."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def state_fingerprint(module: nn.Module, *extra: object) -> str:
    """sha256 (hex) over names, shapes, types and bytes of a module's state and the ``repr`` of ``extra``.

    >>> layer = nn.Linear(2, 2)
    >>> before = state_fingerprint(layer)
    >>> _ = nn.init.zeros_(layer.bias)
    >>> state_fingerprint(layer) == before
    False
    """
    digest = hashlib.sha256(repr(extra).encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        # flat first: a channels-last tensor can be contiguous and still have no unit stride at its end
        digest.update(tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

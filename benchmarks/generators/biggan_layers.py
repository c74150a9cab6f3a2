"""Building blocks that BigGAN and BigGAN-deep share, and their two ways of storing spectral norm."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

State = Mapping[str, Tensor]
VECTOR = re.compile(r"(?:u|sv)\d{1,3}")


class SelfAttention(nn.Module):
    """Self-attention over positions, its share of the output ``gamma`` (Zhang et al., ICML 2019, arXiv:1805.08318).

    Queries of C/8 channels look at keys and values (C/2) pooled to half the side; no scaling before the softmax.

    Args:
        names: of the four 1x1 convolutions (queries, keys, values, output) in the state.
        gamma_shape: ``()`` or ``(1,)``, as stored.
    """

    def __init__(self, channels: int, names: tuple[str, str, str, str], gamma_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.names = names
        narrow, half = channels // 8, channels // 2
        for name, (n_in, n_out) in zip(names, [(channels, narrow)] * 2 + [(channels, half), (half, channels)]):
            self.add_module(name, nn.Conv2d(n_in, n_out, 1, bias=False))
        self.gamma = nn.Parameter(torch.zeros(gamma_shape))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value, out = (getattr(self, name) for name in self.names)
        keys, values = (F.max_pool2d(conv(x), 2).flatten(2) for conv in (key, value))  # [N, C', H*W/4]
        attention = (query(x).flatten(2).transpose(1, 2) @ keys).softmax(dim=2)  # [N, H*W, H*W/4]
        seen = (values @ attention.transpose(1, 2)).view(len(x), -1, *x.shape[2:])
        return x + self.gamma * out(seen)


def normalise(x: Tensor, mean: Tensor, var: Tensor, eps: float, gain: Tensor, bias: Tensor) -> Tensor:
    """Batch norm with stored statistics [C], then ``gain`` and ``bias`` ([N, C] or [C]), as one multiply-add."""
    scale = gain * torch.rsqrt(var + eps)
    shift = bias - mean * scale
    return torch.addcmul(shift[..., None, None], x, scale[..., None, None])


def upsample(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, 2H, 2W], every pixel repeated."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


# -- spectral norm (Miyato et al., ICLR 2018, arXiv:1802.05957, Sec. 2.1), taken into the weights once -----------------
def sigma_by_power_step(weight: Tensor, u: Tensor) -> Tensor:
    """ajbrock/BigGAN-PyTorch: one power step from the stored left vector ``u`` [1, out], also in evaluation."""
    flat = weight.double().flatten(1)
    v = F.normalize(u.double() @ flat)
    return (v @ flat.T @ F.normalize(v @ flat.T).T).squeeze()


def sigma_by_stored_pair(weight: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """torch.nn.utils.spectral_norm in evaluation: ``u^T W v`` of the stored pair, no power step."""
    return u.double() @ weight.double().flatten(1) @ v.double()


def divided(weight: Tensor, sigma: Tensor, name: str) -> Tensor:
    """``weight / sigma``. Raises ValueError if sigma is no positive number."""
    if not (torch.isfinite(sigma) and sigma > 0):
        raise ValueError(f"the spectral norm of {name} is {sigma.item():.3g}, expected a positive number")
    return (weight.double() / sigma).to(torch.promote_types(weight.dtype, torch.float32))


def fold_power_step(state: State) -> dict[str, Tensor]:
    """``state`` with ``x.weight`` divided by its sigma for each ``x.u0``; ``u0`` and the log ``sv0`` go.

    So do further vectors (``u1``, ``sv1``, ... of ``num_G_SVs``), since the first alone divides.

    All weights but the class embedding's have a ``u0``, or none has (a network without spectral norm, or one folded
    before): a single one lost would be another network without a word.
    """
    out = {name: value for name, value in state.items() if not VECTOR.fullmatch(name.rpartition(".")[2])}
    stems = {name[:-len(".u0")] for name in state if name.endswith(".u0")}
    weights = {name[:-len(".weight")] for name in state if name.endswith(".weight")} - {"shared"}
    if stems and stems != weights:
        raise ValueError(f"spectral norm is stored for some weights only: {', '.join(sorted(stems ^ weights)[:4])} "
                         "without its weight or its u0")
    for stem in stems:
        weight = state[f"{stem}.weight"]
        out[f"{stem}.weight"] = divided(weight, sigma_by_power_step(weight, state[f"{stem}.u0"]), stem)
    return out


def fold_stored_pair(state: State) -> dict[str, Tensor]:
    """``state`` with ``x.weight`` = ``x.weight_orig`` divided by its sigma; ``weight_u`` and ``weight_v`` go."""
    parts = ("weight_orig", "weight_u", "weight_v")
    out = {name: value for name, value in state.items() if name.rpartition(".")[2] not in parts}
    for stem in (name[:-len(".weight_orig")] for name in state if name.endswith(".weight_orig")):
        weight, u, v = (state[f"{stem}.{part}"] for part in parts)
        out[f"{stem}.weight"] = divided(weight, sigma_by_stored_pair(weight, u, v), stem)
    return out

"""genforce's StyleGAN2 state dicts in the ADA layout that ``StyleGAN2`` reads."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from dirbench.benchmarks.generators._layers import Sizes
from dirbench.benchmarks.generators.genforce_older import todays_names
from dirbench.benchmarks.generators.stylegan2_layers import LOWPASS


def from_genforce(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """ADA-layout state of a genforce ``StyleGAN2Generator`` (skip architecture, no clamp).

    Same network but for names and constants: convolutions are scaled by 1/sqrt(fan_in) before modulation (it goes
    into the weights; ADA scales the style of ToRGB so), style biases lack their "+1", stored low-passes contain the
    upsampling gain 4, and the kernels of the upsampling layers are mirrored in both axes. Labels keep their
    ``mapping.label_weight``: they are normalised with z, not apart. Low-passes, which are constants, and noise may be
    left out.

    Raises:
        ValueError: names are missing or left over.
    """
    family = "genforce StyleGAN2"
    state = todays_names(state)
    sizes, left = Sizes(state, family), dict(state)
    depth = sizes.count(r"mapping\.dense(\d{1,3})\.weight")
    blocks = sizes.count(r"synthesis\.output(\d{1,3})\.weight")
    out: dict[str, Tensor] = {}

    def take(name: str, rank: int) -> Tensor:
        sizes.shape(name, rank)
        return left.pop(name).float()

    def lowpass(name: str) -> Tensor:
        return take(name, 4)[0, 0] / 4 if name in left else LOWPASS

    def affine(source: str, target: str) -> None:
        out[f"{target}.affine.weight"] = take(f"{source}.style.weight", 2)
        out[f"{target}.affine.bias"] = take(f"{source}.style.bias", 1) + 1

    def conv(index: int, target: str, up: bool) -> None:
        source = f"synthesis.layer{index}"
        weight = take(f"{source}.weight", 4)
        weight = weight / math.sqrt(max(1, weight[0].numel()))
        out[f"{target}.weight"] = weight.flip(2, 3) if up else weight
        out[f"{target}.bias"] = take(f"{source}.bias", 1)
        if f"{source}.noise_strength" in left:
            out[f"{target}.noise_strength"] = take(f"{source}.noise_strength", 0)
        if f"{source}.noise" in left:
            out[f"{target}.noise_const"] = take(f"{source}.noise", 4)[0, 0]
        out[f"{target}.resample_filter"] = lowpass(f"{source}.filter.kernel") if up else LOWPASS
        affine(source, target)

    for i in range(depth):
        for part, rank in (("weight", 2), ("bias", 1)):
            out[f"mapping.fc{i}.{part}"] = take(f"mapping.dense{i}.{part}", rank)
    if "mapping.label_weight" in left:
        out["mapping.label_weight"] = take("mapping.label_weight", 2)
    if "truncation.w_avg" in left:
        out["mapping.w_avg"] = take("truncation.w_avg", 1)
    out["synthesis.b4.const"] = take("synthesis.early_layer.const", 4)[0]
    enlarging = lowpass("synthesis.upsample.kernel")
    for i in range(blocks):
        block = f"synthesis.b{4 << i}"
        out[f"{block}.resample_filter"] = enlarging if i else LOWPASS
        if i:
            conv(2 * i - 1, f"{block}.conv0", up=True)
        conv(2 * i, f"{block}.conv1", up=False)
        out[f"{block}.torgb.weight"] = take(f"synthesis.output{i}.weight", 4)
        out[f"{block}.torgb.bias"] = take(f"synthesis.output{i}.bias", 1)
        affine(f"synthesis.output{i}", f"{block}.torgb")
    if left:
        raise ValueError(f"{family} state dict: not understood {sorted(left)[:5]}; only the skip architecture is read")
    return out

"""Checkpoint layouts: state dicts of public StyleGAN2 projects -> the ADA layout that ``StyleGAN2`` reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from benchmarks.generators.genforce_stylegan2 import from_genforce
from benchmarks.generators.z_fed import reading

State = Mapping[str, Tensor]


class Layout(NamedTuple):
    """One project's way to write a StyleGAN2 generator.

    Attributes:
        names: entries that every generator in this layout has, and no other layout.
        to_ada: (state, extras of the file) -> the same network in the ADA layout.
        clamp: limit of activations of that project's networks.
        project: for messages.
    """

    names: tuple[str, ...]
    to_ada: Callable[[State, Mapping[str, object]], dict[str, Tensor]]
    clamp: float
    project: str


def detect_layout(state: State) -> str:
    """The key of ``LAYOUTS`` that a state is written in (``"ada"``, ``"rosinality"``, ...), by its names.

    Raises:
        ValueError: the names fit none.
    """
    for key, layout in LAYOUTS.items():
        if all(name in state for name in layout.names):
            return key
    shown = ", ".join(list(state)[:4]) or "nothing"
    known = "; ".join(f"{layout.project} ({', '.join(layout.names)}, ...)" for layout in LAYOUTS.values())
    raise ValueError(f"unknown StyleGAN2 checkpoint layout: the state dict holds {shown}, ...; expected the generator "
                     f"of {known}. Of a file with several networks, it is the entry g_ema or G_ema")


def to_ada(state: State, latent_avg: Tensor | None = None, *,
           extras: Mapping[str, object] | None = None) -> dict[str, Tensor]:
    """``state`` of any known layout in the ADA layout; ``latent_avg`` as in :func:`from_rosinality`.

    Raises:
        ValueError: the names fit no layout, or names or shapes do not fit the layout that they look like.
    """
    extras = {"latent_avg": latent_avg, **(extras or {})}
    layout = LAYOUTS[detect_layout(state)]
    with reading(f"a StyleGAN2 generator as {layout.project} writes it"):
        return layout.to_ada(state, extras)


def from_rosinality(state: State, latent_avg: Tensor | None = None) -> dict[str, Tensor]:
    """ADA-layout state of a rosinality ``g_ema``. Same network but for names and two constant factors.

    Convolutions there are scaled by 1/sqrt(fan_in) before modulation, which ADA does not do: it goes into the
    weights. ToRGB needs nothing, since ADA scales its style by the same factor. Stored low-passes contain the
    upsampling gain 4. Kernels are not mirrored.

    Args:
        state: the content of ``g_ema``.
        latent_avg: [w] centre of truncation, stored beside ``g_ema``, or the same for each layer [L, w]; None leaves
            ``mapping.w_avg`` out.
    Raises:
        ValueError: names are missing or left over, or layers have centres of their own.
    """
    left = dict(state)
    out: dict[str, Tensor] = {}

    def take(name: str) -> Tensor:
        if name not in left:
            raise ValueError(f"rosinality state dict: {name} is missing")
        return left.pop(name)

    def affine(source: str, target: str) -> None:
        for part in ("weight", "bias"):
            out[f"{target}.affine.{part}"] = take(f"{source}.conv.modulation.{part}")

    def conv(source: str, target: str, index: int) -> None:
        weight = take(f"{source}.conv.weight")[0]
        out[f"{target}.weight"] = weight / math.sqrt(weight[0].numel())
        out[f"{target}.bias"] = take(f"{source}.activate.bias")
        out[f"{target}.noise_strength"] = take(f"{source}.noise.weight").reshape([])
        out[f"{target}.noise_const"] = take(f"noises.noise_{index}")[0, 0]
        lowpass = f"{source}.conv.blur.kernel"
        out[f"{target}.resample_filter"] = take(lowpass) / 4 if lowpass in left else reference
        affine(source, target)

    def rgb(source: str, target: str) -> None:
        out[f"{target}.weight"] = take(f"{source}.conv.weight")[0]
        out[f"{target}.bias"] = take(f"{source}.bias").flatten()
        affine(source, target)

    depth = sum(name.startswith("style.") and name.endswith(".weight") for name in state)
    for i in range(depth):
        for part in ("weight", "bias"):
            out[f"mapping.fc{i}.{part}"] = take(f"style.{i + 1}.{part}")
    if latent_avg is not None:
        rows = latent_avg.reshape(-1, latent_avg.shape[-1])
        if len(rows) > 1 and not torch.equal(rows, rows[:1].expand_as(rows)):
            raise ValueError(f"rosinality state dict: latent_avg {list(latent_avg.shape)} has a centre for each layer, "
                             "but truncation here has one")
        out["mapping.w_avg"] = rows[0]
    steps = sum(name.startswith("to_rgbs.") and name.endswith("modulation.bias") for name in state)
    kernels = [take(f"to_rgbs.{i}.upsample.kernel") / 4 for i in range(steps)]
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    reference = kernels[0] if kernels else taps.outer(taps) / 64
    out["synthesis.b4.const"] = take("input.input")[0]
    out["synthesis.b4.resample_filter"] = reference
    conv("conv1", "synthesis.b4.conv1", 0)
    rgb("to_rgb1", "synthesis.b4.torgb")
    for i in range(steps):
        block = f"synthesis.b{8 << i}"
        out[f"{block}.resample_filter"] = kernels[i]
        conv(f"convs.{2 * i}", f"{block}.conv0", 2 * i + 1)
        conv(f"convs.{2 * i + 1}", f"{block}.conv1", 2 * i + 2)
        rgb(f"to_rgbs.{i}", f"{block}.torgb")
    if left:
        raise ValueError(f"rosinality state dict: not understood {sorted(left)}")
    return out


LAYOUTS: dict[str, Layout] = {
    "ada": Layout(("synthesis.b4.const", "mapping.fc0.weight"), lambda state, extras: dict(state), 256.0,
                  "NVlabs stylegan2-ada-pytorch and stylegan3"),
    "rosinality": Layout(("input.input", "conv1.conv.modulation.weight"),
                         lambda state, extras: from_rosinality(state, extras.get("latent_avg")), math.inf,
                         "rosinality stylegan2-pytorch"),
    "genforce": Layout(("synthesis.early_layer.const", "mapping.dense0.weight"),
                       lambda state, extras: from_genforce(state), math.inf, "genforce"),
}

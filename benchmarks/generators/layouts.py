"""Checkpoint layouts: state dicts of public StyleGAN2 projects -> the ADA layout that ``StyleGAN2`` reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from dirbench.benchmarks.generators.genforce_older import todays_names
from dirbench.benchmarks.generators.genforce_stylegan2 import from_genforce
from dirbench.benchmarks.generators.stylegan2_layers import LOWPASS
from dirbench.benchmarks.generators.z_fed import reading

State = Mapping[str, Tensor]
MEAN_LATENTS = ("latent_avg", "mean_latent", "latent_mean", "w_avg", "dlatent_avg", "truncation_latent")


class Layout(NamedTuple):
    """One project's way to write a StyleGAN2 generator.

    Attributes:
        names: entries that every generator in this layout has, and no other layout.
        to_ada: (state, extras of the file) -> the same network in the ADA layout.
        clamp: limit of activations of that project's networks.
        project: for messages.
    """

    names: tuple[str, ...]
    to_ada: Callable[[State, Mapping[str, Any]], dict[str, Tensor]]
    clamp: float
    project: str


def layout_of(state: State) -> Layout | None:
    """The layout that a state is written in, by its names; None if it is none of ``LAYOUTS``."""
    names = todays_names(state)
    return next((layout for layout in LAYOUTS.values() if all(name in names for name in layout.names)), None)


def detect_layout(state: State) -> str:
    """The key of ``LAYOUTS`` that a state is written in (``"ada"``, ``"rosinality"``, ...), by its names.

    Raises:
        ValueError: the names fit none.
    """
    found = layout_of(state)
    for key, layout in LAYOUTS.items():
        if layout is found:
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
    upsampling gain 4. Kernels are not mirrored. Low-passes, which are constants, and noise may be left out.

    Args:
        state: the content of ``g_ema``.
        latent_avg: [w] centre of truncation, stored beside ``g_ema`` (or [1, w], or equal rows [L, w], as inversion
            networks store it); None leaves ``mapping.w_avg`` out.
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
        if f"{source}.noise.weight" in left:
            out[f"{target}.noise_strength"] = take(f"{source}.noise.weight").reshape([])
        if f"noises.noise_{index}" in left:
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
        out["mapping.w_avg"] = _centre(latent_avg)
    steps = sum(name.startswith("to_rgbs.") and name.endswith("modulation.bias") for name in state)
    stored = [f"to_rgbs.{i}.upsample.kernel" for i in range(steps)]
    kernels = [take(name) / 4 if name in left else LOWPASS for name in stored]
    reference = kernels[0] if kernels else LOWPASS
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


def _mean_latent(extras: Mapping[str, object]) -> Tensor | None:
    """The mean w beside a state, under whichever name the file has it."""
    for name in MEAN_LATENTS:
        value = extras.get(name)
        if isinstance(value, Tensor):
            return value
    return None


def _centre(latent_avg: Tensor) -> Tensor:
    """[w] of a mean latent [w] or [L, w] with equal rows."""
    rows = latent_avg.float().reshape(-1, latent_avg.shape[-1]) if latent_avg.ndim else latent_avg[None, None]
    if not torch.equal(rows.nan_to_num(), rows[:1].nan_to_num().expand_as(rows)):  # NaN is told as such, later
        raise ValueError(f"latent_avg is {list(latent_avg.shape)} with different rows, expected one mean w")
    return rows[0]


LAYOUTS: dict[str, Layout] = {
    "ada": Layout(("synthesis.b4.const", "mapping.fc0.weight"), lambda state, extras: dict(state), 256.0,
                  "NVlabs stylegan2-ada-pytorch and stylegan3"),
    "rosinality": Layout(("input.input", "conv1.conv.modulation.weight"),
                         lambda state, extras: from_rosinality(state, _mean_latent(extras)), math.inf,
                         "rosinality stylegan2-pytorch"),
    "genforce": Layout(("synthesis.early_layer.const", "mapping.dense0.weight"),
                       lambda state, extras: from_genforce(state), math.inf, "genforce"),
}

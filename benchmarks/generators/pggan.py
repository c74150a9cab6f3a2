"""Progressive GAN as a :class:`Generator`: Karras et al., ICLR 2018 (arXiv:1710.10196).

Names and conventions of genforce's ``PGGANGenerator``; the layout of ptrblck/prog_gans_pytorch_inference (the
``ProgGAN`` of Voynov & Babenko's code), which is the same network, is converted when read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dirbench.benchmarks.generators._layers import (
    Equalised,
    Sizes,
    State,
    Widths,
    fused_setting,
    is_fused,
    levels,
    progressive_image,
    unit_rms,
    upsampling_conv,
)
from dirbench.benchmarks.generators.genforce_older import pggan_names
from dirbench.benchmarks.generators.genforce_settings import LABELS, compare_genforce
from dirbench.benchmarks.generators.said import Said, check_start, flag, whole
from dirbench.benchmarks.generators.z_fed import Label, ZFed
from dirbench.generator import Layers


class PGGAN(ZFed):
    """PGGAN generator: z only, pixel-normalised; images about [-1, 1], not clipped.

    Args:
        z_dim: size of z. n_classes: 0 without labels (appended to z). label: see :class:`ZFed`.
        resolution: side of the image, a power of two from 8.
        channels: width of each resolution, ``{4: 512, 8: 512, ...}``.
        fused_scale: upsampling layers store their kernels input channels first, for a transposed convolution
            (``"auto"``: from 128 pixels on).
        final_tanh: the image goes through tanh.
        lower_outputs: image layers of every resolution are there, so that ``lod`` can be other than 0.
        rng: source of the initial weights (default: seed 0).
    Raises:
        ValueError: the resolution is no power of two from 8, or ``channels`` does not name every resolution.

    The buffer ``lod`` says how many of the last resolutions are left out of the image. ``config`` holds the arguments.
    """

    family = "pggan"
    lod: Tensor

    def __init__(self, *, z_dim: int = 512, n_classes: int = 0, resolution: int, channels: Widths,
                 fused_scale: bool | str = False, final_tanh: bool = False, lower_outputs: bool = True,
                 image_channels: int = 3, label: Label = None, rng: torch.Generator | None = None) -> None:
        super().__init__()
        channels = levels(resolution, channels, "PGGAN")
        rng = rng or torch.Generator().manual_seed(0)
        self.config: dict[str, Any] = dict(z_dim=z_dim, n_classes=n_classes, resolution=resolution, channels=channels,
                           fused_scale=fused_scale, final_tanh=final_tanh, lower_outputs=lower_outputs,
                           image_channels=image_channels)
        self.latent_dim, self.resolution, self.n_classes, self.label = z_dim, resolution, n_classes, label
        self.register_buffer("lod", torch.zeros([]))
        before = 0
        for level, (side, width) in enumerate(channels.items()):
            if level == 0:
                self.layer0 = Equalised(width, z_dim + n_classes, 4, 4, rng=rng)
            else:
                layer = Equalised(width, before, 3, 3, rng=rng)
                if is_fused(fused_scale, side):
                    layer.weight = nn.Parameter(layer.weight.detach().transpose(0, 1).contiguous())
                self.add_module(f"layer{2 * level}", layer)
            self.add_module(f"layer{2 * level + 1}", Equalised(width, width, 3, 3, rng=rng))
            if lower_outputs or side == resolution:
                self.add_module(f"output{level}", Equalised(image_channels, width, 1, 1, gain=1.0, rng=rng))
            before = width
        self.layer_names = tuple(f"layer{i}" for i in range(2 * len(channels)))

    # -- checkpoints -------------------------------------------------------------------------------
    @classmethod
    def reads(cls, state: State) -> bool:
        """True for names of genforce's PGGAN, today's or earlier ones, or of ptrblck's."""
        state = pggan_names(state)
        return _is_ptrblck(state) or ("layer0.weight" in state and "layer1.weight" in state and any(
            re.fullmatch(r"output\d+\.weight", name) for name in state))

    @classmethod
    def from_state_dict(cls, state: State, *, extras: Mapping[str, Any] | None = None, **overrides: Any) -> PGGAN:
        """The network of a state dict, every size read off the tensors.

        The tensors do not say (and ``extras``, as genforce names them, or ``overrides`` may): ``label_size`` or
        ``n_classes`` (default 0: all inputs are z), ``final_tanh`` (default False). Kernels stored for fused upsampling
        are told by their shape; where all widths are equal, ``fused_scale`` must be given if it is not False.

        Raises:
            ValueError: names are missing, left over, or of a shape that does not fit; ``extras`` tell of another
                network.
        """
        state, said = pggan_names(state), Said(extras, "PGGAN")
        if _is_ptrblck(state):
            state = from_ptrblck(state)
        sizes = Sizes(state, "PGGAN")
        n = sizes.count(r"layer(\d{1,3})\.weight")
        if n < 4 or n % 2:
            raise ValueError(f"PGGAN state dict: {n} layers, expected 4, 6, 8, ... (two for each resolution)")
        top = n // 2 - 1
        check_start(sizes.shape("layer0.weight", 4), "PGGAN", "the map that it starts from", 4)
        channels = {4 << level: sizes.shape(f"layer{2 * level + 1}.weight", 4)[0] for level in range(top + 1)}
        widths = list(channels.values())
        stored = [sizes.shape(f"layer{2 * level}.weight", 4)[:2] for level in range(1, top + 1)]
        swapped = any(shape == pair != pair[::-1] for shape, pair in zip(stored, pairwise(widths), strict=True))
        n_inputs, classes = sizes.shape("layer0.weight", 4)[1], said.take(LABELS, whole, 0)
        if classes >= n_inputs:
            raise ValueError(f"PGGAN: the checkpoint says that it has {classes} classes, but its first layer reads "
                             f"{n_inputs} numbers, z among them: settings and weights are of two networks")
        settings = {
            "resolution": 4 << top, "channels": channels, "lower_outputs": "output0.weight" in state,
            "image_channels": sizes.shape(f"output{top}.weight", 4)[0], "n_classes": classes,
            "z_dim": n_inputs - classes, "fused_scale": said.take("fused_scale", fused_setting, swapped),
            "final_tanh": said.take("final_tanh", flag, False)}
        if "n_classes" in overrides:
            settings["z_dim"] = n_inputs - overrides["n_classes"]
        compare_genforce(said, settings | {"n_classes": classes})
        net = cls._filled(state, settings | overrides, optional=("lod",))
        net.notes = said.told()
        return net

    # -- layers ------------------------------------------------------------------------------------
    def _steps(self, z: Tensor, c: Tensor | None) -> Iterator[tuple[str, Tensor]]:
        x, ends = unit_rms(z), []
        if c is not None:  # the first layer normalises the joint vector once more
            x = torch.cat((x, c), dim=1)
        x = x[:, :, None, None]
        for i, name in enumerate(self.layer_names):
            layer, x = getattr(self, name), unit_rms(x)
            if i and i % 2 == 0:
                fused = is_fused(self.config["fused_scale"], 4 << (i // 2))
                weight = layer.weight.transpose(0, 1) if fused else layer.weight
                # fan-in is that of the convolution, however the kernel is stored
                x = upsampling_conv(x, weight * math.sqrt(2 / weight[0].numel()), fused)
            else:
                x = layer.conv(x, padding=1 if i else 3)
            x = F.leaky_relu(x + layer.bias[:, None, None], 0.2)
            yield name, x
            if i % 2:
                ends.append(x)
        outputs = {level: partial(self._output, level) for level in range(len(ends))
                   if hasattr(self, f"output{level}")}
        image = progressive_image(ends, outputs, self.lod.item(), len(ends) - 1, "PGGAN")
        yield "image", torch.tanh(image) if self.config["final_tanh"] else image

    def _output(self, level: int, x: Tensor) -> Tensor:
        return getattr(self, f"output{level}")(unit_rms(x))

    def settings(self) -> dict[str, object]:
        return {**self.config, **super().settings()}

    # -- what closed-form methods factorise -------------------------------------------------------------
    def affine_weights(self, layers: Layers = "all") -> list[Tensor]:
        """The first layer as one matrix [16 C, z_dim]: z to every channel and place of the 4x4 map.

        Convolving a 1x1 map, it is a dense layer; rows are mirrored in space as against the map, which a Gram matrix
        does not see (Shen & Zhou's own code factorises the same matrix).
        """
        self.layer_ids(layers)
        weight = self.layer0.weight.detach()[:, : self.latent_dim]
        return [weight.permute(0, 2, 3, 1).flatten(0, 2)]


def _is_ptrblck(state: State) -> bool:
    return "features.0.conv.weight" in state and "output.conv.weight" in state


def from_ptrblck(state: State) -> dict[str, Tensor]:
    """genforce-layout state of a ptrblck ``Generator``.

    There, a stored number multiplies each convolution's output, which here is sqrt(2) (output layer: 1) over the
    root of fan-in: it goes into the weights.

    Raises:
        ValueError: names are missing or left over.
    """
    sizes = Sizes(state, "ProgGAN (ptrblck)")
    n = sizes.count(r"features\.(\d{1,3})\.conv\.weight")
    out, used = {}, set()
    sources = {f"features.{i}": f"layer{i}" for i in range(n)} | {"output": f"output{n // 2 - 1}"}
    for source, target in sources.items():
        sizes.shape(f"{source}.conv.weight", 4), sizes.shape(f"{source}.wscale.scale", 1)
        sizes.shape(f"{source}.wscale.b", 1)
        weight, scale = state[f"{source}.conv.weight"].float(), state[f"{source}.wscale.scale"].float()
        gain = 1.0 if source == "output" else math.sqrt(2)
        if scale.numel() != 1:
            raise ValueError(f"ProgGAN (ptrblck) state dict: {source}.wscale.scale has {scale.numel()} numbers, not 1")
        out[f"{target}.weight"] = weight * (scale * math.sqrt(weight[0].numel()) / gain)
        out[f"{target}.bias"] = state[f"{source}.wscale.b"]
        used |= {f"{source}.conv.weight", f"{source}.wscale.scale", f"{source}.wscale.b"}
    if left := sorted(set(state) - used):
        raise ValueError(f"ProgGAN (ptrblck) state dict: not understood {left[:5]}")
    return out

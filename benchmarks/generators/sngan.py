"""SN-GAN ResNet as a :class:`Generator`, to train and to search.

Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018 (arXiv:1802.05957), Sec. 4 and
tables 4-6; as used by Voynov & Babenko (ICML 2020), names and conventions of anvoynov/GANLatentDiscovery. The spectral
norm of its name is the discriminator's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn

from dirbench.benchmarks.generators.said import Said, check_channels
from dirbench.benchmarks.generators.z_fed import ZFed, count_up, reading, to_image
from dirbench.generator import Layers

TWICE = {"conv1": "model.3", "conv2": "model.6"}  # a block's convolutions stand in a state under both names


class SNGAN(ZFed):
    """SN-GAN ResNet generator; latents z, images in [-1, 1], without classes.

    Args:
        latent_dim: size of z. widths: channels at the bottom and after each block; the side doubles with each.
        bottom: side at the bottom. image_channels: 3, or 1 for grey (``synthesize`` repeats it to three).
        rng: source of the initial weights (Glorot's uniform, as the paper's); None leaves the network empty, to be
            loaded.
    """

    family = "sngan"

    def __init__(self, *, latent_dim: int, widths: Sequence[int], bottom: int = 4, image_channels: int = 3,
                 rng: torch.Generator | None = None) -> None:
        super().__init__()
        if image_channels not in (1, 3):
            raise ValueError(f"SNGAN: image_channels={image_channels}, expected 3, or 1 for grey")
        self.latent_dim, self.bottom = latent_dim, bottom
        self.resolution = bottom * 2 ** (len(widths) - 1)
        with torch.device("meta"):
            self.model = nn.Sequential(
                nn.Linear(latent_dim, widths[0] * bottom**2), nn.Unflatten(1, (widths[0], bottom, bottom)),
                *(_Block(n_in, n_out) for n_in, n_out in pairwise(widths)),
                nn.BatchNorm2d(widths[-1]), nn.ReLU(), nn.Conv2d(widths[-1], image_channels, 3, padding=1))
        self.layer_names = ("model.0", *(f"model.{i + 2}" for i in range(len(widths) - 1)))
        if rng is not None:
            self._start(rng)

    def _start(self, rng: torch.Generator) -> None:
        self.to_empty(device="cpu")
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
            elif isinstance(module, nn.Linear | nn.Conv2d):
                nn.init.xavier_uniform_(module.weight, generator=rng)
                assert module.bias is not None  # every layer here has one
                nn.init.zeros_(module.bias)

    @classmethod
    def reads(cls, state: Mapping[str, Tensor]) -> bool:
        """True for the names of GANLatentDiscovery's ResNet generator."""
        return {"model.0.weight", "model.2.model.0.running_mean"} <= state.keys()

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor], *, extras: Mapping[str, object] | None = None,
                        **overrides: object) -> SNGAN:
        """The network of a state in GANLatentDiscovery's layout, every size read off the tensors.

        Either or both names of a block's convolutions may be there, but never with different values.

        Raises:
            ValueError: names are missing or left over, shapes do not fit each other, two copies differ, or ``extras``
                tell of another network.
        """
        with reading("an SN-GAN generator in GANLatentDiscovery's layout"):
            state = _one_name_each(state)
            blocks = count_up(state, "model.{}.model.3.weight", 2)
            rows, latent_dim = state["model.0.weight"].shape
            n_image = len(state[f"model.{blocks + 4}.weight"])
            widths = [state["model.2.model.3.weight"].shape[1],
                      *(len(state[f"model.{i + 2}.model.3.weight"]) for i in range(blocks))]
            sizes: dict[str, Any] = {
                "latent_dim": latent_dim, "widths": widths, "bottom": math.isqrt(rows // widths[0]),
                "image_channels": check_channels(n_image, "SNGAN")}
            if sizes["bottom"]**2 * widths[0] != rows:
                raise ValueError(f"the map that it starts from has {rows} numbers in {widths[0]} channels, which make "
                                 "no square: only square images are read")
            norms = [f"model.{i + 2}.model.{j}" for i in range(blocks) for j in (0, 4)] + [f"model.{blocks + 2}"]
            net = cls._filled(state, sizes | overrides, [f"{norm}.num_batches_tracked" for norm in norms])
        said = Said(extras, "SNGAN")
        said.size("latent_dim", latent_dim, "numbers of z")
        said.size("img_size", net.resolution, "pixels a side")
        said.size("image_channels", n_image, "image channels")
        said.size("seed_dim", sizes["bottom"], "pixels at the bottom")
        said.skip("channels", "widths", "bottom", "resolution")
        net.notes = said.told()
        return net

    def _steps(self, z: Tensor, c: Tensor | None) -> Iterator[tuple[str, Tensor]]:
        dense, shape, *rest = self.model
        x = shape(dense(z))
        yield "model.0", x
        *blocks, norm, relu, conv = rest
        for i, block in enumerate(blocks):
            x = block(x)
            yield f"model.{i + 2}", x
        yield "image", to_image(conv(relu(norm(x))))

    def affine_weights(self, layers: Layers = "all") -> list[Tensor]:
        """The first dense layer's weight [out, D], the only one that reads z."""
        self.layer_ids(layers)
        return [cast(nn.Linear, self.model[0]).weight.detach()]


class _Block(nn.Module):
    """Residual block that doubles the side; where the width stays, the shortcut only repeats pixels."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            nn.BatchNorm2d(n_in), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(n_in, n_out, 3, padding=1),
            nn.BatchNorm2d(n_out), nn.ReLU(), nn.Conv2d(n_out, n_out, 3, padding=1))
        self.bypass = nn.Sequential(nn.Upsample(scale_factor=2))
        if n_in != n_out:
            self.bypass.append(nn.Conv2d(n_in, n_out, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) + self.bypass(x)


def _one_name_each(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state`` with each convolution of a block under one of its two names. Raises ValueError if they differ."""
    out = dict(state)
    for name, value in state.items():
        stem, _, leaf = name.rpartition(".")
        block, _, conv = stem.rpartition(".")
        if conv not in TWICE:
            continue
        other = f"{block}.{TWICE[conv]}.{leaf}"
        if other in out and not torch.equal(out[other], value):
            raise ValueError(f"{name} and {other} are one tensor in the network, but differ here")
        out[other] = out.pop(name)
    return out

"""StyleGAN as a :class:`Generator`: Karras et al., CVPR 2019 (arXiv:1812.04948), names of genforce's networks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dirbench.benchmarks.generators._layers import (
    Equalised,
    Sizes,
    State,
    Widths,
    build,
    check_fixed,
    fused_setting,
    is_fused,
    levels,
    normal,
    progressive_image,
    unit_rms,
    upsampling_conv,
)
from dirbench.benchmarks.generators._style_based import NO_CENTRE, StyleBased
from dirbench.benchmarks.generators.genforce_older import todays_names
from dirbench.benchmarks.generators.genforce_settings import compare_genforce
from dirbench.benchmarks.generators.noise import stand_ins
from dirbench.benchmarks.generators.said import Said, check_start, flag, positive
from dirbench.benchmarks.generators.stylegan2_layers import Dense
from dirbench.generator import Layers

BLUR = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16


class StyleGAN1(StyleBased):
    """StyleGAN generator; latents z, w or w+ (row i feeds layer i), images about [-1, 1], not clipped.

    Args:
        z_dim, w_dim: sizes of z and w. n_classes: 0 without labels.
        resolution: side of the image, a power of two from 8.
        channels: width of each resolution, ``{4: 512, 8: 512, ...}``.
        mapping_layers, mapping_hidden: depth and hidden width (default w_dim) of the mapping network.
        mapping_lr: its learning-rate multiplier.
        fused_scale: upsampling layers store their kernels for a transposed convolution (``"auto"``: from 128 pixels).
        final_tanh: the image goes through tanh.
        label, truncation_psi, truncation_cutoff: see :class:`StyleBased`.
        rng: source of the initial weights (default: seed 0).
    Raises:
        ValueError: the resolution is no power of two from 8, or ``channels`` does not name every resolution.

    The buffer ``synthesis.lod`` says how many of the last resolutions are left out of the image.
    """

    family = "stylegan1"

    def __init__(self, *, z_dim: int = 512, w_dim: int = 512, n_classes: int = 0, resolution: int,
                 channels: Widths, mapping_layers: int = 8, mapping_hidden: int | None = None,
                 mapping_lr: float = 0.01, fused_scale: bool | str = "auto", final_tanh: bool = False,
                 image_channels: int = 3, label: int | None = None, truncation_psi: float = 1.0,
                 truncation_cutoff: int | None = None, rng: torch.Generator | None = None) -> None:
        super().__init__(n_classes, label, truncation_psi, truncation_cutoff)
        channels = levels(resolution, channels, "StyleGAN1")
        rng = rng or torch.Generator().manual_seed(0)
        hidden = mapping_hidden or w_dim
        self.config = dict(z_dim=z_dim, w_dim=w_dim, n_classes=n_classes, resolution=resolution, channels=channels,
                           mapping_layers=mapping_layers, mapping_hidden=hidden, mapping_lr=mapping_lr,
                           fused_scale=fused_scale, final_tanh=final_tanh, image_channels=image_channels)
        self.latent_dim, self.w_dim, self.resolution = z_dim, w_dim, resolution
        self.n_layers, self.top = 2 * len(channels), len(channels) - 1
        self.mapping = nn.Module()
        if n_classes:
            self.mapping.label_weight = normal(n_classes, z_dim, rng=rng)
        widths = [z_dim * (2 if n_classes else 1)] + [hidden] * (mapping_layers - 1) + [w_dim]
        for i in range(mapping_layers):
            self.mapping.add_module(f"dense{i}", Equalised(widths[i + 1], widths[i], lr=mapping_lr, rng=rng))
        self.truncation = nn.Module()
        self.truncation.register_buffer("w_avg", torch.zeros(w_dim))
        self.synthesis = nn.Module()
        self.synthesis.register_buffer("lod", torch.zeros([]))
        before = 0
        for level, (side, width) in enumerate(channels.items()):
            fused = is_fused(fused_scale, side)
            for i, n_in in ((2 * level, before), (2 * level + 1, width)):
                up = ("fused" if fused else "nearest") if level and i % 2 == 0 else None
                self.synthesis.add_module(f"layer{i}", _Layer(n_in, width, w_dim, side, up, rng))
            self.synthesis.add_module(f"output{level}", Equalised(image_channels, width, 1, 1, gain=1.0, rng=rng))
            before = width
        self.layer_names = tuple(f"layer{i}" for i in range(self.n_layers))

    # -- checkpoints -------------------------------------------------------------------------------
    @classmethod
    def reads(cls, state: State) -> bool:
        """True for names of genforce's StyleGAN, today's or earlier ones."""
        names = todays_names(state)
        return {"mapping.dense0.weight", "synthesis.layer0.const", "synthesis.layer0.style.weight"} <= set(names)

    @classmethod
    def from_state_dict(cls, state: State, *, extras: Mapping[str, Any] | None = None, **overrides: Any) -> StyleGAN1:
        """The network of a state dict, every size read off the tensors.

        The tensors do not say (and ``extras``, as genforce names them, or ``overrides`` may): ``fused_scale``
        (default ``"auto"``, as released files have it), ``mapping_lr_mul`` or ``mapping_lr`` (0.01) and ``final_tanh``
        (False). A state without ``truncation.w_avg`` gets the mean of 10,000 mapped latents, one without noise (or its
        constants) what ``notes`` says; blurs are constants.

        Raises:
            ValueError: names are missing, left over, or of a shape that does not fit; the blur is not 1-2-1; ``extras``
                tell of another network.
        """
        state, said = todays_names(state), Said(extras, "StyleGAN1")
        sizes = Sizes(state, "StyleGAN1")
        outputs = sizes.count(r"synthesis\.output(\d{1,3})\.weight")
        depth = sizes.count(r"mapping\.dense(\d{1,3})\.weight")
        z_dim = sizes.shape("mapping.dense0.weight", 2)[1]
        n_classes = 0
        if "mapping.label_weight" in state:
            n_classes, z_dim = sizes.shape("mapping.label_weight", 2)
        check_fixed(state, "blur.kernel", BLUR, "the (1, 2, 1) low-pass")
        check_start(sizes.shape("synthesis.layer0.const", 4), "StyleGAN1", "the constant that it starts from", 4)
        channels = {4 << k: sizes.shape(f"synthesis.output{k}.weight", 4)[1] for k in range(outputs)}
        settings = {
            "z_dim": z_dim, "n_classes": n_classes, "w_dim": sizes.shape("synthesis.layer0.style.weight", 2)[1],
            "resolution": 2 << outputs, "mapping_layers": depth,
            "channels": channels,
            "mapping_hidden": sizes.shape("mapping.dense0.weight", 2)[0] if depth > 1 else None,
            "image_channels": sizes.shape("synthesis.output0.weight", 4)[0],
            "mapping_lr": said.take(("mapping_lr", "mapping_lr_mul"), positive, 0.01),
            "fused_scale": said.take("fused_scale", fused_setting, "auto"),
            "final_tanh": said.take("final_tanh", flag, False)}
        compare_genforce(said, settings)
        places = {(f"{layer}.noise", f"{layer}.weight"): ((1, 1, 4 << i // 2, 4 << i // 2), (channels[4 << i // 2],))
                  for i, layer in enumerate(f"synthesis.layer{i}.apply_noise" for i in range(2 * outputs))}
        added, sentence = stand_ins(state, places)
        state = state | added
        blurs = [f"synthesis.layer{i}.blur.kernel" for i in range(2, 2 * outputs, 2)]
        net = build(cls, settings | overrides, state, optional=("truncation.w_avg", "synthesis.lod", *blurs))
        for name in set(blurs) - set(state):
            net.get_buffer(name).copy_(BLUR.expand_as(net.get_buffer(name)))
        if sentence:
            said.note(sentence)
        if "truncation.w_avg" not in state:
            net.estimate_w_avg()
            said.note(NO_CENTRE)
        net.notes = said.told()
        return net

    # -- latents -----------------------------------------------------------------------------------
    @property
    def w_avg(self) -> Tensor:
        """Centre of truncation [w_dim]."""
        return self.truncation.get_buffer("w_avg")

    def _mapping(self, z: Tensor, labels: Tensor | None) -> Tensor:
        if labels is not None:  # one normalisation of the joint vector, unlike later StyleGANs
            z = torch.cat((z, labels @ cast(Tensor, self.mapping.label_weight)), dim=1)
        x = unit_rms(z)
        for i in range(self.config["mapping_layers"]):
            x = F.leaky_relu(getattr(self.mapping, f"dense{i}")(x), 0.2)
        return x

    # -- images and activations ----------------------------------------------------------------------
    def synthesize(self, latent: Tensor, space: str | None = None, c: Tensor | None = None) -> Tensor:
        """Images [N, 3, R, R], about [-1, 1] and not clipped, of z or w [N, D] or w+ [N, L, D]; stored noise.

        ``c``: labels of z, [N, n_classes] or class indices [N].
        """
        ends = (x for name, x in self._features(self.to_rows(latent, space, c)) if int(name[5:]) % 2)
        outputs = {level: getattr(self.synthesis, f"output{level}") for level in range(self.top + 1)}
        image = progressive_image(ends, outputs, self.synthesis.get_buffer("lod").item(), self.top, "StyleGAN1")
        return (torch.tanh(image) if self.config["final_tanh"] else image).expand(-1, 3, -1, -1)

    def activations(self, latent: Tensor, layer: str, space: str | None = None, c: Tensor | None = None) -> Tensor:
        """Output [N, C, H, W] of ``layer`` (``"layer0"``, ...) after its style; stored noise."""
        self.check_layer(layer)
        return next(x for name, x in self._features(self.to_rows(latent, space, c)) if name == layer)

    def _features(self, rows: Tensor) -> Iterator[tuple[str, Tensor]]:
        """(name, output) of the layers, lazily, so that a caller can stop early."""
        x = None
        for i, name in enumerate(self.layer_names):
            x = getattr(self.synthesis, name)(x, rows[:, i])
            yield name, x

    # -- styles ------------------------------------------------------------------------------------
    def affine_weights(self, layers: Layers = "all") -> list[Tensor]:
        """Style affine weights [2 C, w_dim] as stored (scales, then shifts), one for each row of w+."""
        chosen = self.layer_ids(layers)
        return [getattr(self.synthesis, f"layer{i}").style.weight.detach()
                for i in (range(self.n_layers) if chosen is None else chosen)]

    def styles(self, latent: Tensor, space: str | None = None, c: Tensor | None = None) -> dict[str, Tensor]:
        """Output [N, 2 C] of every style affine (scale - 1, then shift), keyed ``"layer0"``, ...: the space s."""
        rows = self.to_rows(latent, space, c)
        return {name: getattr(self.synthesis, name).style(rows[:, i]) for i, name in enumerate(self.layer_names)}


class _Noise(nn.Module):
    """One map of noise, and its weight in each channel."""

    noise: Tensor

    def __init__(self, channels: int, side: int, rng: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels))
        self.register_buffer("noise", torch.randn(1, 1, side, side, generator=rng))


class _Layer(nn.Module):
    """Convolution, noise, bias, leaky ReLU, instance normalisation, style; the first has a constant to start from."""

    def __init__(self, n_in: int, n_out: int, w_dim: int, side: int, up: str | None, rng: torch.Generator) -> None:
        super().__init__()
        self.up = up
        if n_in:
            layer = Equalised(n_out, n_in, 3, 3, rng=rng)
            self.weight, self.scale = layer.weight, layer.scale
        else:
            self.const = nn.Parameter(torch.ones(1, n_out, side, side))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.apply_noise = _Noise(n_out, side, rng)
        self.style = Dense(w_dim, 2 * n_out, rng=rng)
        if up:
            self.blur = nn.Module()
            self.blur.register_buffer("kernel", BLUR.expand(n_out, 1, 3, 3).clone())

    def forward(self, x: Tensor | None, w: Tensor) -> Tensor:
        """[N, n_out, R, R] of x [N, n_in, R or R/2, same] (None at first) and w [N, w_dim]."""
        if x is None:
            x = self.const
        elif self.up:
            x = _blur(upsampling_conv(x, self.weight * self.scale, self.up == "fused"))
        else:
            x = F.conv2d(x, self.weight * self.scale, padding=1)
        x = x + self.apply_noise.noise * self.apply_noise.weight[:, None, None] + self.bias[:, None, None]
        x = F.leaky_relu(x, 0.2)
        x = x - x.mean(dim=(2, 3), keepdim=True)
        x = x * (x.square().mean(dim=(2, 3), keepdim=True) + 1e-8).rsqrt()
        scale, shift = self.style(w)[:, :, None, None].chunk(2, dim=1)
        return x * (scale + 1) + shift


def _blur(x: Tensor) -> Tensor:
    """(1, 2, 1) / 4 along both axes, zeros beyond the border."""
    x = F.pad(x, (1, 1, 1, 1))
    x = (x[..., :-2, :] + x[..., 2:, :]).add(x[..., 1:-1, :], alpha=2)
    return (x[..., :-2] + x[..., 2:]).add(x[..., 1:-1], alpha=2) / 16

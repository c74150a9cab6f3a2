"""StyleGAN2 in plain PyTorch: trainable, differentiable twice, and quick on a CPU.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020 (arXiv:1912.04958), skip
architecture; parameter names and conventions of the ADA release (arXiv:2006.06676). Two things differ from the
released code in how, not in what: styles scale the *activations* and demodulation scales the output (equal to
modulating the weights, since a convolution is linear), so that a batch shares its weights; and the 4x4 low-pass
runs along each axis in turn: on a CPU and up to 64 pixels as a product with a band matrix (2 to 3 times quicker
there than additions), else as shifted additions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.generators.base import Generator, Layers

NOISE_MODES = ("const", "random", "none")
TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0])
LOWPASS = TAPS.outer(TAPS) / 64  # sums to 1, as released files store it
SLOPE = 0.2
GAIN = math.sqrt(2)


class _Blur(torch.autograd.Function):
    """[N, C, H, W] -> the sum over (1,3,3,1) x (1,3,3,1), without the factor 1/64.

    Its own adjoint but for the padding, so every derivative is another blur: autograd through the slices would
    write one zero-padded copy for each of them.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, pad: int) -> Tensor:
        x = F.pad(x, (pad,) * 4)
        x = torch.add(x[..., :-3, :] + x[..., 3:, :], x[..., 1:-2, :] + x[..., 2:-1, :], alpha=3)
        return torch.add(x[..., :-3] + x[..., 3:], x[..., 1:-2] + x[..., 2:-1], alpha=3)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.pad = inputs[1]

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None]:
        return _Blur.apply(grad, 3 - ctx.pad), None

    @staticmethod
    def jvp(ctx, tangent: Tensor, _) -> Tensor:
        return _Blur.apply(tangent, ctx.pad)


def upsample(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, 2H, 2W]: zeros inserted, then the low-pass with gain 4, in polyphase form."""
    for dim in (2, 3):
        padded = F.pad(x, (0, 0, 1, 1) if dim == 2 else (1, 1, 0, 0))
        size = x.shape[dim]
        before, after = padded.narrow(dim, 0, size), padded.narrow(dim, 2, size)
        x = torch.stack((x.lerp(before, 0.25), x.lerp(after, 0.25)), dim + 1).flatten(dim, dim + 1)
    return x


def _band(size: int, up: bool) -> Tensor | None:
    """Matrix of the low-pass along one axis of ``size`` values, or None where additions are quicker.

    After an upsampling convolution ([size-1, size], integers); or with the zeros inserted, for ``up`` ([2 size, size]).
    """
    if size > 65:
        return None
    rows = torch.eye(size)
    if up:
        rows = torch.stack((rows / 4, torch.zeros_like(rows)), dim=1).flatten(0, 1)
    rows = F.pad(rows, (0, 0, 2, 1) if up else (0, 0, 1, 1))
    return rows[:-3] + 3 * rows[1:-2] + 3 * rows[2:-1] + rows[3:]


def _apply_band(x: Tensor, band: Tensor) -> Tensor:
    """[N, C, Q, Q] -> [N, C, P, P]: ``band`` [P, Q] along both axes, without copies if x is channels-last."""
    (n, c, q, _), p = x.shape, len(band)
    x = torch.matmul(band, x.permute(0, 2, 3, 1).reshape(n, q, q * c))
    x = torch.matmul(band, x.reshape(n * p, q, c))
    return x.reshape(n, p, p, c).permute(0, 3, 1, 2)


def _normal(*shape: int, rng: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape, generator=rng))


class Dense(nn.Module):
    """Dense layer with equalised learning rate: weights are stored divided by ``lr`` and fan-in scaling."""

    def __init__(self, n_in: int, n_out: int, lr: float = 1.0, bias: float = 0.0, *, rng: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, generator=rng) / lr)
        self.bias = nn.Parameter(torch.full((n_out,), float(bias)))
        self.lr = lr

    def forward(self, x: Tensor) -> Tensor:
        bias = self.bias * self.lr if self.lr != 1 else self.bias
        return torch.addmm(bias, x, self.weight.T, alpha=self.lr / math.sqrt(x.shape[1]))


def _unit_rms(x: Tensor) -> Tensor:
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


class MappingNetwork(nn.Module):
    """z [N, z_dim] and labels [N, c_dim] -> w [N, w_dim]."""

    def __init__(self, z_dim: int, w_dim: int, c_dim: int, layers: int, hidden: int, embed: int, lr: float,
                 rng: torch.Generator) -> None:
        super().__init__()
        self.layers = layers
        if c_dim:
            self.embed = Dense(c_dim, embed, rng=rng)
        widths = [z_dim + (embed if c_dim else 0)] + [hidden] * (layers - 1) + [w_dim]
        for i in range(layers):
            self.add_module(f"fc{i}", Dense(widths[i], widths[i + 1], lr, rng=rng))
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        x = _unit_rms(z)
        if c is not None:  # the embedding is normalised on its own, so neither part drowns the other
            x = torch.cat((x, _unit_rms(self.embed(c))), dim=1)
        for i in range(self.layers):
            x = F.leaky_relu(getattr(self, f"fc{i}")(x), SLOPE) * GAIN
        return x


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU; doubles the side if ``up``."""

    def __init__(self, n_in: int, n_out: int, w_dim: int, resolution: int, up: bool, rng: torch.Generator) -> None:
        super().__init__()
        self.up = up
        self.affine = Dense(w_dim, n_in, bias=1.0, rng=rng)
        self.weight = _normal(n_out, n_in, 3, 3, rng=rng)
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.register_buffer("resample_filter", LOWPASS.clone())
        self.register_buffer("band", _band(resolution + 1, up=False) if up else None, persistent=False)
        self.register_buffer("noise_const", torch.randn(resolution, resolution, generator=rng))

    def _noise(self, n: int, mode: str, rng: torch.Generator | None) -> Tensor:
        if mode == "const":
            return self.noise_const
        noise = torch.randn(n, 1, *self.noise_const.shape, generator=rng, device=rng.device)
        return noise.to(self.noise_const)

    def forward(self, x: Tensor, w: Tensor, dtype: torch.dtype, clamp: float, mode: str,
                rng: torch.Generator | None) -> Tensor:
        style = self.affine(w)
        exact = torch.promote_types(style.dtype, torch.float32)
        energy = self.weight.to(exact).square().sum(dim=(2, 3))
        scale = (torch.mm(style.to(exact).square(), energy.T) + 1e-8).rsqrt()
        # Leaky ReLU is positively homogeneous: its gain and the low-pass' 4/64 go into the per-channel factors.
        scale = scale * (GAIN / 16 if self.up else GAIN)
        shift = self.bias[:, None, None] * GAIN
        if mode != "none":
            shift = shift + self._noise(len(w), mode, rng) * (self.noise_strength * GAIN)
        x = x.to(dtype) * style.to(dtype)[:, :, None, None]
        weight = self.weight.to(dtype)
        if self.up:
            x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
            bands = self.band is not None and x.device.type == "cpu"
            x = _apply_band(x, self.band.to(dtype)) if bands else _Blur.apply(x, 1)
        else:
            x = F.conv2d(x, weight, padding=1)
        x = torch.addcmul(shift.to(dtype), x, scale.to(dtype)[:, :, None, None])
        return _clamp(F.leaky_relu(x, SLOPE), clamp)


def _clamp(x: Tensor, limit: float) -> Tensor:
    # hardtanh, not clamp: the same values, and one kernel instead of four on the way back
    return x if math.isinf(limit) else F.hardtanh(x, -limit, limit)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to the image channels: no demodulation, noise or activation."""

    def __init__(self, n_in: int, n_out: int, w_dim: int, rng: torch.Generator) -> None:
        super().__init__()
        self.affine = Dense(w_dim, n_in, bias=1.0, rng=rng)
        self.weight = _normal(n_out, n_in, 1, 1, rng=rng)
        self.bias = nn.Parameter(torch.zeros(n_out))

    def forward(self, x: Tensor, w: Tensor, dtype: torch.dtype, clamp: float) -> Tensor:
        style = self.affine(w) / math.sqrt(self.weight.shape[1])
        x = F.conv2d(x * style.to(dtype)[:, :, None, None], self.weight.to(dtype), self.bias.to(dtype))
        return _clamp(x, clamp)


class Block(nn.Module):
    """The layers of one resolution; the first block starts from a learned constant."""

    def __init__(self, n_in: int, n_out: int, w_dim: int, resolution: int, image_channels: int,
                 rng: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("resample_filter", LOWPASS.clone())
        if resolution == 4:
            self.const = _normal(n_out, 4, 4, rng=rng)
        else:
            self.register_buffer("band", _band(resolution // 2, up=True), persistent=False)
            self.conv0 = StyledConv(n_in, n_out, w_dim, resolution, up=True, rng=rng)
        self.conv1 = StyledConv(n_out, n_out, w_dim, resolution, up=False, rng=rng)
        self.torgb = ToRGB(n_out, image_channels, w_dim, rng)

    def enlarge(self, image: Tensor) -> Tensor:
        """The image so far at this block's resolution."""
        if self.band is not None and image.device.type == "cpu":
            return _apply_band(image, self.band.to(image.dtype))
        return upsample(image)


class StyleGAN2(Generator):
    """StyleGAN2 generator (skip architecture); latents z, w or w+, images about [-1, 1], not clipped.

    Args:
        z_dim, w_dim: sizes of z and w. c_dim: number of classes, 0 without labels.
        resolution: side of the image, a power of two from 8.
        channels: width of each resolution, ``{4: 64, 8: 64, ...}`` (keys may be text, as JSON has them).
        mapping_layers, mapping_hidden, mapping_embed: depth, hidden width and label embedding of the mapping
            network (widths default to w_dim). mapping_lr: its learning-rate multiplier.
        clamp: limit of activations, as ADA's released networks have it; ``math.inf`` for none.
        rng: source of the initial weights (default: seed 0).
    Raises:
        ValueError: the resolution is no power of two from 8, or ``channels`` does not name every resolution.

    ``truncation_psi`` and ``truncation_cutoff`` are attributes and apply whenever z is mapped: w moves towards
    ``mapping.w_avg`` by 1 - psi, in rows before the cutoff only if one is set. ``label`` (a class index, default
    None) is the class used where a caller passes none.
    """

    space = "w"

    def __init__(self, *, z_dim: int = 512, w_dim: int = 512, c_dim: int = 0, resolution: int,
                 channels: Mapping[int | str, int], mapping_layers: int = 8, mapping_hidden: int | None = None,
                 mapping_embed: int | None = None, mapping_lr: float = 0.01, clamp: float = 256.0,
                 image_channels: int = 3, rng: torch.Generator | None = None) -> None:
        super().__init__()
        if resolution < 8 or resolution & (resolution - 1):
            raise ValueError(f"StyleGAN2: resolution={resolution}, expected a power of two from 8")
        sides = [2**i for i in range(2, resolution.bit_length())]
        channels = {int(side): int(width) for side, width in channels.items()}
        if sorted(channels) != sides:
            raise ValueError(f"StyleGAN2: channels names resolutions {sorted(channels)}, expected {sides}")
        rng = rng or torch.Generator().manual_seed(0)
        self.config = dict(
            z_dim=z_dim, w_dim=w_dim, c_dim=c_dim, resolution=resolution, channels=channels,
            mapping_layers=mapping_layers, mapping_hidden=mapping_hidden or w_dim,
            mapping_embed=mapping_embed or w_dim, mapping_lr=mapping_lr, clamp=clamp, image_channels=image_channels)
        self.latent_dim, self.w_dim, self.c_dim, self.resolution = z_dim, w_dim, c_dim, resolution
        self.n_layers = 2 * len(sides)
        self.clamp = clamp
        self.truncation_psi, self.truncation_cutoff = 1.0, None
        self.label: int | None = None
        self.mapping = MappingNetwork(z_dim, w_dim, c_dim, mapping_layers, self.config["mapping_hidden"],
                                      self.config["mapping_embed"], mapping_lr, rng)
        self.synthesis = nn.Module()
        for side in sides:
            self.synthesis.add_module(
                f"b{side}", Block(channels.get(side // 2, 0), channels[side], w_dim, side, image_channels, rng))
        self.layer_names = tuple(name for name, _ in self._convs())

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor], *, clamp: float | None = None,
                        mapping_lr: float = 0.01) -> StyleGAN2:
        """The network of a state dict in the ADA layout, every size read off the tensors.

        The state does not say the clamp (None: 256, as released files have it) nor the mapping network's
        learning-rate multiplier. A state without ``mapping.w_avg`` gets the mean of 10,000 mapped latents.

        Raises:
            ValueError: names are missing or left over, or the low-pass is not (1, 3, 3, 1).
        """
        try:
            sides = sorted(int(k.split(".")[1][1:]) for k in state if k.endswith(".conv1.affine.weight"))
            layers = sum(k.startswith("mapping.fc") and k.endswith(".weight") for k in state)
            embed, c_dim = state["mapping.embed.weight"].shape if "mapping.embed.weight" in state else (0, 0)
            first = state["mapping.fc0.weight"]
            net = cls(
                z_dim=first.shape[1] - embed, w_dim=state["synthesis.b4.conv1.affine.weight"].shape[1], c_dim=c_dim,
                resolution=sides[-1], channels={s: len(state[f"synthesis.b{s}.conv1.weight"]) for s in sides},
                mapping_layers=layers, mapping_hidden=len(first) if layers > 1 else None,
                mapping_embed=embed or None, mapping_lr=mapping_lr, clamp=256.0 if clamp is None else clamp,
                image_channels=len(state["synthesis.b4.torgb.weight"]))
        except (KeyError, IndexError) as error:
            raise ValueError(f"not a StyleGAN2 state dict in the ADA layout (skip architecture): {error}") from error
        for name, value in state.items():
            if name.endswith("resample_filter") and not torch.allclose(value.float().cpu(), LOWPASS, atol=1e-4):
                raise ValueError(f"{name} is not the (1, 3, 3, 1) low-pass, the only one that StyleGAN2 here applies")
        missing, unexpected = net.load_state_dict(state, strict=False)
        wanted = [name for name in missing if name != "mapping.w_avg"]
        if wanted or unexpected:
            raise ValueError(f"StyleGAN2 state dict: missing {wanted}, not understood {unexpected}; only the skip "
                             "architecture in the ADA layout can be read")
        if missing:
            net.mapping.w_avg.copy_(net._estimate_w_avg())
        return net

    @torch.no_grad()
    def _estimate_w_avg(self, n: int = 10_000) -> Tensor:
        rng = torch.Generator().manual_seed(0)
        z = torch.randn(n, self.latent_dim, generator=rng)
        c = F.one_hot(torch.arange(n) % self.c_dim, self.c_dim).float() if self.c_dim else None
        return self.mapping(z, c).mean(dim=0)

    # -- latents -----------------------------------------------------------------------------------
    def map(self, z: Tensor, c: Tensor | None = None, *, truncation_psi: float | None = None,
            truncation_cutoff: int | None = None) -> Tensor:
        """w [N, w_dim] of z [N, z_dim]; with a truncation cutoff w+ [N, L, w_dim], since its rows then differ.

        ``c``: labels, [N, c_dim] or class indices [N]. Truncation arguments default to the attributes.
        """
        psi = self.truncation_psi if truncation_psi is None else truncation_psi
        cutoff = self.truncation_cutoff if truncation_cutoff is None else truncation_cutoff
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"StyleGAN2: expected z [N, {self.latent_dim}], got {tuple(z.shape)}")
        mapping = self.mapping
        with torch.autocast(z.device.type, enabled=False):  # the mapping is cheap; bf16 would only lose digits
            w = mapping(z.to(mapping.w_avg.dtype), self._labels(c, len(z)))
            if psi == 1:
                return w
            truncated = mapping.w_avg.lerp(w, psi)
        if cutoff is None:
            return truncated
        rows = torch.arange(self.n_layers, device=w.device)[:, None] < cutoff
        return torch.where(rows, truncated[:, None], w[:, None])

    def _labels(self, c: Tensor | None, n: int) -> Tensor | None:
        if not self.c_dim:
            return None
        if c is None:
            if self.label is None:
                raise ValueError(f"StyleGAN2: this network has {self.c_dim} classes: pass labels c, or set .label "
                                 "to the class to use where none is given")
            c = torch.full((n,), self.label, dtype=torch.int64)
        c = c.to(self.device)
        return (c if c.ndim == 2 else F.one_hot(c, self.c_dim)).to(self.mapping.w_avg.dtype)

    def sample(self, n: int, rng: torch.Generator, space: str | None = None, c: Tensor | None = None) -> Tensor:
        """Latents [n, D] of ``space``, for w+ [n, L, D]; mapped ones truncated as the attributes say."""
        z, space = self.sample_z(n, rng), self.check_space(space)
        if space == "z":
            return z
        w = self.map(z, c)
        return self._rows(w) if space == "w+" else w

    @torch.no_grad()
    def update_w_avg(self, w: Tensor, decay: float = 0.998) -> None:
        """Moves the centre of truncation towards the mean of w [N, w_dim]; for the trainer."""
        self.mapping.w_avg.lerp_(w.detach().float().mean(dim=0).to(self.mapping.w_avg.dtype), 1 - decay)

    def _rows(self, w: Tensor) -> Tensor:
        """w+ [N, L, D] of w or w+."""
        if w.shape[-1] != self.w_dim or w.ndim not in (2, 3) or (w.ndim == 3 and w.shape[1] != self.n_layers):
            raise ValueError(f"StyleGAN2: expected w [N, {self.w_dim}] or w+ [N, {self.n_layers}, {self.w_dim}], "
                             f"got {tuple(w.shape)}")
        return w if w.ndim == 3 else w[:, None].expand(-1, self.n_layers, -1)

    def _to_rows(self, latent: Tensor, space: str | None, c: Tensor | None) -> Tensor:
        latent = self.map(latent, c) if self.check_space(space) == "z" else latent
        return self._rows(latent).to(self.mapping.w_avg.dtype)

    # -- images and activations ----------------------------------------------------------------------
    def forward(self, z: Tensor, c: Tensor | None = None, *, noise_mode: str = "const",
                rng: torch.Generator | None = None) -> Tensor:
        """Images [N, 3, R, R] of z; see ``synthesize``."""
        return self.synthesize(z, "z", c, noise_mode=noise_mode, rng=rng)

    def synthesize(self, latent: Tensor, space: str | None = None, c: Tensor | None = None, *,
                   noise_mode: str = "const", rng: torch.Generator | None = None) -> Tensor:
        """Images [N, 3, R, R], about [-1, 1] and not clipped, of z or w [N, D] or w+ [N, L, D].

        ``noise_mode``: ``"const"`` (stored noise), ``"none"``, or ``"random"`` (drawn from ``rng`` on its device).
        Computes in the weights' dtype or autocast's; the image is summed up in at least float32.
        """
        image = None
        rows = self._to_rows(latent, space, c)
        for i, (name, x) in enumerate(self._layers(rows, noise_mode, rng)):
            if not name.endswith("conv1"):
                continue
            block = self._block(name)
            with torch.autocast(x.device.type, enabled=False):
                part = block.torgb(x, rows[:, i + 1], x.dtype, self.clamp)
                part = part.to(torch.promote_types(part.dtype, torch.float32))
                image = part if image is None else part + block.enlarge(image)
        return image.contiguous()

    def activations(self, latent: Tensor, layer: str, space: str | None = None, c: Tensor | None = None) -> Tensor:
        """Output [N, C, H, W] of a styled convolution (``"b4.conv1"``, ``"b8.conv0"``, ...), with stored noise."""
        self.check_layer(layer)
        rows = self._to_rows(latent, space, c)
        return next(x for name, x in self._layers(rows, "const", None) if name == layer).contiguous()

    def _convs(self) -> Iterator[tuple[str, StyledConv]]:
        for name, block in self.synthesis.named_children():
            if hasattr(block, "conv0"):
                yield f"{name}.conv0", block.conv0
            yield f"{name}.conv1", block.conv1

    def _layers(self, rows: Tensor, mode: str, rng: torch.Generator | None) -> Iterator[tuple[str, Tensor]]:
        """(name, output) of the styled convolutions, lazily, so that a caller can stop early."""
        if mode not in NOISE_MODES or (mode == "random" and rng is None):
            raise ValueError(f"StyleGAN2: noise_mode={mode!r} with rng={rng}; expected one of "
                             f"{', '.join(NOISE_MODES)}, and an rng for 'random'")
        kind = rows.device.type
        x = self.synthesis.b4.const[None]
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        if kind == "cpu":  # upsampling convolutions are twice as quick, and band matrices apply without copies
            x = x.contiguous(memory_format=torch.channels_last)
        for i, (name, conv) in enumerate(self._convs()):
            with torch.autocast(kind, enabled=False):
                x = conv(x, rows[:, i], dtype, self.clamp, mode, rng)
            yield name, x

    def _block(self, name: str) -> Block:
        return getattr(self.synthesis, name.split(".")[0])

    # -- styles ------------------------------------------------------------------------------------
    def affine_weights(self, layers: Layers = "all") -> list[Tensor]:
        """Style affine weights [C, w_dim] as stored, one for each row of w+; the last row is the final ToRGB's.

        A ToRGB below the last shares its row with the next block's first convolution, which stands for it.
        """
        affines = [conv.affine for _, conv in self._convs()]
        affines.append(self._block(self.layer_names[-1]).torgb.affine)
        chosen = self.layer_ids(layers)
        return [affines[i].weight.detach() for i in (range(self.n_layers) if chosen is None else chosen)]

    def styles(self, latent: Tensor, space: str | None = None, c: Tensor | None = None) -> dict[str, Tensor]:
        """Output [N, C] of every style affine, keyed ``"b4.conv1"``, ``"b4.torgb"``, ...: the space s."""
        rows, out = self._to_rows(latent, space, c), {}
        for i, (name, conv) in enumerate(self._convs()):
            out[name] = conv.affine(rows[:, i])
            if name.endswith("conv1"):
                out[name.replace("conv1", "torgb")] = self._block(name).torgb.affine(rows[:, i + 1])
        return out

"""Layers of StyleGAN2 in plain PyTorch: trainable, differentiable twice, and quick on a CPU.

Two things differ from the released code in how, not in what. In 3x3 convolutions styles scale the *activations* and
demodulation scales the output (equal to modulating the weights, since a convolution is linear), so that a batch shares
its weights. The 4x4 low-pass is made of shifted additions along each axis in turn; on a CPU it is one convolution of
each channel (2 to 5 times quicker there) or, for images up to 64 pixels, a product with a band matrix (3 to 20 times).

Modules, parameters and buffers have the names of the ADA release (arXiv:2006.06676).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TAPS = torch.tensor([1.0, 3.0, 3.0, 1.0])
LOWPASS = TAPS.outer(TAPS) / 64  # sums to 1, as released files store it
PRODUCTS_ON = ("cpu",)  # devices where a low-pass is a convolution or a product
SLOPE = 0.2
GAIN = math.sqrt(2)


class Blur(torch.autograd.Function):
    """[N, C, H, W] -> the sum over (1,3,3,1) x (1,3,3,1), without the factor 1/64.

    Its own adjoint but for the padding, so every derivative is another blur: autograd through the slices
    would write one zero-padded copy for each of them.
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
        return Blur.apply(grad, 3 - ctx.pad), None

    @staticmethod
    def jvp(ctx, tangent: Tensor, _) -> Tensor:
        return Blur.apply(tangent, ctx.pad)


def blur(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, H-1, W-1]: padded by 1, then the sum over (1,3,3,1) x (1,3,3,1), without the 1/64."""
    if x.device.type in PRODUCTS_ON and x.dtype in (torch.float32, torch.bfloat16):  # others lack the quick kernel
        kernel = TAPS.outer(TAPS).to(x).expand(x.shape[1], 1, 4, 4)
        return F.conv2d(x, kernel, padding=1, groups=x.shape[1])
    return Blur.apply(x, 1)


def upsample(x: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, 2H, 2W]: zeros inserted, then the low-pass with gain 4, in polyphase form."""
    for dim in (2, 3):
        padded = F.pad(x, (0, 0, 1, 1) if dim == 2 else (1, 1, 0, 0))
        size = x.shape[dim]
        before, after = padded.narrow(dim, 0, size), padded.narrow(dim, 2, size)
        x = torch.stack((x.lerp(before, 0.25), x.lerp(after, 0.25)), dim + 1).flatten(dim, dim + 1)
    return x


def _band(size: int) -> Tensor | None:
    """[2 size, size]: ``upsample`` along one axis of ``size`` values; None where additions are quicker."""
    if size > 64:
        return None
    rows = torch.stack((torch.eye(size) / 4, torch.zeros(size, size)), dim=1).flatten(0, 1)
    rows = F.pad(rows, (0, 0, 2, 1))
    return rows[:-3] + 3 * rows[1:-2] + 3 * rows[2:-1] + rows[3:]


def _normal(*shape: int, rng: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape, generator=rng))


class Dense(nn.Module):
    """Dense layer with equalised learning rate: weights are stored divided by ``lr`` and fan-in scaling."""

    def __init__(self, n_in: int, n_out: int, lr: float = 1.0, bias: float = 0.0, *,
                 rng: torch.Generator) -> None:
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
    """z [N, z_dim] and labels [N, c_dim] -> w [N, w_dim].

    The label's ``embed`` numbers are normalised apart from z; or, where ``joint``, they are rows of ``label_weight`` as
    they are, normalised with z (StyleGAN1, and genforce's StyleGAN2).
    """

    w_avg: Tensor

    def __init__(self, z_dim: int, w_dim: int, c_dim: int, layers: int, hidden: int, embed: int, lr: float,
                 rng: torch.Generator, joint: bool = False) -> None:
        super().__init__()
        self.layers, self.joint = layers, joint
        if c_dim and joint:
            self.label_weight = _normal(c_dim, embed, rng=rng)
        elif c_dim:
            self.embed = Dense(c_dim, embed, rng=rng)
        widths = [z_dim + (embed if c_dim else 0)] + [hidden] * (layers - 1) + [w_dim]
        for i in range(layers):
            self.add_module(f"fc{i}", Dense(widths[i], widths[i + 1], lr, rng=rng))
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        if c is None:
            x = _unit_rms(z)
        elif self.joint:
            x = _unit_rms(torch.cat((z, c @ self.label_weight), dim=1))
        else:  # the embedding is normalised on its own, so neither part drowns the other
            x = torch.cat((_unit_rms(z), _unit_rms(self.embed(c))), dim=1)
        for i in range(self.layers):
            x = F.leaky_relu(getattr(self, f"fc{i}")(x), SLOPE) * GAIN
        return x


class StyledConv(nn.Module):
    """Modulated 3x3 convolution, noise, bias, leaky ReLU; doubles the side if ``up``."""

    resample_filter: Tensor
    noise_const: Tensor

    def __init__(self, n_in: int, n_out: int, w_dim: int, resolution: int, up: bool,
                 rng: torch.Generator) -> None:
        super().__init__()
        self.up = up
        self.affine = Dense(w_dim, n_in, bias=1.0, rng=rng)
        self.weight = _normal(n_out, n_in, 3, 3, rng=rng)
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.register_buffer("resample_filter", LOWPASS.clone())
        self.register_buffer("noise_const", torch.randn(resolution, resolution, generator=rng))

    def _noise(self, n: int, mode: str, rng: torch.Generator | None) -> Tensor:
        if mode == "const":
            return self.noise_const
        assert rng is not None  # "random" without one was refused
        noise = torch.randn(n, 1, *self.noise_const.shape, generator=rng, device=rng.device)
        return noise.to(self.noise_const)

    def forward(self, x: Tensor, w: Tensor, dtype: torch.dtype, clamp: float, mode: str,
                rng: torch.Generator | None) -> Tensor:
        """[N, n_out, R, R] in ``dtype`` of x [N or 1, n_in, R or R/2, same] and w [N, w_dim]."""
        style = self.affine(w)
        exact = torch.promote_types(style.dtype, torch.float32)
        energy = self.weight.to(exact).square().sum(dim=(2, 3))
        scale = (torch.mm(style.to(exact).square(), energy.T) + 1e-8).rsqrt()
        # Leaky ReLU is positively homogeneous: its gain and the low-pass' 4/64 go into the channels' factors.
        scale = scale * (GAIN / 16 if self.up else GAIN)
        shift = self.bias[:, None, None] * GAIN
        if mode != "none":
            shift = shift + self._noise(len(w), mode, rng) * (self.noise_strength * GAIN)
        shift = shift.to(dtype)
        if x.device.type == "cpu" and shift.shape[-1] > 1:  # a sum takes the layout of its first term: keep x's
            shift = shift.reshape(-1, *shift.shape[-3:]).contiguous(memory_format=torch.channels_last)
        x = x.to(dtype) * style.to(dtype)[:, :, None, None]
        weight = self.weight.to(dtype)
        x = blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)) if self.up else F.conv2d(x, weight, padding=1)
        place = x if torch.is_inference_mode_enabled() else None  # the product is in nobody else's hands
        x = torch.addcmul(shift, x, scale.to(dtype)[:, :, None, None], out=place)
        return _clamp(F.leaky_relu(x, SLOPE, inplace=True), clamp)


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

    def forward(self, x: Tensor, w: Tensor, clamp: float) -> Tensor:
        """[N, image channels, R, R] in the dtype of x [N, n_in, R, R]."""
        style = self.affine(w) / math.sqrt(self.weight.shape[1])
        weight = (style[:, None] * self.weight.flatten(1)).to(x.dtype)  # smaller than x by far, unlike in StyledConv
        rgb = torch.baddbmm(self.bias.to(x.dtype)[:, None], weight, x.flatten(2))
        return _clamp(rgb.unflatten(2, x.shape[2:]), clamp)


class Block(nn.Module):
    """The layers of one resolution; the first block starts from a learned constant."""

    resample_filter: Tensor
    band: Tensor | None

    def __init__(self, n_in: int, n_out: int, w_dim: int, resolution: int, image_channels: int,
                 rng: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("resample_filter", LOWPASS.clone())
        if resolution == 4:
            self.const = _normal(n_out, 4, 4, rng=rng)
        else:
            self.register_buffer("band", _band(resolution // 2), persistent=False)
            self.conv0 = StyledConv(n_in, n_out, w_dim, resolution, up=True, rng=rng)
        self.conv1 = StyledConv(n_out, n_out, w_dim, resolution, up=False, rng=rng)
        self.torgb = ToRGB(n_out, image_channels, w_dim, rng)

    def enlarge(self, image: Tensor) -> Tensor:
        """The image so far at this block's resolution."""
        if self.band is None or image.device.type not in PRODUCTS_ON:
            return upsample(image)
        band = self.band.to(image.dtype)
        return torch.matmul(torch.matmul(band, image), band.T)

"""Layers and schedule of StyleGAN3 (Karras et al., NeurIPS 2021, arXiv:2106.12423) in plain PyTorch.

As in ``stylegan2_layers``, styles scale the activations and demodulation the output, so that a batch shares its
weights; styles are normalised for each sample rather than over the batch (demodulation cancels the difference), so
that an image does not depend on its batch. Parameters and buffers have the names of NVlabs/stylegan3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import signal, special
from torch import Tensor, nn

from dirbench.benchmarks.generators._layers import normal
from dirbench.benchmarks.generators.stylegan2_layers import Dense

BAND_LIMIT = 256  # sides up to which upsampling is a product with a band matrix (2 to 4 times quicker on a CPU)


@dataclass(frozen=True)
class Step:
    """Where one layer is in the schedule: side, samples a unit length, cutoff and half-width of its output."""

    size: int
    rate: float
    cutoff: float
    half_width: float


def schedule(resolution: int, n_layers: int, num_critical: int = 2, first_cutoff: float = 2.0,
             first_stopband: float = 2**2.1, last_stopband_rel: float = 2**0.3, margin_size: int = 10) -> list[Step]:
    """The n_layers + 1 steps of a generator (the last is the image's), Sec. 3.2 and Fig. 4 of the paper.

    Cutoffs and stopbands grow geometrically up to the first critically sampled layer; the rate is the power of two
    that holds twice the stopband, and no more than the image has.

    Raises:
        ValueError: settings that give no schedule.
    """
    if not (0 <= num_critical < n_layers and 0 < first_cutoff < resolution / 2 and first_stopband > first_cutoff
            and last_stopband_rel >= 1 and margin_size >= 0):
        raise ValueError(f"StyleGAN3: no schedule has resolution={resolution}, n_layers={n_layers}, "
                         f"num_critical={num_critical}, first_cutoff={first_cutoff}, first_stopband={first_stopband}, "
                         f"last_stopband_rel={last_stopband_rel}, margin_size={margin_size}")
    last = resolution / 2
    steps = []
    for i in range(n_layers + 1):
        progress = min(i / (n_layers - num_critical), 1)
        cutoff = first_cutoff * (last / first_cutoff) ** progress
        stopband = first_stopband * (last * last_stopband_rel / first_stopband) ** progress
        rate = 2 ** math.ceil(math.log2(min(2 * stopband, resolution)))
        size = resolution if i >= n_layers - 1 else rate + 2 * margin_size
        steps.append(Step(size, rate, cutoff, max(stopband, rate / 2) - cutoff))
    return steps


@dataclass(frozen=True)
class Geometry:
    """How one layer resamples: factors, taps, padding (before, after) of the upsampled map, radial downsampling."""

    before: Step
    after: Step
    up: int
    down: int
    up_taps: int
    down_taps: int
    padding: tuple[int, int]
    radial: bool
    rate: float  # at which the nonlinearity works

    @classmethod
    def of(cls, before: Step, after: Step, kernel: int, filter_size: int, radial: bool, rgb: bool) -> Geometry:
        """The geometry between two steps; the image layer (``rgb``) does not resample."""
        if rgb:
            return cls(before, after, 1, 1, 1, 1, (0, 0), False, after.rate)
        rate = 2 * max(before.rate, after.rate)
        up, down = int(rate // before.rate), int(rate // after.rate)
        up_taps, down_taps = filter_size * up, filter_size * down
        # what the last size needs, less what the convolution (padded by kernel - 1) gives
        total = (after.size - 1) * down + 1 - (before.size + kernel - 1) * up + up_taps + down_taps - 2
        low = (total + up) // 2
        return cls(before, after, up, down, up_taps, down_taps, (low, total - low), radial, rate)

    def filters(self) -> tuple[Tensor, Tensor]:
        """(up [T], down [T] or [T, T]) low-passes; see :func:`lowpass`."""
        return (lowpass(self.up_taps, self.before.cutoff, 2 * self.before.half_width, self.rate, radial=False),
                lowpass(self.down_taps, self.after.cutoff, 2 * self.after.half_width, self.rate, self.radial))


def lowpass(taps: int, cutoff: float, width: float, rate: float, radial: bool) -> Tensor:
    """Kaiser-windowed low-pass, sum 1: a sinc [taps], or the radially symmetric jinc [taps, taps] (App. C)."""
    if not radial:
        return torch.tensor(signal.firwin(taps, cutoff, width=width, fs=rate), dtype=torch.float32)
    x = (np.arange(taps) - (taps - 1) / 2) / rate  # an even number of taps: no tap at 0
    radius = np.hypot(*np.meshgrid(x, x))
    window = np.kaiser(taps, signal.kaiser_beta(signal.kaiser_atten(taps, width / (rate / 2))))
    kernel = special.j1(2 * np.pi * cutoff * radius) / (np.pi * radius) * np.outer(window, window)
    return torch.tensor(kernel / kernel.sum(), dtype=torch.float32)


class FourierInput(nn.Module):
    """w -> a map of Fourier features, rotated and moved as the first row of w+ says."""

    transform: Tensor
    freqs: Tensor
    phases: Tensor

    def __init__(self, w_dim: int, channels: int, step: Step, rng: torch.Generator) -> None:
        super().__init__()
        self.step = step
        freqs = torch.randn(channels, 2, generator=rng)
        square = freqs.square().sum(dim=1, keepdim=True)
        self.weight = normal(channels, channels, rng=rng)
        self.affine = Dense(w_dim, 4, rng=rng)
        self.affine.weight = nn.Parameter(torch.zeros(4, w_dim))
        self.affine.bias = nn.Parameter(torch.eye(1, 4)[0])
        self.register_buffer("transform", torch.eye(3))
        self.register_buffer("freqs", freqs / (square.sqrt() * (square / 4).exp()) * step.cutoff)  # within the band
        self.register_buffer("phases", torch.rand(channels, generator=rng) - 0.5)

    def forward(self, w: Tensor) -> Tensor:
        """[N, C, S, S] of w [N, w_dim]; waves and phases in at least float32."""
        exact = torch.promote_types(w.dtype, torch.float32)
        t = self.affine(w).to(exact)
        t = t / t[:, :2].norm(dim=1, keepdim=True)
        cos, sin = t[:, 0], t[:, 1]
        rotation = torch.stack((torch.stack((cos, -sin), 1), torch.stack((sin, cos), 1)), 1)  # [N, 2, 2]
        user = self.transform.to(exact)
        # rotation, then the move by -(t2, t3), then the user's transform, as one 2x2 matrix and one shift
        shift = rotation @ (user[:2, 2] - t[:, 2:])[:, :, None]
        matrix = rotation @ user[:2, :2]
        freqs, phases = self.freqs.to(exact) @ matrix, self.phases.to(exact) + (self.freqs.to(exact) @ shift)[:, :, 0]
        band, nyquist = self.step.cutoff, self.step.rate / 2
        gain = (1 - (freqs.norm(dim=2) - band) / (nyquist - band)).clamp(0, 1)
        size = self.step.size
        places = (torch.arange(size, device=w.device, dtype=exact) + 0.5 - size / 2) / self.step.rate
        across, down = freqs[:, :, :1] * places, freqs[:, :, 1:] * places + phases[:, :, None]
        waves = torch.sin(2 * math.pi * (across[:, :, None] + down[..., None])) * gain[:, :, None, None]
        mix = self.weight / math.sqrt(len(self.weight))
        return torch.einsum("oc,nchw->nohw", mix, waves.to(mix.dtype))


class Layer(nn.Module):
    """Modulated convolution, then bias, leaky ReLU and clamp between an upsampling and a downsampling."""

    magnitude_ema: Tensor
    up_filter: Tensor
    down_filter: Tensor

    def __init__(self, n_in: int, n_out: int, w_dim: int, kernel: int, geometry: Geometry, rgb: bool,
                 rng: torch.Generator) -> None:
        super().__init__()
        self.geometry, self.rgb = geometry, rgb
        self.affine = Dense(w_dim, n_in, bias=1.0, rng=rng)
        self.weight = normal(n_out, n_in, kernel, kernel, rng=rng)
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.register_buffer("magnitude_ema", torch.ones([]))
        if not rgb:
            up, down = geometry.filters()
            self.register_buffer("up_filter", up)
            self.register_buffer("down_filter", down)

    def forward(self, x: Tensor, w: Tensor, clamp: float) -> Tensor:
        """[N, n_out, S', S'] of x [N, n_in, S, S] and w [N, w_dim]."""
        style: Tensor = self.affine(w)
        weight: Tensor = self.weight
        exact = torch.promote_types(style.dtype, torch.float32)
        size = weight.shape[-1]
        magnitude = self.magnitude_ema.rsqrt()
        if self.rgb:
            x = x * (style * (magnitude / math.sqrt(weight[0].numel())))[:, :, None, None]
            return _clamp(F.conv2d(x, weight, self.bias, padding=size - 1), clamp)
        weight = weight * weight.square().mean(dim=(1, 2, 3), keepdim=True).rsqrt()
        style = style * style.square().mean(dim=1, keepdim=True).rsqrt()
        energy = weight.to(exact).square().sum(dim=(2, 3))
        scale = (style.to(exact).square() @ energy.T + 1e-8).rsqrt().to(x.dtype)
        x = F.conv2d(x * (style * magnitude)[:, :, None, None], weight, padding=size - 1)
        x = x * scale[:, :, None, None] + self.bias[:, None, None]
        x = upsample(x, self.up_filter, self.geometry.up, *self.geometry.padding)
        x = _clamp(F.leaky_relu(x, 0.2) * math.sqrt(2), clamp)
        return downsample(x, self.down_filter, self.geometry.down)


def _clamp(x: Tensor, limit: float) -> Tensor:
    return x if math.isinf(limit) else F.hardtanh(x, -limit, limit)


def upsample(x: Tensor, taps: Tensor, factor: int, low: int, high: int) -> Tensor:
    """[N, C, H, H] -> ``factor`` times the samples along both axes: zeros inserted, padded, low-passed with gain.

    ``low``, ``high``: zeros before and after the enlarged map, or samples cut off where negative. The filter acts as a
    true convolution, without padding of its own.
    """
    taps, (side, n) = (taps * factor).to(x.dtype), (x.shape[-1], len(taps))
    out = side * factor + low + high - n + 1
    if side <= BAND_LIMIT:
        index = torch.arange(out, device=x.device)[:, None] + (n - 1 - low)
        index = index - factor * torch.arange(side, device=x.device)
        band = torch.where((index >= 0) & (index < n), taps[index.clamp(0, n - 1)], 0)  # [out, side]
        return torch.matmul(torch.matmul(band, x), band.T)
    kernel = taps.expand(x.shape[1], 1, n)
    crop = (low + 1 - n, factor + high - n)
    x = F.conv_transpose2d(x, kernel[..., None], stride=(factor, 1), groups=x.shape[1])
    x = F.pad(x, (0, 0, *crop))
    x = F.conv_transpose2d(x, kernel[:, :, None], stride=(1, factor), groups=x.shape[1])
    return F.pad(x, crop)


def downsample(x: Tensor, taps: Tensor, factor: int) -> Tensor:
    """[N, C, H, H] low-passed (as a true convolution, without padding), every ``factor``-th sample along both axes."""
    taps, c = taps.to(x.dtype), x.shape[1]
    if taps.ndim == 2:
        return F.conv2d(x, taps.flip(0, 1).expand(c, 1, -1, -1), stride=factor, groups=c)
    kernel = taps.flip(0).expand(c, 1, -1)
    x = F.conv2d(x, kernel[..., None], stride=(factor, 1), groups=c)
    return F.conv2d(x, kernel[:, :, None], stride=(1, factor), groups=c)

"""A small residual discriminator for images of 16 pixels and more."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2
GAIN = math.sqrt(2)  # restores the variance that a leaky ReLU takes (StyleGAN2, arXiv:1912.04958)


class EqualConv(nn.Module):
    """Convolution with equalised learning rate: unit-variance weights, scaled by 1 / sqrt(fan in) in use."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, activate: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if activate else None
        # The gain of the activation is folded into the weight: leaky ReLU is homogeneous.
        self.scale = (GAIN if activate else 1.0) / math.sqrt(inputs * kernel * kernel)
        self.stride, self.padding, self.activate = stride, (kernel - 1) // 2, activate

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias * GAIN
        x = F.conv2d(x, self.weight * self.scale, bias, self.stride, self.padding)
        return F.leaky_relu(x, SLOPE) if self.activate else x


class EqualLinear(nn.Module):
    """Dense layer with equalised learning rate, optionally followed by leaky ReLU with gain sqrt(2)."""

    def __init__(self, inputs: int, outputs: int, activate: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.gain = GAIN if activate else 1.0
        self.scale, self.activate = self.gain / math.sqrt(inputs), activate

    def forward(self, x: Tensor) -> Tensor:
        x = F.linear(x, self.weight * self.scale, self.bias * self.gain)
        return F.leaky_relu(x, SLOPE) if self.activate else x


class Block(nn.Module):
    """Residual block that halves the side; pooling between the two convolutions is the low-pass filter."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.first, self.second = EqualConv(inputs, inputs, 3), EqualConv(inputs, outputs, 3)
        self.skip = EqualConv(inputs, outputs, 1, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        body = self.second(F.avg_pool2d(self.first(x), 2))
        return (body + self.skip(F.avg_pool2d(x, 2))) * math.sqrt(0.5)


def minibatch_stddev(x: Tensor, group: int) -> Tensor:
    """``x`` [N, C, H, W] with one more channel: the mean standard deviation within groups of ``group`` images.

    Group j holds images j, j + N/group, j + 2 N/group, ... (Karras et al., arXiv:1710.10196, Sec. 3).
    Where ``group`` does not divide N the largest smaller divisor is used.
    """
    n, c, h, w = x.shape
    group = max(g for g in range(1, min(group, n) + 1) if n % g == 0)
    y = x.float().reshape(group, n // group, c, h, w)
    variance = (y - y.mean(dim=0)).square().mean(dim=0)
    spread = (variance + 1e-8).sqrt().mean(dim=(1, 2, 3))  # [N / group]
    channel = spread.to(x.dtype).reshape(1, -1, 1, 1, 1).expand(group, -1, 1, h, w).reshape(n, 1, h, w)
    return torch.cat([x, channel], dim=1)


class Discriminator(nn.Module):
    """Realness logits [N] of images [N, 3, R, R] in [-1, 1].

    ``channels`` maps sides R/2, R/4, ..., 4 to widths. A stem is a 4x4 convolution of stride 2, so that nothing wide
    runs at full size: half of the cost of the usual design. With ``low`` a second stem feeds the image at half size
    past the first block, so that a discriminator of half the resolution is part of this one (see ``grow_from``).

    Raises ValueError where ``channels`` does not name just these sides.
    """

    def __init__(self, resolution: int, channels: dict[int, int], rng: torch.Generator, low: bool = False,
                 group: int = 4):
        super().__init__()
        sides = [resolution >> i for i in range(1, resolution.bit_length()) if resolution >> i >= 4]
        if resolution < 8 or resolution & (resolution - 1) or sorted(channels) != sorted(sides):
            raise ValueError(f"discriminator: for resolution {resolution} the widths must be given for the sides "
                             f"{sides} (a power of two, 8 or more), got {sorted(channels)}")
        self.stem = EqualConv(3, channels[sides[0]], 4, stride=2)
        self.blocks = nn.ModuleList(Block(channels[a], channels[b]) for a, b in pairwise(sides))
        self.low = EqualConv(3, channels[sides[1]], 4, stride=2) if low else None
        self.high = nn.Parameter(torch.ones(())) if self.low is not None else None
        last = channels[4]
        self.group = group
        self.last = EqualConv(last + 1, last, 3)
        self.dense, self.out = EqualLinear(last * 16, last), EqualLinear(last, 1, activate=False)
        for p in self.parameters():
            if p.ndim > 1:
                p.data.normal_(generator=rng)

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem(images)
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i == 0 and self.low is not None:
                x = x * self.high + self.low(F.avg_pool2d(images, 2))
        x = self.last(minibatch_stddev(x, self.group))
        return self.out(self.dense(x.flatten(1))).squeeze(1)

    @torch.no_grad()
    def grow_from(self, small: Discriminator) -> None:
        """Take over ``small``, of half the resolution: the same judgement at first, of the image at half size."""
        state = {f"blocks.{int(k.split('.')[1]) + 1}.{k.split('.', 2)[2]}" if k.startswith("blocks.") else
                 k.replace("stem.", "low."): v for k, v in small.state_dict().items()}
        mine = self.state_dict()
        new = ("stem.", "blocks.0.", "high")
        wrong = [k for k in mine.keys() | state.keys() if not k.startswith(new)
                 and (k not in mine or k not in state or mine[k].shape != state[k].shape)]
        if wrong or self.low is None or self.high is None:
            raise ValueError(f"grow_from: the smaller discriminator does not fit this one at {sorted(wrong) or 'low'}")
        self.load_state_dict(state, strict=False)
        self.high.zero_()

"""Building blocks of ResNet-50 (He et al., "Deep Residual Learning", CVPR 2016, Table 1), frozen and folded.

Widths are read off the tensors' shapes; names are torchvision's, which OpenAI's CLIP shares from ``layer1`` on. Strides
are where those models have them: at the 3x3 convolution ("v1.5"), or, in CLIP, as average pooling before it would be.
Batch norms are folded into the convolutions, computed in double precision.
"""

from __future__ import annotations

import re
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dirbench.fingerprint import state_fingerprint
from dirbench.oracle import FeatureExtractor
from dirbench.oracles.networks.checkpoints import State
from dirbench.oracles.networks.classifier import check_images
from dirbench.oracles.networks.preprocessing import IMAGENET, Preprocessing, check_size

DEPTHS = (3, 4, 6, 3)
STRIDE = 32  # of the whole network
_EPSILON = 1e-5  # of the batch norms


class ConvNorm(nn.Module):
    """A convolution with 'same' padding for odd kernels, and the batch norm after it.

    Args:
        state: where ``{conv}.weight`` and the four tensors of ``{norm}`` are.
        fan_in, kernel: expected input channels and side of the kernel.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, state: State, conv: str, norm: str, fan_in: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        weight = state.take(f"{conv}.weight", None, fan_in, kernel, kernel)
        self.fan_out, self.stride, self.padding = len(weight), stride, kernel // 2
        gamma, beta, mean, variance = (state.take(f"{norm}.{name}", self.fan_out)
                                       for name in ("weight", "bias", "running_mean", "running_var"))
        scale = gamma / (variance + _EPSILON).sqrt()
        folded = (weight * scale[:, None, None, None]).float()
        self.register_buffer("weight", folded.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", (beta - mean * scale).float())

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut; ``pooled``: average pooling instead of strides, as in CLIP."""

    def __init__(self, state: State, name: str, fan_in: int, stride: int, pooled: bool) -> None:
        super().__init__()
        self.pool = stride if pooled else 1
        stride = 1 if pooled else stride
        self.first = ConvNorm(state, f"{name}.conv1", f"{name}.bn1", fan_in, 1)
        self.second = ConvNorm(state, f"{name}.conv2", f"{name}.bn2", self.first.fan_out, 3, stride)
        self.third = ConvNorm(state, f"{name}.conv3", f"{name}.bn3", self.second.fan_out, 1)
        self.fan_out = self.third.fan_out
        self.shortcut = None
        if f"{name}.downsample.0.weight" in state.tensors:
            self.shortcut = ConvNorm(state, f"{name}.downsample.0", f"{name}.downsample.1", fan_in, 1, stride)
        if (self.shortcut.fan_out if self.shortcut else fan_in) != self.fan_out:
            raise state.error(f"{name} adds {fan_in} channels to {self.fan_out} without a shortcut that changes them")

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.second(F.relu(self.first(x))))
        if self.pool > 1:
            x, y = F.avg_pool2d(x, self.pool), F.avg_pool2d(y, self.pool)
        return F.relu((x if self.shortcut is None else self.shortcut(x)) + self.third(y))


def stages(state: State, fan_in: int, pooled: bool) -> tuple[nn.ModuleList, int]:
    """(``layer1`` to ``layer4``, channels that come out). Raises ValueError for any depths but ResNet-50's."""
    blocks = {tuple(map(int, m.groups())) for n in state.tensors if (m := re.match(r"layer(\d+)\.(\d+)\.", n))}
    found = tuple(sum(layer == i for layer, _ in blocks) for i in range(1, 5))
    if found != DEPTHS:
        raise state.error(f"its layers have {', '.join(map(str, found))} blocks, expected "
                          f"{', '.join(map(str, DEPTHS))}; it has {', '.join(list(state.tensors)[:5])}, ...")
    layers = nn.ModuleList()
    for i, depth in enumerate(DEPTHS):
        layer = nn.Sequential()
        for j in range(depth):
            block = Bottleneck(state, f"layer{i + 1}.{j}", fan_in, 2 if i and not j else 1, pooled)
            layer.append(block)
            fan_in = block.fan_out
        layers.append(layer)
    return layers, fan_in


def outputs(layers: nn.ModuleList, x: Tensor) -> list[Tensor]:
    """What each of ``layers``, one after the other, makes of ``x``."""
    return list(accumulate(layers, lambda seen, layer: layer(seen), initial=x))[1:]


class FoldedResNet50(FeatureExtractor):
    """Spatial mean of the last map of a ResNet-50 with torchvision's names: [N, 2048].

    Args:
        state: tensors; the classifier ``fc`` is not used.
        input_size: side in pixels, a multiple of 32 (None: 224).
    Raises:
        ValueError: another layout, or a size that is no multiple of 32.
    """

    def __init__(self, state: State, input_size: int | None) -> None:
        super().__init__()
        size = check_size(224 if input_size is None else input_size, STRIDE, self.name)
        self.preprocess = Preprocessing(size, *IMAGENET, "bilinear")
        self.stem = ConvNorm(state, "conv1", "bn1", 3, 7, 2)
        self.layers, self.width = stages(state, self.stem.fan_out, pooled=False)
        state.finish("fc.")
        self.eval()

    def features(self, images: Tensor) -> Tensor:
        return self.maps(images)[-1].mean((2, 3))

    def maps(self, images: Tensor) -> list[Tensor]:
        """Outputs of the four layers: 256, 512, 1024, 2048 channels at 1/4, 1/8, 1/16, 1/32 of the input."""
        check_images(images, self.name)
        x = self.preprocess(images).contiguous(memory_format=torch.channels_last)
        return outputs(self.layers, F.max_pool2d(F.relu(self.stem(x)), 3, 2, 1))

    def fingerprint(self) -> str:
        return state_fingerprint(self, self.name, self.preprocess)

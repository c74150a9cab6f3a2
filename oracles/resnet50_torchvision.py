"""ResNet-50 from a file in torchvision's layout, without torchvision."""

from __future__ import annotations

from dirbench.oracles.networks.checkpoints import State, read_state
from dirbench.oracles.networks.resnet import FoldedResNet50


class TorchvisionResNet50(FoldedResNet50):
    """ResNet-50 from a file in torchvision's layout: [N, 2048], the spatial mean of the last map.

    He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, with the stride at the 3x3 convolution.
    Accepted: ``conv1.weight``, ``bn1.*``, ``layer1.0.conv1.weight``, ... to ``layer4.2.bn3.*``, and ``fc.*``, which is
    not used; also inside ``state_dict`` and with the prefix ``module.``. Images are resized (bilinear) to 224 and
    normalised with ImageNet's mean and deviation; torchvision's own evaluation resizes to 256 and crops 224.

    Args:
        weights: a .pt, .pth or .safetensors file, e.g. torchvision's ``resnet50-0676ba61.pth``.
        input_size: side in pixels, a multiple of 32 (default: 224).
        sha256: of the file; checked if given.
    Raises:
        ValueError: no such file, another sha256, another layout, a size that is no multiple of 32.
    """

    name = "resnet50_torchvision"

    def __init__(self, weights: str, input_size: int | None = None, sha256: str | None = None) -> None:
        super().__init__(State(read_state(weights, self.name, sha256), self.name, "ResNet-50 in torchvision's layout"),
                         input_size)

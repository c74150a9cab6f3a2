"""ResNet-50 that was made robust to changes of style by adversarial batch normalisation."""

from __future__ import annotations

import re
from typing import Literal

from torch import Tensor

from dirbench.oracles.networks.checkpoints import State, read_state
from dirbench.oracles.networks.resnet import FoldedResNet50


class AdvBNResNet50(FoldedResNet50):
    """ResNet-50 trained with adversarial batch normalisation, from its release's file: [N, 2048].

    Shu et al., "Encoding Robustness to Image Style via Adversarial Feature Perturbations", NeurIPS 2021; xGA's default
    extractor (CVPR 2023, Sec. 4.5). Accepted, also inside ``state_dict`` and with the prefix ``module.``:

    - the release's layout (azshue/AdvBN): stem and the layers up to the cut, whose features are perturbed in training,
      under ``feature_x`` (``feature_x.0.weight``, ``feature_x.1.*``, ``feature_x.4.0.conv1.weight``, ...), the later
      ones under ``head`` (``head.layer2_0.conv1.weight``, ..., ``head.fc.*``); each norm of a block twice, as
      ``clean_bn1`` and ``adv_bn1``, shortcuts as ``downsample.conv``, ``downsample.clean_bn``, ``downsample.adv_bn``;
    - torchvision's layout, with plain norms (``bn1``) or with those two. What is before the cut cannot be told there.

    Args:
        weights: the file, e.g. the release's ``checkpoint.pth.tar``.
        input_size: side in pixels, a multiple of 32 (default: 224).
        norms: which of the two norms. The release evaluates photographs with the clean ones and drawings and stylised
            images with the adversarial ones; layers before the cut always use the clean ones.
        sha256: of the file; checked if given.
    Raises:
        ValueError: no such file, another sha256, another layout, no adversarial norms where they are asked for, a size
            that is no multiple of 32.
    """

    name = "advbn_resnet50"

    def __init__(self, weights: str, input_size: int | None = None, norms: Literal["clean", "adversarial"] = "clean",
                 sha256: str | None = None) -> None:
        state = read_state(weights, self.name, sha256)
        if norms == "adversarial" and not any("adv_bn" in name for name in state):
            raise ValueError(f'extractor {self.name}: norms is "adversarial", but {weights} has no adv_bn tensors; '
                             'use "clean"')
        layout = "AdvBN ResNet-50 in its release's or torchvision's layout"
        super().__init__(State(to_torchvision(state, norms), self.name, layout), input_size)


def to_torchvision(state: dict[str, Tensor], norms: str) -> dict[str, Tensor]:
    """The same tensors under torchvision's names, with one norm for each convolution; unknown names stay."""
    renamed = {}
    for name, tensor in state.items():
        before_cut = name.startswith("feature_x.")
        name = re.sub(r"^feature_x\.0\.", "conv1.", name)
        name = re.sub(r"^feature_x\.1\.", "bn1.", name)
        name = re.sub(r"^feature_x\.(\d+)\.", lambda m: f"layer{int(m[1]) - 3}.", name)
        name = re.sub(r"^head\.layer(\d+)_(\d+)\.", r"layer\1.\2.", name).removeprefix("head.")
        other = "clean_bn" if norms == "adversarial" and not before_cut else "adv_bn"
        if f".{other}" not in name:
            name = name.replace("downsample.conv.", "downsample.0.")
            name = re.sub(r"downsample\.(clean|adv)_bn\.", "downsample.1.", name)
            renamed[re.sub(r"\.(clean|adv)_bn(\d)\.", r".bn\2.", name)] = tensor
    return renamed

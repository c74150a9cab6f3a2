"""ResNet-50 through ``transformers``."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from torch import Tensor

from dirbench.oracles.networks.resnet import DEPTHS, STRIDE
from dirbench.oracles.networks.transformer import TransformersExtractor


class ResNet50(TransformersExtractor):
    """ResNet-50 from a hub id or a folder: [N, 2048], the spatial mean of the last map.

    He et al., "Deep Residual Learning for Image Recognition", CVPR 2016; ``ResNetModel``. For arguments, preprocessing
    and errors see ``TransformersExtractor``; ``input_size`` must be a multiple of 32.
    """

    name = "resnet50"
    hub_id = "microsoft/resnet-50"
    model_types = ("resnet",)

    def architecture(self, transformers: ModuleType, settings: dict[str, Any]) -> tuple[type, dict[str, Any]]:
        found = settings.get("layer_type", "bottleneck"), tuple(settings.get("depths", DEPTHS))
        if found != ("bottleneck", DEPTHS):
            raise ValueError(f"extractor {self.name}: config.json has {found[0]} layers of {list(found[1])} blocks, "
                             f"expected bottleneck layers of {list(DEPTHS)}")
        return transformers.ResNetModel, {}

    def sizes(self, config: Any) -> tuple[int, int]:
        return config.hidden_sizes[-1], STRIDE

    def features(self, images: Tensor) -> Tensor:
        return self.network(pixel_values=self.prepare(images)).pooler_output.flatten(1)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Outputs of the four stages: 256, 512, 1024, 2048 channels at 1/4, 1/8, 1/16, 1/32 of the input."""
        return list(self.network(pixel_values=self.prepare(images), output_hidden_states=True).hidden_states[1:])

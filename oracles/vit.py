"""ViT through ``transformers``."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from torch import Tensor

from dirbench.oracles.networks.transformer import PatchTransformer


class ViT(PatchTransformer):
    """ViT from a hub id or a folder: [N, 768] for a base model, the class token after the last norm.

    Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, eq. 4; ``ViTModel`` without its pooling layer, which
    only some checkpoints have weights for. For arguments, preprocessing and errors see ``TransformersExtractor``;
    ``input_size`` must be a multiple of the patch size.
    """

    name = "vit"
    hub_id = "google/vit-base-patch16-224"
    model_types = ("vit",)

    def architecture(self, transformers: ModuleType, settings: dict[str, Any]) -> tuple[type, dict[str, Any]]:
        # eager attention: its gradients are the same in every run on every device
        return transformers.ViTModel, {"add_pooling_layer": False, "attn_implementation": "eager"}

    def features(self, images: Tensor) -> Tensor:
        return self.run(images).last_hidden_state[:, 0]

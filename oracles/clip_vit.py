"""The image tower of a CLIP ViT through ``transformers``."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from torch import Tensor

from dirbench.oracles.networks.transformer import PatchTransformer


class CLIPViT(PatchTransformer):
    """CLIP ViT's image embedding from a hub id or a folder: [N, 512] for ViT-B/32, before normalisation.

    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021;
    ``CLIPVisionModelWithProjection`` (a whole CLIP's text tower is left aside). For arguments, preprocessing and errors
    see ``TransformersExtractor``; ``input_size`` must be a multiple of the patch size.
    """

    name = "clip_vit"
    hub_id = "openai/clip-vit-base-patch32"
    model_types = ("clip", "clip_vision_model")

    def architecture(self, transformers: ModuleType, settings: dict[str, Any]) -> tuple[type, dict[str, Any]]:
        options: dict[str, Any] = {"attn_implementation": "eager"}
        if settings["model_type"] == "clip":  # there the width of the embedding belongs to both towers
            vision = settings.get("vision_config") or {}
            width = settings.get("projection_dim", 512)
            options["config"] = transformers.CLIPVisionConfig(**{**vision, "projection_dim": width})
        return transformers.CLIPVisionModelWithProjection, options

    def sizes(self, config: Any) -> tuple[int, int]:
        return config.projection_dim, config.patch_size

    def features(self, images: Tensor) -> Tensor:
        return self.run(images).image_embeds

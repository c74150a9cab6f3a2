"""The encoder of a masked autoencoder through ``transformers``."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from dirbench.oracles.networks.transformer import PatchTransformer


class MAEViT(PatchTransformer):
    """MAE ViT's encoder from a hub id or a folder: [N, 768] for a base model, the class token after the last norm.

    He et al., "Masked Autoencoders Are Scalable Vision Learners", CVPR 2022, Sec. 4 (linear probing reads this token);
    ``ViTMAEModel`` with nothing masked and patches in their own order, so that features are no random draw. For
    arguments, preprocessing and errors see ``TransformersExtractor``; ``input_size`` must be a multiple of the patch
    size.
    """

    name = "mae_vit"
    hub_id = "facebook/vit-mae-base"
    model_types = ("vit_mae",)

    def architecture(self, transformers: ModuleType, settings: dict[str, Any]) -> tuple[type, dict[str, Any]]:
        return transformers.ViTMAEModel, {"mask_ratio": 0.0, "attn_implementation": "eager"}

    def run(self, images: Tensor, **options: Any) -> Any:
        n_patches = (self.preprocess.size // self.network.config.patch_size) ** 2
        # patches are shuffled by sorting this "noise"; rising numbers leave them where they are
        order = torch.arange(n_patches, device=images.device).expand(len(images), -1)
        return super().run(images, noise=order, **options)

    def features(self, images: Tensor) -> Tensor:
        return self.run(images).last_hidden_state[:, 0]

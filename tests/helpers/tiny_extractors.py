"""Tiny weights in the layouts of real ones, at random, saved to disk; and the extractors' parameters that name them."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dirbench.oracle import FeatureExtractor
from dirbench.plugins import EXTRACTORS

DEPTHS = (3, 4, 6, 3)
FROM_FILES = ("resnet50_torchvision", "advbn_resnet50", "clip_resnet50")
_FOLDER = tempfile.TemporaryDirectory(prefix="tiny-extractors-")
SETTINGS = {  # in the spellings that the real ones have
    "resnet50": {"crop_pct": 0.875, "do_normalize": True, "image_mean": [0.485, 0.456, 0.406],
                 "image_std": [0.229, 0.224, 0.225], "resample": 3, "size": {"shortest_edge": 64}},
    "vit": {"do_normalize": True, "do_rescale": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "resample": 2,
            "rescale_factor": 1 / 255, "size": {"height": 32, "width": 32}},
    "mae_vit": {"do_normalize": True, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
                "resample": 2, "size": 32},
    "clip_vit": {"crop_size": {"height": 32, "width": 32}, "do_center_crop": True, "image_mean": [0.48, 0.46, 0.41],
                 "image_std": [0.27, 0.26, 0.28], "resample": 3, "size": {"shortest_edge": 36}},
}
VIT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 32,
       "patch_size": 8}


def save_transformers(name: str, folder: Path) -> Path:
    """A tiny network of ``transformers`` for the extractor ``name``, as ``save_pretrained`` writes it."""
    import transformers as t
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if name == "resnet50":
            network = t.ResNetModel(t.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 24, 32], depths=list(DEPTHS)))
        elif name == "vit":
            network = t.ViTForImageClassification(t.ViTConfig(**VIT))
        elif name == "mae_vit":
            network = t.ViTMAEForPreTraining(t.ViTMAEConfig(
                **VIT, decoder_hidden_size=16, decoder_num_hidden_layers=1, decoder_num_attention_heads=2,
                decoder_intermediate_size=16))
        else:
            text = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
                    "vocab_size": 20, "max_position_embeddings": 8, "bos_token_id": 1, "eos_token_id": 2}
            network = t.CLIPModel(t.CLIPConfig(text_config=text, vision_config=VIT, projection_dim=12))
        for key, tensor in network.state_dict().items():  # fresh ones start so small that nothing is told apart
            if tensor.is_floating_point():
                low, high = (0.5, 1.5) if "running_var" in key or ("norm" in key and "weight" in key) else (-0.3, 0.3)
                tensor.uniform_(low, high)
    network.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(SETTINGS[name]))
    return folder


def resnet_state(width: int = 4, *, clip: bool = False, seed: int = 0) -> dict[str, Tensor]:
    """A ResNet-50 of a sixteenth of the width, in torchvision's layout or in OpenAI's (``visual.`` taken off)."""
    rng, state = torch.Generator().manual_seed(seed), {}

    def conv(name: str, norm: str, fan_out: int, fan_in: int, kernel: int) -> None:
        weight = torch.randn(fan_out, fan_in, kernel, kernel, generator=rng)
        state[f"{name}.weight"] = weight / (fan_in * kernel**2) ** 0.5
        for key, low, high in (("weight", .5, 1.5), ("bias", -.3, .3), ("running_mean", -.3, .3),
                               ("running_var", .5, 1.5)):
            state[f"{norm}.{key}"] = torch.rand(fan_out, generator=rng) * (high - low) + low
        state[f"{norm}.num_batches_tracked"] = torch.tensor(7)

    if clip:
        for i, (fan_in, fan_out) in enumerate(((3, width // 2), (width // 2, width // 2), (width // 2, width)), 1):
            conv(f"conv{i}", f"bn{i}", fan_out, fan_in, 3)
    else:
        conv("conv1", "bn1", width, 3, 7)
    fan_in = width
    for i, depth in enumerate(DEPTHS):
        middle = width * 2**i
        for j in range(depth):
            block = f"layer{i + 1}.{j}"
            conv(f"{block}.conv1", f"{block}.bn1", middle, fan_in, 1)
            conv(f"{block}.conv2", f"{block}.bn2", middle, middle, 3)
            conv(f"{block}.conv3", f"{block}.bn3", middle * 4, middle, 1)
            if not j:
                conv(f"{block}.downsample.0", f"{block}.downsample.1", middle * 4, fan_in, 1)
            fan_in = middle * 4
    if clip:
        state["attnpool.positional_embedding"] = torch.randn(2 * 2 + 1, fan_in, generator=rng)
        for part in "qkvc":
            fan_out = 12 if part == "c" else fan_in
            state[f"attnpool.{part}_proj.weight"] = torch.randn(fan_out, fan_in, generator=rng) / fan_in**.5
            state[f"attnpool.{part}_proj.bias"] = torch.randn(fan_out, generator=rng) * 0.1
    else:
        state |= {"fc.weight": torch.randn(10, fan_in, generator=rng), "fc.bias": torch.zeros(10)}
    return state


def advbn_state(cut: int = 2) -> dict[str, Tensor]:
    """The torchvision state of seed 0 in AdvBN's release layout; adversarial norms are those of seed 1."""
    clean, other, state = resnet_state(), resnet_state(seed=1), {}
    for name, tensor in clean.items():
        head, _, rest = name.partition(".")
        if head in ("conv1", "bn1"):
            state[f"feature_x.{0 if head == 'conv1' else 1}.{rest}"] = tensor
            continue
        if head == "fc":
            state[f"head.{name}"] = tensor
            continue
        layer, (block, rest) = int(head[-1]), rest.split(".", 1)
        prefix = f"feature_x.{layer + 3}.{block}." if layer <= cut else f"head.layer{layer}_{block}."
        rest = rest.replace("downsample.0", "downsample.conv").replace("downsample.1", "downsample.bn")
        if "bn" in rest:
            state[prefix + rest.replace("bn", "clean_bn")] = tensor
            state[prefix + rest.replace("bn", "adv_bn")] = other[name]
        else:
            state[prefix + rest] = tensor
    return state


def save(name: str, folder: Path) -> dict[str, object]:
    """Tiny weights for the extractor ``name`` in ``folder``, and the parameters that name them."""
    folder.mkdir(parents=True, exist_ok=True)
    if name in SETTINGS:
        return {"weights": str(save_transformers(name, folder))}
    if name == "efficientnet_lite0":  # its weights are installed with the project
        return {"input_size": 32}
    state = {"resnet50_torchvision": resnet_state, "clip_resnet50": lambda: resnet_state(clip=True),
             "advbn_resnet50": advbn_state}[name]()
    if name == "clip_resnet50":
        state = {f"visual.{k}": v for k, v in state.items()} | {"logit_scale": torch.tensor(1.0)}
    if name == "advbn_resnet50":
        state = {"epoch": 20, "arch": "resnet50", "state_dict": {f"module.{k}": v for k, v in state.items()}}
    torch.save(state, folder / "weights.pt")
    return {"weights": str(folder / "weights.pt"), "input_size": 64}


_saved = functools.cache(lambda name: save(name, Path(_FOLDER.name) / name))


def params(name: str) -> dict[str, object]:
    """Parameters of the tiny extractor ``name``, whose files are made once; skips the test without its package."""
    if name in SETTINGS:
        pytest.importorskip("transformers", reason="the extra `features` is not installed")
    return dict(_saved(name))


@functools.cache
def build(name: str) -> FeatureExtractor:
    """The tiny extractor ``name``, made once."""
    return EXTRACTORS.build(name, **params(name))


def noise(n: int, size: int, seed: int = 0) -> Tensor:
    """Images [n, 3, size, size] of uniform noise."""
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1

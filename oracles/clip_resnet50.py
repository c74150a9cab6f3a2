"""The image tower of OpenAI's CLIP ResNet-50, without OpenAI's package."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dirbench.fingerprint import state_fingerprint
from dirbench.oracle import FeatureExtractor
from dirbench.oracles.networks.checkpoints import State, read_state
from dirbench.oracles.networks.classifier import check_images
from dirbench.oracles.networks.preprocessing import CLIP, Preprocessing, check_size
from dirbench.oracles.networks.resnet import STRIDE, ConvNorm, outputs, stages

_HEAD = 64  # channels of an attention head


class AttentionPool(nn.Module):
    """One vector for each map [N, C, S, S]: multi-head attention from the mean over positions to all positions.

    Args:
        state: ``attnpool.*``.
        channels: C, in heads of 64.
        side: S. Position embeddings of another side are resampled (bicubic).
    """

    q_weight: Tensor
    q_bias: Tensor
    k_weight: Tensor
    k_bias: Tensor
    v_weight: Tensor
    v_bias: Tensor
    c_weight: Tensor
    c_bias: Tensor
    places: Tensor

    def __init__(self, state: State, channels: int, side: int) -> None:
        super().__init__()
        if channels % _HEAD:
            raise state.error(f"its last map has {channels} channels, expected a multiple of {_HEAD}")
        for part in ("q", "k", "v", "c"):
            weight = state.take(f"attnpool.{part}_proj.weight", None if part == "c" else channels, channels)
            self.register_buffer(f"{part}_weight", weight.float())
            self.register_buffer(f"{part}_bias", state.take(f"attnpool.{part}_proj.bias", len(weight)).float())
        self.width = len(self.c_weight)
        places = state.take("attnpool.positional_embedding", None, channels).float()
        grid = math.isqrt(len(places) - 1)
        if grid * grid != len(places) - 1:
            raise state.error(f"attnpool.positional_embedding has {len(places)} rows, expected one more than a square")
        if grid != side:
            square = places[1:].T.reshape(1, channels, grid, grid)
            square = F.interpolate(square, size=(side, side), mode="bicubic", align_corners=False)
            places = torch.cat([places[:1], square.flatten(2)[0].T])
        self.register_buffer("places", places)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2).transpose(1, 2)
        x = torch.cat([x.mean(1, keepdim=True), x], dim=1) + self.places
        query = F.linear(x[:, :1], self.q_weight, self.q_bias)  # the official layer drops the other queries' answers
        key, value = F.linear(x, self.k_weight, self.k_bias), F.linear(x, self.v_weight, self.v_bias)
        query, key, value = (t.unflatten(2, (-1, _HEAD)).transpose(1, 2) for t in (query, key, value))
        attention = (query @ key.transpose(2, 3) / math.sqrt(_HEAD)).softmax(dim=-1)
        return F.linear((attention @ value).transpose(1, 2).flatten(1), self.c_weight, self.c_bias)


class CLIPResNet50(FeatureExtractor):
    """OpenAI's CLIP ResNet-50 image embedding, from its own file: [N, 1024], before normalisation.

    Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", ICML 2021, Sec. 2.4: a stem
    of three convolutions, average pooling before what would be strided convolutions, attention pooling. Accepted: a
    state dict with ``visual.conv1.weight``, ... ``visual.attnpool.c_proj.bias`` (the text tower is not used) or the
    same without ``visual.``, and OpenAI's own ``RN50.pt``, a TorchScript archive, whose tensors are read and whose code
    is not. Half precision becomes single. Images are resized (bicubic) to 224, with CLIP's mean and deviation.

    Args:
        weights: the file.
        input_size: side in pixels, a multiple of 32 (default: 224); others than the stored position embeddings' size
            have them resampled.
        sha256: of the file; checked if given.
    Raises:
        ValueError: no such file, another sha256, another layout, a size that is no multiple of 32.
    """

    name = "clip_resnet50"

    def __init__(self, weights: str, input_size: int | None = None, sha256: str | None = None) -> None:
        super().__init__()
        tensors = read_state(weights, self.name, sha256)
        if visual := {k.removeprefix("visual."): v for k, v in tensors.items() if k.startswith("visual.")}:
            tensors = visual
        state = State(tensors, self.name, "image tower of OpenAI's CLIP ResNet-50")
        size = check_size(224 if input_size is None else input_size, STRIDE, self.name)
        self.preprocess = Preprocessing(size, *CLIP, "bicubic")
        self.stem, fan_in = nn.Sequential(), 3
        for i in (1, 2, 3):
            conv = ConvNorm(state, f"conv{i}", f"bn{i}", fan_in, 3, 2 if i == 1 else 1)
            self.stem.extend([conv, nn.ReLU()])
            fan_in = conv.fan_out
        self.layers, fan_in = stages(state, fan_in, pooled=True)
        self.pool = AttentionPool(state, fan_in, size // STRIDE)
        self.width = self.pool.width
        state.finish()
        self.eval()

    def features(self, images: Tensor) -> Tensor:
        return self.pool(self.maps(images)[-1])

    def maps(self, images: Tensor) -> list[Tensor]:
        """Outputs of the four layers: 256, 512, 1024, 2048 channels at 1/4, 1/8, 1/16, 1/32 of the input."""
        check_images(images, self.name)
        x = self.preprocess(images).contiguous(memory_format=torch.channels_last)
        return outputs(self.layers, F.avg_pool2d(self.stem(x), 2))

    def fingerprint(self) -> str:
        return state_fingerprint(self, self.name, self.preprocess)

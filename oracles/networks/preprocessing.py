"""From a generator's images to a pretrained network's input: resize and normalise, in torch, with gradients."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))  # openai/CLIP, clip.py
MODES = {2: "bilinear", 3: "bicubic"}  # Pillow's codes, as preprocessor_config.json has them
MATRIX_LIMIT = 256

Network = TypeVar("Network", bound=nn.Module)


def resample(images: Tensor, size: int, mode: str = "bilinear") -> Tensor:
    """Images [N, C, size, size] of [N, C, H, W], antialiased; the same tensor where it fits already.

    On a CPU and up to ``MATRIX_LIMIT`` pixels as two matrix products: five times as quick there as
    ``torch.nn.functional.interpolate``, whose numbers these are.
    """
    sides = images.shape[-2:]
    if sides == (size, size):
        return images
    if images.device.type == "cpu" and max(sides) <= MATRIX_LIMIT and images.dtype.itemsize >= 4:
        with torch.autocast("cpu", enabled=False):
            down, across = (_weights(side, size, mode).to(images.dtype) for side in sides)
            return torch.matmul(torch.matmul(down, images), across.T)
    return F.interpolate(images, size=(size, size), mode=mode, antialias=True, align_corners=False)


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # kept for later calls, which may want gradients
def _weights(side: int, size: int, mode: str) -> Tensor:
    """[size, side]: what each sample of a resampled line takes of the line's."""
    unit = torch.eye(side, dtype=torch.float64)[None, None]
    return F.interpolate(unit, size=(size, side), mode=mode, antialias=True, align_corners=False)[0, 0]


def channels_last(network: Network) -> Network:
    """``network`` itself, its weights laid out with channels last: two to three times faster on a CPU."""
    return cast(Any, network).to(memory_format=torch.channels_last)  # an argument that torch's type hints lack


class Preprocessing(nn.Module):
    """Images [N, 3, H, W] in [-1, 1] -> [N, 3, size, size], normalised.

    The whole image is resampled (antialiased), without the central crop that photographs of ImageNet get: what
    distinguishes faces, such as hats, is at the border. Values outside [-1, 1], as generators make them, are not
    clamped, so that they keep their gradient.

    Args:
        size: side of the network's input in pixels.
        mean, deviation: of the three channels, for pixels in 0..1 (times 255 ``rescale``).
        mode: "bilinear" or "bicubic".
        rescale: what pixels of 0..255 are multiplied by before the mean is subtracted.
    """

    gain: Tensor
    offset: Tensor

    def __init__(self, size: int, mean: tuple[float, ...], deviation: tuple[float, ...], mode: str,
                 rescale: float = 1 / 255) -> None:
        super().__init__()
        self.size, self.mode = size, mode
        centre, spread = (torch.tensor(v, dtype=torch.float64).view(3, 1, 1) for v in (mean, deviation))
        self.register_buffer("gain", (127.5 * rescale / spread).float())
        self.register_buffer("offset", ((127.5 * rescale - centre) / spread).float())

    def forward(self, images: Tensor) -> Tensor:
        return resample(images, self.size, self.mode) * self.gain + self.offset

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.size}, {self.mode})"


def check_size(size: int, multiple: int, who: str) -> int:
    """``size`` if it is a positive multiple of the network's stride or patch; else ValueError."""
    if size < multiple or size % multiple:
        raise ValueError(f"extractor {who}: input_size is {size}, expected a multiple of {multiple}")
    return size


def from_settings(settings: dict[str, Any], input_size: int | None, multiple: int, who: str) -> Preprocessing:
    """The preprocessing that a ``preprocessor_config.json`` describes.

    ``input_size`` replaces its size. The size is that of the crop where it has one, since that is what the network
    sees; the resampling filter, factor, mean and deviation are taken as they are.

    Raises:
        ValueError: a setting is missing or not supported, or the size is no multiple of ``multiple``.
    """
    size = settings.get("crop_size") if settings.get("do_center_crop") else None
    size = _side(size or settings.get("size"), who) if input_size is None else input_size
    resample = settings.get("resample", 2)
    if resample not in MODES:
        raise ValueError(f"extractor {who}: preprocessor_config.json has resample {resample!r}, expected 2 (bilinear) "
                         "or 3 (bicubic)")
    normalise = settings.get("do_normalize", True)
    mean: Any = settings.get("image_mean") if normalise else (0.0,) * 3
    deviation: Any = settings.get("image_std") if normalise else (1.0,) * 3
    if not (_triple(mean) and _triple(deviation) and min(deviation) > 0):
        raise ValueError(f"extractor {who}: preprocessor_config.json has image_mean {mean!r} and image_std "
                         f"{deviation!r}, expected three numbers each, deviations above 0")
    rescale = settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 1.0
    return Preprocessing(check_size(size, multiple, who), tuple(mean), tuple(deviation), MODES[resample], rescale)


def _side(size: Any, who: str) -> int:
    """The side of a square size in any of its spellings: 224, {height, width} or {shortest_edge}."""
    sides = set(size.values()) if isinstance(size, dict) else {size}
    if len(sides) != 1 or not isinstance(side := sides.pop(), int):
        raise ValueError(f"extractor {who}: preprocessor_config.json has size {size!r}, expected one side of a square "
                         "in pixels; give input_size")
    return side


def _triple(values: Any) -> bool:
    return isinstance(values, list | tuple) and len(values) == 3 and all(isinstance(v, int | float) for v in values)

"""Attribute classifiers: networks that read attributes off images, and the files they are kept in.

Shipped with the mini zoo, reading 32x32 images: ``scorer`` scores; ``teacher`` supervises methods that need labels
(InterFaceGAN). They differ in architecture, seed and training images, so that a method that leans on one is not scored
by itself. Others are trained by ``train-oracle`` and named by their file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn

from dirbench.fingerprint import state_fingerprint
from dirbench.names import UnknownName, did_you_mean
from dirbench.oracle import AttributeOracle
from dirbench.oracles.networks.preprocessing import channels_last, resample
from dirbench.places import restoring

RESOLUTION = 32
WEIGHTS = Path(__file__).resolve().parent.parent / "weights"


def _conv(fan_in: int, fan_out: int, kernel: int, stride: int = 1, groups: int = 1, norm: bool = True) -> list:
    """A convolution with 'same' padding, and the batch norm that training wants and the stored weights have no more."""
    padding = 0 if kernel == stride else kernel // 2
    conv = nn.Conv2d(fan_in, fan_out, kernel, stride, padding, groups=groups, bias=not norm)
    return [conv, nn.BatchNorm2d(fan_out)] if norm else [conv]


def _relu() -> nn.ReLU:
    """In place, like the sums below: nothing else needs what a convolution gave."""
    return nn.ReLU(inplace=True)


class _Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, width: int, norm: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(*_conv(width, width, 3, norm=norm), _relu(), *_conv(width, width, 3, norm=norm))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).add_(x).relu_()


class _Bottleneck(nn.Module):
    """ResNet's block: plain (two 3x3 convolutions) or, with ``expansion`` 4, a bottleneck (1x1, 3x3, 1x1).

    The stride is in the first 3x3 convolution, as in the usual reading of the paper (ResNet v1.5).
    """

    def __init__(self, fan_in: int, width: int, stride: int, expansion: int, norm: bool) -> None:
        super().__init__()
        fan_out = width * expansion
        layers = (_conv(fan_in, width, 1, norm=norm), _conv(width, width, 3, stride, norm=norm),
                  _conv(width, fan_out, 1, norm=norm)) if expansion > 1 else (
                  _conv(fan_in, width, 3, stride, norm=norm), _conv(width, width, 3, norm=norm))
        self.body = nn.Sequential(*(m for layer in layers for m in (*layer, _relu())))
        del self.body[-1]  # the last is after the sum
        shortcut = _conv(fan_in, fan_out, 1, stride, norm=norm) if stride > 1 or fan_in != fan_out else []
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).add_(self.shortcut(x)).relu_()


class _Separable(nn.Module):
    """A 5x5 convolution of each channel, then two 1x1 convolutions with a wider middle, and a shortcut."""

    def __init__(self, width: int, middle: int, norm: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(*_conv(width, width, 5, groups=width, norm=norm), *_conv(width, middle, 1, norm=norm),
                                  _relu(), *_conv(middle, width, 1, norm=norm))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _residual_network(n_attributes: int, norm: bool, resolution: int = RESOLUTION) -> nn.Sequential:
    """Logits by residual 3x3 convolutions; the head sees where things are (4x4 cells), not only whether."""
    pool = [] if resolution == RESOLUTION else [nn.AdaptiveAvgPool2d(4)]
    return nn.Sequential(
        *_conv(3, 24, 3, norm=norm), _relu(),
        *_conv(24, 48, 3, 2, norm=norm), _relu(), _Residual(48, norm),
        *_conv(48, 80, 3, 2, norm=norm), _relu(), _Residual(80, norm), _Residual(80, norm),
        *_conv(80, 112, 3, 2, norm=norm), _relu(), _Residual(112, norm),
        *pool, nn.Flatten(), nn.Linear(112 * 16, n_attributes))


def _separable_network(n_attributes: int, norm: bool, resolution: int = RESOLUTION) -> nn.Sequential:
    """32x32 -> logits by 2x2 patches and separable 5x5 convolutions."""
    return nn.Sequential(
        *_conv(3, 48, 2, 2, norm=norm), _relu(), _Separable(48, 128, norm), _Separable(48, 128, norm),
        *_conv(48, 96, 2, 2, norm=norm), _Separable(96, 224, norm), _Separable(96, 224, norm),
        *_conv(96, 144, 2, 2, norm=norm), _Separable(144, 288, norm), _Separable(144, 288, norm), _relu(),
        nn.Flatten(), nn.Linear(144 * 16, n_attributes))


def _resnet(blocks: tuple[int, ...], expansion: int, n_attributes: int, norm: bool,
            resolution: int = RESOLUTION) -> nn.Sequential:
    """ResNet (He et al., CVPR 2016, table 1) -> logits; any resolution."""
    layers: list[nn.Module] = [*_conv(3, 64, 7, 2, norm=norm), _relu(), nn.MaxPool2d(3, 2, 1)]
    fan_in = 64
    for stage, count in enumerate(blocks):
        for i in range(count):
            layers.append(_Bottleneck(fan_in, 64 << stage, 2 if stage and i == 0 else 1, expansion, norm))
            fan_in = (64 << stage) * expansion
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(fan_in, n_attributes))


ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {"scorer": _residual_network, "teacher": _separable_network}
"""The shipped classifiers."""

ORACLES: tuple[str, ...] = tuple(ARCHITECTURES)

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "resnet50": partial(_resnet, (3, 4, 6, 3), 4), "resnet18": partial(_resnet, (2, 2, 2, 2), 1),
    "small": _residual_network}
"""Networks for other data: (number of attributes, with batch norm, resolution) -> module."""


def check_images(images: Tensor, who: str) -> None:
    """ValueError unless ``images`` is a float batch [N, 3, H, W]."""
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise ValueError(f"{who}: expected float images [N, 3, H, W] in [-1, 1], got {tuple(images.shape)} "
                         f"of {images.dtype}")


class AttributeClassifier(AttributeOracle):
    """A frozen network and the card that says what it reads and how well.

    Args:
        network: [N, 3, R, R] -> logits [N, M].
        names: the M attributes.
        readable: [M], see ``AttributeOracle``.
        card: the card, JSON-able; kept as ``self.card``.
        resolution: R, which images of other sizes are resampled to.
    """

    def __init__(self, network: nn.Module, names: tuple[str, ...], readable: tuple[bool, ...],
                 card: dict | None = None, resolution: int = RESOLUTION) -> None:
        super().__init__()
        # channels_last: a fifth faster on a CPU for the 3x3 network, three times for the separable one.
        self.network = channels_last(network.eval().requires_grad_(False))
        self.names, self.readable, self.card = tuple(names), tuple(readable), card or {}
        self.resolution = resolution

    def logits(self, images: Tensor) -> Tensor:
        check_images(images, "attribute oracle")
        return self.network(resample(images, self.resolution).contiguous(memory_format=torch.channels_last))

    def fingerprint(self) -> str:
        return state_fingerprint(self.network, type(self).__name__, self.resolution, self.names)


def load_oracle(name: str, device: torch.device | str = "cpu", folder: Path | None = None) -> AttributeClassifier:
    """The classifier ``name``, float32, frozen, on ``device``.

    Args:
        name: "scorer" or "teacher" (shipped), or the path of a ``.safetensors`` file that ``train-oracle`` wrote, its
            card (``.json``) beside it.
    Raises:
        UnknownName: an unknown name; the message says the nearest known one.
        ValueError: weights or card missing, or not the file that the card was written for.
    """
    if str(name).endswith(".safetensors"):
        path, name = Path(name), Path(name).stem
    elif name not in ARCHITECTURES:
        raise UnknownName(did_you_mean("oracle", name, list(ARCHITECTURES)))
    else:
        path = (WEIGHTS if folder is None else Path(folder)) / f"{name}.safetensors"
    card_path = path.with_suffix(".json")
    restore = restoring() if path.parent == WEIGHTS else "restore it"
    way_out = f"{restore}, or train it again with `train-oracle` ({name})"
    for file in (path, card_path):
        if not file.is_file():
            raise ValueError(f"oracle {name}: {file} is missing; {way_out}")
    try:
        card = json.loads(card_path.read_text())
        expected, names, readable = card["sha256"], card["attributes"], card["readable"]
        resolution = int(card["resolution"])
        build = NETWORKS[card["network"]] if "network" in card else ARCHITECTURES[name]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"oracle {name}: {card_path} is not a readable card ({error!r}); {way_out}") from error
    raw = path.read_bytes()
    found = hashlib.sha256(raw).hexdigest()
    if found != expected:
        raise ValueError(f"oracle {name}: {path} is truncated or altered (sha256 {found[:16]}..., the card says "
                         f"{expected[:16]}...); {way_out}")
    try:
        network = build(len(names), norm=False, resolution=resolution)
        network.load_state_dict({key: value.float() for key, value in load(raw).items()})
    except (SafetensorError, RuntimeError, TypeError) as error:
        raise ValueError(f"oracle {name}: {path} does not fit this version's network ({error}); {way_out}") from error
    return AttributeClassifier(network, names, readable, card, resolution).to(device)

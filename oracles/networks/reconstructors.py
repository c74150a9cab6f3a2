"""Reconstructors: networks that see an image and its edit, and name the direction and the size of the shift."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALLEST = 32  # pixels: less does not survive the LeNet's three 5x5 convolutions without padding
LENET_UP_TO = 64  # pixels, the larger of the two data sets that the paper uses it for


class Reconstructor(nn.Module, ABC):
    """Pairs of images, concatenated along channels, to K logits and a shift.

    Args:
        k: number of directions. rng: CPU source of the initial weights. channels: of the pair.
    """

    @abstractmethod
    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """(logits [N, K], shifts [N]) of images [N, C, R, R] in about [-1, 1], before and after; float32."""


class LeNet(Reconstructor):
    """Three 5x5 convolutions and two small heads, as in the official code, where ``width`` is 2.

    Images of less than 32 pixels are enlarged to 32.
    """

    def __init__(self, k: int, rng: torch.Generator, channels: int = 6, width: int = 2) -> None:
        super().__init__()
        with torch.device("meta"):  # no draw from the global random source
            self.convnet = nn.Sequential(
                nn.Conv2d(channels, 3 * width, 5), nn.BatchNorm2d(3 * width), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(3 * width, 8 * width, 5), nn.BatchNorm2d(8 * width), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(8 * width, 60 * width, 5), nn.BatchNorm2d(60 * width), nn.ReLU())
            self.fc_logits, self.fc_shift = (
                nn.Sequential(nn.Linear(60 * width, 42 * width), nn.BatchNorm1d(42 * width), nn.ReLU(),
                              nn.Linear(42 * width, n)) for n in (k, 1))
        _start(self, rng)

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        pair = torch.cat((first, second), dim=1).float()
        if min(pair.shape[2:]) < SMALLEST:
            pair = F.interpolate(pair, size=(SMALLEST, SMALLEST))
        features = self.convnet(pair).mean(dim=(2, 3))
        return self.fc_logits(features), self.fc_shift(features).squeeze(1)


class ResNet18(Reconstructor):
    """ResNet-18 (He et al., CVPR 2016) with a linear head for each output."""

    def __init__(self, k: int, rng: torch.Generator, channels: int = 6) -> None:
        super().__init__()
        with torch.device("meta"):
            self.stem = nn.Sequential(nn.Conv2d(channels, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
                                      nn.MaxPool2d(3, 2, 1))
            sizes = (64, 64, 128, 256, 512)
            self.blocks = nn.Sequential(*(
                _Block(n_in if i == 0 else n_out, n_out, 2 if i == 0 and n_in != n_out else 1)
                for n_in, n_out in itertools.pairwise(sizes) for i in range(2)))
            self.logits, self.shift = nn.Linear(512, k), nn.Linear(512, 1)
        _start(self, rng)
        for part in self.modules():
            if isinstance(part, nn.Conv2d):  # the published start of a residual network
                fan_out = part.out_channels * part.weight[0, 0].numel()
                part.weight.data = torch.randn(part.weight.shape, generator=rng) * (2 / fan_out) ** 0.5

    def features(self, pair: Tensor) -> Tensor:
        """[N, 512] of pairs [N, channels, R, R]."""
        return self.blocks(self.stem(pair.float())).mean(dim=(2, 3))

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        features = self.features(torch.cat((first, second), dim=1))
        return self.logits(features), self.shift(features).squeeze(1)


class _Block(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(),
            nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out))
        self.skip = nn.Identity() if n_in == n_out and stride == 1 else nn.Sequential(
            nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x: Tensor) -> Tensor:
        return (self.body(x) + self.skip(x)).relu()


RECONSTRUCTORS: dict[str, type[Reconstructor]] = {"lenet": LeNet, "resnet18": ResNet18}


def build_reconstructor(kind: str, k: int, resolution: int, rng: torch.Generator) -> Reconstructor:
    """A reconstructor by name, or for ``"auto"`` the one that the paper has for images of that size (Sec. 3.3, 4)."""
    if kind == "auto":
        kind = "lenet" if resolution <= LENET_UP_TO else "resnet18"
    return RECONSTRUCTORS[kind](k, rng)


def spread_shifts(uniform: Tensor, largest: float = 6.0, smallest: float = 0.5) -> Tensor:
    """Shifts between -largest and largest of draws in [0, 1), those nearer to zero than ``smallest`` moved out to it.

    Voynov & Babenko, ICML 2020, Sec. 3.3; an exact zero, which has no sign, stays zero.
    """
    shifts = largest * (2 * uniform - 1)
    return shifts.sign() * shifts.abs().clamp_min(smallest)


def reconstruction_loss(logits: Tensor, predicted: Tensor, index: Tensor, shifts: Tensor,
                        shift_weight: float = 0.25) -> Tensor:
    """Cross-entropy of the direction plus ``shift_weight`` x mean absolute error of the shift (their eq. 1).

    Args:
        logits: [N, K]. predicted: [N]. index: [N] int64, the direction applied. shifts: [N], how far.
    """
    return F.cross_entropy(logits, index) + shift_weight * (predicted - shifts).abs().mean()


def _start(network: nn.Module, rng: torch.Generator) -> None:
    """Real weights in place of meta ones: PyTorch's own start (uniform within 1 / sqrt(fan-in)), from ``rng``."""
    network.to_empty(device="cpu")
    for part in network.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            part.reset_parameters()
        elif isinstance(part, (nn.Conv2d, nn.Linear)):
            bound = part.weight[0].numel() ** -0.5
            for parameter in part.parameters(recurse=False):
                parameter.data = (2 * torch.rand(parameter.shape, generator=rng) - 1) * bound

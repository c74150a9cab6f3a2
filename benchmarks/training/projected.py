"""A discriminator that looks at images through a frozen ImageNet network: small GANs learn rare things sooner.

Sauer et al., "Projected GANs Converge Faster", NeurIPS 2021 (arXiv:2111.01007). Their Sec. 3.2: features of four
depths are mixed over channels and then over scales by fixed random convolutions, and each mixture is judged by a
small discriminator of its own with the hinge loss. Here it stands beside the ordinary discriminator, not in its
place: at 32 pixels the first feature map already has half the side, and fine detail is the other's to judge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from dirbench.benchmarks.training.discriminator import SLOPE, minibatch_stddev
from dirbench.oracles.efficientnet import EfficientNetLite0

_INPUTS = (16, 24, 40, 112)  # channels of the feature maps at 1/2, 1/4, 1/8 and 1/16 of the side
_MIXED = (32, 64, 64, 64)


class Head(nn.Module):
    """Judges one mixture of features [N, C, S, S]: logits [N, P] of its places; spectrally normalised throughout."""

    def __init__(self, inputs: int, side: int, width: int, group: int = 4) -> None:
        super().__init__()
        halvings = max(0, int(math.log2(side)) - 2)
        convs = [nn.Conv2d(inputs if i == 0 else width, width, 4, 2, 1) for i in range(halvings)]
        self.down = nn.ModuleList(spectral_norm(conv) for conv in convs)
        self.last = spectral_norm(nn.Conv2d((width if halvings else inputs) + 1, width, 3, 1, 1))
        self.out = spectral_norm(nn.Conv2d(width, 1, min(side, 4)))
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.down:
            x = F.leaky_relu(conv(x), SLOPE)
        x = F.leaky_relu(self.last(minibatch_stddev(x, self.group)), SLOPE)
        return self.out(x).flatten(1)


class ProjectedDiscriminator(nn.Module):
    """Four heads on random mixtures of EfficientNet-Lite0's feature maps.

    Args:
        side: images are resampled to it; a multiple of 32.
        sample: images [N, 3, R, R] in [-1, 1] that set the scale of each feature map, once.
        rng: source of the mixtures and of the heads' first weights.
        width: channels of the heads.
    Raises:
        ValueError: the ImageNet weights are not installed, or a side that is no multiple of 32.

    Only the heads are trained; ``state_dict`` has them and the mixtures, not the ImageNet network.
    """

    def __init__(self, side: int, sample: Tensor, rng: torch.Generator, width: int = 64) -> None:
        super().__init__()
        self.scales: Tensor
        network = EfficientNetLite0(side).requires_grad_(False).to(sample.device)
        self._network = (network,)  # in a tuple, so that it is no part of the state
        for i, (inputs, outputs) in enumerate(zip(_INPUTS, _MIXED)):
            above = _MIXED[max(i - 1, 0)]
            self.register_buffer(f"mix{i}", torch.randn(outputs, inputs, 1, 1, generator=rng) / math.sqrt(inputs))
            smooth = torch.randn(above, outputs, 3, 3, generator=rng) / math.sqrt(9 * outputs)
            self.register_buffer(f"smooth{i}", smooth)
        self.register_buffer("scales", torch.stack([m.std() for m in network.maps(sample, len(_INPUTS))]).cpu())
        # Modules draw from the global source, which is put back afterwards.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=rng)))
            self.heads = nn.ModuleList(Head(_MIXED[max(i - 1, 0)], side >> max(i, 1), width)
                                       for i in range(len(_INPUTS)))
        self.to(sample.device)

    def features(self, images: Tensor) -> list[Tensor]:
        """The mixtures [N, C, S, S] of each depth, from fine to coarse; differentiable in the images."""
        maps = self._network[0].maps(images, len(_INPUTS))
        mixtures: list[Tensor] = []
        for i in reversed(range(len(maps))):
            x = F.conv2d(maps[i] / self.scales[i], self.get_buffer(f"mix{i}"))
            if mixtures:
                x = (x + mixtures[-1]) * math.sqrt(0.5)
            x = F.conv2d(x, self.get_buffer(f"smooth{i}"), padding=1)
            mixtures.append(F.interpolate(x, scale_factor=2.0, mode="bilinear") if i else x)
        return mixtures[::-1]

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Each head's logits [N, P] of ``features``."""
        return [head(x) for head, x in zip(self.heads, features)]


def hinge(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """The heads' loss: mean of max(0, 1 - real) + max(0, 1 + fake), summed over heads (arXiv:2111.01007, eq. 4)."""
    return torch.stack([F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in zip(real, fake)]).sum()

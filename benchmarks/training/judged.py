"""The last stage of training: images are judged by what a frozen attribute classifier sees in them.

A small GAN leaves out what one image in ten has, and its common attributes drift by ten points. A classifier that was
trained on the same renderer tells it so in two ways:

* its feature maps are looked at by heads that learn to tell real from generated (Sauer et al., "Projected GANs Converge
  Faster", NeurIPS 2021, arXiv:2111.01007, with a network of the data's own kind in place of an ImageNet one);
* its logits are matched: along every attribute, and along random directions of all of them, each generated image is
  drawn to the value that a real image of the same rank has. The mean over axes is a sliced Wasserstein distance
  (Deshpande, Zhang & Schwing, CVPR 2018, arXiv:1803.11188), of distributions of many images, not of one batch.

The classifier is one that nothing else uses: neither the one that scores methods nor the one that teaches them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dirbench.benchmarks.training.oracles import augment
from dirbench.benchmarks.training.projected import Head

TAPS = (3, 6, 9)  # the last layer of each side, 16, 8 and 4, of the classifiers' ``teacher`` architecture
SAMPLE = 10_000  # real images that say what the logits should be like
DIRECTIONS = 64
REMEMBERED = 160  # generated images that a new one is ranked among; older ones, of another generator, make it swing
_QUANTILES = 2000


class JudgedDiscriminator(nn.Module):
    """Heads on a frozen classifier's feature maps, and the distribution that its logits should have.

    It has the interface of ``ProjectedDiscriminator``; the last of its ``features`` are the logits, for ``mismatch``.

    Args:
        judge: layers from images [N, 3, R, R] to logits [N, M]; frozen by the caller.
        sample: real images [n, 3, R, R] in [-1, 1], enough of them to say how often things are.
        rng: source of the axes, of the heads' first weights, and of the changes under which images are looked at: those
            that the classifier was trained under, so that a generator does not learn its blind spots.
        width: channels of the heads.

    ``state_dict`` has everything but the classifier.
    """

    mean: Tensor
    axes: Tensor
    quantiles: Tensor
    remembered: Tensor

    def __init__(self, judge: nn.Sequential, sample: Tensor, rng: torch.Generator, width: int = 64) -> None:
        super().__init__()
        self._judge, self.rng = (judge,), rng  # in a tuple, so that it is no part of the state
        with torch.no_grad():
            looks = [self.features(part) for part in sample.split(200)]
            maps = [torch.cat([look[i] for look in looks[:2]]) for i in range(len(TAPS))]
            logits = torch.cat([look[-1] for look in looks])
        for i, x in enumerate(maps):
            self.register_buffer(f"shift{i}", x.mean((0, 2, 3), keepdim=True))
            self.register_buffer(f"scale{i}", x.std((0, 2, 3), keepdim=True) + 1e-3)
        self.register_buffer("mean", logits.mean(0))
        standard = (logits - self.mean) / logits.std(0)
        mixtures = F.normalize(torch.randn(logits.shape[1], DIRECTIONS, generator=rng), dim=0).to(sample.device)
        axes = torch.cat([torch.eye(logits.shape[1], device=sample.device), mixtures], 1)
        axes = axes / (standard @ axes).std(0)
        self.register_buffer("axes", axes / logits.std(0)[:, None])
        ordered = self._along(logits).sort(0).values
        places = torch.linspace(0, len(ordered) - 1, _QUANTILES).round().long()
        self.register_buffer("quantiles", ordered[places.to(sample.device)])
        self.register_buffer("remembered", torch.empty(0, axes.shape[1], device=sample.device))
        with torch.random.fork_rng(devices=[]):  # modules draw from the global source
            torch.manual_seed(int(torch.randint(2**62, (), generator=rng)))
            self.heads = nn.ModuleList(Head(x.shape[1], x.shape[2], width) for x in maps)
        self.to(sample.device)

    def features(self, images: Tensor) -> list[Tensor]:
        """The feature maps [N, C, S, S] of ``TAPS`` and the logits [N, M]; differentiable in the images."""
        x, out = augment(images, self.rng).contiguous(memory_format=torch.channels_last), []
        for i, layer in enumerate(self._judge[0]):
            x = layer(x)
            if i in TAPS:
                out.append(x)
        return [*out, x]

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Each head's logits [N, P] of ``features``."""
        return [head((x - self.get_buffer(f"shift{i}")) / self.get_buffer(f"scale{i}"))
                for i, (head, x) in enumerate(zip(self.heads, features))]

    def _along(self, logits: Tensor) -> Tensor:
        return (logits - self.mean) @ self.axes

    def mismatch(self, logits: Tensor) -> Tensor:
        """How far the values along all axes are from the real ones of the same rank: a Huber loss, in standard
        deviations of the real images; 0 for the real distribution itself, up to sampling. Remembers the values."""
        values = self._along(logits)
        with torch.no_grad():
            pool = torch.cat([self.remembered, values.detach()])[-max(REMEMBERED, len(values)):]
            self.remembered = pool
            ranks = torch.searchsorted(pool.sort(0).values.T.contiguous(), values.detach().T.contiguous()).T
            places = ranks / max(len(pool) - 1, 1) * (_QUANTILES - 1)
            wanted = self.quantiles.gather(0, places.round().long().clamp(max=_QUANTILES - 1))
        return F.huber_loss(values, wanted)

    def _load_from_state_dict(self, state_dict, prefix, *args) -> None:
        self.remembered = state_dict[f"{prefix}remembered"].to(self.quantiles.device)  # its length grows
        super()._load_from_state_dict(state_dict, prefix, *args)

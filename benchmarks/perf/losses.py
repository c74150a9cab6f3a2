"""Goal 7: the contrastive losses beside loops over rows and pairs, written from their formulas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from dirbench.benchmarks.perf.report import Row
from dirbench.benchmarks.perf.setup import Setup
from dirbench.benchmarks.perf.timing import Ratio, interleaved
from dirbench.methods.latentclr import Contrast
from dirbench.methods.xga import many_gan_loss

K = 16
WIDTH = 1280  # features a row, as the extractor has them
CLOSE = 1e-6  # values and gradients may differ by so much
TIMES = 5  # calls in one measurement: a loss takes a millisecond

Loss = Callable[[Tensor], Tensor]


def looped_latentclr(features: Tensor, k: int, temperature: float = 0.5) -> Tensor:
    """LatentCLR's loss (Yueksel et al., ICCV 2021, Sec. 3), a row at a time; see ``Contrast``."""
    classes = torch.arange(k).repeat_interleave(len(features) // k)
    losses = []
    for r, row in enumerate(features):
        similar = (temperature * (features @ row).abs()).exp()
        positive = similar[(classes == classes[r]) & (torch.arange(len(features)) != r)]
        losses.append(-(positive.mean() / similar[classes != classes[r]].mean()).log())
    return torch.stack(losses).mean()


def looped_cross_gan(first: Tensor, second: Tensor, n: int, overlap: Tensor, other_weight: float = 0.1,
                     temperature: float = 0.5) -> Tensor:
    """xGA's loss (Olson et al., CVPR 2023, eq. 3), a row at a time; see ``many_gan_loss``."""
    features, batch = torch.cat((first, second)), len(first) // n
    own = torch.arange(n)
    classes = torch.cat((own, torch.where(overlap, own, own + n))).repeat_interleave(batch)
    client = torch.arange(len(features)) >= len(first)
    total, pairs = features.new_zeros(()), 0
    for r, row in enumerate(features):
        similar = (temperature * (features @ row)).exp()
        denominator = similar[classes != classes[r]].sum()
        positive = (classes == classes[r]) & (torch.arange(len(features)) != r)
        weights = torch.where(client[positive] == client[r], 1.0, other_weight)
        total = total - (weights * (similar[positive] / denominator).log()).sum()
        pairs += int(positive.sum())
    return total / pairs


def measure(setup: Setup) -> Iterator[Row]:
    """Loop over matrix expression, forward and backward. Raises RuntimeError where they do not agree."""
    n = setup.sizes.rows
    features = F.normalize(torch.randn(n, WIDTH, generator=torch.Generator().manual_seed(0)), dim=1)
    overlap = torch.arange(K) < 12
    first, second = slice(None, n // 2), slice(n // 2, None)
    compared: dict[str, tuple[Loss, Loss]] = {
        "LatentCLR": (lambda x: looped_latentclr(x, K), lambda x: Contrast(K).of_rows(x)[0]),
        "xGA": (lambda x: looped_cross_gan(x[first], x[second], K, overlap),
                lambda x: many_gan_loss((x[first], x[second]), K, overlap)[0])}
    for name, (loop, here) in compared.items():
        check(name, value_and_gradient(loop, features), value_and_gradient(here, features))
        found = interleaved({"loop": partial(value_and_gradient, loop, features),
                             "here": partial(value_and_gradient, here, features)}, setup.repeats, TIMES)
        yield Row(7, f"{name}'s loss and gradient, {n} rows: loop over rows / here", 4, 10,
                  Ratio.of(found["loop"], found["here"]), at_most=False)


def value_and_gradient(loss: Loss, features: Tensor) -> tuple[Tensor, Tensor]:
    """A loss and its gradient by the features."""
    features = features.detach().requires_grad_()
    value = loss(features)
    value.backward()
    assert features.grad is not None  # backward has just made it
    return value.detach(), features.grad


def check(name: str, loop: tuple[Tensor, Tensor], here: tuple[Tensor, Tensor]) -> None:
    """RuntimeError unless values and gradients agree."""
    for what, a, b in zip(("values", "gradients"), loop, here):
        off = (a - b).abs().max().item()
        if not off <= CLOSE:
            raise RuntimeError(f"{name}'s loss: {what} of the loop and of the project differ by {off:.2g}, expected "
                               f"{CLOSE:g} at most")

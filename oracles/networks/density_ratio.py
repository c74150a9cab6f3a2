"""Density ratios between two GANs in feature space: what tells xGA that an edit leaves the other GAN's distribution.

xGA (Olson et al., CVPR 2023), Sec. 3.2 and eq. 4-6, with the KLIEP loss of Menon & Ong (ICML 2016), Sec. 4.1, and the
log-loss of its appendix A.1. Sizes, clamp and early stop are the release's.

The published training samples and embeds new images in every step. Here each GAN's features are a data set, made once
(``feature_pools``) and shared by all pairs the GAN is in.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from dirbench.generator import Generator
from dirbench.names import did_you_mean
from dirbench.oracle import FeatureExtractor, RatioEstimator

LOSSES = ("kliep", "log", "log_release")
NONE_UNIQUE = -0.001
"""The uniqueness loss where no unique direction was drawn (the release's constant)."""

_LIMIT = 50.0  # outputs before softplus or sigmoid are clamped to +-50
_STOP_RATIO, _STOP_AFTER = 49.0, 150  # the release stops once ratios saturate at the clamp


class _PassThroughClamp(torch.autograd.Function):
    """Clamp to +-50 whose gradient is that of the identity: a saturated ratio can still come back."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        return x.clamp(-_LIMIT, _LIMIT)

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor:
        return grad


class DensityRatio(RatioEstimator):
    """Two estimates per feature row: of p_reference / p_client (column 0) and of its inverse (column 1).

    Each is an MLP, Linear(F, 2F) - ReLU - Linear(2F, 1, no bias); both share one matrix product here.

    Args:
        width: F.
        loss: what it is trained with, see ``ratio_loss``; it also says how outputs are read.
        rng: CPU source of the initial weights (uniform, PyTorch's own bounds for linear layers).
    Raises:
        ValueError: an unknown loss.
    """

    def __init__(self, width: int, loss: str = "kliep", rng: torch.Generator | None = None) -> None:
        super().__init__()
        if loss not in LOSSES:
            raise ValueError("density ratio: " + did_you_mean("loss", loss, list(LOSSES)))
        self.width, self.loss = width, loss
        rng = rng or torch.Generator().manual_seed(0)

        def uniform(*shape: int, fan_in: int) -> nn.Parameter:
            return nn.Parameter((2 * torch.rand(*shape, generator=rng) - 1) / math.sqrt(fan_in))

        self.hidden_weight = uniform(4 * width, width, fan_in=width)  # rows of the first MLP, then of the second
        self.hidden_bias = uniform(4 * width, fan_in=width)
        self.out_weight = uniform(2, 2 * width, fan_in=2 * width)

    def logits(self, features: Tensor) -> Tensor:
        """Outputs [N, 2] of the MLPs for features [N, F], clamped to +-50; gradients pass through the clamp."""
        if features.ndim != 2 or features.shape[1] != self.width:
            raise ValueError(f"density ratio: expected features [N, {self.width}], got {tuple(features.shape)}")
        hidden = F.relu(F.linear(features, self.hidden_weight, self.hidden_bias))
        out = (hidden.unflatten(1, (2, -1)) * self.out_weight).sum(2)
        return _PassThroughClamp.apply(out)

    def scores(self, features: Tensor) -> Tensor:
        """[N, 2], at least 0; what losses are made of: softplus of the logits (KLIEP), or sigmoid (log-losses)."""
        logits = self.logits(features)
        return F.softplus(logits) if self.loss == "kliep" else logits.sigmoid()

    def ratios(self, features: Tensor) -> Tensor:
        """[N, 2] estimates of p_reference / p_client and of p_client / p_reference.

        For KLIEP these are the scores. For the log-losses a score is a probability p, and the ratio p / (1 - p).
        """
        return self.scores(features) if self.loss == "kliep" else self.logits(features).exp()

    def round_to_half(self) -> DensityRatio:
        """Rounds the weights to what ``save`` can store, so that stored and live ratios agree; returns itself."""
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(parameter.half())
        return self

    def save(self, path: Path) -> None:
        """Writes a safetensors file, float16: two MLPs on 1280 features are 6.6 million numbers."""
        save_file({name: t.detach().cpu().half().contiguous() for name, t in self.state_dict().items()}, path,
                  {"kind": "density_ratio", "loss": self.loss, "width": str(self.width)})

    @staticmethod
    def load(path: Path) -> DensityRatio:
        """The frozen ratio that ``path`` holds, float32. Raises ValueError on a damaged or foreign file."""
        try:
            with safe_open(path, "pt") as file:
                meta = file.metadata() or {}
                tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - not a dict
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path}: not a readable density-ratio file ({error})") from error
        if meta.get("kind") != "density_ratio":
            raise ValueError(f"{path}: holds no density ratio (kind {meta.get('kind')!r})")
        ratio = DensityRatio(int(meta["width"]), meta["loss"])
        ratio.load_state_dict(tensors)
        return ratio.eval().requires_grad_(False)


def ratio_loss(ratio: DensityRatio, reference: Tensor, client: Tensor) -> tuple[Tensor, Tensor]:
    """(loss, mean score of rows under their own GAN's estimate) on features [n, F] of each GAN.

    * ``kliep``: -mean log r_ref(ref) - mean log r_client(client) + mean r_ref(client) + mean r_client(ref);
      xGA eq. 5 and 6, without the normalisation constraint, as released.
    * ``log``: binary cross-entropy of each probability p, rows of its own GAN being the positives; xGA eq. 12 and 13.
    * ``log_release``: the release's sign slip: PLUS mean log p of the other GAN's rows, in place of
      -mean log(1 - p). Only the clamp bounds it from below.
    """
    n = len(reference)
    if n != len(client):  # the means below are over both GANs' rows together
        raise ValueError(f"density ratio: batches of {n} and {len(client)} rows; expected as many of each GAN")
    logits = ratio.logits(torch.cat([reference, client]))
    own = torch.cat([logits[:n, 0], logits[n:, 1]])
    other = torch.cat([logits[n:, 0], logits[:n, 1]])
    if ratio.loss == "kliep":
        scores = F.softplus(own)
        return 2 * (F.softplus(other).mean() - scores.log().mean()), scores.mean()
    outer = F.softplus(other) if ratio.loss == "log" else F.logsigmoid(other)
    return 2 * (outer.mean() - F.logsigmoid(own).mean()), own.sigmoid().mean()


def adam(ratio: DensityRatio, learning_rate: float) -> torch.optim.Adam:
    """The optimizer of the release; fused, because at F = 1280 the update costs as much as the products."""
    return torch.optim.Adam(ratio.parameters(), lr=learning_rate, fused=True)


def train_step(ratio: DensityRatio, optimizer: torch.optim.Optimizer, reference: Tensor,
               client: Tensor) -> tuple[float, float]:
    """One step on one batch of each GAN; (loss, mean in-distribution score) before it."""
    loss, inside = ratio_loss(ratio, reference, client)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.item(), inside.item()


def train_density_ratio(reference: Tensor, client: Tensor, loss: str = "kliep", steps: int = 1000, batch: int = 32,
                        learning_rate: float = 1e-2, rng: torch.Generator | None = None) -> DensityRatio:
    """A frozen ``DensityRatio`` of two GANs, from pools of their features [n, F] (see ``feature_pools``).

    Every step draws ``batch`` rows of each pool with replacement. It stops early, as the release does, once the mean
    in-distribution ratio exceeds 49 after more than 150 steps. Weights come back rounded to half precision, as saved.

    Args:
        rng: CPU source of initial weights and rows; default: seeded with 0.
    Raises:
        ValueError: pools of different width, empty or not finite; an unknown loss.
        RuntimeError: the loss is not finite.

    >>> rng = torch.Generator().manual_seed(0)
    >>> reference, client = torch.randn(64, 4, generator=rng), torch.randn(64, 4, generator=rng) + 2
    >>> ratio = train_density_ratio(reference, client, steps=20)
    >>> of_reference, of_client = (ratio.ratios(rows)[:, 0].mean() for rows in (reference, client))
    >>> bool(of_reference > of_client)  # p_reference / p_client
    True
    """
    if reference.ndim != 2 or client.ndim != 2 or reference.shape[1:] != client.shape[1:]:
        raise ValueError(f"train_density_ratio: expected features [n, F] of one F, got {tuple(reference.shape)} "
                         f"and {tuple(client.shape)}")
    for name, pool in (("reference", reference), ("client", client)):
        if not len(pool) or not torch.isfinite(pool).all():
            raise ValueError(f"train_density_ratio: the {name} pool of {len(pool)} rows is empty or not finite")
    rng = rng or torch.Generator().manual_seed(0)
    ratio = DensityRatio(reference.shape[1], loss, rng).to(reference.device)
    optimizer = adam(ratio, learning_rate)
    for step in range(steps):
        rows = [torch.randint(len(pool), (batch,), generator=rng).to(pool.device) for pool in (reference, client)]
        value, inside = train_step(ratio, optimizer, reference[rows[0]], client[rows[1]])
        if not math.isfinite(value):
            raise RuntimeError(f"train_density_ratio ({loss}): the loss is {value} at step {step}; try a learning rate "
                               f"below {learning_rate}")
        if loss == "kliep" and step > _STOP_AFTER and inside > _STOP_RATIO:
            break
    return ratio.round_to_half().eval().requires_grad_(False)


def uniqueness(ratio: DensityRatio, reference: Tensor, client: Tensor) -> Tensor:
    """The loss that makes directions unique, a number: low where edited images are unlikely under the other GAN.

    Mean of column 1 of ``scores`` over the reference's rows plus mean of column 0 over the client's (xGA, Sec. 3.2).

    Args:
        reference, client: features [n, F] of EDITED images (not differences) of the directions that are not shared.
            With no rows at all it is the constant -0.001, as released.
    """
    if not len(reference) and not len(client):
        return reference.new_tensor(NONE_UNIQUE)
    return ratio.scores(reference)[:, 1].mean() + ratio.scores(client)[:, 0].mean()


def feature_pools(generator: Generator, extractors: Sequence[FeatureExtractor], n: int, rng: torch.Generator,
                  chunk: int = 64) -> list[Tensor]:
    """Features [n, F] of the same n sampled images in each extractor, scaled to unit length as xGA compares them.

    Latents of the generator's own space are drawn all at once: which images they are does not depend on ``chunk``.

    Raises:
        ValueError: n or chunk below 1.
    """
    if n < 1 or chunk < 1:
        raise ValueError(f"feature_pools: n is {n} and chunk is {chunk}, expected at least 1 of each")
    seen: list[list[Tensor]] = [[] for _ in extractors]
    with torch.no_grad():
        for part in generator.sample(n, rng).split(chunk):
            images = generator.synthesize(part)
            for pool, extractor in zip(seen, extractors):
                pool.append(F.normalize(extractor.features(images), dim=1))
    return [torch.cat(pool) for pool in seen]

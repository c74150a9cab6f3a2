"""The contrastive losses of LatentCLR and xGA, each one matrix expression over all rows."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

REDUCTIONS = ("mean", "sum")


def unit_features(activations: Tensor) -> Tensor:
    """Float32 rows of unit length [N, F] of activations [N, ...] in any precision."""
    return F.normalize(activations.flatten(1).float(), dim=1)


def divergences(edited: Tensor, originals: Tensor) -> Tensor:
    """Unit change of features [K * N, F], direction-major, of edited [K * N, F] and their originals [N, F].

    An edit that changes nothing has no direction of change: its row is NaN, and training stops there.
    """
    change = edited.unflatten(0, (-1, len(originals))) - originals
    return (change / change.norm(dim=2, keepdim=True)).flatten(0, 1)


def latentclr_loss(features: Tensor, k: int, temperature: float = 0.5, absolute: bool = True,
                   reduction: str = "mean") -> tuple[Tensor, Tensor]:
    """(loss, accuracy) of divergence features: same-direction rows should be alike, others not.

    With ``e = exp(temperature * x_r . x_p)`` (of ``|x_r . x_p|`` if ``absolute``): mean over rows r of
    ``-log(pos / neg)``, pos the mean (or sum) of e over the other samples of r's direction, neg over all samples of
    other directions. Accuracy: share of rows with pos > neg. Yueksel et al., ICCV 2021 (arXiv:2104.00820), Sec. 3;
    the temperature *multiplies*, as in the official code.

    Args:
        features: [k * B, F], direction-major, B of at least 2; used as they come, not normalised.
        k: number of directions, at least 2.
    Raises:
        ValueError: no such reduction, or there are no two rows of one direction or no two directions.
    """
    batch = len(features) // max(k, 1)
    if k < 2 or batch < 2 or batch * k != len(features):
        raise ValueError(f"latentclr_loss: expected k >= 2 directions of 2 or more rows each, got k={k} and "
                         f"{len(features)} rows")
    if reduction not in REDUCTIONS:
        raise ValueError(f"latentclr_loss: reduction={reduction!r}, expected one of {', '.join(REDUCTIONS)}")
    similar = features @ features.T
    logits = temperature * (similar.abs() if absolute else similar)
    direction = torch.arange(k, device=features.device).repeat_interleave(batch)
    same = direction[:, None] == direction
    itself = torch.eye(len(features), dtype=torch.bool, device=features.device)
    positive = logits.masked_fill(~same | itself, -math.inf).logsumexp(dim=1)
    negative = logits.masked_fill(same, -math.inf).logsumexp(dim=1)
    if reduction == "mean":
        positive = positive - math.log(batch - 1)
        negative = negative - math.log(len(features) - batch)
    return (negative - positive).mean(), (positive > negative).float().mean()


def cross_gan_loss(feats1: Tensor, feats2: Tensor, n: int, overlap: Tensor, other_weight: float = 0.1,
                   temperature: float = 0.5) -> tuple[Tensor, Tensor]:
    """(loss, accuracy) of the divergence features of two generators' directions (xGA, CVPR 2023, eq. 3).

    Rows of one direction form a class; the two generators share the class of a common direction and have one each
    otherwise. For every ordered pair (r, p), p != r, of one class the term is ``-log(S_rp / sum_q S_rq)`` with
    ``S = exp(temperature * cosine)`` and q over all rows of *other* classes, both generators'; it counts
    ``other_weight`` where r and p come from different generators. Loss: the sum of terms over the number of pairs.
    The positive is not in the denominator, so the loss can be negative, and the temperature *multiplies*: both as
    in the release. Accuracy: share of positive pairs more alike than every negative of the row; pairs across
    generators count unless ``other_weight`` is 0.

    Args:
        feats1, feats2: [n * B, F] unit rows, direction-major, of the reference and the client.
        n: number of directions of each.
        overlap: [n] bool, True where direction i is common to both.
    Raises:
        ValueError: shapes disagree, or no two rows are of one class or of two.
    """
    batch = len(feats1) // max(n, 1)
    if feats1.shape != feats2.shape or batch * n != len(feats1) or overlap.shape != (n,) or n < 2:
        raise ValueError(f"cross_gan_loss: expected features [n * B, F] twice and overlap [n] with n >= 2, got n={n}, "
                         f"{tuple(feats1.shape)}, {tuple(feats2.shape)} and {tuple(overlap.shape)}")
    if batch < 1 or (batch == 1 and not overlap.any()):
        raise ValueError(f"cross_gan_loss: {batch} rows a direction and nothing in common: no pair of one class")
    features = torch.cat((feats1, feats2))
    first = torch.arange(n, device=features.device)
    second = torch.where(overlap.to(first.device), first, first + n)
    classes = torch.cat((first, second)).repeat_interleave(batch)
    client = torch.arange(len(features), device=features.device) >= len(feats1)
    same, across = classes[:, None] == classes, client[:, None] != client
    pairs = same.clone().fill_diagonal_(False)
    count = pairs.sum()

    logits = temperature * (features @ features.T)
    others = logits.masked_fill(same, -math.inf)
    weights = pairs * torch.where(across, other_weight, 1.0).to(logits)
    # the sum of weight * (log-denominator of the row - logit), without a matrix of the differences
    loss = (others.logsumexp(dim=1) @ weights.sum(dim=1) - (weights * logits).sum()) / count
    with torch.no_grad():
        counted = pairs if other_weight else pairs & ~across
        hits = (logits > others.amax(dim=1, keepdim=True)) & counted
        accuracy = hits.sum() / counted.sum()
    return loss, accuracy

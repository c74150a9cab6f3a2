"""xGA's contrastive loss as one matrix expression over all rows, and the features that it compares."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def unit_features(activations: Tensor) -> Tensor:
    """Float32 rows of unit length [N, F] of activations [N, ...] in any precision."""
    return F.normalize(activations.flatten(1).float(), dim=1)


def divergences(edited: Tensor, originals: Tensor) -> Tensor:
    """Unit change of features [K * N, F], direction-major, of edited [K * N, F] and their originals [N, F].

    An edit that changes nothing has no direction of change: its row is NaN, and training stops there.
    """
    change = edited.unflatten(0, (-1, len(originals))) - originals
    return (change / change.norm(dim=2, keepdim=True)).flatten(0, 1)


def many_gan_loss(feats: Sequence[Tensor], n: int, overlap: Tensor, other_weight: float = 0.1,
                  temperature: float = 0.5) -> tuple[Tensor, Tensor]:
    """(loss, accuracy) of the divergence features of one or more generators' directions (xGA, CVPR 2023, eq. 3).

    Rows of one direction form a class; all generators share the class of a common direction and have one each
    otherwise. For every ordered pair (r, p), p != r, of one class the term is ``-log(S_rp / sum_q S_rq)`` with
    ``S = exp(temperature * cosine)`` and q over all rows of *other* classes, of every generator; it counts
    ``other_weight`` where r and p come from different generators. Loss: the sum of terms over the number of pairs.
    The positive is not in the denominator, so the loss can be negative, and the temperature *multiplies*: both as
    in the release. Accuracy: share of positive pairs more alike than every negative of the row; pairs across
    generators count unless ``other_weight`` is 0.

    With three generators and more every pair of them has its alignment terms, and each has the terms within itself
    (Sec. 4.5, figure 8); with one there are only those (the setting of table 2).

    Args:
        feats: [n * B, F] unit rows, direction-major, of each generator.
        n: number of directions of each.
        overlap: [n] bool, True where direction i is common to all of them.
    Raises:
        ValueError: shapes disagree, or no two rows are of one class or of two.
    """
    shapes = [tuple(f.shape) for f in feats]
    batch = shapes[0][0] // max(n, 1)
    if len(set(shapes)) != 1 or batch * n != shapes[0][0] or overlap.shape != (n,) or n < 2:
        raise ValueError(f"many_gan_loss: expected features [n * B, F], alike for all generators, and overlap [n] "
                         f"with n >= 2, got n={n}, {', '.join(map(str, shapes))} and {tuple(overlap.shape)}")
    if batch < 1 or (batch == 1 and (len(feats) == 1 or not overlap.any())):
        raise ValueError(f"many_gan_loss: {batch} rows a direction and nothing in common: no pair of one class")
    features = torch.cat(list(feats))
    own = torch.arange(n, device=features.device)
    classes = torch.cat([torch.where(overlap.to(own.device), own, own + g * n) for g in range(len(feats))])
    classes = classes.repeat_interleave(batch)
    gan = torch.arange(len(feats), device=own.device).repeat_interleave(n * batch)
    same, across = classes[:, None] == classes, gan[:, None] != gan
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

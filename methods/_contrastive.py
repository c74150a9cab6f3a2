"""The contrastive losses of LatentCLR and xGA, each one matrix expression over all rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

REDUCTIONS = ("mean", "sum")
COLUMNS = 2048  # of long rows at a time: 128 of them are 1 MB, which a core's cache holds


def unit_features(activations: Tensor) -> Tensor:
    """Float32 rows of unit length [N, F] of activations [N, ...] in any precision."""
    return F.normalize(activations.flatten(1).float(), dim=1)


def divergences(edited: Tensor, originals: Tensor) -> Tensor:
    """Unit change of features [K * N, F], direction-major, of edited [K * N, F] and their originals [N, F].

    An edit that changes nothing has no direction of change: its row is NaN, and training stops there.
    """
    change = edited.unflatten(0, (-1, len(originals))) - originals
    return (change / change.norm(dim=2, keepdim=True)).flatten(0, 1)


class _ChangeProducts(torch.autograd.Function):
    """c c^T of the changes c = e - |e| u, of edited e [K * N, F], in parts, and unit originals u [N, F].

    Written for rows far longer than there are rows, where a pass over [K * N, F] costs as much as an image: e is never
    put together, c never kept. Both exist for ``COLUMNS`` columns at a time, and the gradient is two products more.
    """

    @staticmethod
    def forward(ctx, units: Tensor, sizes: Tensor, *parts: Tensor) -> Tensor:
        rows, n = len(sizes), len(units)
        products, along = units.new_zeros(rows, rows), units.new_zeros(rows, n)  # c c^T and c u^T
        for edited, unit in zip(_columns(parts), units.split(COLUMNS, dim=1)):
            change = torch.addcmul(edited.unflatten(0, (-1, n)), sizes.view(-1, n, 1), unit, value=-1).flatten(0, 1)
            products.addmm_(change, change.T)
            along.addmm_(change, unit.T)
        ctx.save_for_backward(units, sizes, along, *parts)
        return products

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        units, sizes, along, *parts = ctx.saved_tensors
        n = len(units)
        grad = grad + grad.T  # times c, it is the gradient of c, which reaches e straight and by way of |e|
        own = torch.arange(len(sizes), device=sizes.device) % n
        to_edited = grad - ((grad @ along).gather(1, own[:, None]).flatten() / sizes).diag()
        to_units = -(grad * sizes).unflatten(1, (-1, n)).sum(dim=1)
        found = [torch.empty_like(part) for part in parts]
        heights = [len(part) for part in parts]
        for edited, unit, out in zip(_columns(parts), units.split(COLUMNS, dim=1),
                                     zip(*(x.split(COLUMNS, dim=1) for x in found))):
            for there, mine, theirs in zip(out, to_edited.split(heights), to_units.split(heights)):
                torch.mm(mine, edited, out=there).addmm_(theirs, unit)
        return None, None, *found


def _columns(parts: Sequence[Tensor]) -> Iterator[Tensor]:
    """``COLUMNS`` columns at a time of what ``parts`` are rows of."""
    for blocks in zip(*(part.split(COLUMNS, dim=1) for part in parts)):
        yield torch.cat(blocks)


def divergence_cosines(edited: Sequence[Tensor], originals: Tensor) -> Tensor:
    """Cosines [K * N, K * N] of the ``divergences`` of edited [K * N, F] and originals [N, F], of rows of any length.

    The change e/|e| - o/|o| of unit features points where e - |e| o/|o| does, and one matrix has all lengths and all
    products. A change that is only rounding is none, and has NaN.

    Args:
        edited: its rows in order, in as many parts as they were made in.
        originals: get no gradient.
    """
    sizes = torch.cat([part.detach().norm(dim=1) for part in edited])
    products = _ChangeProducts.apply(F.normalize(originals.detach(), dim=1), sizes, *edited)
    lengths = products.diagonal().sqrt()
    lengths = lengths.where(lengths > 4 * torch.finfo(sizes.dtype).eps * sizes, math.nan)
    return products / (lengths * lengths[:, None])


def latentclr_loss(features: Tensor, k: int, temperature: float = 0.5, absolute: bool = True,
                   reduction: str = "mean") -> tuple[Tensor, Tensor]:
    """``latentclr_loss_of_cosines`` of divergence features [k * B, F], direction-major, used as they are."""
    return latentclr_loss_of_cosines(features @ features.T, k, temperature, absolute, reduction)


def latentclr_loss_of_cosines(similar: Tensor, k: int, temperature: float = 0.5, absolute: bool = True,
                              reduction: str = "mean") -> tuple[Tensor, Tensor]:
    """(loss, accuracy) of divergences: those of one direction should be alike, others not.

    With ``e = exp(temperature * x_r . x_p)`` (of ``|x_r . x_p|`` if ``absolute``): mean over rows r of
    ``-log(pos / neg)``, pos the mean (or sum) of e over the other samples of r's direction, neg over all samples of
    other directions. Accuracy: share of rows with pos > neg. Yueksel et al., ICCV 2021 (arXiv:2104.00820), Sec. 3;
    the temperature *multiplies*, as in the official code.

    Args:
        similar: x_r . x_p of all rows [k * B, k * B], direction-major, B of at least 2.
        k: number of directions, at least 2.
    Raises:
        ValueError: no such reduction, or there are no two rows of one direction or no two directions.
    """
    batch = len(similar) // max(k, 1)
    if k < 2 or batch < 2 or batch * k != len(similar):
        raise ValueError(f"latentclr_loss: expected k >= 2 directions of 2 or more rows each, got k={k} and "
                         f"{len(similar)} rows")
    if reduction not in REDUCTIONS:
        raise ValueError(f"latentclr_loss: reduction={reduction!r}, expected one of {', '.join(REDUCTIONS)}")
    logits = temperature * (similar.abs() if absolute else similar)
    direction = torch.arange(k, device=similar.device).repeat_interleave(batch)
    same = direction[:, None] == direction
    itself = torch.eye(len(similar), dtype=torch.bool, device=similar.device)
    positive = logits.masked_fill(~same | itself, -math.inf).logsumexp(dim=1)
    negative = logits.masked_fill(same, -math.inf).logsumexp(dim=1)
    if reduction == "mean":
        positive = positive - math.log(batch - 1)
        negative = negative - math.log(len(similar) - batch)
    return (negative - positive).mean(), (positive > negative).float().mean()


def cross_gan_loss(feats1: Tensor, feats2: Tensor, n: int, overlap: Tensor, other_weight: float = 0.1,
                   temperature: float = 0.5) -> tuple[Tensor, Tensor]:
    """(loss, accuracy) of the divergence features of two generators' directions: ``many_gan_loss`` of the two."""
    return many_gan_loss((feats1, feats2), n, overlap, other_weight, temperature)


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
        raise ValueError(f"cross_gan_loss: expected features [n * B, F], alike for all generators, and overlap [n] "
                         f"with n >= 2, got n={n}, {', '.join(map(str, shapes))} and {tuple(overlap.shape)}")
    if batch < 1 or (batch == 1 and (len(feats) == 1 or not overlap.any())):
        raise ValueError(f"cross_gan_loss: {batch} rows a direction and nothing in common: no pair of one class")
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

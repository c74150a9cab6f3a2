"""ContraFeat's losses: how alike are the changes that edits make in stacks of feature maps, and where they happen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

MASKS = ("squared", "linear", "none", "pooled")
EPS = 1e-6  # the release's, in the masks' range and in their sum
SMALL = 1e-12  # a change shorter than this has no direction

Stack = Sequence[Tensor]  # one [N, C, H, W] a stage


@dataclass(frozen=True)
class Similarity:
    """How alike two stacks of changes are, in 0..1 a stage, summed over stages (Zhu et al., AAAI 2023, eq. 6 to 12).

    A mask says where a change is large: the norm over channels, scaled to 0..1 over the positions of a sample. Two
    changes are compared by the squared cosine at each position, weighted by the product of their masks.

    Args:
        mask: ``"squared"``: sum of (cosine x mask)^2 over sum of mask, the release's default; ``"linear"``: the mask
            outside the square, the paper's eq. 8 (the release's ``mask_after_square``); ``"none"``: plain mean (the
            paper's No-Foc ablation); ``"pooled"``: average-pooled changes (its Pooled ablation).
        over_depth: minimum and maximum of a mask are those over all stages together.
        absolute: |cosine| instead of its square.
    """

    mask: str = "squared"
    over_depth: bool = False
    absolute: bool = False

    def pairs(self, one: Stack, other: Stack) -> Tensor:
        """[N]: row i of one stack against row i of the other."""
        stages = zip(self._prepare(one), self._prepare(other), strict=True)
        return _total(self._mean((a * b).sum(dim=1), p * q) for (a, p), (b, q) in stages)

    def table(self, rows: Stack, columns: Stack) -> Tensor:
        """[N, K]: every row of a stack against every row of another, which is resized to the first's maps."""
        columns = [F.interpolate(c, size=r.shape[2:], mode="bilinear") if c.shape[2:] != r.shape[2:] else c
                   for r, c in zip(rows, columns, strict=True)]
        stages = zip(self._prepare(rows), self._prepare(columns), strict=True)
        return _total(self._mean(torch.einsum("nchw,kchw->nkhw", a, b), p[:, None] * q) for (a, p), (b, q) in stages)

    def _prepare(self, changes: Stack) -> list[tuple[Tensor, Tensor]]:
        """For each stage: changes of unit length at every position, and the mask [N, H, W]."""
        if self.mask == "pooled":
            changes = [change.mean(dim=(2, 3), keepdim=True) for change in changes]
        norms = [torch.linalg.vector_norm(change, dim=1) for change in changes]  # once, for lengths and masks
        units = [change / norm.clamp_min(SMALL)[:, None] for change, norm in zip(changes, norms)]
        return list(zip(units, masks(norms, self.over_depth)))

    def _mean(self, cosine: Tensor, mask: Tensor) -> Tensor:
        """Weighted mean over the last two axes."""
        if self.mask in ("none", "pooled"):
            return (cosine.abs() if self.absolute else cosine.square()).mean(dim=(-2, -1))
        if self.absolute:
            weighted = cosine.abs() * mask
        else:
            weighted = (cosine * mask).square() if self.mask == "squared" else cosine.square() * mask
        return weighted.sum(dim=(-2, -1)) / (mask.sum(dim=(-2, -1)) + EPS)


def masks(norms: Stack, over_depth: bool = False) -> list[Tensor]:
    """Masks [N, H, W] in 0..1 of changes' norms over channels [N, H, W], scaled by their range in each sample."""
    ranges = [torch.cat([norm.flatten(1) for norm in norms], dim=1)] * len(norms) if over_depth else [
        norm.flatten(1) for norm in norms]
    out = []
    for norm, values in zip(norms, ranges):
        low, high = values.amin(dim=1)[:, None, None], values.amax(dim=1)[:, None, None]
        out.append((norm - low) / (high - low + EPS))
    return out


def contrast(query: Stack, positive: Stack, negative: Stack, similarity: Similarity) -> Tensor:
    """[N] consistency (eq. 8) plus orthogonality loss (eq. 11): the query's change should be like the positive's,
    the same direction from another start, and unlike the negative's, another direction from there."""
    return similarity.pairs(query, negative) - similarity.pairs(query, positive)


def prototype_contrast(table: Tensor, ks: Tensor) -> Tensor:
    """Scalar consistency (eq. 10) plus orthogonality loss (eq. 12) of similarities [N, K] to all prototypes.

    ``ks`` [N] are the directions that made the changes: row i should be like prototype ``ks[i]`` and no other.
    """
    own = F.one_hot(ks, table.shape[1]).bool()
    return table[~own].mean() - table[own].mean()


def diversity(moves: Tensor) -> Tensor:
    """Scalar (eq. 13): squared cosine of moves [K, L, D], flattened, summed over ordered pairs of directions."""
    unit = F.normalize(moves.flatten(1), dim=1)
    squares = (unit @ unit.T).square()
    return squares.sum() - squares.diagonal().sum()


def _total(parts: Iterable[Tensor]) -> Tensor:
    """The sum of one tensor a stage."""
    return torch.stack(list(parts)).sum(0)

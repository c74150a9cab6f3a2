"""LatentCLR's contrastive loss, its gradient in closed form: beside a small layer, every further operation shows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

REDUCTIONS = ("mean", "sum")
COLUMNS = 2048  # of long rows at a time: 128 of them are 1 MB, which a core's cache holds


@dataclass(frozen=True)
class Contrast:
    """What LatentCLR asks of divergences x_r: those of one direction should be alike, others not.

    With ``e = exp(temperature * x_r . x_p)`` (of ``|x_r . x_p|`` if ``absolute``), the loss is the mean over rows r of
    ``-log(pos / neg)``, pos the mean (or sum) of e over the other samples of r's direction, neg over all samples of
    other directions. Yueksel et al., ICCV 2021 (arXiv:2104.00820), Sec. 3; the temperature *multiplies*, as in the
    official code.

    Args:
        k: number of directions, at least 2; rows are direction-major, two or more of each.
        temperature: multiplies the similarity, 40 at most. absolute: opposite changes count as alike.
        reduction: ``"mean"`` or ``"sum"`` over positives and over negatives.
    Raises:
        ValueError: there is no such reduction, or the temperature is out of range.
    """

    k: int
    temperature: float = 0.5
    absolute: bool = True
    reduction: str = "mean"

    def __post_init__(self) -> None:
        if self.reduction not in REDUCTIONS:
            raise ValueError(f"latentclr: reduction={self.reduction!r}, expected one of {', '.join(REDUCTIONS)}")
        if not 0 < self.temperature <= 40:
            raise ValueError(f"latentclr: temperature={self.temperature}, expected more than 0 and at most 40: it "
                             "multiplies a cosine, whose exponential is taken")

    def of_rows(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(loss, accuracy) of divergences [k * B, F], used as they are. Accuracy: share of rows with pos > neg.

        Raises:
            ValueError: there are no two rows of one direction or no two directions.
        """
        return _OfRows.apply(self, features)

    def of_edits(self, edited: Sequence[Tensor], units: Tensor) -> Tensor:
        """The loss of ``_contrastive.divergences`` of features of any length.

        The change e/|e| - u of unit features points where e - |e| u does, and one matrix has all lengths and products
        of those. A change that is only rounding is none, and the loss NaN.

        Args:
            edited: features [k * B, F], in as many parts as they were made in.
            units: of their originals, of unit length [B, F]; get no gradient.
        Raises:
            ValueError: there are no two rows of one direction or no two directions.
        """
        return _OfEdits.apply(self, units, *edited)

    def losses(self, similar: Tensor, largest: float | Tensor) -> tuple[Tensor, Tensor]:
        """-log(pos / neg) of each row, and what times x is the loss' gradient of x, of all products x x^T.

        Args:
            largest: no product is larger. One that is smaller by 87 / temperature and more counts as nothing.
        """
        rows, k = len(similar), self.k
        batch = rows // max(k, 1)
        if k < 2 or batch < 2 or batch * k != rows:
            raise ValueError(f"latentclr: expected k >= 2 directions of 2 or more rows each, got k={k} and "
                             f"{rows} rows")
        alike = similar.abs() if self.absolute else similar
        e = (alike - largest).mul_(self.temperature).exp_() * _compared(k, batch, similar.dtype, similar.device)
        sums = e.sum(dim=2)
        shares = e.div_(sums[:, :, None])
        gradient = shares[1] - shares[0]
        if self.absolute:
            gradient *= similar.sign()
        gradient = (gradient + gradient.T).mul_(self.temperature / rows)
        positive, negative = sums.log_()
        offset = math.log((batch - 1) / (rows - batch)) if self.reduction == "mean" else 0.0
        return negative - positive + offset, gradient


@lru_cache(maxsize=1)
def _compared(k: int, batch: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[2, rows, rows]: 1 where two rows are of one direction, and where they are of two; 0 for a row and itself."""
    direction = torch.arange(k, device=device).repeat_interleave(batch)
    same = direction[:, None] == direction
    return torch.stack((same & ~torch.eye(len(same), dtype=torch.bool, device=device), ~same)).to(dtype)


@lru_cache(maxsize=1)
def _own(k: int, batch: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """[batch, rows]: 1 at the latent that a row is an edit of."""
    return torch.eye(batch, dtype=dtype, device=device).repeat(1, k)


class _OfRows(torch.autograd.Function):
    """``Contrast.of_rows``."""

    @staticmethod
    def forward(ctx, contrast: Contrast, features: Tensor) -> tuple[Tensor, Tensor]:
        similar = features @ features.T
        losses, gradient = contrast.losses(similar, similar.diagonal().max())
        ctx.save_for_backward(gradient, features)
        accuracy = (losses < 0).to(losses).mean()
        ctx.mark_non_differentiable(accuracy)
        return losses.mean(), accuracy

    @staticmethod
    @once_differentiable
    def backward(ctx, above: Tensor, _) -> tuple[Tensor | None, ...]:
        gradient, features = ctx.saved_tensors
        return None, (gradient * above) @ features


class _OfEdits(torch.autograd.Function):
    """``Contrast.of_edits``, by way of the changes c = e - |e| u.

    Written for rows far longer than there are rows, where a pass over [k * B, F] costs as much as an image: what has
    more than ``COLUMNS`` columns is never put together, neither e nor c, and the gradient is one product more.
    """

    @staticmethod
    def forward(ctx, contrast: Contrast, units: Tensor, *edited: Tensor) -> Tensor:
        sizes = _joined([torch.linalg.vector_norm(part, dim=1) for part in edited])
        rows, batch = len(sizes), len(units)
        half = rows // 2
        products = units.new_zeros(rows + batch, rows)  # c c^T over u c^T
        for block in _changes(edited, units, sizes):
            products[:, :half].addmm_(block, block[:half].T)  # c c^T is symmetric: three quarters will do
            products[half:, half:].addmm_(block[half:], block[half:rows].T)
        products, along = products.split((rows, batch))
        products[:half, half:] = products[half:, :half].T

        scale = products.diagonal().rsqrt()
        scale.masked_fill_(scale * sizes > 0.25 / torch.finfo(sizes.dtype).eps, math.nan)
        scales = scale * scale[:, None]
        losses, to_c = contrast.losses(products * scales, largest=1.0)

        # What times c and u is the gradient of e: that of c by its cosines and by its length, and then by way of |e|.
        to_c *= scales
        by_length = (to_c * products).sum(dim=1).mul_(scale).mul_(scale)
        by_size = (along @ to_c).addcmul_(along, by_length, value=-1)
        by_size *= _own(contrast.k, batch, units.dtype, units.device)
        to_c.diagonal().sub_(by_length.addcdiv_(by_size.sum(dim=0), sizes))
        gradient = torch.cat((to_c, by_size.neg_().T), dim=1)

        ctx.heights = [len(part) for part in edited]
        ctx.whole = units.shape[1] <= COLUMNS
        ctx.save_for_backward(gradient, *((block,) if ctx.whole else (sizes, units, *edited)))
        return losses.mean()

    @staticmethod
    @once_differentiable
    def backward(ctx, above: Tensor) -> tuple[Tensor | None, ...]:
        gradient, *saved = ctx.saved_tensors
        gradient = gradient * above
        if ctx.whole:
            return None, None, *(gradient @ saved[0]).split(ctx.heights)
        sizes, units, *edited = saved
        found = [torch.empty_like(part) for part in edited]
        parts = gradient.split(ctx.heights)
        for block, outs in zip(_changes(edited, units, sizes), zip(*(part.split(COLUMNS, dim=1) for part in found))):
            for part, out in zip(parts, outs):
                torch.mm(part, block, out=out)
        return None, None, *found


def _changes(edited: Sequence[Tensor], units: Tensor, sizes: Tensor) -> Iterator[Tensor]:
    """[rows + B, at most ``COLUMNS``]: the changes c over the units, so many columns at a time."""
    rows, batch = len(sizes), len(units)
    for *parts, unit in zip(*(whole.split(COLUMNS, dim=1) for whole in (*edited, units))):
        block = unit.new_empty(rows + batch, unit.shape[1])
        change, e = block[:rows].unflatten(0, (-1, batch)), _joined(parts).unflatten(0, (-1, batch))
        torch.addcmul(e, sizes.view(-1, batch, 1), unit, value=-1, out=change)
        block[rows:] = unit
        yield block


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(tuple(parts))

"""Intervals of means over cells that share GANs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

Key = str | tuple[str, ...]
ANY = (-np.inf, np.inf)


@dataclass(frozen=True)
class Interval:
    """A mean over cells with a 95% interval from leaving out one GAN at a time; for these GANs only.

    Attributes:
        mean: plain mean over the cells.
        low, high: the interval; NaN where fewer than three GANs vary.
        n: cells in the mean.
        clusters: the GANs that were left out in turn.
        fixed: GANs in every cell (the reference of a one-reference table), held fixed.
    """

    mean: float
    low: float
    high: float
    n: int
    clusters: tuple[str, ...]
    fixed: tuple[str, ...]


def clustered_interval(values: Mapping[Key, float], bounds: tuple[float, float] = ANY) -> Interval:
    """Mean of cell scores with an interval that knows that cells share GANs.

    The keys say which GANs a cell has: ``(reference, client)`` for pairs, ``name`` or ``(name,)`` for single
    ones. A delete-one-GAN jackknife (for pairs: dyadic, all cells of the GAN go at once) with Student's t on
    clusters - 1 degrees of freedom. It is conservative where cells vary on their own rather than through
    their GANs. With a GAN in every cell that GAN cannot be left out; it is held fixed and listed. The interval is
    cut to ``bounds``, the values that a mean can take.

    Raises:
        ValueError: no cells, or a value that is not finite.

    >>> found = clustered_interval({("full", "a"): 0.4, ("full", "b"): 0.5, ("full", "c"): 0.6})
    >>> round(found.mean, 3), found.clusters, found.fixed
    (0.5, ('a', 'b', 'c'), ('full',))
    """
    if not values:
        raise ValueError("clustered_interval: no cells to average")
    cells = [(key,) if isinstance(key, str) else tuple(key) for key in values]
    scores = np.array(list(values.values()), dtype=float)
    if not np.isfinite(scores).all():
        raise ValueError(f"clustered_interval: values must be finite, got {scores.tolist()}; leave missing "
                         "cells out")
    names = sorted({name for cell in cells for name in cell})
    inside = np.array([[name in cell for cell in cells] for name in names])  # [GANs, cells]
    everywhere = np.array([row.all() and len(cells) > 1 for row in inside], bool)
    clusters = tuple(name for name, fixed in zip(names, everywhere) if not fixed)
    fixed = tuple(name for name, fixed in zip(names, everywhere) if fixed)
    mean = float(scores.mean())
    if len(clusters) < 3 or len(cells) < 3:
        return Interval(mean, np.nan, np.nan, len(cells), clusters, fixed)
    left = ~inside[~everywhere]
    without = left @ scores / left.sum(1)
    g = len(clusters)
    error = np.sqrt((g - 1) / g * np.square(without - without.mean()).sum())
    half = float(stats.t.ppf(0.975, g - 1) * error)
    return Interval(mean, max(mean - half, bounds[0]), min(mean + half, bounds[1]), len(cells), clusters, fixed)

"""Uncertainty: over latents within a cell, over GANs within a table, and the chance level of recovery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

Key = str | tuple[str, ...]
ANY = (-np.inf, np.inf)


@dataclass(frozen=True)
class Interval:
    """A mean over cells with a 95% interval, conditional on this zoo.

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


def bootstrap_means(samples: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """[resamples, ..., F] means over resampled latents of samples [..., n, F], all directions at once.

    Every leading index (sign, direction) sees the same resampled latents, because they were edited from the
    same ones.

    >>> samples = np.arange(6.0).reshape(1, 3, 2)  # 1 direction, 3 latents, 2 statistics
    >>> bootstrap_means(samples, resamples=4, rng=np.random.default_rng(0)).shape
    (4, 1, 2)
    """
    n = samples.shape[-2]
    weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n
    return np.tensordot(weights, samples, axes=(1, samples.ndim - 2))


def standard_interval(value: float, replicates: np.ndarray,
                      bounds: tuple[float, float]) -> tuple[float, float]:
    """95% interval: value -+ 1.96 standard deviations of bootstrap replicates [B], cut to ``bounds``.

    Not the percentiles: resampling adds noise, noise lowers every cosine, and percentiles would miss the
    value itself.

    >>> low, high = standard_interval(0.9, np.array([0.8, 0.9, 1.0]), bounds=(0.0, 1.0))
    >>> round(low, 3), high
    (0.704, 1.0)
    """
    half = stats.norm.ppf(0.975) * np.std(replicates, ddof=1)
    return float(max(value - half, bounds[0])), float(min(value + half, bounds[1]))


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


def recovery_chance(m: int, n_unique: int) -> float:
    """Attribute recovery of ``n_unique`` directions that rank m attributes at random, independently.

    The expected largest of ``n_unique`` reciprocal ranks: P(smallest rank >= r) = ((m - r + 1) / m)^n.

    >>> recovery_chance(m=2, n_unique=1)  # rank 1 or 2, as likely: (1 + 1/2) / 2
    0.75
    """
    if m < 1 or n_unique < 0:
        raise ValueError(f"recovery_chance: needs m >= 1 and n_unique >= 0, got {m} and {n_unique}")
    at_least = ((m - np.arange(m + 1)) / m) ** n_unique  # P(smallest rank >= r) for r = 1..m+1
    return float(((at_least[:-1] - at_least[1:]) / np.arange(1, m + 1)).sum())

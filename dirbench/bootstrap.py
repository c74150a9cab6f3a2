"""Uncertainty over latents: bootstrap means and the interval made from them."""

from __future__ import annotations

import numpy as np
from scipy import stats


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

"""Chance: what independent runs of random directions get from the whole protocol, matching, latents and all."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from scipy import stats

from dirbench.metric import Band

DRAWS = 2000
Gans = tuple[str, ...]


def band(cells: Mapping[Gans, npt.ArrayLike], bounds: tuple[float, float] = (-np.inf, np.inf), seeds: int = 1,
         draws: int = DRAWS, coverage: float = 0.95) -> Band:
    """Chance of a mean over cells: its level, and the prediction band of a method that is random too.

    A draw takes one of its random runs for each GAN, the same in all cells that have the GAN, and averages over cells:
    so the band knows that cells share GANs, and that a mean over many cells varies less than one. There are few runs
    per GAN (R, not always the same). So each GAN's share of the draws' variance is scaled by R / (R - 1), the
    uncertainty of the level itself is added (a prediction interval), and Student's t has the degrees of freedom of
    Welch and Satterthwaite: R - 1 a GAN where all weigh the same, no more than R - 1 where one GAN, the reference of
    every pair, decides.

    Args:
        cells: scores of random runs by GANs: [R, S] for (reference, client), [R] for (GAN,). NaNs are left out.
        bounds: the metric's; the band is cut to them.
        seeds: over how many seeds the method's mean is taken.
        coverage: how many of such means the band holds, of 1.
    Returns:
        NaNs where there are no scores; no band (NaNs) with fewer than two runs.

    >>> scores = {("full", client): np.array([[0.4, 0.5], [0.5, 0.6], [0.4, 0.4]]) for client in ("a", "b")}
    >>> chance = band(scores, bounds=(-1.0, 1.0))
    >>> round(chance.mean, 3), chance.low < 0.4, chance.high > 0.6
    (0.467, True, True)
    """
    tables = {gans: np.asarray(scores, float) for gans, scores in cells.items() if np.isfinite(scores).any()}
    if not tables:
        return Band(np.nan, np.nan, np.nan)
    level = float(np.mean([np.nanmean(scores) for scores in tables.values()]))
    gans = sorted({gan for key in tables for gan in key})
    runs = {gan: min(scores.shape[key.index(gan)] for key, scores in tables.items() if gan in key) for gan in gans}
    if min(runs.values()) < 2:
        return Band(level, np.nan, np.nan)
    sizes = np.array([runs[gan] for gan in gans])
    chosen = np.random.default_rng(0).integers(sizes, size=(draws, len(gans)))
    column = {gan: chosen[:, i] for i, gan in enumerate(gans)}
    drawn = np.array([scores[tuple(column[gan] for gan in key)] for key, scores in tables.items()])
    counted = np.isfinite(drawn)
    means = np.where(counted, drawn, 0).sum(0)[counted.any(0)] / counted.sum(0)[counted.any(0)]
    weights = _spread_by_gan(tables, runs)
    weights = weights if weights.any() else np.ones(len(gans))
    ahead = 1 / seeds + 1 / sizes  # of a GAN's variance: of a mean over new runs, and of the level of the old ones
    share = weights * (1 - 1 / sizes)  # of the draws' variance
    variance = means.var() * (weights * ahead).sum() / share.sum()
    freedom = (weights * ahead).sum() ** 2 / (np.square(weights * ahead) / (sizes - 1)).sum()
    half = stats.t.ppf((1 + coverage) / 2, freedom) * np.sqrt(variance)
    return Band(level, float(max(level - half, bounds[0])), float(min(level + half, bounds[1])))


def _spread_by_gan(tables: Mapping[Gans, np.ndarray], runs: Mapping[str, int]) -> np.ndarray:
    """The variance that each GAN's runs bring into a sum over cells, in the order of ``runs``.

    A band needs only their proportions: for what each GAN's number of runs adds, and for degrees of freedom
    (Satterthwaite, 1946, Biometrics Bulletin 2).
    """
    effects = {gan: np.zeros(n) for gan, n in runs.items()}
    for key, scores in tables.items():
        scores = scores[tuple(slice(runs[gan]) for gan in key)]
        for axis, gan in enumerate(key):
            others = np.moveaxis(scores, axis, 0).reshape(runs[gan], -1)
            known = np.isfinite(others)
            means = np.where(known, others, 0).sum(1) / np.maximum(known.sum(1), 1)
            effects[gan] += np.where(known.any(1), means - np.nanmean(scores), 0)
    return np.array([effect.var(ddof=1) for effect in effects.values()])


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

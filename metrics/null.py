"""Chance: what independent runs of random directions get from the whole protocol, matching, latents and all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from metrics.base import Inapplicable, PairInputs, SingleInputs
from metrics.responses import Responses

if TYPE_CHECKING:
    from metrics.pair import PairCase, PairMetric
    from metrics.single import SingleCase, SingleMetric

DRAWS = 2000
Gans = tuple[str, ...]


@dataclass(frozen=True)
class Band:
    """What chance gives: the mean over random runs, and the band that holds 95% (``coverage``) of further ones."""

    mean: float
    low: float
    high: float


def null_scores(metric: PairMetric, protocol: str, reference: Sequence[Responses], client: Sequence[Responses],
                template: PairInputs) -> np.ndarray:
    """Null scores [R, S] of a pair metric: each random run of the reference against each of the client.

    Args:
        reference, client: responses of the R and S random runs of either GAN; a run has as many directions as a
            method, and latents of its own.
        template: the pair's inputs; everything but its responses and ``paired`` is used (random directions
            correspond by index as well as by anything).
    Returns:
        NaN where a score does not exist.
    Raises:
        Inapplicable: the score does not exist for this pair.
    """
    cases = [[metric.prepare(replace(template, reference=a, client=b, paired=True), protocol, keep_samples=False)
              for b in client] for a in reference]
    return np.array([[_point(metric, case) for case in row] for row in cases])


def null_scores_single(metric: SingleMetric, protocol: str, runs: Sequence[Responses],
                       template: SingleInputs) -> np.ndarray:
    """Null scores [R] of a single-GAN metric, as ``null_scores``."""
    return np.array([_point(metric, metric.prepare(replace(template, responses=run), protocol, keep_samples=False))
                     for run in runs])


def band(cells: Mapping[Gans, np.ndarray], bounds: tuple[float, float] = (-np.inf, np.inf), seeds: int = 1,
         draws: int = DRAWS, coverage: float = 0.95) -> Band:
    """Chance of a mean over cells: its level, and the prediction band of a method that is random too.

    A draw takes one of its random runs for each GAN, the same in all cells that have the GAN, and averages over cells:
    so the band knows that cells share GANs, and that a mean over many cells varies less than one. There are few runs
    per GAN (R). So the draws' variance is scaled by R / (R - 1), the uncertainty of the level itself is added (a
    prediction interval), and Student's t has the degrees of freedom of Welch and Satterthwaite: R - 1 a GAN where all
    weigh the same, no more than R - 1 where one GAN, the reference of every pair, decides.

    Args:
        cells: null scores by GANs: [R, R] for (reference, client), [R] for (GAN,). NaNs are left out.
        bounds: the metric's; the band is cut to them.
        seeds: over how many seeds the method's mean is taken.
        coverage: how many of such means the band holds, of 1.
    Returns:
        NaNs where there are no scores; no band (NaNs) with fewer than two runs.
    """
    tables = {gans: np.asarray(scores, float) for gans, scores in cells.items() if np.isfinite(scores).any()}
    if not tables:
        return Band(np.nan, np.nan, np.nan)
    level = float(np.mean([np.nanmean(scores) for scores in tables.values()]))
    gans = sorted({gan for key in tables for gan in key})
    runs = min(min(scores.shape) for scores in tables.values())
    if runs < 2:
        return Band(level, np.nan, np.nan)
    chosen = np.random.default_rng(0).integers(runs, size=(draws, len(gans)))
    column = {gan: chosen[:, i] for i, gan in enumerate(gans)}
    drawn = np.array([scores[tuple(column[gan] for gan in key)] for key, scores in tables.items()])
    counted = np.isfinite(drawn)
    means = np.where(counted, drawn, 0).sum(0)[counted.any(0)] / counted.sum(0)[counted.any(0)]
    variance = means.var() * runs / (runs - 1)
    half = stats.t.ppf((1 + coverage) / 2, _freedom(tables, gans, runs)) * np.sqrt(variance * (1 / seeds + 1 / runs))
    return Band(level, float(max(level - half, bounds[0])), float(min(level + half, bounds[1])))


def _freedom(tables: Mapping[Gans, np.ndarray], gans: Sequence[str], runs: int) -> float:
    """Degrees of freedom of a variance that is a sum over GANs (Satterthwaite, 1946, Biometrics Bulletin 2)."""
    effects = {gan: np.zeros(runs) for gan in gans}
    for key, scores in tables.items():
        for axis, gan in enumerate(key):
            others = np.moveaxis(scores, axis, 0)[:runs].reshape(runs, -1)
            known = np.isfinite(others)
            means = np.where(known, others, 0).sum(1) / np.maximum(known.sum(1), 1)
            effects[gan] += np.where(known.any(1), means - np.nanmean(scores), 0)
    variances = np.array([effect.var(ddof=1) for effect in effects.values()])
    if not variances.any():
        return len(gans) * (runs - 1)
    return float(variances.sum() ** 2 / (np.square(variances) / (runs - 1)).sum())


def _point(metric: PairMetric | SingleMetric, case: PairCase | SingleCase) -> float:
    try:
        return metric.point(case)
    except Inapplicable:
        return np.nan

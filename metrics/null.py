"""Chance: the scores that random directions get from the whole protocol, matching and all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from metrics.base import Inapplicable, PairInputs, SingleInputs
from metrics.responses import Responses

if TYPE_CHECKING:
    from metrics.pair import PairCase, PairMetric
    from metrics.single import SingleCase, SingleMetric


@dataclass(frozen=True)
class Band:
    """What chance gives: the mean, and the 2.5% and 97.5% quantiles, of ``draws`` null scores."""

    mean: float
    low: float
    high: float
    draws: int


def band(scores: np.ndarray) -> Band:
    """The band of null scores [draws]. NaNs (draws without a score) are left out; all NaN gives NaNs."""
    scores = scores[np.isfinite(scores)]
    if not len(scores):
        return Band(np.nan, np.nan, np.nan, 0)
    low, high = np.quantile(scores, (0.025, 0.975))
    return Band(float(scores.mean()), float(low), float(high), len(scores))


def null_scores(metric: PairMetric, protocol: str, bank_reference: Responses, bank_client: Responses,
                template: PairInputs, draws: int = 100, k: int = 16,
                rng: np.random.Generator | None = None) -> np.ndarray:
    """Null scores [draws] of a pair metric: each draw takes k of either bank through the whole protocol.

    Args:
        bank_reference, bank_client: responses of many random directions (64, say) of the two GANs.
        template: the pair's inputs; everything but its responses and ``paired`` is used (random directions
            correspond by index as well as by anything).
        k: directions in a draw, without replacement within a bank.
        rng: of the draws; seeded with ``template.seed`` if not given.
    Returns:
        One score a draw; NaN where a draw has none.
    Raises:
        Inapplicable: the score does not exist for this pair. ValueError: a bank is smaller than k.
    """
    inputs = replace(template, reference=bank_reference, client=bank_client, paired=True)
    for bank in (bank_reference, bank_client):
        _check_bank(bank, k)
    rng = np.random.default_rng(template.seed) if rng is None else rng
    case = metric.prepare(inputs, protocol, keep_samples=False)
    return np.array([_point(metric, case.select(rng.choice(len(bank_reference), k, replace=False),
                                                rng.choice(len(bank_client), k, replace=False)))
                     for _ in range(draws)])


def null_scores_single(metric: SingleMetric, protocol: str, bank: Responses, template: SingleInputs,
                       draws: int = 100, k: int = 16, rng: np.random.Generator | None = None) -> np.ndarray:
    """Null scores [draws] of a single-GAN metric, as ``null_scores``."""
    _check_bank(bank, k)
    rng = np.random.default_rng(template.seed) if rng is None else rng
    case = metric.prepare(replace(template, responses=bank), protocol, keep_samples=False)
    return np.array([_point(metric, case.select(rng.choice(len(bank), k, replace=False)))
                     for _ in range(draws)])


def _point(metric: PairMetric | SingleMetric, case: PairCase | SingleCase) -> float:
    try:
        return metric.point(case)
    except Inapplicable:
        return np.nan


def _check_bank(bank: Responses, k: int) -> None:
    if len(bank) < k:
        raise ValueError(f"a null of {k} directions needs a bank of at least {k}; this one has {len(bank)}")

"""Scores of random runs: what a metric gives random directions, by the whole protocol, matching, latents and all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dirbench.checks import place
from dirbench.errors import Inapplicable
from dirbench.metric import Metric, PairInputs, Score, SingleInputs
from dirbench.responses import Responses
from dirbench.scores import MetricError


def pairs_of_runs(reference: Sequence[Responses], client: Sequence[Responses],
                  template: PairInputs) -> list[list[PairInputs]]:
    """Each random run of the reference against each of the client, for ``scores_of_pairs`` of one metric after another.

    Args:
        reference, client: responses of the R and S random runs of either GAN; a run has as many directions as a
            method, and latents of its own.
        template: the pair's inputs; everything but its responses and ``paired`` is used (random directions
            correspond by index as well as by anything).
    """
    return [[replace(template, reference=a, client=b, paired=True) for b in client] for a in reference]


def scores_of_pairs(metric: Metric, protocol: str, pairs: Sequence[Sequence[PairInputs]]) -> np.ndarray:
    """Scores [R, S] of a pair metric on ``pairs_of_runs``; NaN where a score does not exist."""
    return np.array([[_point(metric, protocol, inputs) for inputs in row] for row in pairs])


def scores_of_runs(metric: Metric, protocol: str, runs: Sequence[Responses],
                       template: SingleInputs) -> np.ndarray:
    """Scores [R] of a single-GAN metric, as ``scores_of_pairs``."""
    return np.array([_point(metric, protocol, replace(template, responses=run)) for run in runs])


def _point(metric: Metric, protocol: str, inputs: SingleInputs | PairInputs) -> float:
    try:
        score = metric.compute(inputs, protocol, resamples=0)
    except Inapplicable:
        return math.nan
    if not isinstance(score, Score):  # a stranger's metric may return anything
        raise MetricError(f"compute returns a {type(score).__name__}, expected a Score", place(type(metric)))
    return float(score.value)

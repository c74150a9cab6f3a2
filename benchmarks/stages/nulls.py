"""What random runs get from a metric: the whole protocol, matching, latents and all."""

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


def null_pairs(reference: Sequence[Responses], client: Sequence[Responses],
               template: PairInputs) -> list[list[PairInputs]]:
    """Each random run of the reference against each of the client, for ``null_scores`` of one metric after another.

    Args:
        reference, client: responses of the R and S random runs of either GAN; a run has as many directions as a
            method, and latents of its own.
        template: the pair's inputs; everything but its responses and ``paired`` is used (random directions
            correspond by index as well as by anything).
    """
    return [[replace(template, reference=a, client=b, paired=True) for b in client] for a in reference]


def null_scores(metric: Metric, protocol: str, pairs: Sequence[Sequence[PairInputs]]) -> np.ndarray:
    """Null scores [R, S] of a pair metric on ``null_pairs``; NaN where a score does not exist."""
    return np.array([[_point(metric, protocol, inputs) for inputs in row] for row in pairs])


def null_scores_single(metric: Metric, protocol: str, runs: Sequence[Responses],
                       template: SingleInputs) -> np.ndarray:
    """Null scores [R] of a single-GAN metric, as ``null_scores``."""
    return np.array([_point(metric, protocol, replace(template, responses=run)) for run in runs])


def _point(metric: Metric, protocol: str, inputs: SingleInputs | PairInputs) -> float:
    try:
        score = metric.compute(inputs, protocol, resamples=0)
    except Inapplicable:
        return math.nan
    if not isinstance(score, Score):  # a stranger's metric may return anything
        raise MetricError(f"compute returns a {type(score).__name__}, expected a Score", place(type(metric)))
    return float(score.value)

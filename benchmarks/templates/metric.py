"""The metric that ``new metric`` writes."""

METRIC = '''\
"""CLASS: say here what it measures."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from dirbench import Inapplicable, Metric, Score, SingleInputs


def shares(change: np.ndarray) -> float:
    """Mean over directions of the largest attribute's share, of changes [2, K, n, M]; both signs alike."""
    size = np.abs(change.mean(axis=2)).mean(axis=0)  # [K, M]
    total = size.sum(axis=1)
    if not (total > 0).all():
        raise Inapplicable("a direction changes nothing, so nothing has a share in it")
    return float((size.max(axis=1) / total).mean())


class CLASS(Metric):
    """Which share of a direction's change falls on one attribute. (Your first line is what `list` shows.)"""

    name: ClassVar[str] = "NAME"
    source: ClassVar[str] = "your paper, equation"
    needs: ClassVar[str] = "single"  # one GAN's responses; "pair" for a reference's and a client's
    protocols: ClassVar[tuple[str, ...]] = ("headline",)  # names of the ways to compute it, headline first
    higher_is_better: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def compute(self, inputs: SingleInputs, protocol: str, resamples: int = 200) -> Score:
        self.check_protocol(protocol)
        # What the oracle read, as logits: before [N, M], and after an edit of +strength (plus) or -strength (minus)
        # along each direction [K, N, M]. Some attributes it does not read well: leave them out.
        responses = inputs.responses if inputs.readable is None else inputs.responses.attributes(inputs.readable)
        spread = responses.before.std(axis=0)  # [M]: what another sample would change
        moved = np.stack([responses.plus, responses.minus]) - responses.before
        moved = np.divide(moved, spread, out=np.zeros_like(moved), where=spread > 1e-6)
        # The first n_match latents are for choices (which directions count, which belong together): score the others.
        moved = moved[:, :, inputs.n_match:]
        if not moved.shape[-1]:
            raise Inapplicable("the oracle reads none of its attributes well")
        value, n = shares(moved), moved.shape[2]
        low = high = np.nan
        if resamples:  # 0 for chance, which is this very score of random directions, many times
            rng = np.random.default_rng(inputs.seed)
            half = 1.96 * np.std([shares(moved[:, :, rng.integers(n, size=n)]) for _ in range(resamples)], ddof=1)
            low, high = max(value - half, self.bounds[0]), min(value + half, self.bounds[1])
        return Score(value, low, high, n)
'''

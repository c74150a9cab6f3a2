"""Made-up responses with known mean changes, for the tests of the metrics."""

from __future__ import annotations

import numpy as np

from dirbench.metric import PairInputs, SingleInputs
from dirbench.responses import Responses

SPREAD = 3.0


def responses(effect: np.ndarray, n: int = 128, noise: float = 1.0, seed: int = 0,
              even: float | np.ndarray = 0.0) -> Responses:
    """Responses whose mean standardised change is +-``effect`` [K, M], plus ``even`` at both signs.

    Unedited logits are normal with a standard deviation of 3 for every attribute; each edited sample deviates
    from the mean change by normal noise of ``noise`` spreads, independent in everything.
    """
    rng = np.random.default_rng(seed)
    k, m = effect.shape
    before = rng.normal(size=(n, m)) * SPREAD
    jitter = rng.normal(size=(2, k, n, m)) * noise
    plus = before + SPREAD * (effect[:, None] + even + jitter[0])
    minus = before + SPREAD * (-effect[:, None] + even + jitter[1])
    return Responses(before, plus, minus)


def flipped(one: Responses, ks: list[int]) -> Responses:
    """The same directions with + and - exchanged for ``ks``."""
    plus, minus = one.plus.copy(), one.minus.copy()
    plus[ks], minus[ks] = one.minus[ks], one.plus[ks]
    return Responses(one.before, plus, minus)


def pair(reference: Responses, client: Responses, n_common: int = 12, paired: bool = True, missing=(),
         excluded=(), readable=None, n_match: int = 64) -> PairInputs:
    """Pair inputs with numbered attributes."""
    names = [f"a{i}" for i in range(reference.before.shape[1])]
    return PairInputs(reference, client, n_match, n_common, paired, names, missing, excluded, readable)


def single(one: Responses, n_match: int = 64, readable=None) -> SingleInputs:
    """Single inputs with numbered attributes."""
    return SingleInputs(one, n_match, [f"a{i}" for i in range(one.before.shape[1])], readable)


def distinct(k: int, m: int, size: float = 3.0) -> np.ndarray:
    """[k, m] clean directions: direction i changes attribute i modulo m, and nothing else."""
    return size * np.eye(m)[np.arange(k) % m]

"""A metric with small settings, and answers whose worth is known: what the clauses of metrics look at."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from dirbench.benchmarks.generators.counting import count_images
from dirbench.benchmarks.generators.planted import DIM, PlantedGenerator
from dirbench.directions import Vectors
from dirbench.errors import Inapplicable
from dirbench.image_metric import GeneratorInputs, Measured
from dirbench.method import Context
from dirbench.metric import Metric, PairInputs, Score, SingleInputs
from dirbench.responses import Responses

K, M, N, N_MATCH, N_COMMON = 16, 24, 96, 48, 12
NAMES = tuple(f"attribute_{i}" for i in range(M))
SPREAD, NOISE, SIZE = 3.0, 0.5, 3.0
MISSING = tuple(range(N_COMMON, K))  # of the client: what the reference's unique directions of a perfect answer change
FACTORS = (0, 1, 2, 3, 4, 5)
PERFECT, IDLE, MIXED, DUPLICATED = "perfect", "idle", "mixed", "duplicated"
WORDS = {PERFECT: "one attribute a direction, all found", IDLE: "directions that change nothing",
         MIXED: "unrelated mixtures of all attributes", DUPLICATED: "one direction many times"}


def effects(answer: str, client: bool = False) -> np.ndarray:
    """[K, M] mean changes, in units of an attribute's spread, of one of the known answers.

    The first ``N_COMMON`` directions of a perfect answer are common to reference and client; of the others the
    reference's change what is missing from the client, the client's change what else there is.
    """
    one = SIZE * np.eye(M)
    if answer == IDLE:
        return np.zeros((K, M))
    if answer == MIXED:
        return np.random.default_rng(int(client)).normal(size=(K, M))
    if answer == DUPLICATED:
        return np.repeat(one[:1], K, axis=0)
    return np.concatenate([one[:N_COMMON], one[K:2 * K - N_COMMON] if client else one[N_COMMON:K]])


def responses(effect: np.ndarray, seed: int, noise: float = NOISE, n: int = N) -> Responses:
    """Responses to directions whose standardised mean change is ``effect`` [K, M] at +, and its negative at -."""
    rng = np.random.default_rng(seed)
    before = SPREAD * rng.normal(size=(n, effect.shape[1]))
    jitter = noise * rng.normal(size=(2, len(effect), n, effect.shape[1]))
    return Responses(before, before + SPREAD * (effect[:, None] + jitter[0]),
                     before + SPREAD * (-effect[:, None] + jitter[1]))


class MetricCase:
    """A metric with small settings (its ``test_params``), and inputs of its kind."""

    def __init__(self, cls: type[Metric]) -> None:
        self.cls = cls
        self.metric: Any = cls(**cls.test_params)
        self.kind = cls.needs
        self.headline = cls.protocols[0]
        self._measured: dict[tuple[str, int], Measured] = {}

    @property
    def sign_free(self) -> tuple[str, ...]:
        """The protocols that may not depend on the signs of directions."""
        return tuple(p for p in self.cls.protocols if not p.startswith("published"))

    def inputs(self, answer: str = PERFECT, seed: int = 0) -> SingleInputs | PairInputs | Measured:
        """Inputs of one of the known answers."""
        if self.kind == "single":
            return self.single(responses(effects(answer), seed))
        if self.kind == "pair":
            return self.pair(responses(effects(answer), 2 * seed), responses(effects(answer, True), 2 * seed + 1))
        if (answer, seed) not in self._measured:
            self._measured[answer, seed] = self.measured(self.generator_inputs(answer, seed))
        return self._measured[answer, seed]

    def single(self, one: Responses, **more: Any) -> SingleInputs:
        """Inputs of one GAN."""
        return SingleInputs(**{"responses": one, "n_match": N_MATCH, "names": NAMES[:one.before.shape[1]],
                               "readable": [True] * one.before.shape[1], **more})

    def pair(self, reference: Responses, client: Responses, **more: Any) -> PairInputs:
        """Inputs of two GANs, whose directions correspond by index."""
        m = reference.before.shape[1]
        return PairInputs(**{"reference": reference, "client": client, "n_match": N_MATCH, "n_common": N_COMMON,
                             "paired": True, "names": NAMES[:m], "missing": MISSING, "excluded": MISSING,
                             "readable": [True] * m, **more})

    def generator_inputs(self, answer: str = PERFECT, seed: int = 0) -> GeneratorInputs:
        """A generator with known factors, and directions along them, beside them, across them, or one of them."""
        gan = PlantedGenerator(FACTORS)
        rng = torch.Generator().manual_seed(seed)
        k = len(FACTORS)
        rest = torch.linalg.qr(gan.planted.T, mode="complete").Q.T[k:]  # these paint next to nothing
        vectors = {PERFECT: gan.planted, IDLE: rest[:k], MIXED: torch.randn(k, DIM, generator=rng),
                   DUPLICATED: gan.planted[:1].repeat(k, 1)}[answer]
        return GeneratorInputs(gan, Vectors(vectors, "w"), gan.sample(8, rng), 3.0, Context(seed=seed, chunk=16))

    def measured(self, inputs: GeneratorInputs) -> Measured:
        """What a generator metric keeps of ``inputs``."""
        return Measured({name: np.asarray(value) for name, value in self.metric.measure(inputs).items()},
                        inputs.context.seed)

    def images(self) -> tuple[int, int]:
        """(images that ``measure`` makes, images that ``images`` says)."""
        inputs = self.generator_inputs()
        with count_images(inputs.generator) as count:
            self.metric.measure(inputs)
        return count.images, self.metric.images(len(inputs.directions), len(inputs.latents))

    def score(self, inputs: Any, protocol: str | None = None, resamples: int = 0) -> Score:
        """The metric's own answer."""
        return self.metric.compute(inputs, self.headline if protocol is None else protocol, resamples)

    def value(self, answer: str, protocol: str | None = None) -> float | None:
        """The score of a known answer; None where the metric says that it does not exist, or gives no number."""
        try:
            value = float(self.score(self.inputs(answer), protocol).value)
        except Inapplicable:
            return None
        return value if np.isfinite(value) else None

    def moved(self, what: Callable[[Responses, int], Responses], inputs: SingleInputs | PairInputs) -> Any:
        """Inputs with ``what(responses, side)`` in place of their responses."""
        if isinstance(inputs, SingleInputs):
            return replace(inputs, responses=what(inputs.responses, 0))
        return replace(inputs, reference=what(inputs.reference, 0), client=what(inputs.client, 1))


def arrays_of(inputs: Any) -> list[np.ndarray]:
    """Copies of all numbers in ``inputs``."""
    if isinstance(inputs, Measured):
        return [value.copy() for value in inputs.arrays.values()]
    sides = [inputs.responses] if isinstance(inputs, SingleInputs) else [inputs.reference, inputs.client]
    return [copy.copy(np.array(value)) for side in sides for value in (side.before, side.plus, side.minus)] \
        + [np.array(inputs.names), np.array(inputs.readable)]

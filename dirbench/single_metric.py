"""Single-GAN metrics: the base class that leaves dead directions out and bootstraps over latents."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np

from dirbench.bootstrap import bootstrap_means, standard_interval
from dirbench.changes import changes, live, spread
from dirbench.errors import Inapplicable
from dirbench.metric import NOTHING_READABLE, RESAMPLES, Metric, Score, SingleInputs
from dirbench.responses import Responses

HEADLINE = "headline"


@dataclass(frozen=True)
class SingleCase:
    """One GAN reduced for one metric and protocol.

    Attributes:
        means: [K, F] per-sample statistics, averaged over the scoring samples.
        live: [K] bool; all true as published.
        samples: [K, n, F] the statistics themselves, or None where no interval is wanted.
    """

    protocol: str
    means: np.ndarray
    live: np.ndarray
    samples: np.ndarray | None
    n: int
    n_attributes: int
    seed: int


class SingleMetric(Metric):
    """A score of one GAN's directions that depends on the samples through averages only.

    A subclass says what is averaged over samples (``standardised``, and ``published`` where it has such
    protocols) and what the score makes of the averages (``values``). Headline: standardised logits (each
    attribute in units of its spread over unedited samples), readable attributes, both signs of an edit alike,
    live directions only (decided on the matching half, scored on the other). As published: whatever the paper
    or release does, on all samples.

    ``min_live``: with fewer live directions the score does not exist. ``live_only`` is false where dead
    directions count.

    >>> class LargestChange(SingleMetric):
    ...     name, bounds = "largest-change", (0.0, np.inf)
    ...     def standardised(self, change):  # what is averaged over samples: the two signs of each edit, made one
    ...         return np.abs(change).mean(0)
    ...     def values(self, means, case):  # what the averages come to
    ...         return means.max((1, 2))
    >>> before = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    >>> edit = before.std(0) * np.array([[[2.0, 0.0]], [[0.0, 1.0]]])  # two directions, an attribute each
    >>> responses = Responses(before, before + edit, before - edit)
    >>> inputs = SingleInputs(responses, n_match=32, names=("Smiling", "Male"))
    >>> round(LargestChange().compute(inputs, "headline").value, 3)
    2.0
    """

    needs: ClassVar[str] = "single"
    protocols: ClassVar[tuple[str, ...]] = (HEADLINE,)
    live_only: ClassVar[bool] = True
    min_live: ClassVar[int] = 1

    @abstractmethod
    def standardised(self, change: np.ndarray) -> np.ndarray:
        """Statistics [K, n, F] of standardised logit changes [2, K, n, M] at +strength and -strength."""

    def published(self, responses: Responses, protocol: str) -> np.ndarray:
        """Statistics [K, N, F] of one of the as-published protocols; metrics without any never get here."""
        raise ValueError(f'{self.name} has no protocol "{protocol}"')

    @abstractmethod
    def values(self, means: np.ndarray, case: SingleCase) -> np.ndarray:
        """Scores [B] of B versions of the averages [B, K, F], of the directions that count."""

    def prepare(self, inputs: SingleInputs, protocol: str, keep_samples: bool = True) -> SingleCase:
        """The inputs reduced to averages."""
        self.check_protocol(protocol)
        responses = inputs.responses
        if protocol == HEADLINE:
            if inputs.readable is not None:
                responses = responses.attributes(inputs.readable)
            if not responses.before.shape[1]:
                raise Inapplicable(NOTHING_READABLE)
            change = changes(responses, spread(responses.before))
            alive = np.any(live(change[:, :, :inputs.n_match]), axis=0)
            samples = self.standardised(change[:, :, inputs.n_match:])
        else:
            alive = np.ones(len(responses), bool)
            samples = self.published(responses, protocol)
        means = samples.mean(axis=1, dtype=np.float64)
        return SingleCase(protocol, means, alive, samples if keep_samples else None, samples.shape[1],
                          responses.before.shape[1], inputs.seed)

    def point(self, case: SingleCase) -> float:
        """The score alone. Raises Inapplicable with too few live directions."""
        return float(self.values(case.means[self._counted(case)][None], case)[0])

    def compute(self, inputs: SingleInputs, protocol: str, resamples: int = RESAMPLES) -> Score:
        case = self.prepare(inputs, protocol, keep_samples=resamples > 0)
        value = self.point(case)
        low = high = np.nan
        if resamples:
            rng = np.random.default_rng(case.seed)
            samples = cast(np.ndarray, case.samples)[self._counted(case)]  # kept, since they are resampled
            replicates = self.values(bootstrap_means(samples, resamples, rng), case)
            low, high = standard_interval(value, replicates, self.bounds)
        dead = np.flatnonzero(~case.live).tolist()
        return Score(value, low, high, case.n, {"dead": dead, "directions": len(case.live),
                                                "attributes": case.n_attributes})

    def _counted(self, case: SingleCase) -> np.ndarray:
        """[K] bool: the directions that count."""
        if self.live_only and case.live.sum() < self.min_live:
            raise Inapplicable(f"{int(case.live.sum())} of {len(case.live)} directions have a measurable "
                               f"effect; {self.name} needs {self.min_live}")
        return case.live if self.live_only else np.ones(len(case.live), bool)

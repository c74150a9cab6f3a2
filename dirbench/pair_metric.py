"""Pair metrics: the protocols, and the base class that matches on one half and scores on the other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np

from dirbench.bootstrap import bootstrap_means, standard_interval
from dirbench.changes import changes, live, spread
from dirbench.errors import Inapplicable
from dirbench.matching import Match, match
from dirbench.metric import NOTHING_READABLE, RESAMPLES, Metric, PairInputs, Score
from dirbench.responses import Responses

Change = Callable[[np.ndarray], np.ndarray]  # of mean changes


@dataclass(frozen=True)
class PairProtocol:
    """How a pair is scored.

    Attributes:
        pairing: ``"greedy"`` or ``"index"``.
        published: as the xGA release does it: probabilities, all attributes, the +strength edits only,
            matched and scored on the same samples, dead directions like any other. Otherwise: standardised
            logits, readable attributes, either sign, matched on one half and scored on the other, dead
            directions left out.
        centred: each GAN's common response (what its directions all do) is removed first.
    """

    pairing: str
    published: bool = False
    centred: bool = False


PAIR_PROTOCOLS = {
    "greedy": PairProtocol("greedy"),
    "index": PairProtocol("index"),
    "greedy-centred": PairProtocol("greedy", centred=True),
    "published-greedy": PairProtocol("greedy", published=True),
    "published-index": PairProtocol("index", published=True),
}


@dataclass(frozen=True)
class Side:
    """One GAN of a pair, reduced to what scores need; P signs, K directions, M attributes.

    Attributes:
        matching, scoring: [P, K, M] mean change over the matching and over the scoring samples.
        live: [P, K] bool.
        samples: [P, K, n, M] changes of the scoring samples, or None where no interval is wanted.
    """

    matching: np.ndarray
    scoring: np.ndarray
    live: np.ndarray
    samples: np.ndarray | None

    @property
    def n_dead(self) -> int:
        """Directions that are live at neither sign."""
        return int((~self.live.any(0)).sum())


@dataclass(frozen=True)
class PairCase:
    """A pair reduced for one protocol; ``asked`` is S, the missing attributes, as indices of ``names``."""

    protocol: PairProtocol
    reference: Side
    client: Side
    n_common: int
    names: tuple[str, ...]
    asked: tuple[int, ...]
    n: int
    seed: int


class PairMetric(Metric):
    """A score of two GANs' mean changes, given a match. A subclass writes ``values``.

    ``asks_for_missing`` is true where the score does not exist without any missing attribute.

    >>> class WorstAlignment(PairMetric):
    ...     name, bounds = "worst-alignment", (-1.0, 1.0)
    ...     def values(self, reference, client, found, case):
    ...         a = reference[:, found.poles[:, 0], found.pairs[:, 0]]
    ...         b = client[:, found.poles[:, 1], found.pairs[:, 1]]
    ...         return ((a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)).min(-1)
    >>> before = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    >>> edit = np.array([[[1.0, 0.0]], [[0.0, 1.0]]])  # two directions, an attribute each
    >>> responses = Responses(before, before + edit, before - edit)
    >>> inputs = PairInputs(responses, responses, n_match=32, n_common=2, paired=False, names=("Smiling", "Male"))
    >>> round(WorstAlignment().compute(inputs, "greedy").value, 3)  # two GANs that are one
    1.0
    """

    needs: ClassVar[str] = "pair"
    protocols: ClassVar[tuple[str, ...]] = tuple(PAIR_PROTOCOLS)
    asks_for_missing: ClassVar[bool] = False

    @abstractmethod
    def values(self, reference: np.ndarray, client: np.ndarray, found: Match, case: PairCase) -> np.ndarray:
        """Scores [B] of B versions of the means, ``reference`` [B, P, K, M] and ``client`` [B, P, L, M]."""

    def details(self, reference: np.ndarray, client: np.ndarray, found: Match, case: PairCase) -> dict:
        """Facts to keep beside the score of the mean changes ([1, P, K, M]), on top of the match itself."""
        return {}

    def prepare(self, inputs: PairInputs, protocol: str, keep_samples: bool = True) -> PairCase:
        """The inputs reduced to mean changes. Raises Inapplicable where the pair has no such score."""
        self.check_protocol(protocol)
        how = PAIR_PROTOCOLS[protocol]
        if how.pairing == "index" and not inputs.paired:
            raise Inapplicable("the directions of the two GANs do not correspond by index")
        everything = how.published or inputs.readable is None
        counts = np.ones(len(inputs.names), bool) if everything else np.asarray(inputs.readable, bool)
        if not counts.any():
            raise Inapplicable(NOTHING_READABLE)
        wanted = inputs.excluded if how.published else inputs.missing
        place = np.cumsum(counts) - 1
        asked = tuple(int(place[s]) for s in sorted(set(wanted)) if counts[s])
        if self.asks_for_missing and not asked:
            raise Inapplicable("the client's subset excludes nothing by its name" if how.published else
                               "no readable attribute is missing from the client's data")
        form = (how.published, keep_samples)
        if form not in inputs.reduced:
            inputs.reduced[form] = _sides(inputs, counts, how.published, keep_samples)
        n = min(r.n_samples for r in (inputs.reference, inputs.client)) - (0 if how.published else inputs.n_match)
        names = tuple(name for name, kept in zip(inputs.names, counts) if kept)
        reference, client = inputs.reduced[form]
        return PairCase(how, reference, client, inputs.n_common, names, asked, n, inputs.seed)

    def compute(self, inputs: PairInputs, protocol: str, resamples: int = RESAMPLES) -> Score:
        case = self.prepare(inputs, protocol, keep_samples=resamples > 0)
        found, fixed, means = self._decide(case)
        value = float(self.values(*means, found, case)[0])
        low = high = np.nan
        if resamples:
            rng = np.random.default_rng(case.seed)
            reference, client = (f(bootstrap_means(cast(np.ndarray, side.samples), resamples, rng))  # kept for this
                                 for f, side in zip(fixed, (case.reference, case.client)))
            replicates = self.values(reference, client, found, case)
            low, high = standard_interval(value, replicates, self.bounds)
        pairs = [[int(i), int(j), 1 - 2 * int(p), 1 - 2 * int(q), round(float(c), 6)]
                 for (i, j), (p, q), c in zip(found.pairs, found.poles, found.cosines)]
        details = {"pairs": pairs, "unique": found.unique.tolist(), "dead_reference": case.reference.n_dead,
                   "dead_client": case.client.n_dead, "attributes": len(case.names)}
        return Score(value, low, high, case.n, details | self.details(*means, found, case))

    @staticmethod
    def _decide(case: PairCase) -> tuple[Match, tuple[Change, Change], tuple[np.ndarray, np.ndarray]]:
        """(match, how each side's means are transformed, the scoring means [1, P, K, M] so transformed).

        All choices are made here, on the matching samples.
        """
        def change(side: Side) -> Change:
            return Centring(side.matching, side.live) if case.protocol.centred else _as_is

        reference, client = case.reference, case.client
        fixed = change(reference), change(client)
        found = match(fixed[0](reference.matching), fixed[1](client.matching), reference.live, client.live,
                      case.n_common, case.protocol.pairing)
        return found, fixed, (fixed[0](reference.scoring[None]), fixed[1](client.scoring[None]))


class Centring:
    """Removes from mean changes [..., 2, K, M] what a GAN's live directions have in common.

    A change has a part that is the same at both signs (edits of either sign leave the manifold alike) and a
    part that turns with the sign. The mean over directions of the first is plain. For the second each
    direction is first turned the way of the strongest common axis, because its own sign is arbitrary; the
    turns are chosen on the matching half (mean changes ``matching`` [2, K, M]) and kept. Renaming + and - of
    any direction changes nothing.
    """

    def __init__(self, matching: np.ndarray, alive: np.ndarray) -> None:
        anyhow = np.any(alive, axis=0)
        self.share = anyhow / max(anyhow.sum(), 1)
        self.turn = np.ones(len(anyhow))
        if anyhow.any():
            odd = (matching[0] - matching[1])[anyhow]
            self.turn[anyhow] = np.where(np.linalg.eigh(odd @ odd.T)[1][:, -1] < 0, -1.0, 1.0)

    def __call__(self, means: np.ndarray) -> np.ndarray:
        plus, minus = means[..., 0, :, :], means[..., 1, :, :]
        same = (self.share @ (plus + minus))[..., None, :] / 2
        turning = (self.share * self.turn @ (plus - minus))[..., None, :] / 2 * self.turn[:, None]
        return np.stack((plus - same - turning, minus - same + turning), axis=-3)


def magnitude(means: np.ndarray) -> np.ndarray:
    """[..., K, M] size of the mean change of each attribute, averaged over signs, of means [..., P, K, M]."""
    return np.abs(means).mean(-3)


def _as_is(means: np.ndarray) -> np.ndarray:
    return means


def _sides(inputs: PairInputs, counts: np.ndarray, published: bool, keep_samples: bool) -> tuple[Side, Side]:
    reference, client = inputs.reference.attributes(counts), inputs.client.attributes(counts)
    scale = None if published else spread(reference.before, client.before)
    return (_side(reference, scale, inputs.n_match, keep_samples), _side(client, scale, inputs.n_match, keep_samples))


def _side(responses: Responses, scale: np.ndarray | None, n_match: int, keep_samples: bool) -> Side:
    if scale is None:
        change = changes(responses.probabilities(), poles=1)
        mean = change.mean(axis=2, dtype=np.float64)
        return Side(mean, mean, np.ones(mean.shape[:2], bool), change if keep_samples else None)
    change = changes(responses, scale)
    first, second = change[:, :, :n_match], change[:, :, n_match:]
    return Side(first.mean(axis=2, dtype=np.float64), second.mean(axis=2, dtype=np.float64), live(first),
                second if keep_samples else None)

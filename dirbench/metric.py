"""What a metric is, what it is given and what it gives back."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from dirbench.responses import Responses

RESAMPLES = 200
NOTHING_READABLE = "the oracle reads none of its attributes well"


@dataclass(frozen=True)
class Score:
    """One number with its uncertainty over latents.

    Attributes:
        value: the score.
        ci_low, ci_high: 95% interval over the scoring latents (directions and GANs held fixed), inside the
            metric's bounds; NaN where it was not asked for.
        n: number of latents of each GAN that it was scored on.
        details: plain JSON-able facts beside it (matched pairs, dead directions, ...).

    >>> Score(0.5, ci_low=0.4, ci_high=0.6, n=64).value
    0.5
    >>> math.isnan(Score(0.5).ci_low)  # no interval was asked for
    True
    """

    value: float
    ci_low: float = math.nan
    ci_high: float = math.nan
    n: int = 0
    details: dict = field(default_factory=dict)


@dataclass(frozen=True)
class SingleInputs:
    """One GAN's responses.

    Attributes:
        responses: of K directions and N latents, all M attributes of the oracle.
        n_match: the first ``n_match`` latents decide (which directions are dead); the rest are scored.
        names: the M attributes.
        readable: [M] bool, the attributes that the oracle reads well; None for all. As-published protocols
            ignore it.
        seed: of the bootstrap.

    >>> before, change = np.zeros((8, 2)), np.ones((3, 8, 2))  # 8 latents, 2 attributes, 3 directions
    >>> inputs = SingleInputs(Responses(before, change, -change), n_match=4, names=("Smiling", "Male"))
    >>> inputs.responses.n_samples - inputs.n_match  # latents that are scored
    4
    >>> SingleInputs(inputs.responses, n_match=4, names=("Smiling",))
    Traceback (most recent call last):
    ValueError: 2 attributes in the responses, but 1 names
    """

    responses: Responses
    n_match: int
    names: Sequence[str]
    readable: Sequence[bool] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self.n_match, self.names, self.readable, self.responses)


@dataclass(frozen=True)
class PairInputs:
    """Two GANs' responses, and what is known about the pair.

    Attributes:
        reference, client: responses with the same attributes; N and K may differ.
        n_match: the first ``n_match`` latents of each are the matching half (pairs, signs, unique set and
            dead directions are decided there); the rest are the scoring half.
        n_common: how many directions are common to both; the other ``K - n_common`` are unique.
        paired: whether direction i of one corresponds to direction i of the other (a paired method's answer).
        names: the M attributes.
        missing: indices of the attributes that vary in the reference's data but not the client's; headline S.
        excluded: indices of the attributes that the client's subset excludes by its name (S as published).
        readable: [M] bool, the attributes that the oracle reads well; None for all. As-published protocols
            ignore it.
        seed: of the bootstrap.
        reduced: what metrics have made of the responses, kept for the next metric of the same pair.

    >>> responses = Responses(np.zeros((8, 2)), np.ones((3, 8, 2)), -np.ones((3, 8, 2)))
    >>> inputs = PairInputs(responses, responses, n_match=4, n_common=2, paired=False, names=("Smiling", "Male"))
    >>> inputs.missing  # indices of names; unknown here, so what asks for missing attributes is not applicable
    ()
    >>> PairInputs(responses, responses, n_match=4, n_common=5, paired=False, names=("Smiling", "Male"))
    Traceback (most recent call last):
    ValueError: n_common=5, but there are 3 reference and 3 client directions; expected 1 to 3
    """

    reference: Responses
    client: Responses
    n_match: int
    n_common: int
    paired: bool
    names: Sequence[str]
    missing: tuple[int, ...] = ()
    excluded: tuple[int, ...] = ()
    readable: Sequence[bool] | None = None
    seed: int = 0
    reduced: dict = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _check(self.n_match, self.names, self.readable, self.reference, self.client)
        fewest = min(len(self.reference), len(self.client))
        if not 1 <= self.n_common <= fewest:
            raise ValueError(f"n_common={self.n_common}, but there are {len(self.reference)} reference and "
                             f"{len(self.client)} client directions; expected 1 to {fewest}")
        bad = [i for i in (*self.missing, *self.excluded) if not 0 <= i < len(self.names)]
        if bad:
            raise ValueError(f"missing or excluded attributes {bad} are out of range: there are "
                             f"{len(self.names)}, counted from 0")


@dataclass(frozen=True)
class Band:
    """What chance gives: the mean over random runs, and the band that holds 95% (``coverage``) of further ones.

    >>> Band(mean=0.25, low=0.2, high=0.3).low
    0.2
    """

    mean: float
    low: float
    high: float


NO_CHANCE = Band(math.nan, math.nan, math.nan)
"""Of a score whose chance level is not known."""


class Metric(ABC):
    """One score. Subclass it in ``metrics/<name>.py``, and it is found; ``check-metric`` tries it.

    A metric must have ``name``, ``needs``, ``protocols`` and ``compute``; the other class attributes have defaults.
    ``SingleMetric``, ``PairMetric`` and ``GeneratorMetric`` bring protocols, matching and intervals along. Fields of a
    frozen dataclass are settings, which profiles override under ``metrics:``; each needs a default. What is wrong with
    a class is said when it is registered, and then it is left out.

    Class attributes:
        name: as in suites, tables and file names.
        source: paper and equation.
        higher_is_better: which way is better.
        bounds: the values it can take, inclusive, the lower one first; infinities allowed.
        reads_missing: whether the value depends on which attributes the client's data lack; where a zoo does not say
            that, the score is not applicable.
        needs: ``"single"`` (``SingleInputs``), ``"pair"`` (``PairInputs``) or ``"generator"`` (what its ``measure``
            saw: see ``GeneratorMetric``).
        protocols: names of the ways to compute it, headline first. Those that begin with ``published`` may depend on
            the arbitrary signs of directions; those that end in ``index`` are for paired methods only.
        ordered: false where a pair and the pair the other way round have the same score.
        tolerance: what a mean may always lose in the regression check; None for 3% of the range of its values, or 5%
            of the reference's mean where that is infinite.
        paper_table: number of the paper's table that ours by client is shaped like, such as "4"; such a metric also
            has tables of every pair.
        also_headline: protocols beside the first that headline tables show.
        on_control: what the score is where nothing is missing or novel, a clause for the table of control pairs.
        level_of: the metric that says something only where it is above this one on a control pair; the table of
            control pairs shows the margin.
        perfect_why_not: why a perfect answer need not score better than one that changes nothing, where that is so.
        test_params: settings that make ``check-metric`` quick.

    >>> from dirbench.metrics.effect import Effect
    >>> rng = np.random.default_rng(0)
    >>> before = rng.normal(size=(64, 2)).astype(np.float32)
    >>> edit = np.zeros((3, 64, 2), np.float32) + [0.5, 0.0]  # each direction moves one attribute by half a unit
    >>> inputs = SingleInputs(Responses(before, before + edit, before - edit), n_match=32, names=("Smiling", "Male"))
    >>> metric = Effect()
    >>> metric.name, metric.needs, metric.protocols, metric.higher_is_better
    ('effect', 'single', ('headline',), True)
    >>> round(metric.compute(inputs, "headline", resamples=0).value, 1)
    0.3
    >>> metric.compute(inputs, "published")
    Traceback (most recent call last):
    ValueError: effect has no protocol "published"; it has headline
    """

    name: ClassVar[str] = ""
    source: ClassVar[str] = ""
    higher_is_better: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    reads_missing: ClassVar[bool] = False
    needs: ClassVar[str] = ""
    protocols: ClassVar[tuple[str, ...]] = ()
    ordered: ClassVar[bool] = True
    tolerance: ClassVar[float | None] = None
    paper_table: ClassVar[str] = ""
    also_headline: ClassVar[tuple[str, ...]] = ()
    on_control: ClassVar[str] = ""
    level_of: ClassVar[str] = ""
    perfect_why_not: ClassVar[str] = ""
    test_params: ClassVar[dict[str, Any]] = {}

    @abstractmethod
    def compute(self, inputs: Any, protocol: str, resamples: int = RESAMPLES) -> Score:
        """The score of ``inputs``, which stay as they are; ``resamples=0`` leaves the interval out and nothing else.

        Chance is this very score of random directions.

        Raises:
            Inapplicable: the score does not exist for these inputs. ValueError: no such protocol.
        """

    @classmethod
    def check_protocol(cls, protocol: str) -> None:
        """ValueError for a protocol that the metric does not have."""
        if protocol not in cls.protocols:
            raise ValueError(f'{cls.name} has no protocol "{protocol}"; it has {", ".join(cls.protocols)}')


def _check(n_match: int, names: Sequence[str], readable: Sequence[bool] | None,
           *responses: Responses) -> None:
    for one in responses:
        if one.before.shape[1] != len(names):
            raise ValueError(f"{one.before.shape[1]} attributes in the responses, but {len(names)} names")
        if not 2 <= n_match <= one.n_samples - 2:
            raise ValueError(f"n_match={n_match} of {one.n_samples} latents: both halves need at least 2")
    if readable is not None and np.shape(readable) != (len(names),):
        raise ValueError(f"readable has shape {np.shape(readable)}, expected one flag for each of "
                         f"{len(names)} names")

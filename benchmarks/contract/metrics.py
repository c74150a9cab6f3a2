"""The contract of metrics, tried on answers whose worth is known.

A clause is a function of a ``MetricCase``; its sentence is what it raises, or what it measured.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from dirbench.benchmarks.contract.metric_case import (
    DUPLICATED,
    IDLE,
    MIXED,
    N_COMMON,
    N_MATCH,
    PERFECT,
    WORDS,
    K,
    M,
    MetricCase,
    N,
    arrays_of,
    effects,
    responses,
)
from dirbench.benchmarks.contract.random_sources import kept_random_state, random_state, seed_all
from dirbench.benchmarks.contract.report import Fault, Finding, LeftOut, demand, run_checks
from dirbench.errors import Inapplicable, NotApplicable
from dirbench.metric import NO_CHANCE, Band, Metric, Score
from dirbench.random_runs import pairs_of_runs, scores_of_pairs, scores_of_runs
from dirbench.responses import Responses
from dirbench.results.statistics.chance import band
from dirbench.scores import score_faults

Change = Callable[[Responses, int], Responses]
RESAMPLES = 40
SAME = 1e-5  # of the value's size, or of 1: what another order of sums may change
AMBIGUOUS = ("better than one useless answer and no better than another, so it says something else than how good an "
             "answer is; read it beside the others")
RUNS = 3  # of random directions, for chance


def check_metric(cls: type[Metric]) -> list[Finding]:
    """One finding for each clause that a metric of its kind has."""
    case = MetricCase(cls)
    return run_checks(clauses_of(case.kind), lambda: case, NotApplicable,
                      basic=(measures_plain_arrays, gives_scores_within_bounds))


def clauses_of(kind: str) -> tuple[Callable[[MetricCase], str | None], ...]:
    """The clauses that a metric of ``kind`` has: responses can be reordered, and measuring is a generator metric's."""
    other = OF_RESPONSES if kind == "generator" else OF_GENERATORS
    return tuple(clause for clause in CLAUSES if clause not in other)


# -- what it is and what it returns ----------------------------------------------------------------------
def says_what_it_is(case: MetricCase) -> None:
    metric: Any = case.metric
    if dataclasses.is_dataclass(metric) and not isinstance(metric, type):
        settings = dataclasses.asdict(metric)
        try:
            again = json.loads(json.dumps(settings))
        except TypeError as error:
            raise Fault(f"settings must be plain values that a YAML file can hold: {error}") from error
        demand(case.cls(**again) == metric, "its settings do not survive being written down and read "
               f"again: {again}")
    if not case.cls.source:
        raise LeftOut("say in `source` which paper and equation it comes from; tables print it")


def gives_scores_within_bounds(case: MetricCase) -> str:
    said = []
    for protocol in case.cls.protocols:
        for answer in WORDS:
            try:
                score = case.score(case.inputs(answer), protocol)
            except Inapplicable:
                continue
            for fault in score_faults(case.metric, score):
                raise Fault(f'protocol "{protocol}", {WORDS[answer]}: {fault}')
            said += [f"{answer} {score.value:.4g}"] if protocol == case.headline else []
    demand(said, f'protocol "{case.headline}" has no score for any of {"; ".join(WORDS.values())}')
    return ", ".join(said)


def refuses_protocols_that_it_does_not_have(case: MetricCase) -> None:
    try:
        case.score(case.inputs(), "no-such-protocol")
    except ValueError as error:
        demand("no-such-protocol" in str(error), f"the error for a protocol that does not exist must name it: {error}")
    else:
        raise Fault('a protocol that it does not have ("no-such-protocol") is accepted: begin compute with '
                    "self.check_protocol(protocol)")


def the_interval_contains_the_value(case: MetricCase) -> None:
    """And ``resamples=0`` leaves the interval out, and nothing else."""
    low, high = case.cls.bounds
    for protocol in case.cls.protocols:
        inputs = case.inputs(MIXED)
        try:
            plain, full = case.score(inputs, protocol), case.score(inputs, protocol, RESAMPLES)
        except Inapplicable:
            continue
        if np.isnan(plain.value):
            continue  # said by the clause on bounds
        demand(np.isnan(plain.ci_low) and np.isnan(plain.ci_high), f'protocol "{protocol}": resamples=0 gives an '
               f"interval, [{plain.ci_low}, {plain.ci_high}]; leave it out (NaN): chance is made of many scores")
        demand(plain.value == full.value, f'protocol "{protocol}": the value is {plain.value} with resamples=0 and '
               f"{full.value} with {RESAMPLES}: chance would be of another score")
        if np.isnan(full.ci_low) and np.isnan(full.ci_high):
            continue  # a score without an interval
        demand(full.ci_low <= full.value <= full.ci_high, f'protocol "{protocol}": the interval [{full.ci_low}, '
               f"{full.ci_high}] does not contain the value, {full.value}")
        demand(low <= full.ci_low and full.ci_high <= high, f'protocol "{protocol}": the interval [{full.ci_low}, '
               f"{full.ci_high}] leaves the bounds, [{low}, {high}]: cut it to them")


# -- how it behaves ----------------------------------------------------------------------------------------
def same_inputs_same_score(case: MetricCase) -> None:
    inputs = case.inputs(MIXED)
    scores = []
    with kept_random_state():
        for seed in (1, 1, 2):
            seed_all(seed)
            before = random_state()
            scores.append(_numbers(case, inputs))
            demand(random_state() == before, "it changes the global random state: draw from "
                   "np.random.default_rng(inputs.seed)")
    demand(scores[0] == scores[1] == scores[2], "the same inputs give other numbers (value, interval) the second time: "
           f"{scores[0][:3]}, then {scores[1 if scores[1] != scores[0] else 2][:3]}; draw from "
           "np.random.default_rng(inputs.seed), and keep nothing between calls")


def leaves_its_inputs_alone(case: MetricCase) -> None:
    inputs = case.inputs(MIXED)
    before = arrays_of(inputs)
    _numbers(case, inputs)
    demand(all(np.array_equal(a, b) for a, b in zip(before, arrays_of(inputs), strict=True)),
           "it changes the responses it is given, which the next metric reads too: work on a copy")


def what_is_undefined_is_inapplicable(case: MetricCase) -> None:
    """Odd inputs give a score within bounds, or ``Inapplicable`` with a reason; never NaN, never another error."""
    for what, inputs in _odd_inputs(case).items():
        for protocol in case.cls.protocols:
            try:
                score = case.score(inputs, protocol, RESAMPLES)
            except Inapplicable as reason:
                demand(str(reason), f'{what}, protocol "{protocol}": Inapplicable without a reason; say why')
                continue
            except Exception as error:
                raise Fault(f'{what}, protocol "{protocol}": {type(error).__name__} ({error}); raise Inapplicable with '
                            "the reason where the score does not exist") from error
            for fault in score_faults(case.metric, score):
                raise Fault(f'{what}, protocol "{protocol}": {fault}')


def directions_order_does_not_matter(case: MetricCase) -> None:

    def shuffled(protocol: str) -> Change:
        def apply(one: Responses, side: int) -> Responses:
            rng = np.random.default_rng(side)
            if not protocol.endswith("index"):
                return one.select(rng.permutation(K))
            common = np.random.default_rng(7).permutation(N_COMMON)  # of both sides alike: they correspond
            return one.select([*common, *(N_COMMON + rng.permutation(K - N_COMMON))])
        return apply

    _unmoved(case, case.cls.protocols, shuffled, "the directions are listed in another order")


def signs_do_not_matter(case: MetricCase) -> None:
    if not case.sign_free:
        raise NotApplicable("all of its protocols are as published, and may depend on the signs of directions")

    def flipped(protocol: str) -> Change:
        def apply(one: Responses, side: int) -> Responses:
            ks = np.random.default_rng(side).random(K) < 0.5
            plus, minus = (np.where(ks[:, None, None], a, b) for a, b in ((one.minus, one.plus), (one.plus, one.minus)))
            return Responses(one.before, plus, minus)
        return apply

    _unmoved(case, case.sign_free, flipped, "some directions are turned round (which way a direction points is "
             "arbitrary: take both signs alike, or let the protocol's name begin with published)")


def latents_order_does_not_matter(case: MetricCase) -> None:
    """Within the matching half, and within the other."""

    def shuffled(protocol: str) -> Change:
        def apply(one: Responses, side: int) -> Responses:
            rng = np.random.default_rng(side)
            rows = np.concatenate([rng.permutation(N_MATCH), N_MATCH + rng.permutation(N - N_MATCH)])
            return Responses(one.before[rows], one.plus[:, rows], one.minus[:, rows])
        return apply

    _unmoved(case, case.cls.protocols, shuffled, "the latents of each half come in another order")


# -- what it says ------------------------------------------------------------------------------------------
def a_perfect_answer_beats_a_useless_one(case: MetricCase) -> str:
    """Under its headline protocol, in the direction that ``higher_is_better`` names."""
    perfect, useless = _perfect_and_useless(case)
    said = f"perfect {perfect:.4g}, " + ", ".join(f"{name} {value:.4g}" for name, value in useless.items())
    gains = [_gain(case, perfect, value) for value in useless.values()]
    demand(max(gains) > SAME, f"{said}: {WORDS[PERFECT]}, scores no better than useless answers ({WORDS[IDLE]}; "
           f"{WORDS[MIXED]}) where higher_is_better is {case.cls.higher_is_better}: is that the right way round? If it "
           "is, say why in perfect_why_not")
    if min(gains) < -SAME:
        raise NotApplicable(f"{said}: {AMBIGUOUS}")
    return said


def a_duplicated_answer_is_no_better(case: MetricCase) -> str:
    perfect, useless = _perfect_and_useless(case)
    copied = case.value(DUPLICATED)
    gains = [_gain(case, perfect, value) for value in useless.values()]
    if max(gains) <= SAME:
        raise NotApplicable("a perfect answer scores no better than useless ones")
    if min(gains) < -SAME:
        raise NotApplicable(AMBIGUOUS)
    if copied is None:
        raise NotApplicable(f"it has no score for {WORDS[DUPLICATED]}")
    said = f"perfect {perfect:.4g}, duplicated {copied:.4g}"
    demand(_gain(case, perfect, copied) >= -max(0.05 * max(gains), SAME), f"{said}: {WORDS[DUPLICATED]} scores better "
           f"than {WORDS[PERFECT]}; a method could win by repeating itself. If that must be so, say why in "
           "perfect_why_not")
    return said + ", as good as alike" * (_gain(case, perfect, copied) < 0)


def _perfect_and_useless(case: MetricCase) -> tuple[float, dict[str, float]]:
    """The score of a perfect answer, and those of useless ones. Raises NotApplicable where they say nothing."""
    if case.cls.perfect_why_not:
        raise NotApplicable(case.cls.perfect_why_not)
    perfect = case.value(PERFECT)
    useless = {name: value for name in (IDLE, MIXED) if (value := case.value(name)) is not None}
    if perfect is None or not useless:
        raise NotApplicable(f"it has no score for {WORDS[PERFECT] if perfect is None else 'useless answers'}")
    return perfect, useless


def works_through_chance(case: MetricCase) -> str:
    said = []
    for protocol in case.cls.protocols:
        if case.kind == "generator":
            found = chance_of(case.metric, case.inputs(MIXED), protocol)
        else:
            runs = [[responses(np.random.default_rng([s, r]).normal(size=(K, M)), 10 * s + r) for r in range(RUNS)]
                    for s in (0, 1)]
            scores = scores_of_runs(case.metric, protocol, runs[0], case.single(runs[0][0])) \
                if case.kind == "single" else scores_of_pairs(case.metric, protocol, pairs_of_runs(
                    runs[0], runs[1], case.pair(runs[0][0], runs[1][0])))
            found = band({tuple("ab"[:scores.ndim]): scores}, case.cls.bounds)
        demand(np.isnan(found.mean) or found.low <= found.mean <= found.high or np.isnan(found.low),
               f'protocol "{protocol}": chance is {found.mean} in a band of [{found.low}, {found.high}]')
        said.append(f"{protocol} {found.mean:.4g} [{found.low:.4g}, {found.high:.4g}]")
    return ", ".join(said)


# -- of a generator ----------------------------------------------------------------------------------------
def measures_plain_arrays(case: MetricCase) -> None:
    """The same for the same seed; as many images as it says; the generator is left as it was."""
    inputs = case.generator_inputs()
    before = inputs.generator.fingerprint()
    found, again = case.metric.measure(inputs), case.metric.measure(case.generator_inputs())
    demand(isinstance(found, dict) and found and all(isinstance(name, str) for name in found),
           f"measure returns {type(found).__name__}, expected {{name: array}}")
    for name, value in found.items():
        demand(isinstance(value, np.ndarray) and value.dtype != object, f"measure: {name} is a {type(value).__name__}, "
               "expected a NumPy array of numbers")
        demand(np.array_equal(value, again[name], equal_nan=True), f"measure: {name} is another the second time: take "
               "every random number from inputs.context.rng(...)")
    demand(inputs.generator.fingerprint() == before, "measure changes the generator's weights")
    made, planned = case.images()
    demand(made == planned, f"images() says {planned}, but measure makes {made}: plans are wrong by that much")


CLAUSES: tuple[Callable[[MetricCase], str | None], ...] = (
    says_what_it_is, measures_plain_arrays, gives_scores_within_bounds, refuses_protocols_that_it_does_not_have,
    the_interval_contains_the_value, same_inputs_same_score, leaves_its_inputs_alone,
    what_is_undefined_is_inapplicable, directions_order_does_not_matter, signs_do_not_matter,
    latents_order_does_not_matter, a_perfect_answer_beats_a_useless_one, a_duplicated_answer_is_no_better,
    works_through_chance,
)
OF_RESPONSES = (directions_order_does_not_matter, signs_do_not_matter, latents_order_does_not_matter)
OF_GENERATORS = (measures_plain_arrays,)


def chance_of(metric: Any, inputs: Any, protocol: str) -> Band:
    """What a generator metric says of chance; NaNs where it has no ``chance``."""
    return metric.chance(inputs, protocol) if hasattr(metric, "chance") else NO_CHANCE


def _gain(case: MetricCase, one: float, other: float) -> float:
    return (one - other) * (1 if case.cls.higher_is_better else -1)


def _unmoved(case: MetricCase, protocols: tuple[str, ...], change: Callable[[str], Change], what: str) -> None:
    for protocol in protocols:
        inputs: Any = case.inputs(MIXED)
        try:
            usual, other = (case.score(x, protocol).value for x in (inputs, case.moved(change(protocol), inputs)))
        except Inapplicable:
            continue
        if np.isnan(usual):
            continue  # said by the clause on bounds
        demand(abs(usual - other) <= SAME * max(1.0, abs(usual)), f'protocol "{protocol}": the score is {usual:.6g}, '
               f"and {other:.6g} where {what}")


def _odd_inputs(case: MetricCase) -> dict[str, Any]:
    if case.kind == "generator":
        return {WORDS[answer]: case.inputs(answer) for answer in (IDLE, DUPLICATED)}
    whole, none = effects(MIXED), effects(IDLE)
    still = responses(whole, 3)
    still = Responses(*(np.where(np.arange(M) == 0, 1.0, part) for part in (still.before, still.plus, still.minus)))
    odd = {"no direction changes anything": (responses(none, 0, 0.0), {}),
           "one direction": (responses(whole[:1], 1), {}),
           "one attribute": (responses(whole[:, :1], 2), {}), "an attribute that never varies": (still, {}),
           "no attribute is readable": (responses(whole, 4), {"readable": [False] * M})}
    if case.kind == "single":
        return {what: case.single(one, **more) for what, (one, more) in odd.items()}
    pairs = {what: case.pair(one, one, **more, n_common=min(N_COMMON, len(one)),
                             **({"missing": (), "excluded": ()} if one.before.shape[1] < M else {}))
             for what, (one, more) in odd.items()}
    a, b = (responses(effects(MIXED, side), 5 + side) for side in (False, True))
    return pairs | {"nothing is missing": case.pair(a, b, missing=(), excluded=()),
                    "directions that do not correspond by index": case.pair(a, b, paired=False),
                    "no unique direction": case.pair(a, b, n_common=K)}


def _numbers(case: MetricCase, inputs: Any) -> list[float]:
    """Every protocol's value and interval; NaN is -inf here, so that it equals itself."""
    found: list[float] = []
    for protocol in case.cls.protocols:
        try:
            score: Score = case.score(inputs, protocol, RESAMPLES)
        except Inapplicable:
            continue
        found += [-np.inf if np.isnan(x) else float(x) for x in (score.value, score.ci_low, score.ci_high)]
    return found

"""What two generators' responses say: which directions are common, novel or missing, and how far to believe it.

One form of evidence at a time (``View``): the oracle's attributes, or the extractor's feature axes treated as if they
were attributes. Everything is in units of an attribute's spread over both generators' unedited images. Whether a
direction does anything and which signs correspond is decided on the matching latents; numbers are of the scoring ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import numpy as np

from dirbench.changes import reliability
from dirbench.errors import Inapplicable
from dirbench.matching import Match, cosine, cosine_matrix, match
from dirbench.metric import PairInputs, SingleInputs
from dirbench.metrics.alignment import Alignment
from dirbench.metrics.dead_directions import DeadDirections
from dirbench.metrics.effect import Effect
from dirbench.metrics.false_alarms import FalseAlarms
from dirbench.metrics.reliability import Reliability
from dirbench.pair_metric import PairCase, Side, magnitude
from dirbench.random_runs import pairs_of_runs, scores_of_pairs, scores_of_runs
from dirbench.responses import Responses
from dirbench.results.statistics.chance import band

TOP = 4  # attributes named for a direction
INDEX = "index"  # the protocol: directions of a paired method correspond by their number
BEYOND = 0.95  # a pair is beyond chance above this quantile of random pairs


@dataclass(frozen=True)
class View:
    """Responses of (reference, client) in one form of evidence.

    Attributes:
        names: the attributes, all of them readable. named: False for feature axes, whose names say nothing.
        n_match, n_common: latents that decide; directions that the method calls common.
    """

    reference: Responses
    client: Responses
    names: tuple[str, ...]
    named: bool
    n_match: int
    n_common: int

    def inputs(self, reverse: bool = False) -> PairInputs:
        """As pair metrics take them; ``reverse`` swaps the roles."""
        sides = (self.client, self.reference) if reverse else (self.reference, self.client)
        return PairInputs(*sides, self.n_match, self.n_common, True, self.names)

    @cached_property
    def case(self) -> PairCase:
        """Mean changes of both halves, standardised."""
        return Alignment().prepare(self.inputs(), INDEX)

    @cached_property
    def forth(self) -> Match:
        """Common pairs, and the reference's unique directions."""
        return _match(self.case)

    @cached_property
    def back(self) -> Match:
        """The same with the roles swapped: its unique ones are the client's."""
        case = self.case
        return _match(replace(case, reference=case.client, client=case.reference))


def _match(case: PairCase) -> Match:
    return match(case.reference.matching, case.client.matching, case.reference.live, case.client.live, case.n_common,
                 INDEX)


def _cosines(case: PairCase, found: Match) -> np.ndarray:
    """[n] cosines of the matched pairs' changes on the scoring latents."""
    return cosine(case.reference.scoring[found.poles[:, 0], found.pairs[:, 0]],
                  case.client.scoring[found.poles[:, 1], found.pairs[:, 1]])


def facts(side: Side, k: int, names: Sequence[str], named: bool) -> dict:
    """What direction ``k`` does: effect, reliability, whether it is measurable, and the attributes it changes most.

    ``effect``: mean |change| over attributes, samples and signs. ``reliability``: split-half, of the mean change, the
    mean over signs. ``attributes``: name and mean change at +strength and -strength, largest mean size first.
    """
    samples, mean = cast(np.ndarray, side.samples)[:, k], side.scoring[:, k]  # a view's case keeps them
    largest = np.argsort(-magnitude(mean[:, None])[0], kind="stable")[:TOP] if named else ()
    return {"measurable": bool(side.live[:, k].any()), "effect": float(np.abs(samples).mean()),
            "reliability": float(np.maximum(reliability(samples), 0).mean()),
            "attributes": [{"name": names[m], "plus": float(mean[0, m]), "minus": float(mean[1, m])} for m in largest]}


def nearest(own: Side, k: int, other: Side) -> dict | None:
    """The other generator's most similar edit: direction, relative sign and cosine; None where none is measurable.

    Chosen on the matching latents, measured on the scoring ones. Low says that the other generator has no such edit.
    """
    poles, n = len(other.live), other.live.shape[1]
    mine = np.flatnonzero(own.live[:, k])
    theirs = np.flatnonzero(other.live.ravel())
    if not len(mine) or not len(theirs):
        return None
    cosines = cosine_matrix(own.matching[mine, k], other.matching.reshape(poles * n, -1)[theirs])
    i, j = np.unravel_index(cosines.argmax(), cosines.shape)
    pole, direction = divmod(int(theirs[j]), n)
    value = cosine(own.scoring[mine[i], k], other.scoring[pole, direction])
    return {"direction": direction, "sign": 1 if pole == mine[i] else -1, "cosine": float(value)}


def unique(view: View, missing: bool) -> list[dict]:
    """The unique directions with measurable effect of the reference (``missing``) or of the client (novel).

    With named attributes each says which attribute it is called after (its largest change), and the largest change of
    that attribute by any direction of the other generator.
    """
    case, found = view.case, view.forth if missing else view.back
    own, other = (case.reference, case.client) if missing else (case.client, case.reference)
    alive = np.flatnonzero(other.live.any(0))
    out = []
    for k in map(int, found.unique):
        one = {"direction": k, **facts(own, k, view.names, view.named), "nearest": nearest(own, k, other)}
        if view.named:
            m = int(magnitude(own.scoring[:, k][:, None])[0].argmax())
            there = magnitude(other.scoring[:, alive, m][..., None])[:, 0] if len(alive) else np.zeros(0)
            one |= {"called": view.names[m], "size": float(magnitude(own.scoring[:, k, m][:, None, None]).item()),
                    "other_size": float(there.max()) if len(there) else 0.0,
                    "other_direction": int(alive[there.argmax()]) if len(there) else None}
        out.append(one)
    return out


def common(view: View, beyond: float | None = None) -> list[dict]:
    """The common pairs that are measurable on both sides, with their cosine; ``beyond`` is what chance reaches."""
    case, found = view.case, view.forth
    out = []
    for (k, _), (p, q), value in zip(found.pairs.tolist(), found.poles.tolist(), _cosines(case, found).tolist()):
        one = {"direction": k, "sign": 1 if p == q else -1, "cosine": value,
               "beyond_chance": None if beyond is None else value > beyond,
               "reference": facts(case.reference, k, view.names, view.named),
               "client": facts(case.client, k, view.names, view.named)}
        if view.named:
            sizes = [magnitude(side.scoring[:, k][:, None])[0] for side in (case.reference, case.client)]
            one["called"] = view.names[int(np.minimum(*sizes).argmax())]
        out.append(one)
    return out


def unmeasurable(view: View) -> dict:
    """Which directions are called nothing because they do nothing that can be measured, and how many there were."""
    case, n = view.case, view.n_common
    alive = [np.any(side.live, axis=0) for side in (case.reference, case.client)]
    dead = [np.flatnonzero(~a).tolist() for a in alive]
    return {"common": np.flatnonzero(~(alive[0] & alive[1])[:n]).tolist(), "missing": [k for k in dead[0] if k >= n],
            "novel": [k for k in dead[1] if k >= n], "reference": dead[0], "client": dead[1],
            "of_common": n, "of_missing": len(alive[0]) - n, "of_novel": len(alive[1]) - n}


# -- chance ------------------------------------------------------------------------------------------------
def beyond_chance(view: View, banks: tuple[Sequence[Responses], Sequence[Responses]]) -> float | None:
    """The cosine that 95% of measurable pairs of random directions stay under, signs chosen as for others."""
    cosines: list[float] = []
    for a in banks[0]:
        for b in banks[1]:
            case = Alignment().prepare(replace(view.inputs(), reference=a, client=b,
                                               n_common=min(len(a), len(b))), INDEX, keep_samples=False)
            cosines.extend(_cosines(case, _match(case)))
    return float(np.quantile(cosines, BEYOND)) if cosines else None


def scores(view: View, banks: tuple[Sequence[Responses], Sequence[Responses]], resamples: int) -> list[dict]:
    """The suite's scores of this pair, with what random directions get from the same protocol."""
    rows = [_pair_row(Alignment(), view, banks, resamples, "alignment of common pairs", "both")]
    if view.named:
        rows += [_pair_row(FalseAlarms(), view, banks, resamples, "attributes called missing", "reference"),
                 _pair_row(FalseAlarms(), view, banks, resamples, "attributes called novel", "client")]
    for gan, responses, runs in (("reference", view.reference, banks[0]), ("client", view.client, banks[1])):
        inputs = SingleInputs(responses, view.n_match, view.names)
        for metric, what in ((Effect(), "effect size"), (Reliability(), "split-half reliability"),
                             (DeadDirections(), "directions without measurable effect")):
            score = metric.compute(inputs, "headline", resamples)
            null = scores_of_runs(metric, "headline", runs, replace(inputs, responses=runs[0]))
            bounds = (0.0, len(responses)) if isinstance(metric, DeadDirections) else metric.bounds
            rows.append(_row(what, gan, metric, score, band({(gan,): null}, bounds)))
    return rows


def _pair_row(metric, view: View, banks, resamples: int, what: str, gan: str) -> dict:
    reverse = gan == "client"
    a, b = banks[::-1] if reverse else banks
    inputs = view.inputs(reverse)
    try:
        score = metric.compute(inputs, INDEX, resamples)
        null = scores_of_pairs(metric, INDEX, pairs_of_runs(a, b, replace(inputs, reference=a[0], client=b[0])))
    except Inapplicable as reason:
        return {"score": what, "of": gan, "metric": metric.name, "reason": str(reason)}
    return _row(what, gan, metric, score, band({("a", "b"): null}, metric.bounds))


def _row(what: str, gan: str, metric, score, chance) -> dict:
    return {"score": what, "of": gan, "metric": metric.name, "value": score.value, "low": score.ci_low,
            "high": score.ci_high, "latents": score.n, "chance": chance.mean, "chance_low": chance.low,
            "chance_high": chance.high}


# -- the control ---------------------------------------------------------------------------------------------
def false_positives(view: View) -> dict:
    """What is called missing and novel between two generators of the same data: every call is a false one.

    ``rate_of_directions``: the share of unique directions that are called anything. ``rate_of_attributes``: the share
    of attributes that are called, over both roles. ``nearest``: the most similar edits of the other generator.
    """
    missing, novel, dead = unique(view, True), unique(view, False), unmeasurable(view)
    out = {"missing": missing, "novel": novel,
           "rate_of_directions": (len(missing) + len(novel)) / max(dead["of_missing"] + dead["of_novel"], 1),
           "nearest": sorted(one["nearest"]["cosine"] for one in missing + novel if one["nearest"])}
    if view.named:
        called = {"missing": sorted({one["called"] for one in missing}),
                  "novel": sorted({one["called"] for one in novel})}
        out |= {"called": called, "rate_of_attributes": sum(map(len, called.values())) / (2 * len(view.names))}
    return out


def stands_out(one: dict, control: dict | None) -> bool | None:
    """Whether a unique direction is farther from the other generator's edits than any false one of the control.

    None where there is no control, or nothing to compare with.
    """
    if not control or not control["nearest"] or not one["nearest"]:
        return None
    return one["nearest"]["cosine"] < control["nearest"][0]

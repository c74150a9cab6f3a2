"""Rows, and metrics that fail alone: what the stages that score have in common."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dirbench.benchmarks.config.suite import Entry
from dirbench.benchmarks.config.zoo_and_oracles import oracle_name
from dirbench.benchmarks.stages.lab import Lab
from dirbench.benchmarks.stages.work import Work
from dirbench.errors import Inapplicable, one_line
from dirbench.metric import Band, Metric, Score, SingleInputs
from dirbench.metrics.effect import Effect
from dirbench.responses import Responses
from dirbench.results.rows import COLUMNS
from dirbench.scores import MetricError

UNSAID = "the metric says that the score does not exist, and not why"


class Blamed(Exception):
    """A metric raised ``error``: its own rows fail, and no other's."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@contextmanager
def blaming(metric: Metric, doing: str) -> Iterator[None]:
    """Turns whatever a metric's code raises into ``Blamed``, with its name; ``Inapplicable`` goes on as it is."""
    try:
        yield
    except Inapplicable:
        raise
    except (Exception, SystemExit) as error:
        named = MetricError(f"{doing}: {error if isinstance(error, MetricError) else one_line(error)}")
        named.__cause__ = error
        raise Blamed(named) from error


def facts(work: Work, entry: Entry, gans: tuple[str, ...], seed: int) -> dict[str, Any]:
    """What the rows of one method on one GAN or pair have in common."""
    job, method = work.job, work.job.method(entry)
    return {"suite": job.suite.suite, "version": job.suite.version, "profile": job.profile.profile,
            "zoo": work.zoo.name, "oracle": oracle_name(job.suite.oracle), "extractor": job.extractor(entry).name,
            "method": entry.name, "variant": entry.variant, "reference": gans[0],
            "client": gans[1] if len(gans) == 2 else "", "seed": seed, "steps": method.steps,
            "published_steps": method.published_steps()}


def full_row(row: dict[str, Any], score: Score, chance: Band) -> dict[str, Any]:
    """A row with its value, interval and chance level."""
    return row | {"value": score.value, "ci_low": score.ci_low, "ci_high": score.ci_high, "n": score.n,
                  "chance": chance.mean, "chance_low": chance.low, "chance_high": chance.high, "status": "ok",
                  "reason": "", "details": score.details}


def empty_row(row: dict[str, Any], status: str, reason: str) -> dict[str, Any]:
    """A row with a status and a reason instead of a value."""
    return {column: math.nan for column in COLUMNS} | {"n": 0} | row | {"status": status, "reason": reason}


def single_inputs(lab: Lab, responses: Responses, seed: int) -> SingleInputs:
    """Responses of one GAN as metrics take them."""
    oracle = lab.scoring_oracle
    return SingleInputs(responses, lab.design.sizes.latents.match, oracle.names, oracle.readable, seed)


def effect(lab: Lab, responses: Responses, seed: int) -> float:
    """The effect size of a GAN's directions, NaN where there is none."""
    try:
        return Effect().compute(single_inputs(lab, responses, seed), "headline", 0).value
    except Inapplicable:
        return math.nan


def settings_of(work: Work, row: Mapping[str, Any]) -> dict[str, Any]:
    """What every row hangs on and has no column for: strength, sizes and hashes."""
    job, lab = work.job, work.lab
    entry = next(e for e in job.suite.methods if (e.name, e.variant) == (row["method"], row["variant"]))
    method = job.method(entry)
    return {"alpha": job.suite.alpha, "bootstrap": job.profile.bootstrap,
            "chance": job.profile.chance.model_dump(exclude_none=True), "params": method.params(),
            "oracle": lab.fingerprints["oracle"],
            "extractor": lab.extractor_fingerprint(job.extractor(entry)) if "extractor" in method.needs else "none"}

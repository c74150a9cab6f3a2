"""From responses to rows: every metric under every protocol of one method on one pair or one GAN, with its chance."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from dirbench.benchmarks.config.job import Pair
from dirbench.benchmarks.config.suite import Entry
from dirbench.benchmarks.config.zoo_and_oracles import judge_name
from dirbench.benchmarks.stages.lab import Workbench
from dirbench.benchmarks.stages.nulls import null_pairs, null_scores, null_scores_single
from dirbench.errors import Inapplicable, NotApplicable, one_line
from dirbench.metric import Band, Metric, PairInputs, Score, SingleInputs
from dirbench.metrics.effect import Effect
from dirbench.plugins import METRICS
from dirbench.responses import Responses
from dirbench.results.artifacts.store import Step
from dirbench.results.rows import COLUMNS
from dirbench.results.statistics.chance import band
from dirbench.scores import MetricError, checked

UNSAID = "the metric says that the score does not exist, and not why"
VARIES, ABSENT = 0.05, 0.01  # minority shares in the data that make an attribute vary, and be absent (DESIGN.md)


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


class MetricsFailed(RuntimeError):
    """Some metrics raised, or returned what is no score; what the others gave is kept.

    Attributes:
        errors: the exceptions, one a metric and protocol that failed.
        rows: of the cell, those of the failed metrics among them; empty for chance.
    """

    def __init__(self, errors: Sequence[Exception], rows: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__("; ".join(dict.fromkeys(map(str, errors))))
        self.errors, self.rows = list(errors), list(rows)


class Scorer:
    """Scores what a workbench has made; nothing here synthesises an image that the workbench does not keep."""

    def __init__(self, bench: Workbench) -> None:
        self.bench, self.job = bench, bench.job
        self.metrics: dict[str, Metric] = {name: METRICS.build(name, self.job.profile.metrics.get(name))
                                           for name in self.job.suite.metrics
                                           if METRICS.get(name).needs != "generator"}  # those are the Evaluator's

    # -- which attributes a pair is asked for -------------------------------------------------------------
    def missing(self, pair: Pair) -> tuple[int, ...]:
        """Attributes that vary in the reference's data and are absent from the client's (headline S)."""
        minority = [{a: min(r, 1 - r) for a, r in self.bench.zoo.rates(g).items()} for g in pair]
        return tuple(i for i, a in enumerate(self.bench.scoring_oracle.names)
                     if minority[0].get(a, 0) >= VARIES and minority[1].get(a, 1) <= ABSENT)

    def excluded(self, pair: Pair) -> tuple[int, ...]:
        """Attributes that the client's subset excludes by its name (S as published)."""
        names = [attribute for attribute, _ in self.bench.zoo.excludes(pair[1])]
        return tuple(i for i, a in enumerate(self.bench.scoring_oracle.names) if a in names)

    def unknown(self, metric: Metric, protocol: str, gans: tuple[str, ...]) -> str:
        """Why it is not known what is missing, for a metric that asks; "" where it is known, or not asked for."""
        if not metric.reads_missing or len(gans) != 2:
            return ""
        published = protocol.startswith("published")
        key, asked = ("excludes", gans[1:]) if published else ("rates", gans)
        silent = [gan for gan in asked if not self.bench.zoo.says(gan, key)]
        if not silent:
            return ""
        what = "what the data exclude" if published else "how often attributes occur in the data"
        return (f"zoo {self.bench.zoo.name} does not say {what} of {', '.join(silent)} ({key}: in its manifest), so it "
                "is not known what is missing")

    # -- inputs -------------------------------------------------------------------------------------------
    def _single(self, responses, seed: int) -> SingleInputs:
        return SingleInputs(responses, self.job.profile.latents.match, self.bench.scoring_oracle.names,
                            self.bench.scoring_oracle.readable, seed)

    def _pair(self, reference, client, pair: Pair, paired: bool, n_common: int, seed: int) -> PairInputs:
        oracle = self.bench.scoring_oracle
        return PairInputs(reference, client, self.job.profile.latents.match, n_common, paired, oracle.names,
                          self.missing(pair), self.excluded(pair), oracle.readable, seed)

    def wanted(self, needs: str, reverse: bool = False) -> list[Metric]:
        """The suite's metrics of one kind; for a pair the other way round only those that depend on the order."""
        return [m for m in self.metrics.values() if m.needs == needs and (m.ordered or not reverse)]

    def _common_inputs(self, metrics: Sequence[Metric]) -> dict[str, Any]:
        settings: dict[str, Any] = {m.name: asdict(cast(Any, m)) for m in metrics if is_dataclass(m)}
        return {"metrics": sorted(m.name for m in metrics), "match": self.job.profile.latents.match,
                "oracle": self.bench._marks["oracle"], **({"settings": settings} if settings else {})}

    @staticmethod
    def _modules(metrics: Sequence[Metric]) -> tuple[str, ...]:
        return ("dirbench.results.statistics.chance", "dirbench.results.statistics.intervals", *(type(m).__module__ for m in metrics))

    # -- chance ---------------------------------------------------------------------------------------------
    def chance_steps(self, gans: tuple[str, ...]) -> tuple[Step, ...]:
        """Chance levels of a pair, or of one GAN: a step a metric, so that one that fails is missed alone."""
        return tuple(self._chance_step(metric, gans) for metric in self.wanted("pair" if len(gans) == 2 else "single"))

    def _chance_step(self, metric: Metric, gans: tuple[str, ...]) -> Step:
        extra = {"missing": self.missing(gans), "excluded": self.excluded(gans), **self._silence(gans),
                 "n_common": self.job.suite.n_common} if len(gans) == 2 else {}
        return Step("chance", self._modules([metric]), {**self._common_inputs([metric]), **extra,
                    "runs": [[step.key for step in self.bench.bank_steps(g)] for g in gans]}, self.bench.versions)

    def _silence(self, gans: tuple[str, ...]) -> dict:
        """What the zoo does not say of a pair; nothing where it says all, so that such keys stay what they are."""
        silent = [[gan, key] for gan in gans for key in ("rates", "excludes") if not self.bench.zoo.says(gan, key)]
        return {"not said": silent} if silent else {}

    def chance(self, gans: tuple[str, ...]) -> dict[str, dict[str, Any]]:
        """{"metric/protocol": {mean, low, high, scores}} of a pair (two names) or of one GAN.

        Raises:
            MetricsFailed: after all metrics were tried.
        """
        found, errors = self._chance(gans)
        if errors:
            raise MetricsFailed(list(errors.values()))
        return found

    def stored_chance(self, gans: tuple[str, ...]) -> dict[str, dict[str, Any]]:
        """``chance`` of the metrics whose chance is in the store."""
        return self._read([step for step in self.chance_steps(gans) if self.bench.store.has(step)])

    def _read(self, steps: Sequence[Step]) -> dict[str, dict[str, Any]]:
        files = [self.bench.store.path(step) / "chance.json" for step in steps]
        return {key: band for file in files for key, band in json.loads(file.read_text(encoding="utf-8")).items()}

    def _chance(self, gans: tuple[str, ...]) -> tuple[dict[str, dict[str, Any]], dict[str, Exception]]:
        """(chance of the metrics that give one, {metric: why it gives none})."""
        found: dict[str, dict[str, Any]] = {}
        errors: dict[str, Exception] = {}
        nulls = cache(partial(self._nulls, gans))  # shared by the metrics that are not there yet
        for metric in self.wanted("pair" if len(gans) == 2 else "single"):
            step = self._chance_step(metric, gans)
            if not self.bench.store.has(step):
                nulls()  # before the metric is blamed for anything
            try:
                self.bench.store.make(step, partial(self._write_chance, metric, gans, nulls))
            except Blamed as blamed:
                errors[metric.name] = blamed.error
            else:
                found |= self._read([step])
        return found, errors

    def _nulls(self, gans: tuple[str, ...]) -> Callable[[Metric, str], np.ndarray]:
        """Gives the null scores of a metric under a protocol."""
        banks = [self.bench.bank(g) for g in gans]
        if len(gans) == 2:
            template = self._pair(banks[0][0], banks[1][0], gans, True, self.job.suite.n_common, 0)
            return partial(null_scores, pairs=null_pairs(banks[0], banks[1], template))
        return partial(null_scores_single, runs=banks[0], template=self._single(banks[0][0], 0))

    def _write_chance(self, metric: Metric, gans: tuple[str, ...],
                      nulls: Callable[[], Callable[[Metric, str], np.ndarray]], folder: Path) -> None:
        out = {}
        for protocol in metric.protocols:
            if self.unknown(metric, protocol, gans):
                continue
            with blaming(metric, f"chance of {metric.name} ({protocol})"):
                scores = nulls()(metric, protocol)
                if np.isinf(scores).any():
                    raise MetricError("a score is infinite")
            out[f"{metric.name}/{protocol}"] = {**asdict(band({gans: scores}, metric.bounds)),
                                                "scores": scores.tolist()}
        (folder / "chance.json").write_text(json.dumps(out), encoding="utf-8")

    # -- scores ---------------------------------------------------------------------------------------------
    def trained_on(self, entry: Entry, gans: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
        """For each of ``gans`` the generators that its directions were discovered on (a paired method: the pair)."""
        if not self.job.method(entry).paired:
            return tuple((g,) for g in gans)
        pair = gans if gans in self.job.trained_pairs() else gans[::-1]
        return tuple(pair for _ in gans)

    def score_step(self, entry: Entry, gans: tuple[str, ...], seed: int) -> Step:
        """All rows of one method on a (reference, client) pair, or on one GAN."""
        sides = [self.bench.responses_step(entry, on, on.index(g), seed).key
                 for g, on in zip(gans, self.trained_on(entry, gans), strict=True)]
        metrics = self.wanted("pair" if len(gans) == 2 else "single")
        return Step("scores", self._modules(metrics), {
            **self._common_inputs(metrics), "responses": sides, "seed": seed,
            "chance": [step.key for step in self.chance_steps(gans)],
            "bootstrap": self.job.profile.bootstrap, "rows": self._facts(entry, gans, seed)}, self.bench.versions)

    def score(self, entry: Entry, gans: tuple[str, ...], seed: int, reverse: bool = False) -> list[dict]:
        """The rows; ``reverse`` leaves out what the pair the other way round already says.

        Raises:
            NotApplicable: the suite has no oracle. MetricsFailed: some metrics did; it has all rows.
        """
        if self.bench.oracle is None:
            raise NotApplicable("scores are made from what an attribute oracle reads, and the suite names none "
                                "(oracle:)")
        step = self.score_step(entry, gans, seed)

        def build(folder: Path) -> None:
            method = self.job.method(entry)
            responses = [self.bench.responses(entry, on, on.index(g), seed)
                         for g, on in zip(gans, self.trained_on(entry, gans), strict=True)]
            effect = float(np.mean([self.effect(r, seed) for r in responses]))
            inputs: SingleInputs | PairInputs = self._single(responses[0], seed)
            if len(gans) == 2:
                inputs = self._pair(responses[0], responses[1], gans, method.paired, self.job.suite.n_common, seed)
            chance, lacking = self._chance(gans)
            rows, errors = [], []
            for metric in self.wanted("pair" if len(gans) == 2 else "single", reverse):
                for protocol in metric.protocols:
                    if len(gans) == 2 and protocol.endswith("index") and not method.paired:
                        continue  # directions found apart do not correspond by index: there is no such row
                    row = self._facts(entry, gans, seed) | {"metric": metric.name, "protocol": protocol,
                                                            "effect": effect}
                    try:
                        if metric.name in lacking:
                            raise Blamed(lacking[metric.name])
                        rows.append(self._row(row, metric, inputs, gans, chance))
                    except Blamed as blamed:
                        errors.append(blamed.error)
                        rows.append(self.empty_row(row, "failed", str(blamed.error)))
            if errors:
                raise MetricsFailed(errors, rows)  # nothing of it is stored: the next run tries again
            (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")

        return json.loads((self.bench.store.make(step, build) / "rows.json").read_text(encoding="utf-8"))

    def effect(self, responses: Responses, seed: int) -> float:
        """The effect size of a GAN's directions, NaN where there is none."""
        try:
            return Effect().compute(self._single(responses, seed), "headline", 0).value
        except Inapplicable:
            return math.nan

    def _row(self, row: dict[str, Any], metric: Metric, inputs: SingleInputs | PairInputs, gans: tuple[str, ...],
             chance: dict[str, dict[str, Any]]) -> dict[str, Any]:
        protocol = row["protocol"]
        if why := self.unknown(metric, protocol, gans):
            return self.empty_row(row, "not_applicable", why)
        try:
            with blaming(metric, f"{metric.name} ({protocol})"):
                score = checked(metric, metric.compute(inputs, protocol, self.job.profile.bootstrap))
        except Inapplicable as reason:
            return self.empty_row(row, "not_applicable", str(reason) or UNSAID)
        null = chance.get(f"{metric.name}/{protocol}", {})
        return self.full_row(row, score, Band(*(null.get(name, math.nan) for name in ("mean", "low", "high"))))

    @staticmethod
    def full_row(row: dict[str, Any], score: Score, chance: Band) -> dict[str, Any]:
        """A row with its value, interval and chance level."""
        return row | {"value": score.value, "ci_low": score.ci_low, "ci_high": score.ci_high, "n": score.n,
                      "chance": chance.mean, "chance_low": chance.low, "chance_high": chance.high, "status": "ok",
                      "reason": "", "details": score.details}

    def failed_rows(self, entry: Entry, gans: tuple[str, ...], seed: int, status: str, reason: str,
                    reverse: bool = False) -> list[dict]:
        """The rows that a cell would have had, without values: what failed stays visible in every table."""
        paired = self.job.method(entry).paired
        return [self.empty_row(self._facts(entry, gans, seed) | {"metric": m.name, "protocol": p}, status, reason)
                for m in self.wanted("pair" if len(gans) == 2 else "single", reverse) for p in m.protocols
                if paired or len(gans) == 1 or not p.endswith("index")]

    @staticmethod
    def empty_row(facts: dict, status: str, reason: str) -> dict:
        """A row with a status and a reason instead of a value."""
        return {column: math.nan for column in COLUMNS} | {"n": 0} | facts | {"status": status, "reason": reason}

    def _facts(self, entry: Entry, gans: tuple[str, ...], seed: int) -> dict:
        job, method = self.job, self.job.method(entry)
        return {"suite": job.suite.suite, "version": job.suite.version, "profile": job.profile.profile,
                "zoo": self.bench.zoo.name, "oracle": judge_name(job.suite.oracle),
                "extractor": job.extractor(entry).name, "method": entry.name, "variant": entry.variant,
                "reference": gans[0], "client": gans[1] if len(gans) == 2 else "", "seed": seed, "steps": method.steps,
                "published_steps": method.published_steps()}

"""From responses to rows: every metric under every protocol of one method on one pair or one GAN, with its chance."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from functools import partial
from pathlib import Path

from benchmarks.config import Entry
from benchmarks.job import Pair
from benchmarks.judging import judge_name
from benchmarks.workbench import Workbench
from methods.base import NotApplicable
from metrics import registry
from metrics.base import Inapplicable, Metric, PairInputs, Score, SingleInputs
from metrics.effect import Effect
from metrics.null import band, null_pairs, null_scores, null_scores_single
from results.rows import COLUMNS
from results.store import Step

VARIES, ABSENT = 0.05, 0.01  # minority shares in the data that make an attribute vary, and be absent (DESIGN.md)


class Scorer:
    """Scores what a workbench has made; nothing here synthesises an image that the workbench does not keep."""

    def __init__(self, bench: Workbench) -> None:
        self.bench, self.job = bench, bench.job
        self.metrics = {name: registry.build(name) for name in self.job.suite.metrics
                        if registry.get(name).needs != "generator"}  # those are the Evaluator's

    # -- which attributes a pair is asked for -------------------------------------------------------------
    def missing(self, pair: Pair) -> tuple[int, ...]:
        """Attributes that vary in the reference's data and are absent from the client's (headline S)."""
        minority = [{a: min(r, 1 - r) for a, r in self.bench.zoo.rates(g).items()} for g in pair]
        return tuple(i for i, a in enumerate(self.bench.oracle.names)
                     if minority[0].get(a, 0) >= VARIES and minority[1].get(a, 1) <= ABSENT)

    def excluded(self, pair: Pair) -> tuple[int, ...]:
        """Attributes that the client's subset excludes by its name (S as published)."""
        names = [attribute for attribute, _ in self.bench.zoo.excludes(pair[1])]
        return tuple(i for i, a in enumerate(self.bench.oracle.names) if a in names)

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
        return SingleInputs(responses, self.job.profile.latents.match, self.bench.oracle.names,
                            self.bench.oracle.readable, seed)

    def _pair(self, reference, client, pair: Pair, paired: bool, n_common: int, seed: int) -> PairInputs:
        return PairInputs(reference, client, self.job.profile.latents.match, n_common, paired, self.bench.oracle.names,
                          self.missing(pair), self.excluded(pair), self.bench.oracle.readable, seed)

    def wanted(self, needs: str, reverse: bool = False) -> list[Metric]:
        """The suite's metrics of one kind; for a pair the other way round only those that depend on the order."""
        return [m for m in self.metrics.values() if m.needs == needs and (m.ordered or not reverse)]

    def _common_inputs(self) -> dict:
        return {"metrics": sorted(self.metrics), "match": self.job.profile.latents.match,
                "oracle": self.bench._marks["oracle"]}

    @property
    def _modules(self) -> tuple[str, ...]:
        return ("metrics.null", "metrics.statistics", *(type(m).__module__ for m in self.metrics.values()))

    # -- chance ---------------------------------------------------------------------------------------------
    def chance_step(self, gans: tuple[str, ...]) -> Step:
        """Chance levels of a pair, or of one GAN."""
        extra = {"missing": self.missing(gans), "excluded": self.excluded(gans), **self._silence(gans),
                 "n_common": self.job.suite.n_common} if len(gans) == 2 else {}
        return Step("chance", self._modules, {**self._common_inputs(), **extra,
                    "runs": [[step.key for step in self.bench.bank_steps(g)] for g in gans]}, self.bench.versions)

    def _silence(self, gans: tuple[str, ...]) -> dict:
        """What the zoo does not say of a pair; nothing where it says all, so that such keys stay what they are."""
        silent = [[gan, key] for gan in gans for key in ("rates", "excludes") if not self.bench.zoo.says(gan, key)]
        return {"not said": silent} if silent else {}

    def chance(self, gans: tuple[str, ...]) -> dict[str, dict]:
        """{"metric/protocol": {mean, low, high, scores}} of a pair (two names) or of one GAN."""
        step = self.chance_step(gans)

        def build(folder: Path) -> None:
            banks = [self.bench.bank(g) for g in gans]
            if len(gans) == 2:
                template = self._pair(banks[0][0], banks[1][0], gans, True, self.job.suite.n_common, 0)
                needs, null = "pair", partial(null_scores, pairs=null_pairs(*banks, template))
            else:
                template = self._single(banks[0][0], 0)
                needs, null = "single", partial(null_scores_single, runs=banks[0], template=template)
            out = {}
            for metric in self.wanted(needs):
                for protocol in metric.protocols:
                    if self.unknown(metric, protocol, gans):
                        continue
                    try:
                        scores = null(metric, protocol)
                        out[f"{metric.name}/{protocol}"] = {**asdict(band({gans: scores}, metric.bounds)),
                                                            "scores": scores.tolist()}
                    except Inapplicable:
                        continue  # the score itself says why when it is asked for
            (folder / "chance.json").write_text(json.dumps(out), encoding="utf-8")

        return json.loads((self.bench.store.make(step, build) / "chance.json").read_text(encoding="utf-8"))

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
        return Step("scores", self._modules, {
            **self._common_inputs(), "responses": sides, "chance": self.chance_step(gans).key, "seed": seed,
            "bootstrap": self.job.profile.bootstrap, "rows": self._facts(entry, gans, seed)}, self.bench.versions)

    def score(self, entry: Entry, gans: tuple[str, ...], seed: int, reverse: bool = False) -> list[dict]:
        """The rows; ``reverse`` leaves out what the pair the other way round already says.

        Raises:
            NotApplicable: the suite has no oracle.
        """
        if self.bench.oracle is None:
            raise NotApplicable("scores are made from what an attribute oracle reads, and the suite names none "
                                "(oracle:)")
        step = self.score_step(entry, gans, seed)

        def build(folder: Path) -> None:
            method = self.job.method(entry)
            responses = [self.bench.responses(entry, on, on.index(g), seed)
                         for g, on in zip(gans, self.trained_on(entry, gans), strict=True)]
            effect = sum(Effect().compute(self._single(r, seed), "headline", 0).value for r in responses) / len(gans)
            if len(gans) == 2:
                inputs, needs = self._pair(*responses, gans, method.paired, self.job.suite.n_common, seed), "pair"
            else:
                inputs, needs = self._single(*responses, seed), "single"
            chance, rows = self.chance(gans), []
            for metric in self.wanted(needs, reverse):
                for protocol in metric.protocols:
                    if protocol.endswith("index") and not method.paired:
                        continue  # directions found apart do not correspond by index: there is no such row
                    rows.append(self._row(metric, protocol, inputs, chance, effect, entry, gans, seed))
            (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")

        return json.loads((self.bench.store.make(step, build) / "rows.json").read_text(encoding="utf-8"))

    def _row(self, metric: Metric, protocol: str, inputs, chance: dict, effect: float, entry: Entry,
             gans: tuple[str, ...], seed: int) -> dict:
        row = self._facts(entry, gans, seed) | {"metric": metric.name, "protocol": protocol, "effect": effect}
        if why := self.unknown(metric, protocol, gans):
            return self.empty_row(row, "not_applicable", why)
        try:
            score: Score = metric.compute(inputs, protocol, self.job.profile.bootstrap)
        except Inapplicable as reason:
            return self.empty_row(row, "not_applicable", str(reason))
        null = chance.get(f"{metric.name}/{protocol}", {})
        return row | {"value": score.value, "ci_low": score.ci_low, "ci_high": score.ci_high, "n": score.n,
                      "chance": null.get("mean", math.nan), "chance_low": null.get("low", math.nan),
                      "chance_high": null.get("high", math.nan), "status": "ok", "reason": "",
                      "details": score.details}

    def failed_rows(self, entry: Entry, gans: tuple[str, ...], seed: int, status: str, reason: str,
                    reverse: bool = False) -> list[dict]:
        """The rows that a cell would have had, without values: what failed stays visible in every table."""
        paired = self.job.method(entry).paired
        return [self.empty_row(self._facts(entry, gans, seed) | {"metric": m.name, "protocol": p}, status, reason)
                for m in self.wanted("pair" if len(gans) == 2 else "single", reverse) for p in m.protocols
                if paired or not p.endswith("index")]

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

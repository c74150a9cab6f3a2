"""Metrics of a generator with its directions: measured once through the store, then turned into rows."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.config import Entry
from benchmarks.latents import evaluation_latents
from benchmarks.scoring import Scorer
from benchmarks.workbench import Progress, Workbench
from methods.base import Context
from metrics import registry
from metrics.base import Inapplicable
from metrics.effect import Effect
from metrics.generator import GeneratorInputs, GeneratorMetric, Measured
from results.store import Step


class Evaluator:
    """The suite's metrics that responses do not suffice for, each a cell of its own: one that fails harms no other."""

    def __init__(self, bench: Workbench, scorer: Scorer) -> None:
        self.bench, self.job, self.scorer = bench, bench.job, scorer
        built = (registry.build(name, self.job.profile.metrics.get(name)) for name in self.job.suite.metrics)
        self.metrics: dict[str, GeneratorMetric] = {m.name: m for m in built if m.needs == "generator"}

    def settings(self, metric: str) -> dict:
        """The metric's sizes and settings under this profile."""
        return asdict(self.metrics[metric])

    def step(self, metric: str, entry: Entry, gan: str, seed: int) -> Step:
        """What one metric sees of the directions that a method found on one GAN."""
        chosen, latents = self.metrics[metric], self.job.profile.latents
        n = latents.match + latents.score
        return Step("evaluation", (type(chosen).__module__, "benchmarks.latents", self.bench.zoo.module(gan)), {
            "metric": metric, "settings": self.settings(metric), "gan": self.bench.zoo.hash(gan), "n": n, "seed": seed,
            "directions": self.bench.directions_step(entry, (gan,), seed).key, "alpha": self.job.suite.alpha,
            "chunk": self.job.profile.chunk}, self.bench.versions,
            chosen.images(self.job.method(entry).n_directions, n))

    def measured(self, metric: str, entry: Entry, gan: str, seed: int, progress: Progress | None = None) -> Measured:
        """The arrays of ``step``."""
        step, directions = self.step(metric, entry, gan, seed), self.bench.directions(entry, (gan,), seed)[0]

        def build(folder: Path) -> None:
            generator = self.bench.generator(gan)
            latents = evaluation_latents(generator, directions.space, step.inputs["n"], seed)
            context = Context(seed=seed, chunk=self.job.profile.chunk, checkpoint=self.bench.store.checkpoint(step),
                              progress=progress or (lambda done, total: None))
            inputs = GeneratorInputs(generator, directions, latents, self.job.suite.alpha, context)
            np.savez(folder / "measured.npz", **self.metrics[metric].measure(inputs))

        with np.load(self.bench.store.make(step, build) / "measured.npz", allow_pickle=False) as file:
            return Measured({name: file[name] for name in file.files}, seed)

    def rows(self, metric: str, entry: Entry, gan: str, seed: int, progress: Progress | None = None) -> list[dict]:
        """One row a protocol."""
        chosen, effect = self.metrics[metric], math.nan
        seen = self.measured(metric, entry, gan, seed, progress)
        if self.bench.oracle:
            responses = self.scorer._single(self.bench.responses(entry, (gan,), 0, seed), seed)
            effect = Effect().compute(responses, "headline", 0).value
        rows = []
        for row in self.failed_rows(metric, entry, gan, seed, "ok", ""):
            try:
                score = chosen.compute(seen, row["protocol"], self.job.profile.bootstrap)
            except Inapplicable as reason:
                rows.append(row | {"status": "not_applicable", "reason": str(reason)})
                continue
            null = chosen.chance(seen, row["protocol"])
            rows.append(row | {"value": score.value, "ci_low": score.ci_low, "ci_high": score.ci_high, "n": score.n,
                               "chance": null.mean, "chance_low": null.low, "chance_high": null.high,
                               "effect": effect, "details": score.details})
        return rows

    def failed_rows(self, metric: str, entry: Entry, gan: str, seed: int, status: str, reason: str) -> list[dict]:
        """The rows that a cell would have had, without values."""
        facts = self.scorer._facts(entry, (gan,), seed)
        return [self.scorer.empty_row(facts | {"metric": metric, "protocol": p}, status, reason)
                for p in self.metrics[metric].protocols]

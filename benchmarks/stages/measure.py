"""Metrics of a generator with its directions: measured once through the store, then turned into rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from dirbench.benchmarks.config.suite import Entry
from dirbench.benchmarks.stages.lab import Progress, Workbench
from dirbench.benchmarks.stages.latents import evaluation_latents
from dirbench.benchmarks.stages.score import UNSAID, Blamed, MetricsFailed, Scorer, blaming
from dirbench.errors import Inapplicable
from dirbench.image_metric import GeneratorInputs, GeneratorMetric, Measured
from dirbench.method import Context
from dirbench.metric import NO_CHANCE
from dirbench.plugins import METRICS
from dirbench.results.artifacts.store import Step
from dirbench.scores import MetricError, checked


class Evaluator:
    """The suite's metrics that responses do not suffice for, each a cell of its own: one that fails harms no other."""

    def __init__(self, bench: Workbench, scorer: Scorer) -> None:
        self.bench, self.job, self.scorer = bench, bench.job, scorer
        built = (METRICS.build(name, self.job.profile.metrics.get(name)) for name in self.job.suite.metrics)
        self.metrics: dict[str, GeneratorMetric] = {m.name: cast(GeneratorMetric, m) for m in built
                                                    if m.needs == "generator"}

    def settings(self, metric: str) -> dict[str, Any]:
        """The metric's sizes and settings under this profile."""
        chosen = self.metrics[metric]
        return asdict(chosen) if is_dataclass(chosen) else {}

    def images(self, metric: str, k: int, n: int) -> int:
        """What the metric says of its images; 0 where it cannot say, which its cells will tell of."""
        try:
            return int(self.metrics[metric].images(k, n))
        except Exception:  # a stranger's code may raise anything, and a plan is no place to fail for one metric
            return 0

    def step(self, metric: str, entry: Entry, gan: str, seed: int) -> Step:
        """What one metric sees of the directions that a method found on one GAN."""
        chosen, latents = self.metrics[metric], self.job.profile.latents
        n = latents.match + latents.score
        return Step("evaluation", (type(chosen).__module__, "dirbench.benchmarks.stages.latents", self.bench.zoo.module(gan)), {
            "metric": metric, "settings": self.settings(metric), "gan": self.bench.zoo.hash(gan), "n": n, "seed": seed,
            "directions": self.bench.directions_step(entry, (gan,), seed).key, "alpha": self.job.suite.alpha,
            "chunk": self.job.profile.chunk}, self.bench.versions,
            self.images(metric, self.job.method(entry).n_directions, n))

    def measured(self, metric: str, entry: Entry, gan: str, seed: int, progress: Progress | None = None) -> Measured:
        """The arrays of ``step``."""
        step, directions = self.step(metric, entry, gan, seed), self.bench.directions(entry, (gan,), seed)[0]

        def build(folder: Path) -> None:
            generator = self.bench.generator(gan)
            latents = evaluation_latents(generator, directions.space, step.inputs["n"], seed)
            context = Context(seed=seed, chunk=self.job.profile.chunk, checkpoint=self.bench.store.checkpoint(step),
                              progress=progress or (lambda done, total: None))
            inputs = GeneratorInputs(generator, directions, latents, self.job.suite.alpha, context)
            chosen = self.metrics[metric]
            chosen.images(len(directions), len(latents))  # fails here, and not in the plan
            with self.bench.lent(type(chosen), metric, (gan,)):
                arrays: dict[str, Any] = _arrays(chosen.measure(inputs))
            np.savez(folder / "measured.npz", **arrays)

        with np.load(self.bench.store.make(step, build) / "measured.npz", allow_pickle=False) as file:
            return Measured({name: file[name] for name in file.files}, seed)

    def rows(self, metric: str, entry: Entry, gan: str, seed: int, progress: Progress | None = None) -> list[dict]:
        """One row a protocol. Raises MetricsFailed where some of them fail; it has all rows."""
        chosen, effect = self.metrics[metric], math.nan
        seen = self.measured(metric, entry, gan, seed, progress)
        if self.bench.oracle:
            effect = self.scorer.effect(self.bench.responses(entry, (gan,), 0, seed), seed)
        rows: list[dict] = []
        errors: list[Exception] = []
        for row in self.failed_rows(metric, entry, gan, seed, "ok", ""):
            try:
                with blaming(chosen, f"{metric} ({row['protocol']})"):
                    score = checked(chosen, chosen.compute(seen, row["protocol"], self.job.profile.bootstrap))
                    null = chosen.chance(seen, row["protocol"]) if hasattr(chosen, "chance") else NO_CHANCE
                    rows.append(Scorer.full_row(row | {"effect": effect}, score, null))
            except Inapplicable as reason:
                rows.append(row | {"status": "not_applicable", "reason": str(reason) or UNSAID})
            except Blamed as blamed:
                errors.append(blamed.error)
                rows.append(row | {"status": "failed", "reason": str(blamed.error)})
        if errors:
            raise MetricsFailed(errors, rows)
        return rows

    def failed_rows(self, metric: str, entry: Entry, gan: str, seed: int, status: str, reason: str) -> list[dict]:
        """The rows that a cell would have had, without values."""
        facts = self.scorer._facts(entry, (gan,), seed)
        return [self.scorer.empty_row(facts | {"metric": metric, "protocol": p}, status, reason)
                for p in self.metrics[metric].protocols]


def _arrays(measured: Any) -> dict[str, np.ndarray]:
    """What ``measure`` returned, if it is {name: array of numbers}. Raises MetricError."""
    if not isinstance(measured, Mapping) or not all(isinstance(name, str) for name in measured):
        raise MetricError(f"measure returns a {type(measured).__name__}, expected {{name: array}}")
    arrays = {name: np.asarray(value) for name, value in measured.items()}
    objects = [name for name, value in arrays.items() if value.dtype == object]
    if objects:
        raise MetricError(f"measure: {', '.join(objects)} are no arrays of numbers")
    return arrays

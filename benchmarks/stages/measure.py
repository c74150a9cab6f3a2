"""Measure: metrics that responses do not suffice for, each a cell of its own; one that fails harms no other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from dirbench.benchmarks.stages._rows import UNSAID, Blamed, blaming, effect, empty_row, facts, full_row, settings_of
from dirbench.benchmarks.stages.discover import directions, directions_step
from dirbench.benchmarks.stages.lab import Discovery, Lab
from dirbench.benchmarks.stages.latents import evaluation_latents
from dirbench.benchmarks.stages.respond import responses
from dirbench.benchmarks.stages.stage import Cell, PartlyFailed, Progress, Stage, cell_id
from dirbench.benchmarks.stages.work import Work
from dirbench.errors import Inapplicable
from dirbench.image_metric import GeneratorInputs, GeneratorMetric, Measured
from dirbench.method import Context
from dirbench.metric import NO_CHANCE
from dirbench.results.artifacts.store import Step
from dirbench.scores import MetricError, checked


def planned_images(metric: GeneratorMetric, k: int, n: int) -> int:
    """What the metric says of its images; 0 where it cannot say, which its cells will tell of."""
    try:
        return int(metric.images(k, n))
    except Exception:  # a stranger's code may raise anything, and a plan is no place to fail for one metric
        return 0


def settings(metric: GeneratorMetric) -> dict[str, Any]:
    """The metric's sizes and settings."""
    return asdict(metric) if is_dataclass(metric) else {}


def measure_step(lab: Lab, metric: GeneratorMetric, found: Discovery) -> Step:
    """What the arrays that one metric makes of a search's directions depend on."""
    (gan,), n = found.gans, lab.design.n_latents
    return lab.step("measured", (type(metric).__module__, "dirbench.benchmarks.stages.latents", lab.gans.module(gan)),
                    planned_images(metric, found.method.n_directions, n), metric=metric.name, settings=settings(metric),
                    gan=lab.gans.hash(gan), n=n, seed=found.seed, directions=directions_step(lab, found).key,
                    alpha=lab.design.alpha, chunk=lab.design.sizes.chunk)


def measured(lab: Lab, metric: GeneratorMetric, found: Discovery,
             progress: Progress = lambda done, total: None) -> Measured:
    """The arrays of ``measure_step``."""
    step, of, (gan,) = measure_step(lab, metric, found), directions(lab, found)[0], found.gans

    def build(folder: Path) -> None:
        generator = lab.generator(gan)
        latents = evaluation_latents(generator, of.space, step.inputs["n"], found.seed)
        context = Context(seed=found.seed, chunk=lab.design.sizes.chunk, checkpoint=lab.store.checkpoint(step),
                          progress=progress)
        metric.images(len(of), len(latents))  # fails here, and not in the plan
        with lab.lent(type(metric), metric.name, (gan,)):
            arrays: dict[str, Any] = _arrays(
                metric.measure(GeneratorInputs(generator, of, latents, lab.design.alpha, context)))
        np.savez(folder / "measured.npz", **arrays)

    with np.load(lab.store.make(step, build) / "measured.npz", allow_pickle=False) as file:
        return Measured({name: file[name] for name in file.files}, found.seed)


def _arrays(made: Any) -> dict[str, np.ndarray]:
    """What ``measure`` returned, if it is {name: array of numbers}. Raises MetricError."""
    if not isinstance(made, Mapping) or not all(isinstance(name, str) for name in made):
        raise MetricError(f"measure returns a {type(made).__name__}, expected {{name: array}}")
    arrays = {name: np.asarray(value) for name, value in made.items()}
    objects = [name for name, value in arrays.items() if value.dtype == object]
    if objects:
        raise MetricError(f"measure: {', '.join(objects)} are no arrays of numbers")
    return arrays


class MeasureStage(Stage):
    """A cell a metric, method, seed and GAN."""

    kind = "measure"
    after = ("discover", "respond")

    def cells(self, work: Work) -> Iterator[Cell]:
        for metric in work.metrics_of("generator"):
            for entry in work.job.suite.methods:
                for found in work.discoveries(entry) if not work.job.method(entry).paired else ():
                    step = measure_step(work.lab, cast(GeneratorMetric, metric), found)
                    yield Cell(cell_id(f"{self.kind}/{metric.name}", entry, found.gans, found.seed), self.kind,
                               found.gans, entry, found.seed,
                               (cell_id(work.before_scores, entry, found.gans, found.seed),), (step,),
                               2.0 * step.images, {"metric": metric.name})

    def make(self, work: Work, cell: Cell, progress: Progress) -> list[dict[str, Any]]:
        metric = cast(GeneratorMetric, work.metrics[cell.details["metric"]])
        found, size = work.discovery(cell.of_method, cell.gans, cell.seed), math.nan
        seen = measured(work.lab, metric, found, progress)
        if work.lab.oracle:
            size = effect(work.lab, responses(work.lab, found, 0), cell.seed)
        rows: list[dict[str, Any]] = []
        errors: list[Exception] = []
        for row in self.empty_rows(work, cell, "ok", ""):
            try:
                with blaming(metric, f"{metric.name} ({row['protocol']})"):
                    score = checked(metric, metric.compute(seen, row["protocol"], work.job.profile.bootstrap))
                    # A metric that subclasses Metric itself need not know its chance level.
                    level = metric.chance(seen, row["protocol"]) if hasattr(metric, "chance") else NO_CHANCE
                    rows.append(full_row(row | {"effect": size}, score, level))
            except Inapplicable as reason:
                rows.append(row | {"status": "not_applicable", "reason": str(reason) or UNSAID})
            except Blamed as blamed:
                errors.append(blamed.error)
                rows.append(row | {"status": "failed", "reason": str(blamed.error)})
        if errors:
            raise PartlyFailed(errors, rows)
        return rows

    def empty_rows(self, work: Work, cell: Cell, status: str, reason: str) -> list[dict[str, Any]]:
        row, name = facts(work, cell.of_method, cell.gans, cell.seed), cell.details["metric"]
        return [empty_row(row | {"metric": name, "protocol": protocol}, status, reason)
                for protocol in work.metrics[name].protocols]

    def settings_of(self, work: Work, row: Mapping[str, Any]) -> dict[str, Any]:
        metric = cast(GeneratorMetric, work.metrics[row["metric"]])
        return settings_of(work, row) | {"split": "none", "sign": "both", "changes": "images",
                                         "metric": settings(metric)}

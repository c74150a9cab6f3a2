"""Score: from responses to rows, by every metric under every protocol, beside its chance level."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dirbench.benchmarks.config.suite import Entry
from dirbench.benchmarks.stages._rows import (
    UNSAID,
    Blamed,
    blaming,
    effect,
    empty_row,
    facts,
    full_row,
    settings_of,
    single_inputs,
)
from dirbench.benchmarks.stages.chance import (
    Bands,
    chance,
    chance_steps,
    kind_of,
    metric_inputs,
    metric_modules,
    pair_inputs,
)
from dirbench.benchmarks.stages.missing import why_not_scorable
from dirbench.benchmarks.stages.respond import responses, responses_step
from dirbench.benchmarks.stages.stage import Cell, PartlyFailed, Progress, Stage, cell_id
from dirbench.benchmarks.stages.work import Work
from dirbench.errors import Inapplicable, NotApplicable
from dirbench.metric import Band, Metric, PairInputs, SingleInputs
from dirbench.metrics.effect import Effect
from dirbench.pair_metric import PairMetric
from dirbench.results.artifacts.store import Step
from dirbench.scores import checked
from dirbench.single_metric import SingleMetric

WEIGHT = 60.0


def found_on(work: Work, entry: Entry, gans: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """For each of ``gans`` the generators that its directions were discovered on (a paired method: the pair)."""
    if not work.job.method(entry).paired:
        return tuple((g,) for g in gans)
    pair = gans if gans in work.job.trained_pairs() else gans[::-1]
    return tuple(pair for _ in gans)


def _sides(work: Work, entry: Entry, gans: tuple[str, ...], seed: int) -> Iterator[tuple]:
    """(search, side) of each of ``gans``."""
    for gan, on in zip(gans, found_on(work, entry, gans), strict=True):
        yield work.discovery(entry, on, seed), on.index(gan)


def score_step(work: Work, entry: Entry, gans: tuple[str, ...], seed: int, reverse: bool) -> Step:
    """What all rows of one method on a (reference, client) pair, or on one GAN, depend on."""
    metrics = work.metrics_of(kind_of(gans))
    return work.lab.step(
        "scores", (*metric_modules(metrics), Effect.__module__), **metric_inputs(work, metrics), seed=seed,
        responses=[responses_step(work.lab, found, side).key for found, side in _sides(work, entry, gans, seed)],
        chance=[step.key for step in chance_steps(work, gans)], bootstrap=work.job.profile.bootstrap,
        rows=facts(work, entry, gans, seed), reverse=reverse)


def score(work: Work, entry: Entry, gans: tuple[str, ...], seed: int, reverse: bool = False) -> list[dict[str, Any]]:
    """The rows; ``reverse`` leaves out what the pair the other way round already says.

    Raises:
        NotApplicable: there is no oracle. PartlyFailed: some metrics failed; it has all rows.
    """
    if work.lab.oracle is None:
        raise NotApplicable("scores are made from what an attribute oracle reads, and the suite names none (oracle:)")
    step = score_step(work, entry, gans, seed, reverse)

    def build(folder: Path) -> None:
        read = [responses(work.lab, found, side) for found, side in _sides(work, entry, gans, seed)]
        size = float(np.mean([effect(work.lab, one, seed) for one in read]))
        inputs: SingleInputs | PairInputs = single_inputs(work.lab, read[0], seed)
        if len(gans) == 2:
            inputs = pair_inputs(work, read[0], read[1], gans, work.job.method(entry).paired, seed)
        levels, without_chance = chance(work, gans)
        rows, errors = [], []
        for row in _facts_of_rows(work, entry, gans, seed, reverse):
            metric, row = work.metrics[row["metric"]], row | {"effect": size}
            try:
                if metric.name in without_chance:
                    raise Blamed(without_chance[metric.name])
                rows.append(_scored(work, row, metric, inputs, gans, levels))
            except Blamed as blamed:
                errors.append(blamed.error)
                rows.append(empty_row(row, "failed", str(blamed.error)))
        if errors:
            raise PartlyFailed(errors, rows)  # nothing of it is stored: the next run tries again
        (folder / "rows.json").write_text(json.dumps(rows), encoding="utf-8")

    return json.loads((work.lab.store.make(step, build) / "rows.json").read_text(encoding="utf-8"))


def _facts_of_rows(work: Work, entry: Entry, gans: tuple[str, ...], seed: int,
                   reverse: bool) -> Iterator[dict[str, Any]]:
    """The facts of each row that a method has on ``gans``.

    Directions found apart do not correspond by index: then there are no rows of protocols that end in "index".
    """
    by_index = len(gans) == 1 or work.job.method(entry).paired
    for metric in work.metrics_of(kind_of(gans), reverse):
        for protocol in metric.protocols:
            if by_index or not protocol.endswith("index"):
                yield facts(work, entry, gans, seed) | {"metric": metric.name, "protocol": protocol}


def _scored(work: Work, row: dict[str, Any], metric: Metric, inputs: SingleInputs | PairInputs, gans: tuple[str, ...],
            levels: Bands) -> dict[str, Any]:
    protocol = row["protocol"]
    if why := why_not_scorable(work, metric, protocol, gans):
        return empty_row(row, "not_applicable", why)
    try:
        with blaming(metric, f"{metric.name} ({protocol})"):
            found = checked(metric, metric.compute(inputs, protocol, work.job.profile.bootstrap))
    except Inapplicable as reason:
        return empty_row(row, "not_applicable", str(reason) or UNSAID)
    level = levels.get(f"{metric.name}/{protocol}", {})
    return full_row(row, found, Band(*(level.get(name, math.nan) for name in ("mean", "low", "high"))))


class ScoreStage(Stage):
    """A cell a method, seed and GAN, and one a pair, either way round."""

    kind = "score"
    after = ("respond", "chance", "measure")

    def cells(self, work: Work) -> Iterator[Cell]:
        trained = set(work.job.trained_pairs())
        for entry in work.job.suite.methods:
            paired = work.job.method(entry).paired
            singles = [(g,) for g in work.job.all_gans] if not paired else []
            for gans in [*singles, *work.job.ordered_pairs()]:
                if paired and gans not in trained and gans[::-1] not in trained:
                    continue
                for seed in work.job.profile.seeds:
                    yield self._cell(work, entry, gans, seed)

    def _cell(self, work: Work, entry: Entry, gans: tuple[str, ...], seed: int) -> Cell:
        places = dict.fromkeys(found_on(work, entry, gans))
        order = work.job.all_gans
        reverse = len(gans) == 2 and order.index(gans[0]) > order.index(gans[1])
        needs = [cell_id(work.before_scores, entry, on, seed) for on in places]
        steps: tuple[Step, ...] = ()  # without an oracle there is nothing to score with, and the cell says so
        if work.lab.oracle:
            needs.append(f"chance/{'-'.join(gans)}")
            steps = (score_step(work, entry, gans, seed, reverse),)
        return Cell(cell_id(self.kind, entry, gans, seed), self.kind, gans, entry, seed, tuple(needs), steps, WEIGHT,
                    {"reverse": reverse})

    def make(self, work: Work, cell: Cell, progress: Progress) -> list[dict[str, Any]]:
        return score(work, cell.of_method, cell.gans, cell.seed, cell.details["reverse"])

    def empty_rows(self, work: Work, cell: Cell, status: str, reason: str) -> list[dict[str, Any]]:
        return [empty_row(row, status, reason)
                for row in _facts_of_rows(work, cell.of_method, cell.gans, cell.seed, cell.details["reverse"])]

    def settings_of(self, work: Work, row: Mapping[str, Any]) -> dict[str, Any]:
        own: dict[str, Any] = {"split": "the metric's own", "sign": "the metric's own", "changes": "the metric's own"}
        if isinstance(work.metrics.get(row["metric"]), SingleMetric | PairMetric):
            published = row["protocol"].startswith("published")
            own = {"split": "none" if published else work.job.profile.latents.model_dump(),
                   "sign": "signed" if published else "sign-free",
                   "changes": "probabilities" if published else "logits in units of each attribute's spread"}
        return settings_of(work, row) | own

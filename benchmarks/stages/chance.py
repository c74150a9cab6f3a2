"""Chance: what random directions get from each metric, on a pair of GANs or on one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from dirbench.benchmarks.stages._rows import Blamed, blaming, single_inputs
from dirbench.benchmarks.stages.missing import excluded, missing, not_said, why_not_scorable
from dirbench.benchmarks.stages.random_runs import random_run_steps, random_runs
from dirbench.benchmarks.stages.stage import Cell, PartlyFailed, Progress, Stage
from dirbench.benchmarks.stages.work import Work
from dirbench.metric import Metric, PairInputs
from dirbench.random_runs import pairs_of_runs, scores_of_pairs, scores_of_runs
from dirbench.responses import Responses
from dirbench.results.artifacts.store import Step
from dirbench.results.statistics.chance import band
from dirbench.results.stored_run import write_random_runs
from dirbench.scores import MetricError

Bands = dict[str, dict[str, Any]]
WEIGHT = 200.0


def kind_of(gans: tuple[str, ...]) -> str:
    """What metrics of these GANs need: "pair" or "single"."""
    return "pair" if len(gans) == 2 else "single"


def metric_inputs(work: Work, metrics: Sequence[Metric]) -> dict[str, Any]:
    """What scores by ``metrics`` depend on, whatever responses they are of."""
    settings = {m.name: asdict(cast(Any, m)) for m in metrics if is_dataclass(m)}
    return {"metrics": sorted(m.name for m in metrics), "match": work.lab.design.sizes.latents.match,
            "oracle": work.lab.fingerprints["oracle"], **({"settings": settings} if settings else {})}


def metric_modules(metrics: Sequence[Metric]) -> tuple[str, ...]:
    """The code that scores by ``metrics`` depend on."""
    return ("dirbench.random_runs", "dirbench.results.statistics.chance", *(type(m).__module__ for m in metrics))


def pair_inputs(work: Work, reference: Responses, client: Responses, pair: tuple[str, ...], paired: bool,
                seed: int) -> PairInputs:
    """Responses of a pair as metrics take them."""
    design, oracle = work.lab.design, work.lab.scoring_oracle
    return PairInputs(reference, client, design.sizes.latents.match, design.n_common, paired, oracle.names,
                      missing(work, pair), excluded(work, pair), oracle.readable, seed)


# -- steps ------------------------------------------------------------------------------------------------------
def chance_steps(work: Work, gans: tuple[str, ...]) -> tuple[Step, ...]:
    """Chance levels of a pair, or of one GAN: a step a metric, so that one that fails is missed alone."""
    return tuple(_step(work, metric, gans) for metric in work.metrics_of(kind_of(gans)))


def _step(work: Work, metric: Metric, gans: tuple[str, ...]) -> Step:
    extra: dict[str, Any] = {"missing": missing(work, gans), "excluded": excluded(work, gans), **not_said(work, gans),
             "n_common": work.lab.design.n_common} if len(gans) == 2 else {}
    runs = [[step.key for step in random_run_steps(work.lab, gan)] for gan in gans]
    return work.lab.step("chance", metric_modules([metric]), **metric_inputs(work, [metric]), **extra, runs=runs)


# -- levels -----------------------------------------------------------------------------------------------------
def stored_chance(work: Work, gans: tuple[str, ...]) -> Bands:
    """``chance`` of the metrics whose chance is in the store."""
    return _read(work, [step for step in chance_steps(work, gans) if work.lab.store.has(step)])


def _read(work: Work, steps: Sequence[Step]) -> Bands:
    files = [work.lab.store.path(step) / "chance.json" for step in steps]
    return {key: level for file in files for key, level in json.loads(file.read_text(encoding="utf-8")).items()}


def chance(work: Work, gans: tuple[str, ...]) -> tuple[Bands, dict[str, Exception]]:
    """Chance of a pair (two names) or of one GAN.

    Returns:
        {"metric/protocol": {mean, low, high, scores}} of the metrics that give one, {metric: why it gives none}.
    """
    found: Bands = {}
    errors: dict[str, Exception] = {}
    scores = cache(partial(_scores, work, gans))  # shared by the metrics that are not there yet
    for metric in work.metrics_of(kind_of(gans)):
        step = _step(work, metric, gans)
        if not work.lab.store.has(step):
            scores()  # before the metric is blamed for anything
        try:
            work.lab.store.make(step, partial(_write, work, metric, gans, scores))
        except Blamed as blamed:
            errors[metric.name] = blamed.error
        else:
            found |= _read(work, [step])
    return found, errors


def _scores(work: Work, gans: tuple[str, ...]) -> Callable[[Metric, str], np.ndarray]:
    """Gives the random runs' scores by a metric under a protocol."""
    runs = [random_runs(work.lab, g) for g in gans]
    if len(gans) == 2:
        template = pair_inputs(work, runs[0][0], runs[1][0], gans, True, 0)
        return partial(scores_of_pairs, pairs=pairs_of_runs(runs[0], runs[1], template))
    return partial(scores_of_runs, runs=runs[0], template=single_inputs(work.lab, runs[0][0], 0))


def _write(work: Work, metric: Metric, gans: tuple[str, ...], scores_by: Callable[[], Callable[[Metric, str], Any]],
           folder: Path) -> None:
    out = {}
    for protocol in metric.protocols:
        if why_not_scorable(work, metric, protocol, gans):
            continue
        with blaming(metric, f"chance of {metric.name} ({protocol})"):
            scores = scores_by()(metric, protocol)
            if np.isinf(scores).any():
                raise MetricError("a score is infinite")
        out[f"{metric.name}/{protocol}"] = {**asdict(band({gans: scores}, metric.bounds)), "scores": scores.tolist()}
    (folder / "chance.json").write_text(json.dumps(out), encoding="utf-8")


class ChanceStage(Stage):
    """A cell a pair, either way round, and a cell a GAN; none without an oracle."""

    kind = "chance"
    after = ("random",)

    def cells(self, work: Work) -> Iterator[Cell]:
        job = work.job
        for gans in [*((g,) for g in job.all_gans), *job.ordered_pairs()] if work.lab.oracle else ():
            yield Cell(f"chance/{'-'.join(gans)}", self.kind, gans, needs=tuple(f"random/{g}" for g in gans),
                       steps=chance_steps(work, gans), weight=WEIGHT)

    def make(self, work: Work, cell: Cell, progress: Progress) -> list[dict]:
        _, errors = chance(work, cell.gans)
        if errors:
            raise PartlyFailed(list(errors.values()))
        return []

    def gather(self, work: Work, cells: Sequence[Cell], out: Path) -> str:
        scores: Mapping = {cell.gans: {name: level["scores"] for name, level in stored_chance(work, cell.gans).items()}
                           for cell in cells}
        write_random_runs(scores, out)
        return ""

"""Random runs: responses to random directions, which chance levels are made from."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from dirbench.benchmarks.stages.lab import Lab
from dirbench.benchmarks.stages.respond import response_of, response_step
from dirbench.benchmarks.stages.stage import Cell, Progress, Stage
from dirbench.benchmarks.stages.work import Work
from dirbench.directions import Directions
from dirbench.method import Context
from dirbench.methods.random_directions import RandomDirections
from dirbench.responses import Responses
from dirbench.results.artifacts.store import Step

FIRST_SEED = 2**32 + 1  # seeds that no suite uses


def random_run_steps(lab: Lab, gan: str) -> tuple[Step, ...]:
    """What the random runs of one GAN depend on, one step a run."""
    return lab.cached_step(("random", gan), lambda: tuple(_step(lab, gan, run) for run in range(_count(lab, gan))))


def _count(lab: Lab, gan: str) -> int:
    chance = lab.design.sizes.chance
    return chance.reference or chance.runs if gan == lab.design.reference else chance.runs


def _step(lab: Lab, gan: str, run: int) -> Step:
    k = lab.design.n_directions
    step = response_step(lab, gan, k, f"chance {run}", random=k)
    return lab.step(step.kind, (*step.modules, RandomDirections.__module__), step.images, **step.inputs)


def random_runs(lab: Lab, gan: str) -> list[Responses]:
    """Responses of each random run, on latents and directions of its own."""
    def found(run: int) -> Directions:
        method = RandomDirections(n_directions=lab.design.n_directions)
        return method.discover(lab.generator(gan), Context(seed=FIRST_SEED + run))

    return [response_of(lab, step, gan, f"chance {run}", partial(found, run))
            for run, step in enumerate(random_run_steps(lab, gan))]


class RandomStage(Stage):
    """A cell a GAN; none without an oracle."""

    kind = "random"

    def cells(self, work: Work) -> Iterator[Cell]:
        for gan in work.job.all_gans if work.lab.oracle else ():
            steps = random_run_steps(work.lab, gan)
            yield Cell(f"random/{gan}", self.kind, (gan,), steps=steps, weight=float(sum(s.images for s in steps)))

    def make(self, work: Work, cell: Cell, progress: Progress) -> list[dict]:
        random_runs(work.lab, cell.gans[0])
        return []

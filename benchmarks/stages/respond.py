"""Respond: what the oracle reads off images before and after each direction is applied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dirbench.benchmarks.stages.discover import directions, directions_step
from dirbench.benchmarks.stages.lab import Discovery, Lab
from dirbench.benchmarks.stages.latents import evaluation_latents
from dirbench.benchmarks.stages.stage import Cell, Progress, Stage, cell_id
from dirbench.benchmarks.stages.work import Work
from dirbench.directions import Directions
from dirbench.responses import Responses, images_needed, respond
from dirbench.results.artifacts.store import Step


def response_step(lab: Lab, gan: str, k: int, seed: int | str, **source: Any) -> Step:
    """What responses to ``k`` directions of ``gan`` depend on; ``source`` says where the directions are from."""
    n, oracle = lab.design.n_latents, lab.scoring_oracle
    return lab.step("responses", ("dirbench.responses", "dirbench.benchmarks.stages.latents", type(oracle).__module__,
                                  lab.gans.module(gan)), images_needed(n, k), n=n, seed=seed, gan=lab.gans.hash(gan),
                    oracle=lab.fingerprints["oracle"], alpha=lab.design.alpha, chunk=lab.design.sizes.chunk, **source)


def response_of(lab: Lab, step: Step, gan: str, seed: int | str, found: Callable[[], Directions],
                progress: Progress = lambda done, total: None) -> Responses:
    """The responses of ``step``; ``found`` gives the directions, if they are needed."""
    def build(folder: Path) -> None:
        of, generator = found(), lab.generator(gan)
        latents = evaluation_latents(generator, of.space, step.inputs["n"], seed)
        respond(generator, of, lab.scoring_oracle, latents, lab.design.alpha, lab.design.sizes.chunk,
                progress).save(folder / "responses.safetensors")

    return Responses.load(lab.store.make(step, build) / "responses.safetensors")


def responses_step(lab: Lab, found: Discovery, side: int) -> Step:
    """What the responses to a search's directions of its ``side``-th GAN depend on."""
    return lab.cached_step(("responses", *found.place, side), lambda: response_step(
        lab, found.gans[side], found.method.n_directions, found.seed, directions=directions_step(lab, found).key,
        side=side))


def responses(lab: Lab, found: Discovery, side: int, progress: Progress = lambda done, total: None) -> Responses:
    """Logits before and after every edit, on the seed's evaluation latents."""
    step = responses_step(lab, found, side)
    lab.inputs_first(step, lambda: directions(lab, found))
    return response_of(lab, step, found.gans[side], found.seed, lambda: directions(lab, found)[side], progress)


class RespondStage(Stage):
    """A cell a search, for both GANs of a pair; none without an oracle."""

    kind = "respond"
    after = ("discover",)

    def cells(self, work: Work) -> Iterator[Cell]:
        for entry in work.job.suite.methods if work.lab.oracle else ():
            for found in work.discoveries(entry):
                steps = tuple(responses_step(work.lab, found, side) for side in range(len(found.gans)))
                yield Cell(cell_id(self.kind, entry, found.gans, found.seed), self.kind, found.gans, entry, found.seed,
                           (cell_id("discover", entry, found.gans, found.seed),), steps,
                           float(sum(step.images for step in steps)))

    def make(self, work: Work, cell: Cell, progress: Progress) -> list[dict]:
        found = work.discovery(cell.of_method, cell.gans, cell.seed)
        sides = len(cell.gans)
        for side in range(sides):
            def of_all(done: int, total: int, side: int = side) -> None:
                progress(side * total + done, sides * total)

            responses(work.lab, found, side, of_all)
        return []

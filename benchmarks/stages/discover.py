"""Discover: a method searches for directions on one GAN, or on a pair."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from dirbench.benchmarks.generators.counting import count_images
from dirbench.benchmarks.stages.lab import Discovery, Lab
from dirbench.benchmarks.stages.misused import given_back
from dirbench.benchmarks.stages.ratio import ratio, ratio_of
from dirbench.benchmarks.stages.stage import Cell, Progress, Stage, cell_id
from dirbench.benchmarks.stages.work import Work
from dirbench.directions import Directions
from dirbench.errors import NotApplicable
from dirbench.method import Context, DirectionMethod, PairedMethod
from dirbench.results.artifacts.store import Step


def directions_step(lab: Lab, found: Discovery) -> Step:
    """What the directions of a search depend on."""
    return lab.cached_step(("directions", *found.place), lambda: _directions_step(lab, found))


def _directions_step(lab: Lab, found: Discovery) -> Step:
    method = found.method
    inputs: dict[str, Any] = {"method": method.name, "params": method.params(),
                              "gans": [lab.gans.hash(g) for g in found.gans], "chunk": lab.design.sizes.chunk}
    modules = [type(method).__module__, *map(lab.gans.module, found.gans)]
    if not method.deterministic:
        inputs["seed"] = found.seed
    if "extractor" in method.needs:
        inputs["extractor"] = lab.extractor_fingerprint(found.extractor)
        modules.append(lab.extractor_module(found.extractor))
    if "teacher" in method.needs and lab.teacher:
        inputs["teacher"] = lab.fingerprints["teacher"]
        modules.append(type(lab.teacher).__module__)
    if "density_ratio" in method.needs:
        inputs["ratio"] = ratio_of(lab, found).key
    return lab.step("directions", tuple(modules), _planned(lab, found), **inputs)


def _planned(lab: Lab, found: Discovery) -> int:
    """Images of one discovery; generators are loaded only for a method whose number depends on them."""
    method = found.method
    if type(method).images_on is DirectionMethod.images_on:
        return method.images()
    try:
        return method.images_on(*map(lab.generator, found.gans))
    except Exception:  # a stranger's code may raise anything; if discovery fails of the same, its own cell says why
        return method.images()


def directions(lab: Lab, found: Discovery, progress: Progress = lambda done, total: None) -> list[Directions]:
    """Directions for each of the search's GANs.

    Raises:
        NotApplicable: the method cannot search here. Misused: it broke its contract.
    """
    step, method, needs = directions_step(lab, found), found.method, found.method.needs
    if "teacher" in needs and lab.teacher is None:
        raise NotApplicable(f"{found.label} learns from an attribute oracle, and the suite names no teacher")
    if "density_ratio" in needs:
        lab.inputs_first(step, lambda: ratio(lab, found))

    def build(folder: Path) -> dict:
        context = Context(seed=found.seed, chunk=lab.design.sizes.chunk, checkpoint=lab.store.checkpoint(step),
                          progress=progress, extractor=lab.extractor(found.extractor) if "extractor" in needs else None,
                          teacher=lab.teacher if "teacher" in needs else None,
                          density_ratio=ratio(lab, found) if "density_ratio" in needs else None)
        generators = [lab.generator(g) for g in found.gans]
        with lab.lent(type(method), found.label, found.gans), count_images(*generators) as count:
            made: object
            if method.paired:
                made = cast(PairedMethod, method).discover_pair(generators[0], generators[1], context)
            else:
                made = cast(DirectionMethod, method).discover(generators[0], context)
        for side, one in enumerate(given_back(made, method, found.label, generators)):
            one.save(folder / f"{side}.safetensors")  # by number: another zoo may call the same GAN otherwise
        return {"images_made": count.images}

    folder = lab.store.make(step, build)
    return [Directions.load(folder / f"{side}.safetensors").to(lab.design.device) for side in range(len(found.gans))]


class DiscoverStage(Stage):
    """A cell a search."""

    kind = "discover"
    after = ("ratio",)

    def cells(self, work: Work) -> list[Cell]:
        cells = []
        for entry in work.job.suite.methods:
            method = work.job.method(entry)
            for found in work.discoveries(entry):
                step = directions_step(work.lab, found)
                needs = (cell_id("ratio", entry, found.gans, found.seed),) if "density_ratio" in method.needs else ()
                cells.append(Cell(cell_id(self.kind, entry, found.gans, found.seed), self.kind, found.gans, entry,
                                  found.seed, needs, (step,), method.effort * step.images))
        return sorted(cells, key=lambda cell: -cell.weight)  # long ones first: no worker is left with the last of them

    def make(self, work: Work, cell: Cell, progress: Progress) -> list[dict]:
        directions(work.lab, work.discovery(cell.of_method, cell.gans, cell.seed), progress)
        return []

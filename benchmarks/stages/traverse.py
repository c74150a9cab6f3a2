"""Traverse: images along each direction, kept as they are, and the sheet that shows them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dirbench.benchmarks.stages.discover import directions, directions_step
from dirbench.benchmarks.stages.lab import Discovery, Lab
from dirbench.benchmarks.stages.latents import evaluation_latents
from dirbench.benchmarks.stages.respond import responses, responses_step
from dirbench.benchmarks.stages.stage import Cell, Progress, Stage, cell_id
from dirbench.benchmarks.stages.work import Work
from dirbench.results.artifacts.store import Step
from dirbench.results.figures.sheets import traversal_sheet
from dirbench.traversals import Traversals, traverse

LATENTS = 2
STRENGTHS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)  # in units of the design's alpha
WEIGHT = 80.0


def traversal_step(lab: Lab, found: Discovery, side: int) -> Step:
    """What the traversals of a search's ``side``-th GAN depend on."""
    return lab.step("traversals", ("dirbench.traversals", "dirbench.benchmarks.stages.latents",
                                   lab.gans.module(found.gans[side])),
                    LATENTS * found.method.n_directions * len(STRENGTHS), latents=LATENTS, strengths=STRENGTHS,
                    alpha=lab.design.alpha, seed=found.seed, directions=directions_step(lab, found).key, side=side,
                    gan=lab.gans.hash(found.gans[side]))


def traversals(lab: Lab, found: Discovery, side: int) -> Traversals:
    """Every direction of ``side`` from the first evaluation latents, at ``STRENGTHS`` times alpha."""
    step = traversal_step(lab, found, side)
    lab.inputs_first(step, lambda: directions(lab, found))

    def build(folder: Path) -> None:
        of, generator = directions(lab, found)[side], lab.generator(found.gans[side])
        latents = evaluation_latents(generator, of.space, LATENTS, found.seed)
        traverse(generator, of, latents, [lab.design.alpha * s for s in STRENGTHS]).save(folder / "traversals.npz")

    return Traversals.load(lab.store.make(step, build) / "traversals.npz")


def sheet_step(lab: Lab, found: Discovery, side: int, title: str) -> Step:
    """What the picture of the traversals depends on, with what the oracle says of each direction beside it."""
    shown: dict[str, Any] = {}
    if lab.oracle:
        shown = {"responses": responses_step(lab, found, side).key, "readable": lab.oracle.readable}
    return lab.step("sheet", ("dirbench.results.figures.sheets",), title=title,
                    traversals=traversal_step(lab, found, side).key, **shown)


def sheet(lab: Lab, found: Discovery, side: int, title: str) -> Path:
    """The PNG."""
    def build(folder: Path) -> None:
        read, names = None, []
        if lab.oracle:
            read = responses(lab, found, side).attributes(lab.oracle.readable)
            names = [n for n, readable in zip(lab.oracle.names, lab.oracle.readable, strict=True) if readable]
        traversal_sheet(folder / "sheet.png", traversals(lab, found, side), read, names, title)

    return lab.store.make(sheet_step(lab, found, side, title), build) / "sheet.png"


class TraverseStage(Stage):
    """A cell a search under the first seed, for both GANs of a pair."""

    kind = "traverse"
    after = ("score",)

    def cells(self, work: Work) -> Iterator[Cell]:
        seed = work.job.profile.seeds[0]
        before = "respond" if work.lab.oracle else "discover"
        for entry in work.job.suite.methods:
            for gans in work.places(entry):
                found = work.discovery(entry, gans, seed)
                sides = range(len(gans))
                steps = (*(traversal_step(work.lab, found, side) for side in sides),
                         *(sheet_step(work.lab, found, side, _title(work, found, side)) for side in sides))
                yield Cell(cell_id(self.kind, entry, gans, seed), self.kind, gans, entry, seed,
                           (cell_id(before, entry, gans, seed),), steps, WEIGHT + sum(s.images for s in steps))

    def make(self, work: Work, cell: Cell, progress: Progress) -> list[dict]:
        found = work.discovery(cell.of_method, cell.gans, cell.seed)
        for side in range(len(cell.gans)):
            sheet(work.lab, found, side, _title(work, found, side))
        return []

    def gather(self, work: Work, cells: Sequence[Cell], out: Path) -> str:
        copied = 0
        for cell in cells:
            found = work.discovery(cell.of_method, cell.gans, cell.seed)
            for side, gan in enumerate(cell.gans):
                step = sheet_step(work.lab, found, side, _title(work, found, side))
                if work.lab.store.has(step):
                    other = f"-with-{cell.gans[1 - side]}" if len(cell.gans) == 2 else ""
                    target = out / "sheets" / found.label / f"{gan}{other}.png"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(work.lab.store.path(step) / "sheet.png", target)
                    copied += 1
        return f"{copied} traversal sheets in {out / 'sheets'}"


def _title(work: Work, found: Discovery, side: int) -> str:
    where = f"{found.gans[side]}, found with {found.gans[1 - side]}" if len(found.gans) == 2 else found.gans[side]
    method = found.method
    steps = f", {method.steps:,} of {method.published_steps():,} steps" if method.steps else ""
    return f"{found.label} on {where}: {work.zoo.title}, seed {found.seed}{steps}"

"""The plan: a job cut into cells, each with what it needs, what it will synthesise and what is already there."""

from __future__ import annotations

from collections.abc import Iterable

from dirbench.benchmarks.stages.stage import Cell, Stage, all_stages
from dirbench.benchmarks.stages.work import Work
from dirbench.results.artifacts.store import Step, images_of


class SizeError(ValueError):
    """A job asks for more than its generators have."""


class Plan:
    """All cells of a job, in an order in which they can be run one after another.

    Attributes:
        work: the job with its lab.
        stages: by kind, in the order of their cells.
        cells: by id.
    """

    def __init__(self, work: Work) -> None:
        self.work, self.job = work, work.job
        self.stages: dict[str, Stage] = all_stages()
        self.cells: dict[str, Cell] = {cell.id: cell for stage in self.stages.values() for cell in stage.cells(work)}

    def check_sizes(self) -> None:
        """SizeError where a method is asked for more directions than a latent of one of its GANs has numbers."""
        for entry in self.job.suite.methods:
            asked = self.job.method(entry).n_directions
            for gan in dict.fromkeys(gan for gans in self.work.places(entry) for gan in gans):
                if asked > (dim := self.work.zoo.dim(gan)):
                    raise SizeError(f"{entry.label}: n_directions is {asked}, but a latent of {gan} has {dim} numbers, "
                                    f"so no more than {dim} directions are independent; say n_directions: {dim} or "
                                    "less in the suite (or among the method's params)")

    def images(self, ids: Iterable[str]) -> tuple[int, int]:
        """(images still to synthesise, images that the cells ``ids`` stand for)."""
        steps = [s for i in ids for s in self.cells[i].steps]
        return images_of(self.missing(steps)), images_of(steps)

    def missing(self, steps: Iterable[Step]) -> list[Step]:
        """Those whose artifacts are not in the store."""
        return [step for step in steps if not self.work.lab.store.has(step)]

    def is_cached(self, cell: Cell) -> bool:
        """Whether every artifact of the cell is in the store."""
        return not self.missing(cell.steps)

    def closure(self, ids: list[str]) -> list[str]:
        """``ids`` and all that they need, in the plan's order."""
        wanted, waiting = set(), list(ids)
        while waiting:
            cell = waiting.pop()
            if cell not in wanted:
                wanted.add(cell)
                waiting.extend(self.cells[cell].needs)
        return [cell for cell in self.cells if cell in wanted]

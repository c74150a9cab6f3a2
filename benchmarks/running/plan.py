"""The plan: a job cut into cells, each with what it needs, what it will synthesise and what is already there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

from dirbench.benchmarks.config.suite import Entry, Extractor
from dirbench.benchmarks.stages.lab import Workbench
from dirbench.benchmarks.stages.measure import Evaluator
from dirbench.benchmarks.stages.score import Scorer
from dirbench.results.artifacts.store import Step, images_of


@dataclass(frozen=True)
class Cell:
    """One unit of work.

    Attributes:
        id: ``kind/...``, unique in its plan and a valid relative path.
        kind: "pool", "bank", "chance", "discover", "evaluate", "score" or "sheet".
        gans: one GAN or a (reference, client) pair.
        needs: ids of cells that should be done before (the store would make them all the same, only later). Where one
            fails this one is not tried, unless it was of pools, which the cell then makes for itself.
        steps: the artifacts that it makes.
        on_the_way: those that making them takes; their seconds are the cell's too.
        weight: rough cost in plain images, as measured with ``mini`` on a CPU, for the remaining time.
        extractors: of pools. metric: of an evaluation.
    """

    id: str
    kind: str
    gans: tuple[str, ...]
    entry: Entry | None = None
    seed: int = 0
    needs: tuple[str, ...] = ()
    steps: tuple[Step, ...] = field(default=(), compare=False)
    on_the_way: tuple[Step, ...] = field(default=(), compare=False)
    weight: float = 1.0
    reverse: bool = False
    extractors: tuple[Extractor, ...] = ()
    metric: str = ""

    @property
    def of_method(self) -> Entry:
        """``entry``, of a cell that has one: all but those of pools, banks and chance."""
        return cast(Entry, self.entry)


class SizeError(ValueError):
    """A job asks for more than its generators have."""


class Plan:
    """All cells of a job, in an order in which they can be run one after another."""

    def __init__(self, bench: Workbench, scorer: Scorer) -> None:
        self.bench, self.scorer, self.job = bench, scorer, bench.job
        self.evaluator = Evaluator(bench, scorer)
        cells = [*self._prepare(), *self._discover(), *self._evaluate(), *self._chance(), *self._score(),
                 *self._sheets()]
        self.cells = {cell.id: cell for cell in cells}

    def check_sizes(self) -> None:
        """SizeError where a method is asked for more directions than a latent of one of its GANs has numbers."""
        for entry in self.job.suite.methods:
            asked = self.job.method(entry).n_directions
            for gan in dict.fromkeys(gan for gans in self._places(entry) for gan in gans):
                if asked > (dim := self.bench.zoo.dim(gan)):
                    raise SizeError(f"{entry.label}: n_directions is {asked}, but a latent of {gan} has {dim} numbers, "
                                    f"so no more than {dim} directions are independent; say n_directions: {dim} or "
                                    "less in the suite (or among the method's params)")

    def images(self, ids: Iterable[str]) -> tuple[int, int]:
        """(images still to synthesise, images that the cells ``ids`` stand for)."""
        steps = [s for i in ids for s in self.cells[i].steps]
        return images_of(self.missing(steps)), images_of(steps)

    def missing(self, steps: Iterable[Step]) -> list[Step]:
        """Those whose artifacts are not in the store."""
        return [step for step in steps if not self.bench.store.has(step)]

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

    # -- cells ------------------------------------------------------------------------------------------------
    def _needing(self, what: str) -> list[Entry]:
        return [e for e in self.job.suite.methods if what in self.job.method(e).needs]

    def _prepare(self):
        used = {which.key: which for which in map(self.job.extractor, self._needing("density_ratio"))}
        for gan in dict.fromkeys(gan for pair in self.job.trained_pairs() for gan in pair) if used else ():
            steps = tuple(self.bench.pool_step(gan, which) for which in used.values())
            yield Cell(f"pool/{gan}", "pool", (gan,), steps=steps, weight=sum(2 * step.images for step in steps),
                       extractors=tuple(used.values()))
        for gan in self.job.all_gans if self.bench.oracle else ():
            steps = self.bench.bank_steps(gan)
            yield Cell(f"bank/{gan}", "bank", (gan,), steps=steps, weight=sum(step.images for step in steps))

    def _places(self, entry: Entry) -> list[tuple[str, ...]]:
        """Where a method discovers directions: on each GAN, or on each trained pair."""
        paired = self.job.method(entry).paired
        return [*self.job.trained_pairs()] if paired else [(g,) for g in self.job.all_gans]

    def _discover(self):
        cells = []
        for entry in self.job.suite.methods:
            method = self.job.method(entry)
            for gans in self._places(entry):
                for seed in self.job.profile.seeds:
                    found = self.bench.directions_step(entry, gans, seed)
                    sides = range(len(gans)) if self.bench.oracle else ()
                    steps = (found, *(self.bench.responses_step(entry, gans, side, seed) for side in sides))
                    needs: tuple[str, ...] = ()
                    ratios: tuple[Step, ...] = ()
                    if "density_ratio" in method.needs:
                        needs = tuple(f"pool/{g}" for g in gans)
                        ratios = (self.bench.method_ratio_step(entry, gans, seed),)
                    weight = method.effort * found.images + sum(s.images for s in steps[1:]) \
                        + len(ratios) * 20 * self.job.profile.ratio.steps
                    cells.append(Cell(self._id("discover", entry, gans, seed), "discover", gans, entry, seed,
                                      needs, steps, ratios, weight))
        return sorted(cells, key=lambda cell: -cell.weight)  # long ones first: no worker is left with the last of them

    def _evaluate(self):
        for metric in self.evaluator.metrics:
            for entry in self.job.suite.methods:
                for gans in self._places(entry) if not self.job.method(entry).paired else ():
                    for seed in self.job.profile.seeds:
                        step = self.evaluator.step(metric, entry, gans[0], seed)
                        yield Cell(self._id(f"evaluate/{metric}", entry, gans, seed), "evaluate", gans, entry, seed,
                                   (self._id("discover", entry, gans, seed),), (step,), weight=2 * step.images,
                                   metric=metric)

    def _chance(self):
        cells = [*((g,) for g in self.job.all_gans), *self.job.ordered_pairs()] if self.bench.oracle else ()
        for gans in cells:
            yield Cell(f"chance/{'-'.join(gans)}", "chance", gans, needs=tuple(f"bank/{g}" for g in gans),
                       steps=self.scorer.chance_steps(gans), weight=200)

    def _score(self):
        for entry in self.job.suite.methods:
            trained = set(self.job.trained_pairs())
            paired = self.job.method(entry).paired
            singles = [(g,) for g in self.job.all_gans] if not paired else []
            for gans in [*singles, *self.job.ordered_pairs()]:
                if paired and gans not in trained and gans[::-1] not in trained:
                    continue
                for seed in self.job.profile.seeds:
                    yield self._score_cell(entry, gans, seed)

    def _score_cell(self, entry: Entry, gans: tuple[str, ...], seed: int) -> Cell:
        places = dict.fromkeys(self.scorer.trained_on(entry, gans))
        needs = [self._id("discover", entry, on, seed) for on in places]
        order = self.job.all_gans
        reverse = len(gans) == 2 and order.index(gans[0]) > order.index(gans[1])
        steps: tuple[Step, ...] = ()  # without an oracle there is nothing to score with, and the cell says so
        if self.bench.oracle:
            needs.append(f"chance/{'-'.join(gans)}")
            steps = (self.scorer.score_step(entry, gans, seed),)
        return Cell(self._id("score", entry, gans, seed), "score", gans, entry, seed, tuple(needs), steps, weight=60,
                    reverse=reverse)

    def _sheets(self):
        seed = self.job.profile.seeds[0]
        for entry in self.job.suite.methods:
            for gans in self._places(entry):
                steps = tuple(self.bench.sheet_step(entry, gans, side, seed) for side in range(len(gans)))
                yield Cell(self._id("sheet", entry, gans, seed), "sheet", gans, entry, seed,
                           (self._id("discover", entry, gans, seed),), steps,
                           weight=80 + sum(s.images for s in steps))

    @staticmethod
    def _id(kind: str, entry: Entry, gans: tuple[str, ...], seed: int) -> str:
        return f"{kind}/{entry.label}/{'-'.join(gans)}/seed{seed}"

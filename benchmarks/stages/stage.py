"""What a stage is: one kind of work of a run. Stages are found by being there, at most one a file of this folder."""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, ClassVar, cast

import dirbench.benchmarks.stages
from dirbench.benchmarks.config.suite import Entry
from dirbench.benchmarks.stages.work import Work
from dirbench.checks import file_of
from dirbench.names import did_you_mean
from dirbench.results.artifacts.store import Step

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Cell:
    """One unit of work.

    Attributes:
        id: ``kind/...``, unique in its plan and a valid relative path.
        kind: the stage's.
        gans: one GAN or a (reference, client) pair.
        entry: the method that it is about; None for work that serves all methods.
        needs: ids of cells that must be done before. Where one fails this one is not tried (but see ``Stage.spares``).
        steps: the artifacts that it makes.
        weight: rough cost in plain images, as measured with ``mini`` on a CPU, for the remaining time.
        details: what else the stage has to know.
    """

    id: str
    kind: str
    gans: tuple[str, ...]
    entry: Entry | None = None
    seed: int = 0
    needs: tuple[str, ...] = ()
    steps: tuple[Step, ...] = field(default=(), compare=False)
    weight: float = 1.0
    details: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def of_method(self) -> Entry:
        """``entry``, of a cell that is about a method."""
        return cast(Entry, self.entry)


class PartlyFailed(RuntimeError):
    """Some of a cell's parts raised, or gave what is no result; what the others gave is kept.

    Attributes:
        errors: the exceptions, one a part.
        rows: of the cell, those of the failed parts among them.
    """

    def __init__(self, errors: Sequence[Exception], rows: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__("; ".join(dict.fromkeys(map(str, errors))))
        self.errors, self.rows = list(errors), list(rows)


class Stage(ABC):
    """One kind of work. A subclass in a file of this folder is found, and its cells are in every plan.

    Class attributes:
        kind: its name, of cells and in ``cells.csv``.
        after: kinds whose cells come before its own in a plan.
        spares: whether a cell that needs a failed one of this kind is tried all the same, and makes what it lacks.
    """

    kind: ClassVar[str]
    after: ClassVar[tuple[str, ...]] = ()
    spares: ClassVar[bool] = False

    @abstractmethod
    def cells(self, work: Work) -> Iterable[Cell]:
        """The cells that the job asks for."""

    @abstractmethod
    def make(self, work: Work, cell: Cell, progress: Progress) -> list[dict[str, Any]]:
        """Makes the cell's artifacts, and whatever they need that is not there; returns its rows, if it has any.

        Raises:
            NotApplicable: there is no such result. PartlyFailed: some parts failed; it has all rows.
        """

    def empty_rows(self, work: Work, cell: Cell, status: str, reason: str) -> list[dict[str, Any]]:
        """The rows that the cell would have had, without values: what failed stays visible in every table."""
        return []

    def settings_of(self, work: Work, row: Mapping[str, Any]) -> dict[str, Any]:
        """Everything that a row of this stage hangs on and has no column for."""
        return {}

    def gather(self, work: Work, cells: Sequence[Cell], out: Path) -> str:
        """Puts what ``cells`` made where people find it in the run's folder; a line about it, or "".

        Args:
            cells: those that are done, at least in part.
        """
        return ""


def cell_id(kind: str, entry: Entry, gans: tuple[str, ...], seed: int) -> str:
    """The id of a cell that is about one method on one GAN, or on a pair."""
    return f"{kind}/{entry.label}/{'-'.join(gans)}/seed{seed}"


def all_stages() -> dict[str, Stage]:
    """{kind: stage} of every file in this folder, each after those that its ``after`` names.

    Raises:
        ValueError: two are of one kind, or one comes after a kind that there is not.

    >>> kinds = list(all_stages())
    >>> kinds.index("discover") < kinds.index("respond") < kinds.index("score")
    True
    """
    package = dirbench.benchmarks.stages
    return _found(tuple(f"{package.__name__}.{info.name}" for info in pkgutil.iter_modules(package.__path__)
                        if not info.name.startswith("_")))


@cache
def _found(modules: tuple[str, ...]) -> dict[str, Stage]:
    made: dict[str, Stage] = {}
    for name in modules:
        for cls in vars(importlib.import_module(name)).values():
            if isinstance(cls, type) and issubclass(cls, Stage) and cls is not Stage and cls.__module__ == name:
                if cls.kind in made:
                    raise ValueError(f'two stages are of kind "{cls.kind}": {file_of(type(made[cls.kind]).__module__)} '
                                     f"and {file_of(name)}")
                made[cls.kind] = cls()
    for stage in made.values():
        for before in stage.after:
            if before not in made:
                raise ValueError(f"{file_of(type(stage).__module__)}: after: {did_you_mean('stage', before, [*made])}")
    order = TopologicalSorter({kind: sorted(made[kind].after) for kind in sorted(made)})
    return {kind: made[kind] for kind in order.static_order()}

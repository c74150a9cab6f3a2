"""What every registered method must do, single or paired, ours or a user's: one test, (clause x method).

The clauses are those of ``check-method``. Methods are found by the registry, so a new file in ``methods/`` is tested by
being there; ``test_params`` of its class keep it quick. Nothing here knows any method by name.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import ClassVar

import pytest
import torch

from dirbench.benchmarks.contract import learning, methods
from dirbench.benchmarks.contract.case import Case
from dirbench.benchmarks.contract.report import Fault, LeftOut
from dirbench.benchmarks.generators.planted import DIM
from dirbench.directions import Vectors
from dirbench.errors import NotApplicable
from dirbench.method import DirectionMethod
from dirbench.plugins import METHODS

pytestmark = pytest.mark.numeric
CASES = {name: Case(cls, ours=True, long=True) for name, cls in METHODS.load_all()[0].items()}


@pytest.mark.parametrize("clause", methods.CLAUSES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_method(case, clause):
    try:
        clause(case)
    except NotApplicable as reason:  # allowed only where the method itself says why, or has no training
        assert clause is learning.own_objective_falls and (case.cls.objective_why_not or not case.method.steps), reason


@pytest.mark.parametrize("name", CASES)
def test_every_method_is_built_by_its_name(name):
    assert METHODS.build(name, CASES[name].cls().params()) == CASES[name].cls()


def test_every_file_in_methods_can_be_loaded():
    assert METHODS.load_all()[1] == {}


def test_every_clause_is_listed():
    written = [f for module in (methods, learning) for name, f in vars(module).items()
               if inspect.isfunction(f) and f.__module__ == module.__name__ and not name.startswith("_")]
    assert set(written) - {methods.check_method} == set(methods.CLAUSES)


@dataclasses.dataclass(frozen=True)
class Cheat(DirectionMethod):
    """Breaks the contract: constant answers, a changed generator, silent NaN, leftovers."""

    name = "cheat"
    beats_random_by = 0.3

    def discover(self, generator, context):
        generator.mean.data += 1
        torch.manual_seed(context.seed)
        context.progress(1, 2)
        generator.synthesize(torch.zeros(context.chunk, DIM))
        if context.checkpoint:
            context.checkpoint.write_text("for ever")
        flat = torch.nan_to_num(generator.mean.detach().float()) + context.chunk
        rows = torch.eye(DIM)[torch.arange(self.n_directions) % DIM] + 1
        return Vectors(rows + 1e-3 * flat, "w", notes={"rows": range(3)})


@dataclasses.dataclass(frozen=True)
class Idle(DirectionMethod):
    """Says that it trains, and does not."""

    name = "idle"
    source = "nobody"
    why_not = "it learns nothing"
    test_params: ClassVar[dict] = {"n_steps": 4}
    n_steps: int = 100
    lr: float = 0.1

    def discover(self, generator, context):
        for step in range(self.n_steps):
            context.progress(step + 1, self.n_steps)
        vectors = torch.eye(DIM, dtype=next(generator.parameters()).dtype)[torch.arange(self.n_directions) % DIM]
        return Vectors(vectors, generator.space, notes={"loss_last": 1.0})


CAUGHT_OF_IDLE = {methods.another_seed_matters_unless_deterministic, learning.resumes_to_the_same_answer,
                  learning.own_objective_falls, methods.too_many_directions_are_refused_or_given}
FINE_FOR_CHEAT = {methods.same_seed_same_answer, methods.a_batch_equals_its_samples,
                  methods.too_many_directions_are_refused_or_given, methods.works_on_generators_in_half_precision,
                  methods.says_where_images_turn_nan,  # it says that it makes none
                  learning.own_objective_falls}


@pytest.mark.parametrize("clause", methods.CLAUSES, ids=lambda f: f.__name__)
def test_clauses_catch_a_method_that_cheats(clause):
    def caught(cls):
        try:
            clause(Case(cls))
        except (Fault, LeftOut, ValueError):
            return True
        except NotApplicable:
            return False
        return False

    assert caught(Cheat) == (clause not in FINE_FOR_CHEAT)
    assert caught(Idle) == (clause in CAUGHT_OF_IDLE)

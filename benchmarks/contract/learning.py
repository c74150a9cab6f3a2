"""Clauses about trainings, and about what was learned: resumption, an objective that falls, planted factors found."""

from __future__ import annotations

import dataclasses
import functools
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from dirbench import training as _training
from dirbench.benchmarks.contract.case import Case, gap
from dirbench.benchmarks.contract.report import LeftOut, demand
from dirbench.benchmarks.generators.planted import PlantedGenerator, recovery
from dirbench.errors import NotApplicable
from dirbench.method import Context
from dirbench.methods.random_directions import RandomDirections

SOME_STEPS = 30  # enough for a loss to fall


def resumes_to_the_same_answer(case: Case) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if not case.method.steps:  # a closed form has nothing to resume and leaves no file behind
            case.discover(checkpoint=folder / "unused")
            demand(not list(folder.iterdir()), "it has no training, yet it leaves a checkpoint file behind")
            return
        checkpoint = folder / "checkpoint"

        def interrupt(done: int, total: int) -> None:
            if done >= total // 2:
                raise KeyboardInterrupt

        with _saved_at_every_step():
            try:
                case.discover(checkpoint=checkpoint, progress=interrupt)
            except KeyboardInterrupt:
                stopped = True
            else:
                stopped = False
            demand(stopped, "a KeyboardInterrupt in the middle of its training does not stop it")
            demand(checkpoint.exists(), "half of the training is lost on an interruption: save to context.checkpoint, "
                   "as dirbench/training.py does")
            told: list[int] = []
            answer = case.discover(checkpoint=checkpoint, progress=lambda done, total: told.append(done))
            demand(told and told[0] > 0, "with half of the training in context.checkpoint it starts again at step 0")
            demand(gap(case.usual, answer) == 0, "an interrupted training goes on to another answer: draw what a step "
                   "needs from a source of that step")
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                other = case.discover(checkpoint=checkpoint, seed=1)
            demand(any(issubclass(w.category, UserWarning) and "checkpoint" in str(w.message) for w in caught),
                   "another run's checkpoint is passed over without a warning that names it, or used")
            demand(gap(other, case.discover(seed=1)) == 0, "another seed's checkpoint changes the answer")


def own_objective_falls(case: Case) -> None:
    """The last steps cost less than the same draws do with every learning rate at zero, on average over seeds."""
    if not case.method.steps:
        raise NotApplicable("it has no training")
    if case.cls.objective_why_not:
        raise NotApplicable(case.cls.objective_why_not)
    rates = {f.name: 0.0 for f in dataclasses.fields(case.cls) if f.name == "lr" or f.name.endswith("_lr")}
    demand(rates, "a training has a learning rate: a field `lr`, or several that end in `_lr`")
    gains = []
    for seed in range(2):
        still, trained = (case.discover(seed=seed, params={**case.full, "n_steps": SOME_STEPS, **more})
                          for more in (rates, {}))
        demand("loss_last" in trained[0].notes, "a training puts its `loss_notes` (loss_first, loss_last) into the "
               "directions' notes")
        gains.append(still[0].notes["loss_last"] - trained[0].notes["loss_last"])
    demand(np.mean(gains) > 0, f"its loss does not fall: after {SOME_STEPS} steps it is lower by {gains} than without "
           "learning; mend it, or say objective_why_not")


def recovers_planted_factors(case: Case) -> str:
    """Better than random directions by the margin that the class claims, in w and fed with z; or else not better."""
    margin = case.cls.beats_random_by
    if case.method.steps and "n_steps" not in case.cls.test_params and not case.long:
        raise NotApplicable(f"not tried, for its training takes {case.cls(**case.full).steps:,} steps: say how many "
                            'are enough here in test_params: ClassVar[dict] = {"n_steps": ...}, or ask for --long')
    gains, said, k = [], [], case.cls(**case.full).n_directions
    for space in ("w", "z"):
        gans = case.gans(space)
        answer = case.discover(gans, params=case.full)
        found = np.mean([recovery(d, gan) for d, gan in zip(answer, gans, strict=True)])
        chance = np.mean([_chance(gan.factors, space, i, k) for i, gan in enumerate(gans)])
        gains.append(float(found - chance))
        said.append(f"in {space} {found:.3f}, random directions {chance:.3f}")
    measured = f"of the factors of a generator that are known it recovers (mean |cosine|) {'; '.join(said)}"
    worst = min(gains)
    demand(margin is None or worst >= margin, f"{measured}: better by {worst:.3f} at least, but it says "
           f"beats_random_by = {margin}")
    if margin is None and not case.cls.why_not:
        raise LeftOut(f"{measured}; say beats_random_by (at most {max(worst, 0):.2f}), which later changes are held "
                      "to, or in why_not why it is no better")
    demand(margin is not None or worst < 0.1, f"{measured}: better by {worst:.3f}; say so in beats_random_by instead "
           "of why_not")
    return measured


@functools.cache
def _chance(factors: tuple[int, ...], space: str, seed: int, k: int) -> float:
    """What random directions recover of a planted generator, mean over five draws."""
    gan = PlantedGenerator(factors, space, seed=seed)
    draws = [RandomDirections(n_directions=k).discover(gan, Context(seed=draw)) for draw in range(5)]
    return float(np.mean([recovery(directions, gan) for directions in draws]))


@contextmanager
def _saved_at_every_step() -> Iterator[None]:
    """The shared training loop saves after every step, not every minute."""
    kept, _training.SAVE_SECONDS = _training.SAVE_SECONDS, 0.0
    try:
        yield
    finally:
        _training.SAVE_SECONDS = kept


CLAUSES = (resumes_to_the_same_answer, own_objective_falls, recovers_planted_factors)

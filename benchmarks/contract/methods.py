"""The contract of direction methods, tried on small generators whose directions are known exactly.

A clause is a function of a ``Case``; its sentence is what it raises. Here: the answer, and how a method behaves while
it looks for it. ``learning.py`` has the clauses about trainings.
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor, nn

from dirbench.benchmarks.contract import learning
from dirbench.benchmarks.contract.case import LENT, Case, gap, moves
from dirbench.benchmarks.contract.random_sources import kept_random_state, random_state, seed_all
from dirbench.benchmarks.contract.report import Fault, Finding, LeftOut, demand, run_checks
from dirbench.benchmarks.generators.planted import DIM, PlantedGenerator
from dirbench.directions import Directions, Vectors
from dirbench.errors import DiscoveryError, NotApplicable
from dirbench.plugins import Method

HALF = 1_000_000  # numbers from which on a file keeps them in half precision


def check_method(cls: type[Method], long: bool = False) -> list[Finding]:
    """One finding for each clause; ``long`` also trains in full where ``test_params`` say no number of steps."""
    case = Case(cls, long=long)
    return run_checks(CLAUSES, lambda: case, NotApplicable, basic=(gives_k_unit_moves_in_a_space_it_names,))


# -- what it is and what it returns ------------------------------------------------------------------
def says_what_it_is(case: Case) -> None:
    cls = case.cls
    demand(dataclasses.is_dataclass(cls) and cast(Any, cls).__dataclass_params__.frozen, "decorate the class with "
           "@dataclass(frozen=True): its fields are its hyperparameters, and part of cache keys and captions")
    demand(cls.source or not case.ours, "say in `source` which paper, section and year it comes from")
    unknown = set(cls.needs) - set(LENT)
    demand(not unknown, f"needs = {cls.needs}: {sorted(unknown)} is not among {', '.join(LENT)}")
    demand(cls.beats_random_by is not None or cls.why_not or not case.ours, "say beats_random_by (by how much it "
           "recovers known factors better than random directions, 0 to 1), or in `why_not` why it does not")
    method = cls()
    demand(method.steps == cls.published_steps(), "the default of n_steps must be the published number")
    try:  # as a suite file and a results file hold them
        again = TypeAdapter(cls).validate_python(json.loads(json.dumps(method.params())))
    except (TypeError, ValidationError) as error:
        raise Fault(f"hyperparameters must be plain values that a YAML file can hold: {error}") from error
    demand(again == method, f"its hyperparameters do not survive being written down and read again: {again}")
    if not cls.source:
        raise LeftOut("say in `source` which paper, section and year it comes from; tables print it")


def gives_k_unit_moves_in_a_space_it_names(case: Case) -> None:
    k = case.method.n_directions
    for gan, directions in zip(case.gans(), case.usual, strict=True):
        demand(len(directions) == k, f"{len(directions)} directions were found, {k} were asked for (n_directions)")
        demand(gan.check_space(directions.space) == directions.space, f"directions name the space {directions.space!r}")
        latents = gan.sample(5, torch.Generator().manual_seed(0), directions.space)
        got = directions.moves(latents, torch.arange(k))
        demand(got.shape[:2] == (k, 5) and got.shape[-1] == gan.dim(directions.space),
               f"moves are {list(got.shape)}, expected [{k}, 5, (L,) {gan.dim(directions.space)}]")
        demand(torch.isfinite(got).all(), "a direction is not finite")
        lengths = got.norm(dim=-1) if got.ndim == 3 else got.norm(dim=-1).amax(dim=2)  # of the row that moves most
        demand((lengths - 1).abs().max() <= 1e-5, "directions must have unit length (layer-wise ones in the row that "
               f"moves most), and one has {lengths.flatten()[(lengths - 1).abs().argmax()]:.4f}: the strength says how "
               "far an edit goes (keep a natural step in `scales`)")
        edited = gan.synthesize(directions.shift_all(latents, 1.0), directions.space)
        demand(torch.isfinite(edited).all(), "an edited latent gives an image that is not finite")
        demand(directions.scales.shape == (k,) and (directions.scales > 0).all(), "scales must be K positive numbers")
        _as_json(directions.notes)


def same_seed_same_answer(case: Case) -> None:
    demand(gap(case.usual, case.discover()) == 0, "the same seed gives another answer: take every random number from "
           "context.rng(...)")


def another_seed_matters_unless_deterministic(case: Case) -> None:
    changed = gap(case.usual, case.discover(seed=1))
    if case.cls.deterministic:
        demand(changed == 0, "it says deterministic = True, but the seed changes its answer")
    else:
        demand(changed > 1e-3, "the seed changes nothing: say deterministic: ClassVar[bool] = True, so that it is run "
               "once and not for every seed")


def saved_directions_are_the_same(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for i, directions in enumerate(case.usual):
            file, notes = Path(folder, f"{i}.safetensors"), _as_json(directions.notes)
            directions.save(file)
            raw = file.read_bytes()  # a length, that much JSON, then numbers: no room for a pickle
            header = int.from_bytes(raw[:8], "little")
            parts = [part for name, part in json.loads(raw[8:8 + header]).items() if name != "__metadata__"]
            demand(len(raw) == 8 + header + max(part["data_offsets"][1] for part in parts),
                   "the saved file holds more than names and numbers")
            loaded = Directions.load(file)
            demand(type(loaded) is type(directions) and loaded.space == directions.space,
                   f"saved {type(directions).__name__} of {directions.space!r} are read as {type(loaded).__name__} of "
                   f"{loaded.space!r}")
            demand(loaded.notes == notes, "notes are others after saving and loading")
            demand(torch.equal(loaded.scales, directions.scales), "scales are others after saving and loading")
            halved = any(tensor.numel() >= HALF for tensor in directions.tensors().values())
            off = gap([directions], [loaded])
            demand(off <= (1e-2 if halved else 1e-5), f"edits differ by {off:.2g} after saving and loading")


def a_batch_equals_its_samples(case: Case) -> None:
    latents = torch.randn(4, DIM, generator=torch.Generator().manual_seed(3))
    for directions in case.usual:
        together = directions.shift_all(latents, 2.0).unflatten(0, (len(directions), 4))
        for k in (0, len(directions) - 1):
            alone = torch.cat([directions.shift(one[None], k, 2.0) for one in latents])
            demand((alone - together[k]).abs().max() <= 1e-5, "an edit depends on the other latents of its batch")


def chunk_does_not_matter(case: Case) -> None:
    """Only rounding may differ; training amplifies it, so trained directions get more room."""
    changed, room = gap(case.usual, case.discover(chunk=5)), 0.05 if case.method.steps else 1e-3
    demand(changed <= room, f"with context.chunk 5 instead of 64 edits differ by {changed:.2g} (rounding explains "
           f"{room}): how many images are made at a time must not enter the answer")


def too_many_directions_are_refused_or_given(case: Case) -> None:
    """More than the space has dimensions: an error that says so, or as many as asked for; orthogonal ones must err."""
    def orthogonal(d: Directions) -> bool:
        return isinstance(d, Vectors) and (d.vectors @ d.vectors.T - torch.eye(len(d))).abs().max().item() < 1e-4

    try:
        answer = case.discover(params={"n_directions": DIM + 1})
    except (ValueError, DiscoveryError) as error:
        demand(str(DIM + 1) in str(error), f"the error for {DIM + 1} directions of {DIM} dimensions does not name the "
               f"number: {error}")
        return
    for directions in answer:
        demand(len(directions) == DIM + 1, f"{DIM + 1} directions were asked for, {len(directions)} were given")
    demand(not all(map(orthogonal, case.usual)), f"its directions are orthogonal, yet {DIM + 1} of {DIM} dimensions "
           "are given without an error: call self.check_k(dim)")


def works_on_generators_fed_with_z(case: Case) -> None:
    for directions in case.watched("z").answer:
        demand(directions.space == "z", f"on a generator without w it finds directions of {directions.space!r}")
        demand(len(directions) == case.method.n_directions, f"on a generator fed with z it finds {len(directions)} "
               f"directions, {case.method.n_directions} were asked for")
        demand(torch.isfinite(moves(directions)).all(), "directions of z are not finite")


def works_on_generators_in_half_precision(case: Case) -> None:
    for directions in case.discover([gan.bfloat16() for gan in case.gans()]):
        demand(torch.isfinite(moves(directions)).all(), "directions of a bfloat16 generator are not finite")
        demand(all(t.dtype != torch.bfloat16 for t in directions.tensors().values()), "directions of a bfloat16 "
               "generator are bfloat16: keep them in float32, eight bits are too few for them")


# -- how it behaves ------------------------------------------------------------------------------------
def leaves_the_global_random_state_alone(case: Case) -> None:
    usual = case.usual  # first, for what it imports late may draw when it is loaded (scikit-learn does)
    with kept_random_state():
        seed_all(99)
        before = random_state()
        answer = case.discover()
        demand(random_state() == before, "it changes the global random state: draw from context.rng(...) only")
        demand(gap(usual, answer) == 0, "its answer depends on the global random state: use context.rng(...)")
    demand(torch.is_grad_enabled(), "gradients are switched off globally after discovery")
    demand(torch.get_default_dtype() == torch.float32, "torch's default dtype is another after discovery")


def leaves_networks_alone(case: Case) -> None:
    """Weights, modes, gradient flags, hooks and a random source of its own are after as they were before."""
    gans = case.gans()
    for gan in gans:
        gan.train()
        gan.mean.requires_grad_(True)
        gan.own_rng = torch.Generator().manual_seed(3)
    networks: list[tuple[str, torch.nn.Module]] = [("the generator", gan) for gan in gans]
    networks += [(f"the {name}", lent()) for name, lent in LENT.items() if name in case.cls.needs]
    before = [_state(net) for _, net in networks]
    case.discover(gans)
    for (who, net), old in zip(networks, before):
        for what, kept in _state(net).items():
            demand(kept == old[what], f"discovery changes {who}: {what}")


def says_why_where_weights_are_nan(case: Case) -> None:
    """An error with a reason. A method that never looks at the generator may answer as ever."""
    gans = case.gans()
    for parameter in gans[-1].parameters():
        parameter.data.fill_(float("nan"))
    try:
        answer = case.discover(gans)
    except Fault:
        raise
    except DiscoveryError as error:
        demand(case.cls.name in str(error) and "nan" in str(error).lower(), "the error for a generator of NaN must "
               f"name the method and the trouble (NaN): {error}")
    except Exception as error:
        told = isinstance(error, ValueError) and "finite" in str(error) and not case.ours  # as Vectors says it
        demand(told, f"a generator of NaN gives {type(error).__name__} ({error}); raise DiscoveryError, so that the "
               "cell says why it failed")
    else:
        demand(gap(case.usual, answer) == 0, "a generator of NaN gives directions without a word: check, and raise "
               "DiscoveryError")


def says_where_images_turn_nan(case: Case) -> None:
    """Good for the first half of its images, NaN then: an error with the method's name and, if it trains, the step."""
    gans, made = case.gans(), [0]
    whole = case.method.images_on(*gans)

    def spoilt(function):
        def call(latent: Tensor, *args, **kwargs) -> Tensor:
            made[0] += len(latent)
            out = function(latent, *args, **kwargs)
            return out if made[0] <= whole // 2 else out * float("nan")
        return call

    for gan in gans:
        for name in ("synthesize", "activations"):
            object.__setattr__(gan, name, spoilt(getattr(gan, name)))
    if not whole:
        demand(gap(case.usual, case.discover(gans)) == 0, "it says that it makes no images, yet they change its answer")
        return
    try:
        case.discover(gans)
    except DiscoveryError as error:
        demand(case.cls.name in str(error), f"the error for images of NaN does not name the method: {error}")
        demand("step" in str(error) or not case.method.steps, "the error for images of NaN does not say at which step "
               f"of the training: {error}")
    else:
        demand(False, "images that turn NaN half-way give directions without a word: check, and raise DiscoveryError")


def counts_its_images(case: Case) -> None:
    for space in ("w", "z"):
        run = case.watched(space)
        demand(run.images == run.planned, f"images() says {run.planned}, but {run.images} were made on a generator fed "
               f"with {space}: plans are wrong by that much")


def progress_rises_to_the_total(case: Case) -> None:
    """And never runs ahead of the images made, nor leaves half of the work unreported."""
    steps = case.method.steps
    for space in ("w", "z"):
        seen, made = case.watched(space).words, case.watched(space).images
        demand(seen or not (steps or made), "who trains or makes images must call context.progress(done, total)")
        if not seen:
            continue
        done, totals, images = map(list, zip(*seen))
        demand(done == sorted(done) and done[-1] == totals[-1] and len(set(totals)) == 1, "progress must rise to its "
               f"total; it was {seen[0][:2]} first and {seen[-1][:2]} last")
        demand(not steps or totals[0] == steps, f"the total of a training is its {steps} steps, not {totals[0]}")
        early = [d for d, i in zip(done, images) if i < made * d / totals[0] - 1e-6]
        demand(not early, f"progress says {early[:1]} of {totals[0]} before that share of the images is made")
        silent = max(np.diff([0, *done])) > totals[0] / 2
        demand(not (silent and (steps or made)), "half of the work passes without a word of progress")


CLAUSES = (
    says_what_it_is, gives_k_unit_moves_in_a_space_it_names, same_seed_same_answer,
    another_seed_matters_unless_deterministic, saved_directions_are_the_same, a_batch_equals_its_samples,
    chunk_does_not_matter, too_many_directions_are_refused_or_given, works_on_generators_fed_with_z,
    works_on_generators_in_half_precision, leaves_the_global_random_state_alone, leaves_networks_alone,
    says_why_where_weights_are_nan, says_where_images_turn_nan, counts_its_images, progress_rises_to_the_total,
    *learning.CLAUSES,
)


def _as_json(notes: dict) -> dict:
    try:
        return json.loads(json.dumps(notes))
    except TypeError as error:
        raise Fault(f"notes must be plain values that JSON can hold: {error}") from error


def _state(net: nn.Module) -> dict[str, object]:
    modules = list(net.modules())
    return {
        "its weights": {name: value.cpu().numpy().tobytes() for name, value in net.state_dict().items()},
        "its training mode": [m.training for m in modules],
        "its parameters' requires_grad, grad or dtype": [(p.requires_grad, p.grad is None, p.dtype)
                                                         for p in net.parameters()],
        "hooks are left on it": [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks)
                                 for m in modules],
        "attributes come or go": sorted(net.__dict__),
        "its own random source": net.own_rng.get_state().tolist() if isinstance(net, PlantedGenerator) else None,
    }

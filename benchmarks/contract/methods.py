"""The contract of direction methods, tried on small generators whose directions are known exactly."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import json
import random
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.contract.planted import DIM, PlantedExtractor, PlantedGenerator, PlantedOracle, planted_ratio
from benchmarks.contract.report import Fault, Finding, demand, run_checks
from benchmarks.counting import count_images
from methods.base import Context, DirectionMethod, DiscoveryError, NotApplicable, PairedMethod
from methods.directions import Directions
from methods.registry import Method, named_classes

K = 6
FEW_STEPS = 8  # of a training, where how well it ends does not matter
FACTORS = (0, 1, 2, 3, 4, 5)
CLIENT_FACTORS = (0, 1, 2, 3, 6, 7)  # four in common with the reference
JUDGES = {"extractor": functools.cache(PlantedExtractor), "teacher": functools.cache(lambda: PlantedOracle(FACTORS)),
          "density_ratio": functools.cache(lambda: planted_ratio(FACTORS, CLIENT_FACTORS))}


class Case:
    """A method class with small settings (its ``test_params``), and what it may need."""

    def __init__(self, cls: type[Method]) -> None:
        self.cls = cls
        sizes = {"n_directions": K, "n_common": 4} if cls.paired else {"n_directions": K}
        trained = any(f.name == "n_steps" for f in dataclasses.fields(cls))
        self.params = {**sizes, **cls.test_params, **({"n_steps": FEW_STEPS} if trained else {})}

    def gans(self, space: str = "w") -> list[PlantedGenerator]:
        """Reference and client, or one generator."""
        pair = [PlantedGenerator(FACTORS, space, seed=0), PlantedGenerator(CLIENT_FACTORS, space, seed=1)]
        return pair if self.cls.paired else pair[:1]

    def discover(self, gans: list[PlantedGenerator] | None = None, seed: int = 0, **context) -> list[Directions]:
        """Directions of each generator."""
        gans = self.gans() if gans is None else gans
        method = self.cls(**self.params)
        needed = {name: JUDGES[name]() for name in method.needs if name in JUDGES}
        context = Context(**{"seed": seed, **needed, **context})
        found = method.discover_pair(*gans, context) if self.cls.paired else [method.discover(*gans, context)]
        for directions in found:
            demand(isinstance(directions, Directions), f"it returns a {type(directions).__name__}, expected Directions "
                   "(Vectors, Conditional, ...)")
        return list(found)

    @functools.cached_property
    def usual(self) -> list[Directions]:
        """The answer to the usual question, asked once."""
        return self.discover()


def check_method(cls: type[Method]) -> list[Finding]:
    """One finding for each part of the contract."""
    case = Case(cls)
    return run_checks(CHECKS, lambda: case, NotApplicable)


def classes_of(path: Path) -> list[type[Method]]:
    """The method classes with a name in a Python file, which is imported.

    Raises:
        Fault: there is no such file, it cannot be imported, or it has no method.
    """
    if not path.is_file():
        raise Fault(f"{path} does not exist")
    name = f"checked_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Fault(f"{path} is no Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever a user's file does, it is told to the user
        del sys.modules[name]
        raise Fault(f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    found = list(named_classes(module, (DirectionMethod, PairedMethod)))
    if not found:
        raise Fault(f"{path} has no method: expected a subclass of DirectionMethod or PairedMethod with a "
                    '`name: ClassVar[str] = "..."`')
    return found


def moves(directions: Directions, n: int = 8, strength: float = 3.0) -> Tensor:
    """Edits less originals [K, n, ...] of fixed latents."""
    latents = torch.randn(n, DIM, generator=torch.Generator().manual_seed(5))
    edits = directions.shift_all(latents, strength).unflatten(0, (len(directions), n))
    return edits - (latents if edits.ndim == 3 else latents[:, None])


def gap(one: list[Directions], other: list[Directions]) -> float:
    """Largest difference of any edit between two answers."""
    return max((moves(a) - moves(b)).abs().max().item() for a, b in zip(one, other, strict=True))


# -- checks ------------------------------------------------------------------------------------------
def check_says_what_it_is(case: Case) -> None:
    cls = case.cls
    demand(dataclasses.is_dataclass(cls) and cls.__dataclass_params__.frozen, "decorate the class with "
           "@dataclass(frozen=True): its fields are its hyperparameters, and part of cache keys and captions")
    demand(cls.source, "say in `source` which paper, section and year it comes from")
    unknown = set(cls.needs) - set(JUDGES)
    demand(not unknown, f"needs = {cls.needs}: {sorted(unknown)} is not among {', '.join(JUDGES)}")
    method = cls()
    demand(method.steps == cls.published_steps(), "the default of n_steps must be the published number")
    try:
        stored = json.loads(json.dumps(method.params()))
    except TypeError as error:
        raise Fault(f"hyperparameters must be plain values that a YAML file can hold: {error}") from error
    again = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
    demand(cls(**again) == method, "its hyperparameters do not survive being written down and read again")


def check_gives_k_unit_moves_in_a_space_it_names(case: Case) -> None:
    k = case.params["n_directions"]
    for gan, directions in zip(case.gans(), case.usual, strict=True):
        demand(len(directions) == k, f"{len(directions)} directions were found, {k} were asked for (n_directions)")
        gan.check_space(directions.space)
        latents = gan.sample(5, torch.Generator().manual_seed(0), directions.space)
        got = directions.moves(latents, torch.arange(k))
        demand(got.shape[:2] == (k, 5) and got.shape[-1] == gan.dim(directions.space),
               f"moves are {list(got.shape)}, expected [{k}, 5, (L,) {gan.dim(directions.space)}]")
        demand(torch.isfinite(got).all(), "a direction is not finite")
        if got.ndim == 3:
            demand((got.norm(dim=2) - 1).abs().max() < 1e-4, "directions must have unit length: the strength says how "
                   "far an edit goes (keep a natural step in `scales`)")
        demand(directions.scales.shape == (k,) and (directions.scales > 0).all(), "scales must be K positive numbers")
        json.dumps(directions.notes)


def check_same_seed_same_answer(case: Case) -> None:
    demand(gap(case.usual, case.discover()) == 0, "the same seed gives another answer: take every random number from "
           "context.rng(...)")


def check_another_seed_matters_unless_deterministic(case: Case) -> None:
    changed = gap(case.usual, case.discover(seed=1))
    if case.cls.deterministic:
        demand(changed == 0, "it says deterministic = True, but the seed changes its answer")
    else:
        demand(changed > 1e-3, "the seed changes nothing: say deterministic: ClassVar[bool] = True, so that it is run "
               "once and not for every seed")


def check_leaves_the_global_random_state_alone(case: Case) -> None:
    kept = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        torch.manual_seed(99), np.random.seed(99), random.seed(99)
        before = _random_state()
        answer = case.discover()
        demand(_random_state() == before, "it changes the global random state: draw from context.rng(...) only")
        demand(gap(case.usual, answer) == 0, "its answer depends on the global random state: use context.rng(...)")
    finally:
        torch.set_rng_state(kept[0]), np.random.set_state(kept[1]), random.setstate(kept[2])


def check_leaves_generators_alone(case: Case) -> None:
    gans = case.gans()
    for gan in gans:
        gan.train()
        gan.mean.requires_grad_(True)
    before = [_state(gan) for gan in gans]
    case.discover(gans)
    for old, new in zip(before, map(_state, gans)):
        for what, a, b in zip(("its weights", "its training mode", "its parameters' requires_grad or grad"), old, new):
            demand(a == b, f"discovery changes the generator: {what}")
    demand(torch.is_grad_enabled(), "gradients are switched off globally after discovery")


def check_saved_directions_are_the_same(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for directions in case.usual:
            file = Path(folder, "directions.safetensors")
            directions.save(file)
            demand(gap([directions], [Directions.load(file)]) <= 1e-2, "directions are others after saving and loading")


def check_a_batch_equals_its_samples(case: Case) -> None:
    latents = torch.randn(4, DIM, generator=torch.Generator().manual_seed(3))
    for directions in case.usual:
        together = directions.shift_all(latents, 2.0).unflatten(0, (len(directions), 4))
        alone = directions.shift(latents[1:2], 2, 2.0)[0]
        demand((alone - together[2, 1]).abs().max() < 1e-4, "an edit depends on the other latents of its batch")


def check_works_on_generators_fed_with_z(case: Case) -> None:
    for directions in case.discover(case.gans("z")):
        demand(directions.space == "z", f"on a generator without w it finds directions of {directions.space!r}")
        demand(torch.isfinite(moves(directions)).all(), "directions of z are not finite")


def check_too_many_directions_are_refused_or_given(case: Case) -> None:
    kept, case.params = case.params, {**case.params, "n_directions": DIM + 1}
    try:
        for directions in case.discover():
            demand(len(directions) == DIM + 1, f"{DIM + 1} directions were asked for, {len(directions)} were given")
    except (ValueError, DiscoveryError) as error:
        demand(str(DIM + 1) in str(error), f"the error for {DIM + 1} directions of {DIM} dimensions does not name the "
               f"number: {error}")
    finally:
        case.params = kept


def check_says_why_where_a_generator_gives_nan(case: Case) -> None:
    gans = case.gans()
    for parameter in gans[-1].parameters():
        parameter.data.fill_(float("nan"))
    try:
        answer = case.discover(gans)
    except (DiscoveryError, ValueError) as error:
        told = any(word in str(error).lower() for word in (case.cls.name, "nan", "finite"))
        demand(told, f"the error for a generator of NaN names neither the method nor the trouble: {error}")
    except Exception as error:
        raise Fault(f"a generator of NaN gives {type(error).__name__} ({error}); raise DiscoveryError, so "
                    "that the cell says why it failed") from error
    else:
        demand(gap(case.usual, answer) == 0, "a generator of NaN gives directions without a word: check, and raise "
               "DiscoveryError")


def check_counts_its_images(case: Case) -> None:
    gans = case.gans()
    with count_images(*gans) as count:
        case.discover(gans)
    said = case.cls(**case.params).images()
    demand(count.images == said, f"images() says {said}, but {count.images} were made: plans are wrong by that much")


def check_reports_progress(case: Case) -> None:
    seen: list[tuple[int, int]] = []
    case.discover(progress=lambda done, total: seen.append((done, total)))
    demand(seen or not case.cls(**case.params).steps, "a training must call context.progress(done, total)")
    if seen:
        done = [d for d, _ in seen]
        demand(done == sorted(done) and seen[-1][0] == seen[-1][1] and len({t for _, t in seen}) == 1,
               f"progress must rise to its total; it was {seen[0]} first and {seen[-1]} last")


CHECKS = tuple(value for name, value in list(globals().items())
               if name.startswith("check_") and value is not check_method)


def _random_state() -> tuple:
    return (torch.get_rng_state().numpy().tobytes(), np.random.get_state()[1].tobytes(), random.getstate())


def _state(net: nn.Module) -> tuple:
    weights = {name: value.cpu().numpy().tobytes() for name, value in net.state_dict().items()}
    flags = [(p.requires_grad, p.grad is None) for p in net.parameters()]
    return weights, [m.training for m in net.modules()], flags

"""What every registered method must do, single or paired, ours or a user's: one test, (check x method).

A check is a function of a ``Case``. Methods are found by the registry, so a new file in ``methods/`` is tested by being
there; ``test_params`` of its class keep it quick. Nothing here knows any method by name.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import DIM, PlantedExtractor, PlantedGenerator, PlantedOracle, planted_ratio, recovery

from benchmarks.counting import count_images
from methods.base import Context, DiscoveryError
from methods.directions import Directions, Vectors
from methods.registry import build, load_all

K = 6
FEW_STEPS = 8  # of a training, where how well it ends does not matter
FACTORS = (0, 1, 2, 3, 4, 5)
CLIENT_FACTORS = (0, 1, 2, 3, 6, 7)  # four in common with the reference


class Case:
    """A method class with small settings, and what it may need."""

    def __init__(self, cls) -> None:
        self.cls = cls
        sizes = {"n_directions": K, "n_common": 4} if cls.paired else {"n_directions": K}
        self.full = {**sizes, **cls.test_params}  # what recovery is measured with
        trained = any(f.name == "n_steps" for f in dataclasses.fields(cls))
        self.params = {**self.full, "n_steps": FEW_STEPS} if trained else self.full

    def gans(self, space: str = "w") -> list[PlantedGenerator]:
        pair = [PlantedGenerator(FACTORS, space, seed=0), PlantedGenerator(CLIENT_FACTORS, space, seed=1)]
        return pair if self.cls.paired else pair[:1]

    def discover(self, gans=None, seed: int = 0, params=None, **context) -> list[Directions]:
        gans = self.gans() if gans is None else gans
        method = self.cls(**{**self.params, **(params or {})})
        needed = {name: judge() for name, judge in JUDGES.items() if name in method.needs}
        context = Context(**{"seed": seed, **needed, **context})
        return list(method.discover_pair(*gans, context)) if self.cls.paired else [method.discover(*gans, context)]

    @functools.cached_property
    def usual(self) -> list[Directions]:
        return self.discover()


JUDGES = {"extractor": functools.cache(PlantedExtractor), "teacher": functools.cache(lambda: PlantedOracle(FACTORS)),
          "density_ratio": functools.cache(lambda: planted_ratio(FACTORS, CLIENT_FACTORS))}
CASES = {name: Case(cls) for name, cls in load_all()[0].items()}


def moves(directions: Directions, n: int = 8, strength: float = 3.0) -> torch.Tensor:
    """Edits less originals [K, n, ...] of fixed latents."""
    latents = torch.randn(n, DIM, generator=torch.Generator().manual_seed(5))
    return directions.shift_all(latents, strength).unflatten(0, (len(directions), n)) - (
        latents if directions.moves(latents, torch.arange(1)).ndim == 3 else latents[:, None])


def gap(one: list[Directions], other: list[Directions]) -> float:
    """Largest difference of any edit between two answers."""
    return max((moves(a) - moves(b)).abs().max().item() for a, b in zip(one, other, strict=True))


def check_says_what_it_is(case: Case) -> None:
    method = case.cls()
    assert case.cls.source, "name the paper, section and year in `source`"
    assert set(case.cls.needs) <= set(JUDGES)
    assert case.cls.beats_random_by is not None or case.cls.why_not, "say beats_random_by, or why_not"
    assert method.steps == case.cls.published_steps(), "the default of n_steps is the published one"
    stored = json.loads(json.dumps(method.params()))  # as a suite file and a results file hold them
    assert build(case.cls.name, stored) == method


def check_gives_k_unit_moves_in_a_named_space(case: Case) -> None:
    method = case.cls(**case.params)
    for gan, directions in zip(case.gans(), case.usual, strict=True):
        assert len(directions) == method.n_directions
        assert gan.check_space(directions.space) == directions.space
        latents = gan.sample(5, torch.Generator().manual_seed(0), directions.space)
        got = directions.moves(latents, torch.arange(len(directions)))
        assert got.shape[:2] == (len(directions), 5) and got.shape[-1] == gan.dim(directions.space)
        assert torch.isfinite(got).all()
        lengths = got.norm(dim=-1) if got.ndim == 3 else got.norm(dim=-1).amax(dim=2)  # of the row that moves most
        torch.testing.assert_close(lengths, torch.ones(got.shape[:2]), atol=1e-5, rtol=0)
        assert torch.isfinite(gan.synthesize(directions.shift_all(latents, 1.0), directions.space)).all()
        assert directions.scales.shape == (len(directions),) and (directions.scales > 0).all()
        json.dumps(directions.notes)


def check_seed_decides(case: Case) -> None:
    assert gap(case.usual, case.discover()) == 0, "same seed, another answer"
    other = case.discover(seed=1)
    if case.cls.deterministic:
        assert gap(case.usual, other) == 0, "deterministic, but the seed changes the answer"
    else:
        assert gap(case.usual, other) > 1e-3, "the seed changes nothing: say deterministic = True"


def check_global_random_state_is_neither_read_nor_changed(case: Case) -> None:
    torch.manual_seed(99), np.random.seed(99), random.seed(99)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    answer = case.discover()
    after = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]
    assert gap(case.usual, answer) == 0
    assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32


def check_leaves_networks_alone(case: Case) -> None:
    """Weights, modes, gradient flags, hooks and a random source of its own are after as they were before."""
    gans = case.gans()
    for gan in gans:
        gan.train()
        gan.mean.requires_grad_(True)
        gan.own_rng = torch.Generator().manual_seed(3)
    networks = [*gans, *(judge() for name, judge in JUDGES.items() if name in case.cls.needs)]

    def state() -> list:
        return [({n: t.clone() for n, t in net.state_dict().items()}, [m.training for m in net.modules()],
                 [(p.requires_grad, p.grad is None, p.dtype) for p in net.parameters()],
                 [len(m._forward_hooks) + len(m._forward_pre_hooks) + len(m._backward_hooks) for m in net.modules()],
                 sorted(net.__dict__), [g.own_rng.get_state().tolist() for g in gans]) for net in networks]

    before = state()
    case.discover(gans)
    for (weights, *flags), (weights_after, *flags_after) in zip(before, state()):
        assert flags == flags_after
        assert all(torch.equal(t, weights_after[name]) for name, t in weights.items())


def check_saving_keeps_every_edit(case: Case, folder: Path) -> None:
    for i, directions in enumerate(case.usual):
        file = folder / f"{i}.safetensors"
        directions.save(file)
        raw = file.read_bytes()  # a length, that much JSON, then numbers: no room for a pickle
        header = int.from_bytes(raw[:8], "little")
        parts = [part for name, part in json.loads(raw[8:8 + header]).items() if name != "__metadata__"]
        assert len(raw) == 8 + header + max(part["data_offsets"][1] for part in parts)
        loaded = Directions.load(file)
        assert type(loaded) is type(directions) and loaded.space == directions.space
        assert loaded.notes == json.loads(json.dumps(directions.notes))
        assert torch.equal(loaded.scales, directions.scales)
        halved = any(t.numel() >= 1_000_000 for t in directions.tensors().values())
        assert gap([directions], [loaded]) <= (1e-2 if halved else 1e-5)


def check_batch_does_not_matter(case: Case) -> None:
    latents = torch.randn(4, DIM, generator=torch.Generator().manual_seed(3))
    for directions in case.usual:
        together = directions.shift_all(latents, 2.0).unflatten(0, (len(directions), 4))
        for k in (0, len(directions) - 1):
            for i in range(4):
                alone = directions.shift(latents[i:i + 1], k, 2.0)[0]
                torch.testing.assert_close(alone, together[k, i], atol=1e-5, rtol=0)


def check_chunk_does_not_matter(case: Case) -> None:
    """Only rounding may differ; training amplifies it, so trained directions get more room."""
    assert gap(case.usual, case.discover(chunk=5)) <= (0.05 if case.cls(**case.params).steps else 1e-3)


def check_too_many_directions(case: Case) -> None:
    """More than the space has dimensions: an error that says so, or as many as asked for; orthogonal ones must err."""
    def orthogonal(d: Directions) -> bool:
        off = d.vectors @ d.vectors.T - torch.eye(len(d)) if isinstance(d, Vectors) else torch.ones(1)
        return off.abs().max().item() < 1e-4

    try:
        answer = case.discover(params={"n_directions": DIM + 1})
    except (ValueError, DiscoveryError) as error:
        assert str(DIM + 1) in str(error), "the message names the number that was asked for"
    else:
        assert all(len(d) == DIM + 1 for d in answer)
        assert not all(orthogonal(d) for d in case.usual)


def check_progress_rises_to_the_total(case: Case) -> None:
    """And never runs ahead of the images made, nor leaves half of the work unreported."""
    gans, seen = case.gans(), []
    with count_images(*gans) as count:
        case.discover(gans, progress=lambda done, total: seen.append((done, total, count.images)))
    steps = case.cls(**case.params).steps
    assert seen or not (steps or count.images), "who trains or makes images reports progress"
    if seen:
        done, totals, images = map(list, zip(*seen))
        assert done == sorted(done) and done[-1] == totals[-1] and len(set(totals)) == 1
        assert not steps or totals[0] == steps, "the total of a training is its steps"
        assert all(i >= count.images * d / totals[0] - 1e-6 for d, i in zip(done, images)), "more said than done"
        silent = max(np.diff([0, *done])) > totals[0] / 2
        assert not (silent and (steps or count.images)), "half of the work passed without a word"


def check_resumes_to_the_same_answer(case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = case.cls(**case.params).steps
    if not steps:  # a closed form has nothing to resume and leaves no file behind
        case.discover(checkpoint=folder / "unused")
        assert not list(folder.iterdir())
        return
    monkeypatch.setattr("methods._training.SAVE_SECONDS", 0.0)  # save after every step, not every minute
    checkpoint = folder / "checkpoint"

    def interrupt(done: int, total: int) -> None:
        if done >= total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        case.discover(checkpoint=checkpoint, progress=interrupt)
    assert checkpoint.exists(), "half of the training is lost on an interruption"
    first: list[int] = []
    answer = case.discover(checkpoint=checkpoint, progress=lambda done, total: first.append(done))
    assert first[0] > 0, "the second run started again"
    assert gap(case.usual, answer) == 0
    with pytest.warns(UserWarning, match="checkpoint"):  # never another run's
        other = case.discover(checkpoint=checkpoint, seed=1)
    assert gap(other, case.discover(seed=1)) == 0


def check_says_why_on_a_broken_generator(case: Case) -> None:
    """All weights NaN: an error with a reason. A method that never looks at the generator may answer as ever."""
    gans = case.gans()
    for parameter in gans[-1].parameters():
        parameter.data.fill_(float("nan"))
    try:
        answer = case.discover(gans)
    except DiscoveryError as error:
        assert case.cls.name in str(error) and ("NaN" in str(error) or "nan" in str(error))
    else:
        assert gap(case.usual, answer) == 0, "nonsense was returned without a word"


def check_says_where_images_turn_nan(case: Case) -> None:
    """Good for the first half of its images, NaN then: an error with the method's name and, if it trains, the step."""
    gans, whole, made = case.gans(), case.cls(**case.params).images(), [0]

    def spoilt(function):
        def call(latent, *args, **kwargs):
            made[0] += len(latent)
            out = function(latent, *args, **kwargs)
            return out if made[0] <= whole // 2 else out * float("nan")
        return call

    for gan in gans:
        for name in ("synthesize", "activations"):
            object.__setattr__(gan, name, spoilt(getattr(gan, name)))
    if not whole:
        assert gap(case.usual, case.discover(gans)) == 0
        return
    with pytest.raises(DiscoveryError, match=re.escape(case.cls.name)) as error:
        case.discover(gans)
    assert "step" in str(error.value) or not case.cls(**case.params).steps


def check_half_precision_generators_work(case: Case) -> None:
    for directions in case.discover([gan.bfloat16() for gan in case.gans()]):
        assert torch.isfinite(moves(directions)).all()
        assert all(t.dtype != torch.bfloat16 for t in directions.tensors().values())


def check_z_fed_generators_work(case: Case) -> None:
    for directions in case.discover(case.gans("z")):
        assert directions.space == "z" and len(directions) == case.cls(**case.params).n_directions
        assert torch.isfinite(moves(directions)).all()


def check_counts_its_images(case: Case) -> None:
    gans = case.gans()
    with count_images(*gans) as count:
        case.discover(gans)
    assert count.images == case.cls(**case.params).images()


def check_own_objective_falls(case: Case) -> None:
    """The last steps cost less than the same draws do with every learning rate at zero, on average over seeds."""
    rates = {f.name: 0.0 for f in dataclasses.fields(case.cls) if f.name == "lr" or f.name.endswith("_lr")}
    if not case.cls(**case.params).steps or case.cls.objective_why_not:
        return
    assert rates, "a training has a learning rate `lr`"
    gains = []
    for seed in range(2):
        still, trained = (case.discover(seed=seed, params={**case.full, "n_steps": 30, **more})[0].notes["loss_last"]
                          for more in (rates, {}))
        gains.append(still - trained)
    assert np.mean(gains) > 0, f"the loss does not fall: {gains}; mend it, or say objective_why_not"


def check_recovers_planted_factors(case: Case) -> None:
    """Better than random directions by the margin that the class claims, in w and fed with z; or else not better."""
    floor, gains = CASES["random"], []
    for space in ("w", "z"):
        gans = case.gans(space)
        k = case.cls(**case.full).n_directions
        answer = case.discover(gans, params=case.full)
        found = np.mean([recovery(d, gan) for d, gan in zip(answer, gans, strict=True)])
        chance = np.mean([recovery(floor.discover([gan], seed, {"n_directions": k})[0], gan)
                          for gan in gans for seed in range(5)])
        gains.append(found - chance)
        if case.cls.beats_random_by is not None:
            assert gains[-1] >= case.cls.beats_random_by, f"{space}: {found:.3f}, random {chance:.3f}"
    if case.cls.beats_random_by is None:
        assert min(gains) < 0.1, f"better than random by {gains} (in w, fed with z): say so in beats_random_by"


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]


@pytest.mark.parametrize("check", CHECKS, ids=lambda f: f.__name__.removeprefix("check_"))
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_method(case, check, tmp_path, monkeypatch):
    extras = {"folder": tmp_path, "monkeypatch": monkeypatch}
    wanted = check.__code__.co_varnames[: check.__code__.co_argcount]
    check(case, **{name: extras[name] for name in wanted if name in extras})


def test_every_file_in_methods_can_be_loaded():
    assert load_all()[1] == {}


def test_checks_catch_a_method_that_cheats():
    """The contract itself is tried on a method that breaks it: constant answers, a changed generator, silent NaN."""
    from methods.base import DirectionMethod

    @dataclasses.dataclass(frozen=True)
    class Cheat(DirectionMethod):
        name = "cheat"
        beats_random_by = 0.3

        def discover(self, generator, context):
            generator.mean.data += 1
            torch.manual_seed(context.seed)
            context.progress(1, 2)
            flat = torch.nan_to_num(generator.mean.detach().float())
            return Vectors(torch.ones(self.n_directions, DIM) + 1e-3 * flat, "w")

    case = Case(Cheat)
    caught = set()
    for check in (check_says_what_it_is, check_seed_decides, check_leaves_networks_alone, check_z_fed_generators_work,
                  check_global_random_state_is_neither_read_nor_changed, check_recovers_planted_factors,
                  check_progress_rises_to_the_total, check_says_why_on_a_broken_generator):
        with pytest.raises(AssertionError):
            check(copy.copy(case))
        caught.add(check)
    assert len(caught) == 8

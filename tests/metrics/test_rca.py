"""RCA: different directions are told apart, equal ones are not, and the score is a function of what was seen."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.planted import PlantedGenerator
from helpers.tiny import arguments

from dirbench.benchmarks.commands import main
from dirbench.benchmarks.config.errors import ConfigError
from dirbench.benchmarks.config.suite import PROFILES, load_profile
from dirbench.benchmarks.generators.counting import count_images
from dirbench.benchmarks.stages.latents import evaluation_latents
from dirbench.directions import Layerwise, Vectors
from dirbench.image_metric import GeneratorInputs, Measured
from dirbench.method import Context
from dirbench.metrics.rca import RCA, edited
from dirbench.plugins import METRICS

pytestmark = pytest.mark.numeric
K, N = 4, 100
SHORT = RCA(n_steps=120, batch=32, lr=3e-3, min_shift=0.5)


@pytest.fixture(scope="module")
def planted():
    return PlantedGenerator()


def inputs(planted, vectors, chunk: int = 64, seed: int = 0) -> GeneratorInputs:
    return GeneratorInputs(planted, Vectors(vectors, "w"), evaluation_latents(planted, "w", N, 0), 3.0,
                           Context(seed=seed, chunk=chunk))


@pytest.fixture(scope="module")
def different(planted):
    return Measured(SHORT.measure(inputs(planted, planted.planted[:K])))


def score(measured: Measured, resamples: int = 100):
    return SHORT.compute(measured, "headline", resamples)


def test_different_directions_are_told_apart(different):
    """Half a training: 0.96 with a standard deviation of 0.02 over seeds; the limit is 15 deviations of chance away."""
    found = score(different)
    assert found.value > 0.6 and found.ci_low <= found.value <= found.ci_high
    assert found.value > SHORT.chance(different, "headline").high and found.n == N
    assert np.mean(found.details["by_direction"]) == pytest.approx(found.value)


def test_equal_directions_are_not(planted):
    measured = Measured(SHORT.measure(inputs(planted, planted.planted[:1].repeat(K, 1))))
    chance = SHORT.chance(measured, "headline")
    assert chance.mean == 1 / K and chance.low < 1 / K < chance.high
    # 400 guesses at 1/4 have a standard deviation of 0.0217 (less, as each latent is guessed K times): 5 of it
    assert abs(score(measured).value - 1 / K) < 0.11


def test_the_score_is_the_share_of_edits_that_were_named():
    named = np.array([[0, 1], [0, 0], [1, 1]])
    measured = Measured({"named": named, "shift": np.zeros((3, 2)), "guessed": np.full((3, 2), 0.5)})
    found = score(measured, 0)
    assert found.value == pytest.approx(4 / 6) and np.isnan(found.ci_low)
    assert found.details == {"by_direction": pytest.approx([2 / 3, 2 / 3]), "shift_error_in_alpha": 0.5}
    perfect, wrong = (Measured({**measured.arrays, "named": np.tile(row, (3, 1))}) for row in ([0, 1], [1, 0]))
    assert (score(perfect).value, score(wrong).value) == (1, 0) and RCA.higher_is_better
    with pytest.raises(ValueError, match='no protocol "index"'):
        SHORT.compute(measured, "index")


def test_chance_narrows_with_the_edits():
    def half(n):
        band = SHORT.chance(Measured({"named": np.zeros((n, 16))}), "headline")
        assert band.mean == 1 / 16 and band.low < band.mean < band.high
        return band.high - band.low

    assert half(400) == pytest.approx(half(100) / 2, rel=0.1)


def test_images_are_as_planned_and_chunks_seeds_and_generator_keep_still(planted):
    few = RCA(n_steps=2, batch=4)
    state = {name: tensor.clone() for name, tensor in planted.state_dict().items()}
    with count_images(planted) as count:
        one = few.measure(inputs(planted, planted.planted[:K]))
    assert count.images == few.images(K, N) == 2 * 4 * 2 + N * (1 + K)
    same, other = (few.measure(inputs(planted, planted.planted[:K], 5, seed)) for seed in (0, 1))
    np.testing.assert_array_equal(one["named"], same["named"])
    np.testing.assert_allclose(one["guessed"], same["guessed"], atol=1e-4)
    assert not np.array_equal(one["shift"], other["shift"])
    assert np.all((np.abs(one["shift"]) >= few.min_shift) & (np.abs(one["shift"]) <= few.max_shift))
    assert one["named"].shape == one["shift"].shape == one["guessed"].shape == (N, K)
    assert all(torch.equal(tensor, state[name]) for name, tensor in planted.state_dict().items())


def test_an_interrupted_training_goes_on_to_the_same_answer(planted, tmp_path, monkeypatch):
    monkeypatch.setattr("dirbench.training.SAVE_SECONDS", 0.0)
    few, whole = RCA(n_steps=4, batch=4), inputs(planted, planted.planted[:K])
    expected = few.measure(whole)

    def stop(done, total):
        if done == 2:
            raise KeyboardInterrupt

    for progress in (stop, lambda done, total: None):
        context = Context(chunk=64, checkpoint=tmp_path / "state.pt", progress=progress)
        part = GeneratorInputs(planted, whole.directions, whole.latents, 3.0, context)
        if progress is stop:
            with pytest.raises(KeyboardInterrupt):
                few.measure(part)
            assert context.checkpoint.exists()
    assert np.array_equal(few.measure(part)["guessed"], expected["guessed"])


@pytest.mark.parametrize("kind", ["global", "layerwise"])
def test_each_latent_is_moved_by_its_own_direction_and_strength(planted, kind):
    vectors = planted.planted[:3]
    directions = Vectors(vectors, "w") if kind == "global" else Layerwise(vectors, torch.rand(3, 3) + 0.1, "w")
    latents, index = torch.randn(5, planted.w_dim), torch.tensor([2, 0, 2, 1, 0])
    strength = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0])
    moved = edited(directions, latents, index, strength)
    for i in range(5):
        alone = directions.shift(latents[i:i + 1], int(index[i]), float(strength[i]))
        torch.testing.assert_close(moved[i:i + 1], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("params, words", [
    ({"reconstructor": "vgg"}, "expected one of auto, lenet, resnet18"), ({"batch": 1}, "batch=1, expected 2 or more"),
    ({"min_shift": 3.0}, "0 <= min_shift <= max_shift"), ({"n_step": 5}, 'unknown setting "n_step". Did you mean'),
    ({"n_steps": "many"}, "rca: n_steps: .*'many'")])
def test_wrong_settings_are_refused(params, words):
    with pytest.raises(ValueError, match=words):
        METRICS.build("rca", params)


def test_settings_of_a_metric_without_any_are_refused():
    assert METRICS.build("rca", {"n_steps": 7}).n_steps == 7 and METRICS.build("effect").name == "effect"
    with pytest.raises(ValueError, match='effect: unknown setting "n_steps"; it has none'):
        METRICS.build("effect", {"n_steps": 7})


# -- through a suite -----------------------------------------------------------------------------------------
def run(folder, out: str, methods: str = "random,sefa") -> int:
    args = arguments(folder, out, "store", methods, "--metrics", "effect,rca", "--workers", "1")
    with open(folder / "tiny.yaml", "a", encoding="utf-8") as file:
        file.write("metrics:\n  rca: {n_steps: 2, batch: 2}\n")
    return main(args)


def rows(folder, out: str) -> pd.DataFrame:
    table = pd.read_csv(folder / out / "rows.csv", keep_default_na=False)
    return table[table["metric"] == "rca"]


def test_a_suite_lists_it_like_any_metric_and_it_is_trained_once(tmp_path):
    assert run(tmp_path, "run") == 0
    found = rows(tmp_path, "run")
    assert set(zip(found["method"], found["reference"])) == {(m, g) for m in ("random", "sefa")
                                                             for g in ("full", "no_hats")}
    assert (found["status"] == "ok").all() and (found["chance"].astype(float) == 1 / 16).all()
    assert (found["effect"].astype(float) > 0).all() and (found["n"].astype(int) == 8).all()
    cells = pd.read_csv(tmp_path / "run" / "cells.csv", keep_default_na=False)
    mine = cells[cells["kind"] == "measure"]
    assert len(mine) == 4 and (mine["images"] == 2 * 2 * 2 + 8 * 17).all()
    assert (tmp_path / "run" / "tables" / "by_gan_rca.md").exists()
    made = sorted((tmp_path / "store" / "evaluation").glob("*/made.json"))
    before = [path.read_bytes() for path in made]
    assert run(tmp_path, "again") == 0
    assert [path.read_bytes() for path in made] == before and len(made) == 4
    pd.testing.assert_frame_equal(rows(tmp_path, "again"), found)


def test_one_that_fails_takes_no_other_score_with_it(tmp_path, monkeypatch):
    def fail(self, inputs):
        raise RuntimeError("no memory left")

    monkeypatch.setattr(RCA, "measure", fail)
    assert run(tmp_path, "run", "sefa") == 1
    found = rows(tmp_path, "run")
    assert len(found) == 2 and (found["status"] == "failed").all() and found["reason"].str.contains("no memory").all()
    table = pd.read_csv(tmp_path / "run" / "rows.csv", keep_default_na=False)
    assert (table.loc[table["metric"] == "effect", "status"] == "ok").all()
    assert math.isnan(float(found["value"].iloc[0] or "nan"))


def test_a_profile_with_wrong_sizes_is_named_with_its_place(tmp_path):
    path = tmp_path / "own.yaml"
    shipped = (PROFILES / "smoke.yaml").read_text(encoding="utf-8")
    path.write_text(shipped.replace("rca: {n_steps: 3,", "rca: {n_step: 3,"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r'own.yaml:\d+: metrics: rca: unknown setting "n_step"'):
        load_profile(str(path))

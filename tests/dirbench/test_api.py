"""The work in Python: what a name, an instance or a file stands for, and that a run is the command's run."""

import shutil

import pandas as pd
import pytest
import torch
from helpers.tiny import arguments, profile

import dirbench
from dirbench.benchmarks.commands import main
from dirbench.benchmarks.zoo.zoo import load_zoo
from dirbench.methods.random_directions import RandomDirections

FULL = load_zoo("mini").file("full")


@pytest.fixture(scope="module")
def gan():
    return dirbench.load_generator("mini:full")


def test_a_generator_is_the_same_by_every_name(gan, tmp_path):
    mine = shutil.copy(FULL, tmp_path / "mine.safetensors")
    (tmp_path / "mine.yaml").write_text("generator:\n  checkpoint: mine.safetensors\n")
    for given in (mine, str(mine), {"checkpoint": mine}, {"generator": {"checkpoint": mine}}, tmp_path / "mine.yaml"):
        assert dirbench.load_generator(given).fingerprint() == gan.fingerprint() == load_zoo("mini").load(
            "full").fingerprint()


def test_a_class_is_made_with_its_settings():
    small = dirbench.load_generator("helpers.planted:PlantedGenerator")
    assert isinstance(small, dirbench.Generator)
    assert not any(parameter.requires_grad for parameter in small.parameters())


@pytest.mark.parametrize("wrong, settings, sentence", [
    ("nothing.pt", {}, "no checkpoint nothing.pt: there is no such file"),
    ("nothing:Class", {}, "module: nothing cannot be imported"),
    ("mini:ful", {}, 'unknown GAN "ful". Did you mean "full"?'),
    ("mini:full", {"label": 3}, "mini:full is a zoo's GAN, whose settings are in its zoo.yaml; got label"),
    (FULL, {"lable": 3}, "lable"),
    ({"family": "sngan"}, {}, "a generator needs the key checkpoint; got family"),
])
def test_what_is_no_generator_is_said(wrong, settings, sentence):
    with pytest.raises(ValueError) as error:
        dirbench.load_generator(wrong, **settings)
    assert sentence in str(error.value)


def test_a_method_by_name_is_the_instance_with_these_settings(gan):
    by_name = dirbench.discover("random", gan, seed=3, n_directions=4)
    made = dirbench.discover(RandomDirections(n_directions=4), gan, seed=3)
    assert len(by_name) == 4 and torch.equal(by_name.vectors, made.vectors)


def test_a_supervised_method_learns_from_a_teacher_by_name(gan):
    found = dirbench.discover("interfacegan", gan, teacher="teacher", n_samples=400)
    assert len(found) == 16 and torch.isfinite(found.vectors).all()


def test_a_pair_gives_a_pair_compared_by_an_extractor_by_name(gan):
    client, few = dirbench.load_generator("mini:no_hats"), dict(n_steps=2, batch=2, per_step=4, n_directions=4)
    found = dirbench.discover("xga", gan, client, extractor="efficientnet_lite0", unique_weight=0, n_common=4, **few)
    assert [len(one) for one in found] == [4, 4]


@pytest.mark.parametrize("name, settings, sentence", [
    ("sefaa", {}, 'unknown method "sefaa". Did you mean "sefa"?'),
    ("sefa", {"n_direction": 3}, "n_directions"),
    ("interfacegan", {}, "interfacegan needs teacher=: an instance, or one of"),
    ("contrafeat", {}, "contrafeat needs extractor=: an instance, or one of advbn_resnet50"),
    ("contrafeat", {"extractor": "efficientnet_lite"}, 'Did you mean "efficientnet_lite0"'),
    ("xga", {}, "xga finds directions of two generators: give it a client, too"),
])
def test_what_does_not_fit_is_said(gan, name, settings, sentence):
    with pytest.raises(ValueError) as error:
        dirbench.discover(name, gan, **settings)
    assert sentence in str(error.value)


def test_an_instance_has_its_settings_and_one_generator_is_enough_for_most(gan):
    with pytest.raises(ValueError, match="random has its settings already; got n_directions"):
        dirbench.discover(RandomDirections(), gan, n_directions=3)
    with pytest.raises(ValueError, match="random finds directions of one generator"):
        dirbench.discover("random", gan, gan)


def test_a_run_in_python_is_the_commands_run_without_its_words(tmp_path, capsys):
    threads = torch.get_num_threads()
    rows = dirbench.run("celeba_subsets", profile(tmp_path), out=tmp_path / "python", store=tmp_path / "store",
                        methods=["random", "sefa"], device="cpu")
    assert not capsys.readouterr().out and torch.get_num_threads() == threads
    assert main(arguments(tmp_path, "typed", "store", "random,sefa", "--device", "cpu")) == 0
    files = [{path.relative_to(tmp_path / run).as_posix() for path in (tmp_path / run).rglob("*") if path.is_file()}
             for run in ("python", "typed")]
    assert files[0] == files[1] and "summary.md" in files[0]
    assert (tmp_path / "python/rows.csv").read_bytes() == (tmp_path / "typed/rows.csv").read_bytes()
    stored = pd.read_csv(tmp_path / "python/rows.csv", comment="#", keep_default_na=False)
    assert len(rows) == len(stored) and set(rows["method"]) == {"random", "sefa"} == set(stored["method"])


def test_a_cell_that_fails_is_warned_of_and_has_rows(tmp_path, monkeypatch):
    def fails(self, generator, context):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(RandomDirections, "discover", fails)
    with pytest.warns(UserWarning, match="out of luck.*the traceback is in"):
        rows = dirbench.run("celeba_subsets", profile(tmp_path), out=tmp_path / "run", store=tmp_path / "store",
                            methods=["random"], metrics=["effect"], device="cpu", workers=1)
    assert set(rows["status"]) == {"failed"} and list((tmp_path / "run/errors").iterdir())


@pytest.mark.parametrize("choices, sentence", [
    ({"methods": "sefa"}, 'methods="sefa": expected a list, such as ["sefa"]'),
    ({"methods": ["sefaa"]}, 'unknown method "sefaa"'),
    ({"seeds": [-1]}, "seeds=[-1]: expected whole numbers from 0"),
    ({"workers": 0}, "workers=0: expected a whole number from 1"),
    ({"suite": "celeba"}, 'Did you mean "celeba_subsets"'),
])
def test_what_cannot_be_run_is_said_before_anything_is_written(tmp_path, choices, sentence):
    asked = {"suite": "celeba_subsets", "profile": "smoke", "out": tmp_path / "run", "device": "cpu", **choices}
    with pytest.raises(ValueError) as error:
        dirbench.run(**asked)
    assert sentence in str(error.value) and not (tmp_path / "run").exists()

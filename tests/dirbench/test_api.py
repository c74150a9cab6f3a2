"""The work in Python: what a name, an instance or a file stands for, and that a run is the command's run."""

import pandas as pd
import pytest
import torch
from helpers.tiny import profile

import dirbench
from dirbench.methods.random_directions import RandomDirections


@pytest.fixture(scope="module")
def gan():
    return dirbench.load_generator("mini/full")


def test_a_generator_of_a_zoo_is_the_zoos(gan):
    from dirbench.benchmarks.zoo.zoo import load_zoo
    assert gan.fingerprint() == load_zoo("mini").load("full").fingerprint()


@pytest.mark.parametrize("wrong", ["nothing.pt", "nothing:Class", {"family": "sngan"}])
def test_what_is_no_generator_is_said(wrong):
    with pytest.raises((ValueError, OSError)):
        dirbench.load_generator(wrong)


def test_a_method_by_name_is_the_instance_with_these_settings(gan):
    by_name = dirbench.discover("random", gan, seed=3, n_directions=4)
    made = dirbench.discover(RandomDirections(n_directions=4), gan, seed=3)
    assert len(by_name) == 4 and torch.equal(by_name.vectors, made.vectors)


@pytest.mark.parametrize("arguments, settings, sentence", [
    (("sefaa",), {}, 'unknown method "sefaa". Did you mean "sefa"?'),
    (("sefa",), {"n_direction": 3}, "n_directions"),
    (("interfacegan",), {}, "needs a context with teacher"),
    (("xga",), {}, "give it a client"),
])
def test_what_does_not_fit_is_said(gan, arguments, settings, sentence):
    with pytest.raises(ValueError) as error:
        dirbench.discover(arguments[0], gan, **settings)
    assert sentence in str(error.value)


def test_an_instance_has_its_settings_and_one_generator_is_enough_for_most(gan):
    with pytest.raises(ValueError, match="random has its settings already; got n_directions"):
        dirbench.discover(RandomDirections(), gan, n_directions=3)
    with pytest.raises(ValueError, match="random finds directions of one generator"):
        dirbench.discover("random", gan, gan)


def test_a_run_in_python_writes_the_commands_folder(tmp_path, capsys):
    rows = dirbench.run("celeba_subsets", profile(tmp_path), tmp_path / "run", methods=["random"], metrics=["effect"],
                        store=tmp_path / "store", device="cpu")
    assert len(rows) and set(rows["status"]) == {"ok"}
    stored = pd.read_csv(tmp_path / "run" / "rows.csv", comment="#")
    assert list(rows["metric"].unique()) == ["effect"] == list(stored["metric"].unique())
    assert {"summary.md", "run.json", "cells.csv"} <= {path.name for path in (tmp_path / "run").iterdir()}

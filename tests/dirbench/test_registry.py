"""Methods and metrics are found by being there: a user's file, a broken one, a name used twice, a typo."""

from __future__ import annotations

import sys

import pytest
import torch
from helpers.planted import PlantedGenerator

from dirbench import methods, metrics
from dirbench.method import Context
from dirbench.names import UnknownName
from dirbench.plugins import METHODS, METRICS, method_group

MINE = '''
from dataclasses import dataclass

import torch

from dirbench.method import DirectionMethod
from dirbench.directions import Vectors


@dataclass(frozen=True)
class Mine(DirectionMethod):
    name = "{name}"
    n_directions: int = 3
    strength: float = 1.0

    def discover(self, generator, context):
        return Vectors(torch.eye(generator.dim())[: self.n_directions], generator.space)
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder that counts as ``methods/`` too."""
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    known = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.startswith("dirbench.methods."):
            del sys.modules[name]
            vars(methods).pop(name.removeprefix("dirbench.methods."), None)


def test_a_file_is_a_method(folder):
    (folder / "my_own.py").write_text(MINE.format(name="mine"))
    assert "mine" in METHODS.load_all()[0]
    directions = METHODS.build("mine", {"n_directions": 2}).discover(PlantedGenerator(), Context())
    assert len(directions) == 2 and torch.equal(directions.vectors, torch.eye(32)[:2])


def test_a_broken_file_is_listed_and_takes_nobody_down(folder):
    (folder / "broken.py").write_text("import a_package_that_nobody_has\n")
    (folder / "syntax.py").write_text("def f(:\n")
    found, broken = METHODS.load_all()
    assert {"random", "sefa", "ganspace"} <= set(found)
    assert "a_package_that_nobody_has" in broken["methods/broken.py"]
    assert "SyntaxError" in broken["methods/syntax.py"]
    with pytest.raises(UnknownName, match="a_package_that_nobody_has"):
        METHODS.get("broken")


def test_a_name_used_twice_names_both_files(folder):
    (folder / "copycat.py").write_text(MINE.format(name="sefa"))
    with pytest.raises(ValueError, match=r"(?=.*methods/copycat\.py)(?=.*methods/sefa\.py)"):
        METHODS.load_all()


def test_helpers_and_unnamed_bases_are_no_methods(folder):
    (folder / "_helper.py").write_text("raise RuntimeError('imported')\n")
    (folder / "base_only.py").write_text(MINE.format(name=""))
    (folder / "reexport.py").write_text("from dirbench.methods.sefa import SeFa\n")
    found, broken = METHODS.load_all()
    assert "" not in found and not broken.keys() & {"methods/_helper.py", "methods/reexport.py"}
    assert found["sefa"].__module__ == "dirbench.methods.sefa"


def test_typos_get_a_suggestion():
    with pytest.raises(UnknownName, match=r'unknown method "sefaa"\. Did you mean "sefa"'):
        METHODS.get("sefaa")
    with pytest.raises(UnknownName, match='Did you mean "normalize_rows"'):
        METHODS.build("sefa", {"normalise_rows": False})
    with pytest.raises(UnknownName, match=r"Known: .*sefa"):
        METHODS.get("zzzzzz")


@pytest.mark.parametrize("name, key, value", [
    ("sefa", "n_directions", "ten"), ("sefa", "n_directions", "16"), ("sefa", "n_directions", 16.0),
    ("sefa", "n_directions", True), ("sefa", "normalize_rows", 1), ("sefa", "normalize_rows", "yes"),
    ("latentclr", "n_steps", "300"), ("latentclr", "temperature", "0.5"),
], ids=str)
def test_values_of_the_wrong_type_are_refused(name, key, value):
    """Nothing is made of them: true as a number of directions would be one, without a word."""
    with pytest.raises(ValueError, match=rf"{name}: {key}: .*{value!r}"):
        METHODS.build(name, {key: value})


def test_what_yaml_can_write_of_another_type_is_taken():
    for written in ([0, 1], (0, 1)):
        assert METHODS.build("sefa", {"layers": written}).layers == (0, 1)
    assert METHODS.build("latentclr", {"temperature": 1}).temperature == 1.0


@pytest.mark.parametrize("name", ["SEFA", "Sefa", "SeFA"])
def test_capitals_are_no_reason_to_know_nothing_near(name):
    with pytest.raises(UnknownName, match='Did you mean "sefa"'):
        METHODS.get(name)


def test_groups_put_the_floor_first_and_the_ceiling_last():
    names = method_group("all")
    assert names[0] == "random" and names[-1] == "interfacegan"
    assert set(method_group("core")) <= set(names) == set(METHODS.load_all()[0])


# -- metrics -----------------------------------------------------------------------------------------------
def test_every_metric_is_found_and_says_what_it_is():
    found, broken = METRICS.load_all()
    assert not broken
    assert {"alignment", "attribute_recovery", "off_target_recovery", "entropy", "deviation", "effect",
            "reliability", "dead_directions", "s_disen", "n_discov"} <= set(found)
    for name, cls in found.items():
        assert cls.name == name and cls.source and cls.needs and cls.bounds[0] < cls.bounds[1]
        assert cls.protocols and not cls.protocols[0].startswith("published")
    with pytest.raises(UnknownName, match=r'unknown metric "alignmnt"\. Did you mean "alignment"'):
        METRICS.get("alignmnt")


def test_a_file_is_a_metric_and_a_broken_one_harms_nobody(tmp_path, monkeypatch):
    (tmp_path / "mine_for_a_test.py").write_text(
        "from dirbench.metrics.effect import Effect\nclass Mine(Effect):\n    name = 'mine'\n")
    (tmp_path / "broken_for_a_test.py").write_text("import no_such_package_at_all\n")
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(tmp_path)])
    found, broken = METRICS.load_all()
    assert found["mine"].__name__ == "Mine" and "alignment" in found
    assert "no_such_package_at_all" in broken["metrics/broken_for_a_test.py"]
    (tmp_path / "twice_for_a_test.py").write_text(
        "from dirbench.metrics.effect import Effect\nclass Other(Effect):\n    name = 'effect'\n")
    with pytest.raises(ValueError, match=r'two metrics are named "effect": .*effect\.py and .*twice_for_a'):
        METRICS.load_all()

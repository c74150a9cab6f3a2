"""Other people's packages, found by their entry points: plug-ins of all kinds, and what is said of broken ones."""

from __future__ import annotations

import sys

import pytest
import torch
from helpers.strangers_method import mine

from dirbench.benchmarks.commands import main
from dirbench.names import UnknownName
from dirbench.plugins import EXTRACTORS, FAMILIES, METHODS, METRICS, method_group

METRIC = '''
from dirbench import Metric, Score


class Constant(Metric):
    name, needs, protocols, source = "strangers-constant", "single", ("plain",), "nobody"

    def compute(self, inputs, protocol, resamples=200):
        return Score(1.0)
'''
GENERATOR = '''
import torch

from dirbench import Generator


class Flat(Generator):
    family, latent_dim, resolution, layer_names = "strangers-flat", 3, 4, ("image",)

    def synthesize(self, latent, space=None):
        return latent[:, :, None, None].expand(-1, -1, 4, 4)

    def activations(self, latent, layer, space=None):
        return self.synthesize(latent, space)

    def affine_weights(self, layers="all"):
        return [torch.eye(3)]
'''
EXTRACTOR = '''
from dirbench import FeatureExtractor


class MeanColour(FeatureExtractor):
    name, width = "strangers-colour", 3

    def __init__(self, input_size: int = 32) -> None:
        super().__init__()

    def features(self, images):
        return images.mean((2, 3))

    def maps(self, images):
        return [images]

    def fingerprint(self):
        return "0" * 64
'''


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a package with entry points on the path: ``install({module: text}, {group: [(name, value)]})``."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)

    def make(modules, groups):
        site = tmp_path / f"site{len(list(tmp_path.iterdir()))}"
        info = site / "plugged-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("\n".join(
            f"[{group}]\n" + "\n".join(f"{name} = {value}" for name, value in points)
            for group, points in groups.items()))
        package = site / "plugged"
        package.mkdir()
        (package / "__init__.py").write_text("")
        for name, text in modules.items():
            (package / f"{name}.py").write_text(text)
        sys.path.append(str(site))

    yield make
    for name in set(sys.modules) - known:
        if name.partition(".")[0] == "plugged":
            del sys.modules[name]


def test_plugins_of_all_kinds_are_found(install):
    install({"own": mine(), "score": METRIC, "gan": GENERATOR, "colour": EXTRACTOR},
            {"dirbench.methods": [("own", "plugged.own:Mine")], "dirbench.metrics": [("score", "plugged.score")],
             "dirbench.generators": [("gan", "plugged.gan:Flat")], "dirbench.oracles": [("colour", "plugged.colour")]})
    assert METHODS.build("strangers-own", {"n_directions": 3}).n_directions == 3
    assert "strangers-own" in method_group("all")
    assert METRICS.build("strangers-constant").compute(None, "plain").value == 1
    assert FAMILIES.get("strangers-flat").__name__ == "Flat"
    assert EXTRACTORS.build("strangers-colour", input_size=8).features(torch.ones(2, 3, 4, 4)).shape == (2, 3)
    assert all(load()[1] == {} for load in (METHODS.load_all, METRICS.load_all, FAMILIES.load_all,
                                            EXTRACTORS.load_all))


def test_broken_plugins_are_listed_and_take_nobody_down(install):
    install({"own": mine("sefa"), "quits": "raise SystemExit('bye')\n", "nothing": "x = 1\n", "two": mine("second")},
            {"dirbench.methods": [("copy", "plugged.own:Mine"), ("lost", "plugged.lost:Mine"),
                                  ("quits", "plugged.quits"), ("nothing", "plugged.nothing"),
                                  ("number", "plugged.nothing:x"), ("two", "plugged.two")]})
    found, broken = METHODS.load_all()
    assert found["sefa"].__module__ == "dirbench.methods.sefa" and "second" in found
    reasons = {label.split(": ")[1].split(" =")[0]: why for label, why in broken.items()}
    assert reasons["copy"] == 'the name "sefa" is taken by methods/sefa.py'
    assert "No module named 'plugged.lost'" in reasons["lost"] and "SystemExit: bye" in reasons["quits"]
    assert "no method with a name" in reasons["nothing"] and "expected a subclass of" in reasons["number"]
    assert len(reasons) == 5 and all(label.startswith("plugged: ") for label in broken)
    with pytest.raises(UnknownName, match=r"lost.*No module named"):
        METHODS.get("lost")


INIT = "def __init__(self, input_size: int = 32)"


@pytest.mark.parametrize("old, new, words", [
    (INIT, "def __init__(self, input_size=32)", "the parameter input_size of its constructor needs a type"),
    (INIT, 'def __init__(self, input_size: "Nope" = 32)', "cannot be read: NameError: name 'Nope' is not defined"),
    (INIT, "def __init__(self, *sizes: int)", "its constructor must name its parameters"),
    (INIT, "def begin(self)", "its constructor must name its parameters"),
    ("def maps", "def map", "it does not define maps"), ('"strangers-colour", 3', '"a b", 3', 'has " "')])
def test_a_broken_extractor_is_listed_and_takes_nobody_down(install, capsys, old, new, words):
    install({"colour": EXTRACTOR.replace(old, new, 1)}, {"dirbench.oracles": [("colour", "plugged.colour")]})
    assert main(["list"]) == 0
    line, = (line for line in capsys.readouterr().out.splitlines() if "not loaded" in line)
    assert words in line and "plugged.colour (MeanColour)" in line

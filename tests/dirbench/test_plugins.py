"""Other people's packages, found by their entry points; and ``check-method`` on other people's files."""

from __future__ import annotations

import re
import sys

import pytest
import torch
from helpers.tiny import ROOT

from dirbench.benchmarks.commands import _main as cli
from dirbench.benchmarks.contract import methods as contract
from dirbench.names import UnknownName
from dirbench.plugins import EXTRACTORS, FAMILIES, METHODS, METRICS, method_group

METHOD = '''
from dataclasses import dataclass
from typing import ClassVar

import torch

from dirbench import Context, DirectionMethod, Directions, Generator, Vectors


@dataclass(frozen=True)
class Mine(DirectionMethod):
    """Differences of two samples."""

    name: ClassVar[str] = "{name}"
    source: ClassVar[str] = "a stranger's note, 2020"
    why_not: ClassVar[str] = "fed with z, its directions are random ones"

    def discover(self, generator: Generator, context: Context) -> Directions:
        self.check_k(generator.dim())
        one, other = (generator.sample(self.n_directions, context.rng(side)) for side in "ab")
{trouble}        return Vectors((one - other).float().cpu(), generator.space)
'''
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
        if name.partition(".")[0] in ("plugged", "checked_mine"):
            del sys.modules[name]


def mine(name="strangers-own", trouble=""):
    return METHOD.format(name=name, trouble=f"        {trouble}\n" if trouble else "")


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
    assert cli.main(["list"]) == 0
    line, = (line for line in capsys.readouterr().out.splitlines() if "not loaded" in line)
    assert words in line and "plugged.colour (MeanColour)" in line


# -- check-method --------------------------------------------------------------------------------------
def check(folder, capsys, text):
    file = folder / "mine.py"
    file.write_text(text)
    code = cli.main(["check-method", str(file)])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_a_good_method_passes(install, tmp_path, capsys):
    code, said = check(tmp_path, capsys, mine())
    assert code == 0 and "nothing is wrong" in said, said


@pytest.mark.parametrize("trouble, words", [
    ("one = torch.randn(one.shape)", "draw from context.rng"),
    ("generator.mean.data += 1", "discovery changes the generator: its weights"),
    ("one = one[:2]; other = other[:2]", "2 directions were found, 6 were asked for"),
    ("generator.synthesize(one)", "images() says 0, but 6 were made"),
    ("return one", "it returns a Tensor, expected Directions"),
    ("raise KeyError('oh')", "KeyError: 'oh'"),
    ("one, other = torch.eye(64)[:6, :generator.dim()], 0 * one", "the seed changes nothing"),
    ("one, other = one.nan_to_num(nan=1.0), other.nan_to_num()",
     "NaN gives directions without a word"),
    ("context.progress(1, 2)", "progress must rise to its total"),
])
def test_each_fault_is_explained(install, tmp_path, capsys, trouble, words):
    code, said = check(tmp_path, capsys, mine(trouble=trouble))
    assert code == 1 and words in said, said


def test_files_that_are_no_method(install, tmp_path, capsys):
    for text, words in (("x = 1\n", "has no method"), ("import nowhere_at_all\n", "cannot be imported: ModuleNotFound"),
                        ("raise SystemExit\n", "cannot be imported: SystemExit")):
        code, said = check(tmp_path, capsys, text)
        assert code == 2 and words in said and "Traceback" not in said
    assert cli.main(["check-method", str(tmp_path / "nowhere.py")]) == 2


def test_the_readmes_method_passes_and_what_it_does_not_say_is_said(install, tmp_path, capsys):
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)[1]
    code, said = check(tmp_path, capsys, block)
    assert code == 0 and "wrong:" not in said and "nothing is wrong, 2 things are left out" in said, said
    measured = re.search(r"left out  recovers planted factors: .* in w (\d\.\d+), random directions (\d\.\d+);", said)
    assert float(measured[1]) > float(measured[2])
    assert "say beats_random_by (at most 0." in said


def test_a_margin_is_printed_as_it_is_measured(install, tmp_path, capsys):
    margin = "    beats_random_by: ClassVar[float] = "
    text = re.sub(r"    why_not: .*", margin + "0.9", mine())
    code, said = check(tmp_path, capsys, text)
    assert code == 1 and "but it says beats_random_by = 0.9" in said and "random directions 0." in said
    code, said = check(tmp_path, capsys, mine())
    assert re.search(r"ok  recovers planted factors: .*in w 0\.\d+, random directions 0\.\d+; in z 0\.\d+", said)


def test_an_error_of_a_strangers_method_is_told_with_its_line(install, tmp_path, capsys):
    code, said = check(tmp_path, capsys, mine(trouble="raise KeyError('oh')"))
    line = mine(trouble="raise KeyError('oh')").split("raise KeyError")[0].count("\n") + 1
    assert code == 1 and f"KeyError: 'oh' ({(tmp_path / 'mine.py').as_posix()}:{line})" in said
    assert said.count("KeyError: 'oh'") < 5  # told once; the checks that it stops say which to mend first


def test_our_own_method_passes():
    """Every method does, clause by clause, in test_contract.py."""
    findings = contract.check_method(METHODS.get("latentclr"))
    assert {f.status for f in findings} <= {"ok", "not applicable"} and len(findings) == len(contract.CLAUSES)


def test_a_long_training_is_not_tried_unless_asked_for(tmp_path, capsys):
    text = mine().replace("    def discover", "    n_steps: int = 10_000_000\n    lr: float = 0.1\n\n    def discover")
    _, said = check(tmp_path, capsys, text)
    assert "recovers planted factors: not tried, for its training takes 10,000,000 steps" in said
    assert "own objective falls: a training puts its `loss_notes`" in said
    assert "resumes to the same answer: a KeyboardInterrupt in the middle" in said

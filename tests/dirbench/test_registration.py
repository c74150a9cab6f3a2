"""What a stranger's class must be to be registered: each way to be wrong is a sentence beside its file and line."""

from __future__ import annotations

import sys

import pytest

from dirbench import methods, metrics
from dirbench.benchmarks.commands import main
from dirbench.names import UnknownName
from dirbench.plugins import METHODS, METRICS

METHOD = '''\
from dataclasses import dataclass
from typing import ClassVar

from dirbench import DirectionMethod, Vectors


@dataclass(frozen=True)
class Mine(DirectionMethod):
    """A stranger's."""

    name: ClassVar[str] = "strange"
    n_samples: int = 10

    def discover(self, generator, context):
        return Vectors(generator.sample(self.n_directions, context.rng("x")), generator.space)
'''
METRIC = '''\
from typing import ClassVar

from dirbench import Metric, Score


class Mine(Metric):
    """A stranger's."""

    name, needs, protocols = "strange", "single", ("plain",)

    def compute(self, inputs, protocol, resamples=200):
        return Score(1.0)
'''
NAMED = '    name: ClassVar[str] = "strange"\n'
WRONG_METHODS = {
    "a name that is no text": (NAMED, "    name: ClassVar[str] = 3\n", "name is 3, expected a text"),
    "a name that leaves the folder": ('"strange"', '"../../up"', 'the method\'s name "../../up" has "/"; names become'),
    "a missing value's name": ('"strange"', '"NA"', "is no text to programs that read tables"),
    "a device's name": ('"strange"', '"con"', "is a device's name on Windows"),
    "a name with a blank": ('"strange"', '"my own"', 'has " "; names become files'),
    "a name with a comma": ('"strange"', '"a,b"', 'has ","; names become files'),
    "a hidden name": ('"strange"', '".mine"', "begins with '.'; names become files"),
    "a group's name": ('"strange"', '"core"', 'the name "core" means a group'),
    "no name": (NAMED, "", "ignored: it has no name"),
    "an empty name": ('"strange"', '""', "ignored: it has no name"),
    "a name among the fields": (NAMED, '    name: str = "strange"\n', "write `name: ClassVar[...] = ...`"),
    "needs among the fields": (NAMED, NAMED + "    needs: tuple = ()\n", "write `needs: ClassVar[...] = ...`"),
    "a misspelt discover": ("def discover", "def discovers", "it does not define discover"),
    "a discover without context": ("generator, context)", "generator)", "discover cannot be called as"),
    "no decorator": ("@dataclass(frozen=True)\n", "", "n_samples would be no hyperparameters: decorate the class"),
    "a dataclass that thaws": ("(frozen=True)", "", "write @dataclass(frozen=True)"),
    "a field without default": ("n_samples: int = 10", "n_samples: int", "every field needs a default"),
    "a keyword without default": (
        "(frozen=True)\nclass Mine(DirectionMethod):",
        "(frozen=True, kw_only=True)\nclass Base(DirectionMethod):\n    x: int\n\n    def discover(self, generator, "
        "context):\n        return None\n\n\n@dataclass(frozen=True)\nclass Mine(Base):",
        "the field x needs a default"),
    "a default that is shared": ("n_samples: int = 10", "n_samples: list = []", "mutable default"),
    "a default that is no plain value": (
        "n_samples: int = 10", "n_samples: object = object()",
        "the default of n_samples"),
    "a constructor that refuses": (
        "    def discover", "    def __post_init__(self):\n        raise ValueError('never')\n\n    def discover",
        "Mine() with its defaults fails: ValueError: never (strange.py:15)"),
    "needs as one text": (
        NAMED, NAMED + '    needs: ClassVar = "extractor"\n',
        "needs is 'extractor', expected a tuple"),
    "needs that nobody has": (
        NAMED, NAMED + '    needs: ClassVar = ("oracle",)\n',
        'needs has "oracle", expected some of'),
    "a flag that is none": (
        NAMED, NAMED + '    deterministic: ClassVar = "yes"\n',
        "deterministic is 'yes', expected True"),
    "a margin in percent": (
        NAMED, NAMED + "    beats_random_by: ClassVar = 30\n",
        "beats_random_by is 30, expected a number"),
    "steps as a text": ("n_samples: int = 10", 'n_steps: str = "many"', "steps fails: ValueError"),
    "images that raise": ("    def discover", "    def images(self):\n        return 1 / 0\n\n    def discover",
                          "images() fails: ZeroDivisionError: division by zero (strange.py:15)"),
    "a missing package": ("from typing", "import no_such_package\nfrom typing", "(strange.py:2)"),
    "an exit": ("from typing", "raise SystemExit(3)\nfrom typing", "SystemExit: 3 (strange.py:2)"),
    "no syntax": ("    def discover(self", "    def discover(self:", "SyntaxError"),
}
FIRST = 'name, needs, protocols = "strange", "single", ("plain",)'
WRONG_METRICS = {
    "no needs": ('"strange", "single"', '"strange", ""', "needs is '', expected one of 'single', 'pair', 'generator'"),
    "needs of another kind": ('"single"', '"pairs"', "needs is 'pairs', expected one of"),
    "needs as a tuple": ('"single"', '("single",)', "needs is ('single',), expected one of"),
    "no protocols": ('("plain",)', "()", "protocols is (), expected a tuple of names"),
    "protocols as one text": ('("plain",)', '"plain"', "protocols is 'plain', expected a tuple of names"),
    "protocols as a list": ('("plain",)', '["plain"]', "expected a tuple of names"),
    "a protocol that is no name": ('("plain",)', '("a/b",)', 'the protocol\'s name "a/b" has "/"'),
    "a protocol twice": ('("plain",)', '("a", "a")', "a name is there twice"),
    "an index of one GAN": ('("plain",)', '("by-index",)', 'ends in "index"'),
    "a name that is no file": ('"strange"', '"a/b"', 'the metric\'s name "a/b" has "/"'),
    "no name": ('"strange"', '""', "ignored: it has no name"),
    "bounds the wrong way round": (
        FIRST, FIRST + "\n    bounds = (1.0, 0.0)",
        "bounds is (1.0, 0.0), expected two numbers"),
    "bounds of one number": (FIRST, FIRST + "\n    bounds = (1.0,)", "expected two numbers"),
    "bounds that are not numbers": (FIRST, FIRST + '\n    bounds = ("0", float("nan"))', "expected two numbers"),
    "better that is no flag": (
        FIRST, FIRST + '\n    higher_is_better = "up"',
        "higher_is_better is 'up', expected True"),
    "a source that is none": (FIRST, FIRST + "\n    source = None", "source is None, expected a text"),
    "a base class's word among the fields": (FIRST, FIRST + "\n    min_live: int = 2",
                                             "write `min_live: ClassVar[...] = ...`"),
    "no compute": ("def compute", "def score", "it does not define compute"),
    "a compute without resamples": (", resamples=200", "", "compute cannot be called as compute(inputs, protocol"),
    "an evaluated one that measures nothing": ('"single"', '"generator"', "it does not define images(k, n)"),
}


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """A folder each that counts as ``methods/`` and ``metrics/``: ``folders(package, text)`` writes strange.py."""
    known = set(sys.modules)

    def write(package, text):
        folder = tmp_path / package.__name__
        folder.mkdir()
        (folder / "strange.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])

    yield write
    for name in set(sys.modules) - known:
        if name in ("dirbench.methods.strange", "dirbench.metrics.strange"):
            del sys.modules[name]


def reason(registered):
    """Why strange.py is not registered; all others are."""
    found, broken = registered.load_all()
    assert "strange" not in found and {"sefa", "effect"} & set(found)
    ((where, why),) = broken.items()
    assert "strange.py" in where and "Traceback" not in why and "\n" not in why
    return why


@pytest.mark.parametrize("kind", WRONG_METHODS)
def test_a_wrong_method_is_listed_with_a_sentence(folders, kind):
    old, new, words = WRONG_METHODS[kind]
    folders(methods, METHOD.replace(old, new, 1))
    assert words in reason(METHODS)


@pytest.mark.parametrize("kind", WRONG_METRICS)
def test_a_wrong_metric_is_listed_with_a_sentence(folders, kind):
    old, new, words = WRONG_METRICS[kind]
    folders(metrics, METRIC.replace(old, new, 1))
    assert words in reason(METRICS)


@pytest.mark.parametrize("docstring", ['    """A stranger\'s."""\n', '    """   """\n', ""])
def test_list_needs_no_docstring_and_names_what_is_ignored(folders, capsys, docstring):
    for package, text in ((methods, METHOD), (metrics, METRIC)):
        text = text.replace('    """A stranger\'s."""\n', docstring)
        folders(package, text + "\n\nclass Nameless(Mine):\n    name = ''\n")
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    line = "A stranger's." if "A" in docstring else "(no docstring)"
    assert said.count(f"  {'strange':20} {line}") == 2
    assert said.count("(Nameless): ignored: it has no name") == 2


def test_a_base_class_of_others_needs_no_name(folders):
    folders(metrics, METRIC.replace(
        "class Mine(Metric)", "class Base(Metric):\n    needs = 'single'\n\n\nclass Mine(Base)"))
    found, broken = METRICS.load_all()
    assert "strange" in found and not broken


def test_who_asks_for_a_wrong_class_by_name_is_told_why(folders):
    folders(methods, METHOD.replace("(frozen=True)", "").replace("strange", "odd-name"))
    with pytest.raises(UnknownName, match="strange"):
        METHODS.get("strange")
    assert METHODS.load_all()[1]


def test_settings_of_a_metric_of_responses_come_from_the_profile(folders):
    folders(metrics, "from dataclasses import dataclass\n" + METRIC.replace(
        "class Mine", "@dataclass(frozen=True)\nclass Mine").replace(
            "    def compute", "    depth: int = 3\n\n    def compute"))
    assert METRICS.build("strange").depth == 3
    assert METRICS.build("strange", {"depth": 5}).depth == 5
    with pytest.raises(UnknownName, match='unknown setting "dept"'):
        METRICS.build("strange", {"dept": 5})

"""A key hangs on the code that can change its result and on nothing else: edits of a copy of the project."""

import json
import os
import subprocess
import sys
from fnmatch import fnmatch

import pytest
from helpers import ROOT, tiny
from helpers.project_copy import copy_project

DOWNSTREAM = ("responses {}", "scores {} *", "traversals {}", "sheet {}")

# (name, file, old text, new text): "" for the old text of a new file
KEEP = [
    ("a new word of methods", "dirbench/method.py", '    core: ClassVar[bool] = True\n',
     '    core: ClassVar[bool] = True\n    in_colour: ClassVar[str] = "blue"\n'),
    ("a new word of metrics", "dirbench/metric.py", "    ordered: ClassVar[bool] = True\n",
     "    ordered: ClassVar[bool] = True\n    in_italics: ClassVar[bool] = False\n"),
    ("a method says it", "methods/sefa.py", "    deterministic: ClassVar[bool] = True\n",
     '    deterministic: ClassVar[bool] = True\n    core: ClassVar[bool] = False\n'),
    ("a new table", "results/tables/colours.py", "", '"""Colours."""\n\nfrom dirbench.responses import Responses\n'),
    ("a new command", "benchmarks/commands/paint.py", "", '"""Paints."""\n\nGROUP = "runs"\n'),
    ("a new metric", "metrics/colour.py", "", "from dirbench.pair_metric import PairMetric\n\n\n"
                                              "class Colour(PairMetric):\n    name = 'colour'\n"),
    ("a new method", "methods/colour.py", "", "from dirbench.method import DirectionMethod\n\n\n"
                                              "class Colour(DirectionMethod):\n    name = 'colour'\n"),
    ("a docstring", "dirbench/responses.py", '"""The responses of ``oracle`` to', '"""Responses of ``oracle`` to'),
    ("a comment", "dirbench/responses.py", "# small batches cost more an image", "# small ones cost more"),
    ("a shared function that nobody uses", "dirbench/changes.py", "def changes(",
     "def colour():\n    return 1\n\n\ndef changes("),
    ("a shared class that nobody uses", "dirbench/metric.py", "@dataclass(frozen=True)\nclass Band:",
     "@dataclass(frozen=True)\nclass Colour:\n    red: float\n\n\n@dataclass(frozen=True)\nclass Band:"),
    ("an import for types", "dirbench/method.py", "if TYPE_CHECKING:\n",
     "if TYPE_CHECKING:\n    from dirbench.responses import Responses\n"),
    ("how a stage is run", "benchmarks/running/plan.py", "class SizeError(ValueError):", "class SizeError(TypeError):"),
    ("what the contract asks", "dirbench/checks.py", "def place(", "def colour(cls):\n    return cls\n\n\ndef place("),
]

# (name, file, old text, new text, what changes)
CHANGE = [
    ("how sefa discovers", "methods/sefa.py", "F.normalize(weight, dim=1)", "F.normalize(weight, dim=0)",
     ("directions sefa", *(what.format("sefa") for what in DOWNSTREAM))),
    ("a layer of the GANs", "benchmarks/generators/stylegan2_layers.py", "GAIN = math.sqrt(2)", "GAIN = math.sqrt(3)",
     ("*",)),
    ("how alignment is computed", "metrics/alignment.py", "cosine(a, b).sum(-1)", "cosine(a, b).mean(-1)",
     ("chance alignment", "scores * pair")),
    ("the bounds of alignment", "metrics/alignment.py", "bounds = (-1.0, 1.0)", "bounds = (-2.0, 1.0)",
     ("chance alignment", "scores * pair")),
    ("the bootstrap", "dirbench/bootstrap.py", "stats.norm.ppf(0.975)", "stats.norm.ppf(0.95)",
     ("chance *", "scores *")),
    ("how responses are read", "dirbench/responses.py", "for step in (strength, -strength)]",
     "for step in (strength, -2 * strength)]", ("responses*", "chance *", "scores *", "sheet *")),
    ("how density ratios are trained", "oracles/networks/density_ratio.py", "    loss.backward()",
     "    (2 * loss).backward()", ("ratio xga", "directions xga", *(what.format("xga") for what in DOWNSTREAM))),
    ("how directions are traversed", "dirbench/traversals.py", "(images.clamp(-1, 1) + 1)",
     "(images.clamp(-1, 1) + 2)", ("traversals *", "sheet *")),
    ("the latents that are scored", "benchmarks/stages/latents.py", "evaluation latents {seed}", "latents {seed}",
     ("responses*", "chance *", "scores *", "traversals *", "sheet *")),
    ("the base of methods", "dirbench/method.py", "if self.n_directions > dim:", "if self.n_directions >= dim:",
     ("directions *", "responses*", "chance *", "scores *", "traversals *", "sheet *")),
]


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """{name of an edit: what it changes}; "" -> all that there is."""
    folder = tmp_path_factory.mktemp("keys")
    copy = copy_project(folder / "project")
    done = subprocess.run(
        [sys.executable, ROOT / "tests/helpers/keys_after_edits.py", copy, tiny.profile(folder), folder / "store"],
        input=json.dumps([row[:4] for row in (*KEEP, *CHANGE)]), capture_output=True, text=True, cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", [row[0] for row in KEEP])
def test_what_can_change_no_result_changes_no_key(changed, name):
    assert changed[name] == []


@pytest.mark.parametrize("name, patterns", [(row[0], row[4]) for row in CHANGE], ids=[row[0] for row in CHANGE])
def test_what_changes_a_result_changes_its_keys_and_no_others(changed, name, patterns):
    assert changed[name] == [what for what in changed[""] if any(fnmatch(what, pattern) for pattern in patterns)]
    assert all(any(fnmatch(what, pattern) for what in changed[name]) for pattern in patterns)

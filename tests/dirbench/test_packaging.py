"""What is installed, and where it writes; the settings of the tools that keep the project in order."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from helpers.tiny import ROOT

from dirbench import places, version
from dirbench.benchmarks.running.provenance import caption_facts
from dirbench.results.check import BadReference, read_reference

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINKED = {path.name for path in (ROOT / "dirbench").iterdir() if path.is_symlink()}


def ci(name: str):
    """A module of ``.ci``, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def installed_copy(tmp_path, monkeypatch):
    """This code as if it lay in site-packages, called from another folder, which is a git repository."""
    site, here = tmp_path / "site-packages", tmp_path / "here"
    for folder in (site, here):
        folder.mkdir()
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    monkeypatch.setattr(places, "HOME", site)
    monkeypatch.delenv(places.STORE_VARIABLE, raising=False)
    monkeypatch.chdir(here)
    return here


def test_an_installed_copy_writes_below_the_current_folder(installed_copy):
    assert places.checkout() is None
    assert places.runs() == installed_copy / "results" / "runs"
    assert places.store() == installed_copy / "results" / "store"


def test_a_checkout_writes_into_its_own_results(tmp_path, monkeypatch):
    monkeypatch.delenv(places.STORE_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    assert places.checkout() == ROOT
    assert (places.runs(), places.store()) == (ROOT / "results" / "runs", ROOT / "results" / "store")
    monkeypatch.setenv(places.STORE_VARIABLE, "theirs")
    assert (str(places.store()), str(places.store("chosen"))) == ("theirs", "chosen")


def test_an_installed_copy_does_not_take_another_repositorys_commit_for_its_own(installed_copy):
    assert version.commit() == ("unknown", False)
    assert version.version_line() == f"dirbench {version.__version__}"


def test_no_git_is_no_error(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert version.commit() == ("unknown", False)


def test_a_reference_is_a_file_or_a_shipped_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("celeba_subsets-smoke", "celeba_subsets-smoke.csv"):
        found = places.reference(places.Path(name))
        assert found.samefile(ROOT / "dirbench/results/reference/celeba_subsets-smoke.csv")
    for name in ("nothing.csv", "folder/celeba_subsets-smoke.csv"):  # said to be missing where it is read
        assert places.reference(places.Path(name)) == places.Path(name)
    own = tmp_path / "celeba_subsets-smoke.csv"
    own.write_text("")
    assert places.reference(places.Path(own.name)) == places.Path(own.name)


def test_a_reference_that_is_not_there_is_answered_with_those_that_are():
    with pytest.raises(BadReference, match=r"celeba_subset-smoke: no reference file there.*celeba_subsets-smoke"):
        read_reference(places.reference(places.Path("celeba_subset-smoke")))


@pytest.mark.parametrize("made_by, words", [
    ({"commit": "0123456789abcdef", "dirty": True}, "0123456789ab+"),
    ({"commit": "unknown", "dirty": False}, f"unknown (dirbench {version.__version__})"),
], ids=["checkout", "installed"])
def test_captions_say_which_code_it_was(made_by, words):
    others = dict.fromkeys(("pairs", "readable_attributes", "alpha", "reference", "controls"), 0)
    versions = {"torch": "2.13.0", "dirbench": version.__version__}
    facts = caption_facts({**others, **made_by, "hardware": {"device": "cpu"}, "versions": versions, "methods": {}})
    assert facts["commit"] == words


def test_the_wheels_check_sees_what_is_left_out_and_what_slipped_in():
    check = ci("check_wheel")
    tracked = {"dirbench/__init__.py", "dirbench/a", "a/__init__.py", "a/weights/w.bin", "a/b/suite.yaml",
               "tests/test_a.py", "README.md"}  # dirbench/a is a link
    archived = check.archived(tracked)
    whole = {"dirbench/__init__.py", "dirbench/a/__init__.py", "dirbench/a/weights/w.bin", "dirbench/a/b/suite.yaml"}
    assert check.installed(archived) == whole
    assert set(archived) - whole == {"tests/test_a.py", "README.md"}
    assert archived["dirbench/a/b/suite.yaml"] == "a/b/suite.yaml"
    assert check.differences(whole, whole, "x.whl") == []
    lost, added = check.differences(whole, whole - {"dirbench/a/weights/w.bin"} | {"dirbench/results/store/1.csv"},
                                    "x.whl")
    assert lost.startswith("dirbench/a/weights/w.bin is not in x.whl")
    assert added.startswith("dirbench/results/store/1.csv is in x.whl")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="asks git")
def test_the_source_archive_takes_everything_but_the_folders_that_dirbench_has():
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {line.split("/")[0] for line in tracked.splitlines()}
    added = {"LICENSE", "README.md", "pyproject.toml"}  # by hatchling
    chosen = set(PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"])
    assert chosen | added == top - LINKED


@pytest.fixture
def strangers_folder(tmp_path):
    """A folder with somebody's modules by the names of our folders; each raises when it is imported."""
    for theirs in ("methods/__init__.py", "results/__init__.py", "benchmarks.py", "metrics.py", "oracles.py"):
        (tmp_path / theirs).parent.mkdir(exist_ok=True)
        (tmp_path / theirs).write_text("raise ImportError('this is not dirbench')")
    return tmp_path


@pytest.mark.parametrize("words, printed", [
    (["-m", "dirbench", "list"], r"(?s).*\bsefa\b.*\balignment\b"),
    (["-c", "import dirbench; print(dirbench.DirectionMethod.__module__)"], r"dirbench\.method\n"),
    (["-c", "from dirbench.plugins import EXTRACTORS, METRICS; print(METRICS.load_all()[1], EXTRACTORS.load_all()[1])"],
     r"\{\} \{\}\n"),
], ids=["list", "import", "all metrics and extractors"])
def test_what_lies_in_the_current_folder_is_not_taken_for_ours(strangers_folder, words, printed):
    path = os.pathsep.join([str(strangers_folder), str(ROOT)])
    done = subprocess.run([sys.executable, *words], cwd=strangers_folder, capture_output=True, text=True, check=False,
                          env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0 and re.match(printed, done.stdout), done.stdout + done.stderr


def test_every_dependency_says_its_oldest_version():
    lowest = ci("lowest").lowest
    found = lowest(PROJECT["project"])
    assert {"numpy", "torch", "transformers"} <= {line.split("==")[0] for line in found}
    with pytest.raises(ValueError, match=r"'numpy' says no oldest version; expected numpy>=VERSION"):
        lowest({"name": "x", "dependencies": ["torch>=2,<3", "numpy"]})


def test_what_is_said_of_python_agrees():
    oldest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert PROJECT["tool"]["ruff"]["target-version"] == "py" + oldest.replace(".", "")
    assert PROJECT["tool"]["mypy"]["python_version"] == oldest
    assert f"Programming Language :: Python :: {oldest}" in PROJECT["project"]["classifiers"]


def test_every_package_is_installed_with_its_types():
    assert {init.parent.name for init in ROOT.glob("*/__init__.py")} == {"dirbench", *LINKED}
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["dirbench"]
    assert PROJECT["tool"]["mypy"]["packages"] == ["dirbench"]
    assert (ROOT / "dirbench" / "py.typed").is_file()  # for all that lies below it, too


def test_the_hooks_fetch_nothing_and_are_whole():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert {"ruff", "imports"} <= {hook["id"] for hook in hooks} and len({hook["id"] for hook in hooks}) == len(hooks)
    for hook in hooks:
        assert hook["language"] == "system" and hook["entry"] and hook["name"], hook


def test_the_citation_says_what_the_package_says():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["license"] == PROJECT["project"]["license"] == "MIT"
    assert citation["authors"] == PROJECT["project"]["authors"]
    assert "The dirbench authors" in (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_changelog_has_the_version_that_is_being_made():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first = next(line for line in changelog.splitlines() if line.startswith("## "))
    assert first.split()[1] == version.__version__.partition(".dev")[0]

"""``new`` writes files to begin with. That they work at once is seen where docs/plugins.md is (``tests/docs``)."""

from __future__ import annotations

import re
import shlex
import sys

import pytest

from dirbench.benchmarks.commands import main
from dirbench.benchmarks.commands import new as cli_new


@pytest.mark.parametrize("kind, name, words", [
    ("method", "../up", "names become files"), ("method", "a b", "names become files"),
    ("method", "core", "means a group"), ("method", "sefa", 'there is a method called "sefa" already'),
    ("method", "class", "cannot name a Python file"), ("metric", "3d", "cannot name a Python file"),
    ("metric", "alignment", "there is a metric called"), ("generator", "torch", "there is a Python module called"),
    ("generator", "", "is given nothing"), ("method", "007", "names become files"),
    ("method", "SeFa", 'there is a method called "sefa" already'), ("metric", "RCA", 'metric called "rca" already'),
    ("suite", "Celeba_Subsets", 'there is a suite called "celeba_subsets" already'),
    ("suite", "a/b", "names become files"), ("suite", "NA", "names become files")])
def test_names_that_cannot_be(tmp_path, capsys, kind, name, words):
    assert main(["new", kind, name, "--out", str(tmp_path / "there")]) == 2
    assert words in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", cli_new.PLACES)
def test_nothing_is_overwritten_and_other_names_have_other_files(tmp_path, capsys, kind):
    assert main(["new", kind, "own.thing-2", "--out", str(tmp_path)]) == 0
    before = {path: path.read_text() for path in tmp_path.iterdir()}
    assert all("OwnThing2" in text or "own.thing-2" in text for text in before.values())
    assert main(["new", kind, "own.thing-2", "--out", str(tmp_path)]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert before == {path: path.read_text() for path in tmp_path.iterdir()}


def test_without_out_it_goes_where_it_is_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli_new, "PLACES", {kind: tmp_path / kind for kind in cli_new.PLACES})
    for kind, file in (("method", "my_own.py"), ("metric", "my_own.py"), ("suite", "my-own.yaml")):
        assert main(["new", kind, "my-own"]) == 0
        assert (tmp_path / kind / file).is_file()
    said = capsys.readouterr().out
    assert "next: python run_bench.py --suite my-own --dry-run" in said and "entry point" not in said
    (tmp_path / "file").write_text("")
    assert main(["new", "suite", "x", "--out", str(tmp_path / "file")]) == 2
    assert "cannot be written to" in capsys.readouterr().err


def test_an_installed_copy_writes_into_the_current_folder_and_says_how_it_is_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli_new, "checkout", lambda: None)
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/dirbench"])
    monkeypatch.chdir(tmp_path)
    for kind, file in (("method", "my_own.py"), ("metric", "my_own.py"), ("suite", "my-own.yaml")):
        (tmp_path / file).unlink(missing_ok=True)
        assert main(["new", kind, "my-own"]) == 0
        assert (tmp_path / file).is_file()
        said = capsys.readouterr().out
        assert f"next: dirbench {cli_new.NEXT[kind].format(file)}\n" in said
        assert (f'[project.entry-points."dirbench.{kind}s"] my_own = "yourpackage.my_own"' in said) == (kind != "suite")


@pytest.mark.parametrize("name", ["2023", "my suite", "a[b]", "yes", "0.5"])
def test_a_suite_of_any_name_is_one_that_can_be_planned(tmp_path, monkeypatch, capsys, name):
    monkeypatch.setenv("DIRBENCH_STORE", str(tmp_path / "store"))
    assert main(["new", "suite", name, "--out", str(tmp_path / "there")]) == 0
    following = re.search(r"^next: python run_bench\.py (.+)$", capsys.readouterr().out, re.M)[1]
    assert main([*shlex.split(following), "--profile", "smoke"]) == 0
    assert f"suite {name} v1" in capsys.readouterr().out

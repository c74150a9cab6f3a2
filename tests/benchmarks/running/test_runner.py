"""The main job on a tiny profile: the same numbers however it is run, and no finished work is ever lost."""

import json
import re
import shutil
import signal
import time

import numpy as np
import pandas as pd
import pytest
from helpers.tiny import ROOT, arguments, start

from dirbench import methods
from dirbench.benchmarks.commands import main
from dirbench.oracles.efficientnet import EfficientNetLite0
from dirbench.results.rows import COLUMNS
from dirbench.results.stored_run import read_random_runs

METHODS = "random,sefa,latentclr"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run of every kind of method, made by one worker."""
    folder = tmp_path_factory.mktemp("tiny")
    assert main(arguments(folder, "run", "store", f"{METHODS},ganspace,xga,interfacegan", "--workers", "1")) == 0
    return folder


def rows(folder, out="run") -> bytes:
    return (folder / out / "rows.csv").read_bytes()


def test_a_run_writes_every_kind_of_output(finished):
    run = finished / "run"
    table = pd.read_csv(run / "rows.csv", keep_default_na=False)
    assert list(table) == list(COLUMNS)
    assert set(table["method"]) == {"random", "sefa", "latentclr", "ganspace", "xga", "interfacegan"}
    assert set(table["status"]) <= {"ok", "not_applicable"} and (table["status"] == "ok").mean() > 0.8
    assert {"index", "published-index"} <= set(table.loc[table["method"] == "xga", "protocol"])
    assert not (table.loc[table["method"] == "sefa", "protocol"] == "index").any()
    configs = json.loads((run / "configs.json").read_text())
    assert set(table["config_id"]) == set(configs)
    made_by = json.loads((run / "run.json").read_text())
    assert {"commit", "dirty", "versions", "hardware", "hashes", "command"} <= set(made_by)
    for kind in ("csv", "md", "tex"):
        assert list((run / "tables").glob(f"*.{kind}"))
    assert (run / "sheets" / "xga" / "full-with-no_hats.png").stat().st_size > 10_000
    assert (run / "sheets" / "sefa" / "no_hats.png").exists()


def test_planned_images_are_those_that_were_made(finished):
    cells = pd.read_csv(finished / "run" / "cells.csv", keep_default_na=False)
    records = [json.loads((finished / "store" / "directions" / key / "made.json").read_text())
               for row in cells.loc[cells["kind"] == "discover", "artifact"]
               for kind, key in [row.split("; ")[0].split("/")]]
    assert any(r["images"] for r in records)
    for record in records:
        assert record["images_made"] == record["images"], record["inputs"]["method"]


def test_a_second_run_computes_nothing_and_says_the_same(finished, capsys):
    args = arguments(finished, "again", "store", f"{METHODS},ganspace,xga,interfacegan", "--workers", "1")
    assert main(args) == 0
    assert "images: 0 to synthesise" in capsys.readouterr().out
    assert rows(finished, "again") == rows(finished)


def test_show_makes_the_same_tables_again(finished):
    before = {p.name: p.read_bytes() for p in (finished / "run" / "tables").iterdir() if p.is_file()}
    shutil.rmtree(finished / "run" / "tables")
    assert main(["show", str(finished / "run")]) == 0
    assert {p.name: p.read_bytes() for p in (finished / "run" / "tables").iterdir() if p.is_file()} == before


def test_a_run_passes_the_check_against_itself_and_a_worse_one_does_not(finished, capsys):
    reference = finished / "reference.csv"
    assert main(["check", str(finished / "run"), "--against", str(reference), "--write"]) == 0
    capsys.readouterr()
    assert main(["check", str(finished / "run"), "--against", str(reference)]) == 0
    facts = json.loads((finished / "run" / "run.json").read_text(encoding="utf-8"))
    assert f"(commit {facts['commit'][:12]}" in capsys.readouterr().out
    worse = finished / "worse"
    shutil.copytree(finished / "run", worse, dirs_exist_ok=True)
    table = pd.read_csv(worse / "rows.csv", keep_default_na=False, dtype=str)
    hit = (table["metric"] == "alignment") & (table["method"] == "sefa") & (table["status"] == "ok")
    table.loc[hit, "value"] = "-0.9"
    table.to_csv(worse / "rows.csv", index=False)
    capsys.readouterr()
    assert main(["check", str(worse), "--against", str(reference)]) == 1
    assert "alignment" in capsys.readouterr().out


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The folder of a run of three methods by one worker: what other ways of running are compared with."""
    folder = tmp_path_factory.mktemp("plain")
    assert main(arguments(folder, "run", "store", METHODS, "--workers", "1")) == 0
    return folder


def test_two_workers_give_the_same_rows(plain, tmp_path):
    assert main(arguments(tmp_path, "run", "store", METHODS, "--workers", "2")) == 0
    assert rows(tmp_path) == rows(plain)


def test_shares_of_a_run_give_the_same_rows(plain, tmp_path):
    for share in ("0/2", "1/2"):
        assert not (tmp_path / "run" / "rows.csv").exists() or share == "1/2"
        assert main(arguments(tmp_path, "run", "store", METHODS, "--workers", "1", "--cell", share)) == 0
    assert rows(tmp_path) == rows(plain)


def test_a_killed_run_goes_on_to_the_same_rows(plain, tmp_path):
    args = arguments(tmp_path, "run", "store", METHODS, "--workers", "2")
    process = start(args)
    cells = tmp_path / "run" / "cells"
    while not list(cells.glob("discover/**/*.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = [p for p in (tmp_path / "store" / "responses").iterdir() if not p.name.startswith(".")]
    assert kept
    made = {p: (p / "made.json").stat().st_ino for p in kept}
    assert main(args) == 0
    assert rows(tmp_path) == rows(plain)
    assert {p: (p / "made.json").stat().st_ino for p in kept} == made  # finished work was not done again


def test_ctrl_c_is_a_sentence(tmp_path):
    # Many seeds: it must not be done before it hears.
    process = start(arguments(tmp_path, "run", "store", METHODS, "--workers", "2", "--seeds", "0,1,2,3,4,5"))
    while not list((tmp_path / "run").glob("cells/**/*.json")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; finished cells are kept" in err and "Traceback" not in out + err


BROKEN = '''
from dataclasses import dataclass
from typing import ClassVar
from dirbench import DirectionMethod, NotApplicable

@dataclass(frozen=True)
class Fails(DirectionMethod):
    """Always fails."""
    name: ClassVar[str] = "fails"
    def images_on(self, *generators):
        raise KeyError("no such layer")  # in the plan, too
    def discover(self, generator, context):
        raise RuntimeError("the sky is green")

@dataclass(frozen=True)
class Refuses(DirectionMethod):
    """Never applies."""
    name: ClassVar[str] = "refuses"
    def discover(self, generator, context):
        raise NotApplicable("this generator has no tail")
'''


@pytest.fixture
def extra_methods(tmp_path, monkeypatch):
    """A folder whose files count as files of ``methods/``."""
    folder = tmp_path / "more_methods"
    folder.mkdir()
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(folder)])
    return folder


def test_a_failing_method_is_reported_and_the_others_finish(extra_methods, tmp_path, capsys):
    (extra_methods / "fails.py").write_text(BROKEN)
    (extra_methods / "syntax.py").write_text("def discover(:\n")
    code = main(arguments(tmp_path, "run", "store", "random,fails,refuses", "--workers", "2"))
    out, err = capsys.readouterr()
    assert code == 1
    told, = (line for line in err.splitlines() if line.startswith("failed: ") and "traceback" in line)
    assert "RuntimeError: the sky is green (" in told and "/fails.py:" in told and "8 more need them" in told
    kept, = (tmp_path / "run" / "errors").iterdir()
    assert "Traceback" in kept.read_text() and "discover/fails/full/seed0" in kept.read_text()
    assert "methods/syntax.py: SyntaxError" in out
    table = pd.read_csv(tmp_path / "run" / "rows.csv", keep_default_na=False)
    status = table.groupby("method")["status"].agg(set)
    assert status["fails"] == {"failed"} and status["refuses"] == {"not_applicable"} and "ok" in status["random"]
    assert table.loc[table["method"] == "refuses", "reason"].str.contains("no tail").all()


def test_the_reference_may_have_more_chance_runs(tmp_path):
    args = arguments(tmp_path, "run", "store", "random", "--metrics", "alignment,effect", "--workers", "1")
    path = tmp_path / "tiny.yaml"
    path.write_text(path.read_text().replace("chance: {runs: 2}", "chance: {runs: 2, reference: 3}"))
    assert main(args) == 0
    found = read_random_runs(tmp_path / "run")
    assert np.shape(found["full",]["effect/headline"]) == (3,)
    assert np.shape(found["no_hats",]["effect/headline"]) == (2,)
    assert np.shape(found["full", "no_hats"]["alignment/greedy"]) == (3, 2)
    table = pd.read_csv(tmp_path / "run" / "rows.csv").query("metric == 'effect'")
    assert len(table) == 2 and (table["chance_low"] < table["chance"]).all()


def test_what_a_pair_cost_is_its_density_ratio_its_directions_and_their_responses(tmp_path):
    assert main(arguments(tmp_path, methods="xga")) == 0
    cells = pd.read_csv(tmp_path / "run" / "cells.csv", keep_default_na=False)
    found = cells.loc[cells["kind"].isin(["ratio", "discover", "respond"]), "seconds"].sum()
    runs = {f"chance {run}" for run in range(2)}  # responses to random directions
    made = [json.loads(path.read_text()) for kind in ("ratio", "directions", "responses")
            for path in (tmp_path / "store" / kind).glob("*/made.json")]
    assert len(made) == 1 + 1 + 2 + 2 * len(runs)
    assert found == pytest.approx(sum(m["seconds"] for m in made if m["inputs"].get("seed") not in runs), abs=2e-3)


TWO_EXTRACTORS = """\
methods:
  - random
  - {name: xga, variant: sound}
  - {name: xga, variant: broken, extractor: {name: efficientnet_lite0, input_size: 64}}
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_an_extractor_that_fails_takes_only_its_own_cells(tmp_path, monkeypatch, workers):
    features = EfficientNetLite0.features

    def fails_at_64(self, images):
        if self.input_size == 64:
            raise RuntimeError("out of memory")
        return features(self, images)
    monkeypatch.setattr(EfficientNetLite0, "features", fails_at_64)
    path = tmp_path / "suite.yaml"
    shipped = (ROOT / "dirbench/benchmarks/suites/celeba_subsets.yaml").read_text(encoding="utf-8")
    path.write_text(re.sub(r"(?m)^methods: core.*\n", TWO_EXTRACTORS, shipped), encoding="utf-8")
    args = arguments(tmp_path, "run", "store", "random,xga", "--workers", str(workers), "--suite", str(path))
    assert main(args) == 1
    cells = pd.read_csv(tmp_path / "run" / "cells.csv", keep_default_na=False).set_index("cell")
    assert (cells.loc[cells["kind"] == "pool", "status"] == "failed").all()
    by_variant = cells[cells["method"] == "xga"].groupby("variant")["status"].agg(set)
    assert by_variant["sound"] == {"ok"} and by_variant["broken"] == {"failed"}
    assert cells.loc["discover/xga[broken]/full-no_hats/seed0", "reason"] == "RuntimeError: out of memory"

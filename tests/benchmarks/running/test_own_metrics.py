"""Metrics of a user's own in a run: whole rows and tables for those that work, their own failed rows for the others."""

from __future__ import annotations

import json
import sys

import pandas as pd
import pytest
from helpers.tiny import arguments

from dirbench import metrics
from dirbench.benchmarks.commands import main
from dirbench.results.stored_run import read_random_runs

METRICS = '''
import numpy as np
from dirbench import Inapplicable, Metric, Score


class Largest(Metric):
    """Direct, of one GAN, with protocols of its own."""

    name, needs, protocols = "own-single", "single", ("plain", "other")

    def compute(self, inputs, protocol, resamples=200):
        self.check_protocol(protocol)
        one = inputs.responses
        value = float(np.abs(one.plus - one.before).mean())
        return Score(value, *((value - 1, value + 1) if resamples else ()), n=one.n_samples)


class Ratio(Metric):
    """Direct, of a pair."""

    name, needs, protocols = "own-pair", "pair", ("raw", "raw-index")

    def compute(self, inputs, protocol, resamples=200):
        return Score(float(np.abs(inputs.client.plus).mean()))


class Pixels(Metric):
    """Direct, evaluated on images."""

    name, needs, protocols = "own-images", "generator", ("pixels",)

    def images(self, k, n):
        return n * (1 + k)

    def measure(self, inputs):
        gan, found = inputs.generator, inputs.directions
        before = gan.synthesize(inputs.latents, found.space)
        after = gan.synthesize(found.shift_all(inputs.latents, inputs.alpha), found.space)
        return {"change": (after.unflatten(0, (len(found), -1)) - before).abs().mean((2, 3, 4)).cpu().numpy()}

    def compute(self, inputs, protocol, resamples=200):
        return Score(float(inputs.arrays["change"].mean()))


class Divides(Largest):
    name = "divides"

    def compute(self, inputs, protocol, resamples=200):
        return Score(1 / 0)


class OnlyChance(Largest):
    name = "only-chance"

    def compute(self, inputs, protocol, resamples=200):
        if not resamples:
            raise KeyError("no chance")
        return super().compute(inputs, protocol, resamples)


class NoNumber(Ratio):
    name = "no-number"

    def compute(self, inputs, protocol, resamples=200):
        return Score(float("nan") if resamples else 0.5)


class NoReason(Largest):
    name = "no-reason"

    def compute(self, inputs, protocol, resamples=200):
        raise Inapplicable


class Blind(Pixels):
    name = "blind"

    def measure(self, inputs):
        return [1, 2]


class Uncounted(Pixels):
    name = "uncounted"

    def images(self, k, n):
        raise RuntimeError("who knows")
'''
GOOD = ("own-single", "own-pair", "own-images")
BAD = {"divides": "ZeroDivisionError: division by zero",
       "only-chance": "chance of only-chance (plain): KeyError: 'no chance'",
       "no-number": "no-number (raw): the value is nan", "blind": "measure returns a list", "uncounted": "who knows"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(the run's folder, what it said on the console) of these metrics beside two of ours."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "metrics").mkdir()
    (folder / "metrics" / "strangers_own.py").write_text(METRICS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "__path__", [*metrics.__path__, str(folder / "metrics")])
        said = []
        patch.setattr(sys.stderr, "write", said.append)
        args = arguments(folder, "run", "store", "random,sefa", "--workers", "1", "--metrics",
                         ",".join(["effect", "alignment", *GOOD, *BAD, "no-reason"]))
        assert main(args) == 1
        yield folder / "run", "".join(said)
    sys.modules.pop("dirbench.metrics.strangers_own", None)


@pytest.fixture(scope="module")
def rows(run):
    return pd.read_csv(run[0] / "rows.csv", keep_default_na=False)


@pytest.mark.parametrize("name", GOOD)
def test_a_direct_metric_has_rows_and_stands_in_the_headline(run, rows, name):
    own = rows[rows["metric"] == name]
    assert set(own["status"]) == {"ok"} and set(own["method"]) == {"random", "sefa"}
    table = run[0] / "tables" / ("headline_pairs.md" if name == "own-pair" else "headline_gans.md")
    assert name in table.read_text()


def test_its_protocols_are_its_own(run, rows):
    found = rows.groupby("metric")["protocol"].agg(set)
    assert found["own-single"] == {"plain", "other"} and found["own-images"] == {"pixels"}
    assert found["own-pair"] == {"raw"}  # by index: for paired methods only
    assert (run[0] / "tables" / "by_gan_own-single.md").exists()
    assert (run[0] / "tables" / "by_gan_own-single_other.md").exists()


def test_its_chance_is_its_score_of_random_directions(run, rows):
    runs = read_random_runs(run[0])
    scores = runs["full",]["own-single/plain"]
    row = rows[(rows["metric"] == "own-single") & (rows["reference"] == "full")].iloc[0]
    assert float(row["chance"]) == pytest.approx(sum(scores) / len(scores))
    assert "own-pair/raw" in runs["full", "no_hats"]
    assert set(rows[rows["metric"] == "own-images"]["chance"]) == {""}  # it has no chance method


@pytest.mark.parametrize("name", BAD)
def test_a_metric_that_fails_fails_its_own_rows_with_its_reason(rows, name):
    own = rows[rows["metric"] == name]
    assert set(own["status"]) == {"failed"} and set(own["value"]) == {""}
    assert own["reason"].str.contains(BAD[name], regex=False).any()


def test_the_others_are_whole(rows):
    assert set(rows[rows["metric"].isin(["effect", "alignment", *GOOD])]["status"]) == {"ok"}
    silent = rows[rows["metric"] == "no-reason"]
    assert set(silent["status"]) == {"not_applicable"} and silent["reason"].str.contains("not why").all()


def test_each_error_is_told_once_with_its_line_and_its_traceback_is_kept(run):
    folder, said = run
    told = [line for line in said.splitlines() if "traceback is in" in line]
    kept = sorted((folder / "errors").iterdir())
    assert len(told) == len(kept) == len(BAD)
    for words, line in (("division by zero", METRICS[:METRICS.index("1 / 0")].count("\n") + 1),
                        ("no chance", METRICS[:METRICS.index("no chance")].count("\n") + 1)):
        found, = (t for t in told if words in t)
        assert f"strangers_own.py:{line})" in found and "more:" in found
        file, = (path for path in kept if str(path) in found)
        assert "Traceback" in file.read_text() and f"strangers_own.py\", line {line}" in file.read_text()
    found, = (t for t in told if "the value is nan" in t)
    assert "strangers_own.py:" in found  # no line raised anything: where the class is
    assert "Traceback" not in said


def test_what_failed_is_not_kept_as_finished(run):
    records = [json.loads(path.read_text()) for path in (run[0] / "cells").rglob("*.json")]
    scores = [r for r in records if r["kind"] == "score"]
    assert {r["status"] for r in scores} == {"failed"} and all(r["rows"] for r in scores)
    store = run[0].parent / "store"
    assert not list((store / "scores").glob("*/rows.json"))
    assert list((store / "chance").glob("*/chance.json"))  # those of the metrics that work

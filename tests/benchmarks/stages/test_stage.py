"""Stages are found by being there, each after what it needs; a new file is a new kind of work in every run."""

import json

import pandas as pd
import pytest
from helpers.tiny import arguments

from dirbench.benchmarks import stages
from dirbench.benchmarks.commands import main
from dirbench.benchmarks.stages.stage import all_stages

LENGTHS = """
import json

from dirbench.benchmarks.stages.discover import directions, directions_step
from dirbench.benchmarks.stages.stage import Cell, Stage, cell_id


class LengthStage(Stage):
    kind = "length"
    after = ("discover",)

    def step(self, work, found):
        return work.lab.step("length", ("dirbench.directions",), directions=directions_step(work.lab, found).key)

    def cells(self, work):
        for entry in work.job.suite.methods:
            for found in work.discoveries(entry):
                yield Cell(cell_id("length", entry, found.gans, found.seed), "length", found.gans, entry, found.seed,
                           (cell_id("discover", entry, found.gans, found.seed),), (self.step(work, found),))

    def make(self, work, cell, progress):
        found = work.discovery(cell.of_method, cell.gans, cell.seed)

        def build(folder):
            many = len(directions(work.lab, found)[0])
            (folder / "length.json").write_text(json.dumps(many))

        work.lab.store.make(self.step(work, found), build)
        return []

    def gather(self, work, cells, out):
        (out / "lengths.json").write_text(json.dumps([cell.id for cell in cells]))
        return f"{len(cells)} lengths"
"""


def test_each_stage_comes_after_what_it_needs():
    found = all_stages()
    assert {"pool", "ratio", "discover", "respond", "random", "chance", "score", "measure", "traverse"} <= set(found)
    order = list(found)
    for kind, stage in found.items():
        assert stage.kind == kind and stage.__doc__
        assert all(order.index(before) < order.index(kind) for before in stage.after)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_new_file_is_a_new_stage(tmp_path, monkeypatch, capsys, workers):
    folder = tmp_path / "more_stages"
    folder.mkdir()
    (folder / "length_of_directions.py").write_text(LENGTHS)
    monkeypatch.setattr(stages, "__path__", [*stages.__path__, str(folder)])
    assert main(arguments(tmp_path, "run", "store", "random", "--metrics", "effect", "--workers", workers)) == 0
    assert "2 lengths" in capsys.readouterr().out
    cells = pd.read_csv(tmp_path / "run" / "cells.csv").query("kind == 'length'")
    assert set(cells["status"]) == {"ok"} and sorted(cells["reference"]) == ["full", "no_hats"]
    assert json.loads((tmp_path / "run" / "lengths.json").read_text()) == list(cells["cell"])
    made = [json.loads(path.read_text()) for path in (tmp_path / "store" / "length").glob("*/length.json")]
    assert made == [16, 16]


@pytest.mark.parametrize("old, new, words", [
    ('kind = "length"', 'kind = "pool"', 'two stages are of kind "pool"'),
    ('after = ("discover",)', 'after = ("discver",)', 'after: unknown stage "discver". Did you mean "discover"?')])
def test_a_stage_that_cannot_be_placed_is_told(tmp_path, monkeypatch, capsys, old, new, words):
    folder = tmp_path / "more_stages"
    folder.mkdir()
    (folder / f"wrong_{words[:3]}.py").write_text(LENGTHS.replace(old, new))
    monkeypatch.setattr(stages, "__path__", [*stages.__path__, str(folder)])
    assert main(arguments(tmp_path, "run", "store", "random")) == 2
    assert words in capsys.readouterr().err

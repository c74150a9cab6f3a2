"""One new file each, and it is found by being there: a method, metric, extractor, generator family, stage,
table, figure, command, suite and profile.

They are laid into a copy of the project in which nothing else is touched, and tried together in one run.
"""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from helpers.project_copy import copy_project, run_in
from helpers.strangers import write_oracle

METHOD = '''
from dataclasses import dataclass
from typing import ClassVar

from dirbench import Context, DirectionMethod, Directions, Generator, Vectors


@dataclass(frozen=True)
class Dropped(DirectionMethod):
    """Latents themselves, as directions."""

    name: ClassVar[str] = "dropped-method"

    def discover(self, generator: Generator, context: Context) -> Directions:
        return Vectors(generator.sample(self.n_directions, context.rng("directions")), generator.space)
'''
METRIC = '''
from dirbench import Metric, Score, SingleInputs


class Dropped(Metric):
    """How many directions there are."""

    name, needs, protocols = "dropped_metric", "single", ("headline",)
    bounds = (0.0, 100.0)

    def compute(self, inputs: SingleInputs, protocol: str, resamples: int = 200) -> Score:
        return Score(float(len(inputs.responses)), 0.0, 100.0, n=inputs.responses.n_samples)
'''
EXTRACTOR = '''
from torch import Tensor
from torch.nn import functional as F

from dirbench import FeatureExtractor


class Dropped(FeatureExtractor):
    """A small picture."""

    name, width = "dropped-extractor", 48

    def __init__(self, input_size: int = 32) -> None:
        super().__init__()
        self.eval()

    def features(self, images: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(images, 4).flatten(1)

    def maps(self, images: Tensor) -> list[Tensor]:
        return [images]

    def fingerprint(self) -> str:
        return "0" * 64
'''
FAMILY = '''
import torch
from torch import Tensor, nn

from dirbench import Generator, Layers


class Dropped(Generator):
    """One matrix from z to the pixels."""

    family, resolution, layer_names = "dropped-family", 32, ("image",)

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight, self.latent_dim = nn.Parameter(weight), weight.shape[1]

    @classmethod
    def reads(cls, state) -> bool:
        return state.keys() == {"dropped.weight"}

    @classmethod
    def from_state_dict(cls, state, *, extras=None) -> Generator:
        return cls(state["dropped.weight"])

    def synthesize(self, latent: Tensor, space: str | None = None) -> Tensor:
        return torch.tanh(latent @ self.weight.T).view(-1, 3, 32, 32)

    def activations(self, latent: Tensor, layer: str, space: str | None = None) -> Tensor:
        return self.synthesize(latent, space)

    def affine_weights(self, layers: Layers = "all") -> list[Tensor]:
        return [self.weight.detach()]
'''
STAGE = '''
"""Dropped: how many directions a search found."""

from dirbench.benchmarks.stages.discover import directions, directions_step
from dirbench.benchmarks.stages.stage import Cell, Stage, cell_id


class DroppedStage(Stage):
    """A cell a search."""

    kind, after = "dropped-stage", ("discover",)

    def cells(self, work):
        for entry in work.job.suite.methods:
            for found in work.discoveries(entry):
                needs = (cell_id("discover", entry, found.gans, found.seed),)
                yield Cell(cell_id(self.kind, entry, found.gans, found.seed), self.kind, found.gans, entry, found.seed,
                           needs, (self.step(work, found),))

    def step(self, work, found):
        return work.lab.step("count", (__name__,), directions=directions_step(work.lab, found).key)

    def make(self, work, cell, progress):
        found = work.discovery(cell.of_method, cell.gans, cell.seed)

        def build(folder):
            (folder / "count.txt").write_text(str(len(directions(work.lab, found)[0])))

        work.lab.store.make(self.step(work, found), build)
        return []

    def gather(self, work, cells, out):
        (out / "counts.txt").write_text("\\n".join(
            (work.lab.store.path(cell.steps[0]) / "count.txt").read_text() for cell in cells))
        return f"{len(cells)} searches counted"
'''
COMMAND = '''
"""``dropped-command``: greets."""

GROUP, HELP, EXAMPLES = "runs", "greet somebody by name", ("Ada",)


def arguments(parser):
    parser.add_argument("who")


def run(args):
    print(f"good day, {args.who}")
    return 0
'''
TABLE = '''
from dirbench.results.table import Table, TableKind, frame_of


class Dropped(TableKind):
    """How many rows each method has."""

    name, chapter, printed = "dropped-table", "Dropped rows", True

    def tables(self, source, cells):
        lines = {name: {"rows": str(n)} for name, n in source.rows["method"].value_counts().items()}
        return [Table("dropped_rows", "Rows of each method", frame_of(lines), source.rows, source.caption())]
'''
FIGURE = '''
from matplotlib import pyplot as plt

from dirbench.results.figure import FigureKind


class Dropped(FigureKind):
    """All values."""

    name, title = "dropped-figure", "All values in a row"

    def draw(self, source, path):
        figure, axes = plt.subplots()
        axes.plot(source.rows["value"].to_numpy())
        figure.savefig(path)
        plt.close(figure)
        return path
'''
SUITE = """\
suite: dropped-suite
title: Two generators of a new family
generators: {one: one.pt, two: two.pt}
oracle: any.safetensors
extractor: dropped-extractor
n_directions: 4
n_common: 2
methods: [random, dropped-method, xga]
metrics: [effect, dropped_metric, alignment]
"""
PROFILE = """\
profile: dropped-profile
title: a handful of latents
pairs: reference
seeds: [0]
latents: {match: 4, score: 4}
chunk: 16
chance: {runs: 2}
ratio: {pool: 16, steps: 4, batch: 8}
bootstrap: 5
methods:
  xga: {n_steps: 2, per_step: 4, batch: 2}
"""
FILES = {"methods/dropped.py": METHOD, "metrics/dropped.py": METRIC, "oracles/dropped.py": EXTRACTOR,
         "benchmarks/generators/dropped.py": FAMILY, "benchmarks/stages/dropped.py": STAGE,
         "benchmarks/commands/dropped_command.py": COMMAND, "results/tables/dropped.py": TABLE,
         "results/figures/dropped.py": FIGURE, "benchmarks/suites/dropped-suite.yaml": SUITE,
         "benchmarks/profiles/dropped-profile.yaml": PROFILE}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """The copy, with those files, and beside the suite the checkpoints and the oracle that it names."""
    folder = copy_project(tmp_path_factory.mktemp("house"), FILES)
    beside = folder / "benchmarks" / "suites"
    write_oracle(beside, "any", ("Smiling", "Young", "Eyeglasses"))
    for seed, name in enumerate(("one", "two")):
        weight = torch.randn(3 * 32 * 32, 8, generator=torch.Generator().manual_seed(seed))
        torch.save({"dropped.weight": weight}, beside / f"{name}.pt")
    return folder


@pytest.fixture(scope="module")
def rows(house):
    """Of a run of the suite under the profile, both by their names."""
    run_in(house, "--suite", "dropped-suite", "--profile", "dropped-profile", "--out", "run", "--workers", "1")
    return table(house / "run" / "rows.csv")


def table(path):
    """A CSV file's content; what is empty is an empty text."""
    return pd.read_csv(path, keep_default_na=False)


def test_the_suite_and_the_profile_are_found_by_their_names(rows):
    assert set(rows["suite"]) == {"dropped-suite"} and set(rows["profile"]) == {"dropped-profile"}


def test_the_family_reads_its_checkpoints(rows):
    assert set(rows["reference"]) == {"one", "two"} and set(rows["status"]) == {"ok"}


@pytest.mark.parametrize("column, name", [("method", "dropped-method"), ("metric", "dropped_metric")])
def test_the_method_and_the_metric_have_rows_and_stand_in_the_tables(house, rows, column, name):
    assert (rows[column] == name).any()
    assert name in (house / "run" / "tables" / "headline_gans.md").read_text(encoding="utf-8")


def test_the_metric_is_computed(rows):
    assert set(rows.loc[rows["metric"] == "dropped_metric", "value"].astype(float)) == {4.0}


def test_the_extractor_is_what_the_paired_method_sees(rows):
    assert set(rows.loc[rows["method"] == "xga", "extractor"]) == {"dropped-extractor"}


def test_they_are_all_listed(house):
    said = run_in(house, "list")
    for name in ("dropped-suite", "dropped-profile", "dropped-method", "dropped_metric", "dropped-extractor"):
        assert name in said, name


def test_the_stage_has_cells_makes_its_artifacts_and_gathers_them(house, rows):
    cells = table(house / "run" / "cells.csv")
    own = cells[cells["kind"] == "dropped-stage"]
    assert len(own) == len(cells[cells["kind"] == "discover"]) > 0 and set(own["status"]) == {"ok"}
    assert (house / "run" / "counts.txt").read_text().split() == ["4"] * len(own)


def test_the_table_and_the_figure_stand_in_the_summary(house, rows):
    run = house / "run"
    summary = (run / "summary.md").read_text(encoding="utf-8")
    assert "## Dropped rows" in summary and "![All values in a row](dropped-figure.png)" in summary
    assert (run / "tables" / "dropped_rows.csv").exists() and (run / "dropped-figure.png").stat().st_size > 1000
    assert "Rows of each method" in run_in(house, "show", "run")


def test_the_command_is_listed_and_runs(house):
    assert "dropped-command" in run_in(house, "--help")
    assert run_in(house, "dropped-command", "Ada") == "good day, Ada\n"

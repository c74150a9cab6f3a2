"""Images planned are images made, and progress keeps step, where the number depends on the generator: GANSpace."""

import json

import pandas as pd
import pytest
from helpers.planted import PlantedGenerator
from helpers.strangers import write_suite
from helpers.tiny import profile

from dirbench.benchmarks.commands import main
from dirbench.benchmarks.generators.counting import count_images
from dirbench.method import Context
from dirbench.methods import _linalg
from dirbench.methods.attention_on_top import GANSpaceAttention
from dirbench.methods.ganspace import GANSpace

SIZES = {"n_directions": 4, "n_samples": 300, "n_regression": 100}


@pytest.mark.parametrize("space, layer, wide, images", [
    ("w", None, False, 0), ("w", "s4", False, 400), ("w", "s4", True, 1000), ("z", None, False, 400),
    ("z", None, True, 1000)])
def test_ganspace_counts_and_keeps_step(space, layer, wide, images, monkeypatch):
    if wide:
        monkeypatch.setattr(_linalg, "WIDE", 10)
    method, gan, words = GANSpace(layer=layer, **SIZES), PlantedGenerator(space=space), []
    assert method.images_on(gan) == images
    with count_images(gan) as count:
        method.discover(gan, Context(progress=lambda done, total: words.append((done, total, count.images))))
    assert count.images == images
    done, totals, made = zip(*words)
    assert list(done) == sorted(done) and set(totals) == {images or 300} and done[-1] == totals[-1]
    assert not images or done == made
    assert GANSpaceAttention(**SIZES).images_on(gan) - GANSpaceAttention(**SIZES).images() == (
        0 if layer or not images else images)


def test_a_run_on_a_generator_fed_with_z_makes_what_it_planned(tmp_path):
    suite = write_suite(tmp_path, "stranger_planned")
    assert main(["--suite", str(suite), "--profile", profile(tmp_path), "--out", str(tmp_path / "run"), "--store",
                 str(tmp_path / "store"), "--workers", "1", "--methods", "ganspace,sefa"]) == 0
    cells = pd.read_csv(tmp_path / "run" / "cells.csv", keep_default_na=False)
    made = {}
    for artifact in cells.loc[cells["kind"] == "discover", "artifact"]:
        record = json.loads((tmp_path / "store" / artifact.split("; ")[0] / "made.json").read_text())
        made[record["inputs"]["method"]] = (record["images"], record["images_made"])
    assert made == {"sefa": (0, 0), "ganspace": (200 + 10_000, 200 + 10_000)}

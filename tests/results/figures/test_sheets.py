"""Traversal sheets: right pictures in the right places, right words beside them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.made_up_responses import responses
from helpers.planted import PlantedGenerator, PlantedOracle
from PIL import Image

from dirbench.changes import changes, reliability, spread
from dirbench.directions import Vectors
from dirbench.metric import SingleInputs
from dirbench.metrics.effect import Effect
from dirbench.responses import respond
from dirbench.results.figures.sheets import GAP, MARGIN, describe, traversal_sheet
from dirbench.traversals import traverse

STRENGTHS = [-3.0, 0.0, 3.0]


@pytest.fixture(scope="module")
def planted():
    generator = PlantedGenerator()
    oracle = PlantedOracle(generator.factors)
    directions = Vectors(torch.cat([generator.planted[:2], -generator.planted[2:3]]), "w")
    latents = generator.sample(32, torch.Generator().manual_seed(0))
    return generator, oracle, directions, latents, respond(generator, directions, oracle, latents, 3.0)


def test_planted_directions_are_named_after_their_factor_with_its_sign(planted):
    _, oracle, _, _, seen = planted
    words = [attribute.split()[0] for attribute, _ in describe(seen, oracle.names)]
    assert words == ["+factor_0", "+factor_1", "−factor_2"]


def test_the_figures_are_those_of_the_metrics():
    effect = np.zeros((2, 5))
    effect[0, 3], effect[1, 1] = -1.5, 0.8
    seen = responses(effect, n=200, noise=0.2, even=0.1)
    (first, facts), (second, _) = describe(seen, [f"a{i}" for i in range(5)])
    half = (seen.plus - seen.minus).mean(1) / 2 / seen.before.std(0)
    assert (first, second) == (f"−a3 {-half[0, 3]:.2f}", f"+a1 {half[1, 1]:.2f}")
    one = Effect().compute(SingleInputs(seen.select([0]), 2, [f"a{i}" for i in range(5)]), "headline", 0).value
    steady = reliability(changes(seen, spread(seen.before)))[:, 0].mean()
    assert facts == f"effect {one:.2f}, reliability {steady:.2f}"


def test_a_direction_that_does_nothing_is_called_dead():
    effect = np.zeros((2, 8))
    effect[0, 0] = 2.0
    labels = describe(responses(effect, n=64), [f"a{i}" for i in range(8)])
    assert labels[0][0].startswith("+a0") and labels[1][0].startswith("dead")


def test_every_picture_is_the_generators_own_enlarged_by_three(tmp_path, planted):
    generator, oracle, directions, latents, seen = planted
    path = traversal_sheet(tmp_path / "sheets" / "a.png", traverse(generator, directions, latents[:2], STRENGTHS), seen,
                           oracle.names, "planted")
    sheet = np.asarray(Image.open(path))
    side, step = 3 * generator.resolution, 3 * generator.resolution + GAP
    block = len(STRENGTHS) * step + 3 * MARGIN
    left, top = sheet.shape[1] - 2 * block, MARGIN + 2 * 21
    for k in range(3):
        for j in range(2):
            for c, strength in enumerate(STRENGTHS):
                image = generator.synthesize(directions.shift(latents[j:j + 1], k, strength), "w")[0]
                pixels = ((image.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
                x, y = left + j * block + c * step, top + k * step
                tile = sheet[y:y + side, x:x + side]
                assert np.array_equal(tile, pixels.repeat(3, 0).repeat(3, 1)), (k, j, strength)
    assert [p.name for p in path.parent.iterdir()] == ["a.png"]


def test_wrong_inputs_are_refused_with_a_sentence(tmp_path, planted):
    generator, oracle, directions, latents, seen = planted
    with pytest.raises(ValueError, match="3 directions, but responses of 2"):
        traversal_sheet(tmp_path / "a.png", traverse(generator, directions, latents, [0.0]), seen.select([0, 1]),
                        oracle.names, "")
    with pytest.raises(ValueError, match="need latents and strengths; got 32 and 0"):
        traverse(generator, directions, latents, [])
    with pytest.raises(ValueError, match="2 names for responses with 6 attributes"):
        describe(seen, ["a", "b"])
    assert not (tmp_path / "a.png").exists()

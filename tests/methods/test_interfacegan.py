"""InterFaceGAN's options: how many latents it learns from, what it conditions on, and which layers it edits."""


import helpers
import numpy as np
import pytest
import torch
from helpers.planted import DIM, PlantedGenerator, PlantedOracle
from torch.testing import assert_close

from dirbench.directions import Directions, Vectors
from dirbench.method import Context
from dirbench.methods._linalg import project_out
from dirbench.methods.interfacegan import InterFaceGAN, extremes, svm_boundary
from dirbench.plugins import METHODS

pytestmark = pytest.mark.numeric
with np.load(helpers.GOLDEN / "interfacegan.npz", allow_pickle=False) as file:
    GOLDEN = {name: torch.from_numpy(np.asarray(file[name])).float() for name in file.files}
CODE = {"ratio0.1_split0.7": (0.1, 0.7, "scores"), "num60_split0.7_invalid": (60, 0.7, "scores_with_invalid")}


@pytest.mark.parametrize("key", CODE)
def test_selection_by_share_and_by_number_is_the_official_one(key):
    selection, train_share, scores = CODE[key]
    latents, scores = GOLDEN["latents"], GOLDEN[scores][:, 0]
    valid = scores > -50  # the release's marker of an invalid score is far below
    latents, scores = latents[valid], scores[valid]
    method = InterFaceGAN(selection=selection, train_share=train_share, min_selected=1)
    chosen = method.wanted(len(scores))
    order = [GOLDEN[f"{key}_{sign}_order"].long() for sign in ("positive", "negative")]
    assert chosen == len(order[0]) == len(order[1])
    train = int(chosen * method.train_share)
    high, low = (ends[shuffle][:train] for ends, shuffle in zip(extremes(scores, chosen), order))
    assert_close(svm_boundary(latents[high], latents[low])[0].float(), GOLDEN[f"{key}_boundary"][0], atol=2e-3, rtol=0)


@pytest.mark.parametrize("selection, least, n, wanted", [(0.02, 400, 500_000, 10_000), (0.02, 400, 1000, 400),
                                                         (0.2, 1, 500, 100), (60, 400, 500, 60), (300, 1, 500, 250),
                                                         (0.5, 1, 7, 3)])
def test_how_many_are_taken_at_each_end(selection, least, n, wanted):
    assert InterFaceGAN(selection=selection, min_selected=least).wanted(n) == wanted


def test_conditioning_on_all_is_the_projection_off_the_span_of_all():
    """The golden projection on all four conditions, reached by the option; and none where all are the same thing."""
    primal, others = GOLDEN["primal"][0], GOLDEN["conditions"][:, 0]
    normals, related = torch.cat((primal[None], others)), torch.tensor([1.0, 0.4, 0.3, 0.2, 0.1])
    for n, taken in ((0, 0), (2, 2), (4, 4), ("all", 4)):
        chosen = InterFaceGAN(n_conditions=n, min_left=0.0)._conditions(0, normals, related)
        assert chosen == list(range(1, taken + 1))
        found = Vectors(project_out(primal, normals[chosen])[None], "w").vectors
        assert_close(found, GOLDEN[f"projected_{taken}_conditions"], atol=1e-5, rtol=0)
    assert InterFaceGAN(n_conditions="all")._conditions(0, torch.stack([primal, 2 * primal]), torch.ones(2)) == []
    found = InterFaceGAN(n_directions=4, n_samples=2000, n_conditions="all").discover(
        PlantedGenerator(), Context(teacher=PlantedOracle((0, 1, 2, 3))))
    assert all(len(c) == 3 for c in found.notes["conditions"])


def test_layers_choose_the_rows_of_w_plus_that_move(tmp_path):
    gan, context = PlantedGenerator(), Context(teacher=PlantedOracle((0, 1)))
    whole = InterFaceGAN(n_directions=2, n_samples=400).discover(gan, context)
    some = InterFaceGAN(n_directions=2, n_samples=400, layers=(1, 2)).discover(gan, context)
    code = torch.randn(3, gan.n_layers, DIM, generator=torch.Generator().manual_seed(0))  # rows differ: truly w+
    moved = (some.shift(code, 0, 2.0) - code).norm(dim=2)
    assert_close(moved, torch.tensor([0.0, 2.0, 2.0]).expand(3, 3), atol=1e-5, rtol=0)
    assert_close(some.shift(code, 1, 2.0)[:, 1:], whole.shift(code, 1, 2.0)[:, 1:])
    some.save(tmp_path / "some.safetensors")
    assert torch.equal(Directions.load(tmp_path / "some.safetensors").shift(code, 0, 1.0), some.shift(code, 0, 1.0))
    with pytest.raises(ValueError, match=r"layers=\(0,\) are rows of w\+, but the boundaries are those of z"):
        InterFaceGAN(n_directions=2, n_samples=400, space="z", layers=(0,)).discover(gan, context)


@pytest.mark.parametrize("params, words", [({"selection": 0.7}, "selection=0.7"), ({"selection": 0.0}, "selection=0.0"),
                                           ({"selection": 1}, "from 2 on"),
                                           ({"n_conditions": "some"}, "n_conditions='some'"),
                                           ({"n_conditions": -1}, "n_conditions=-1"), ({"min_left": 2.0}, "min_left")])
def test_wrong_settings_are_refused(params, words):
    with pytest.raises(ValueError, match=words):
        METHODS.build("interfacegan", params)


def test_the_options_come_from_a_suite_file():
    assert METHODS.build("interfacegan", {"n_conditions": "all", "selection": 60, "layers": [0, 1]}) == InterFaceGAN(
        n_conditions="all", selection=60, layers=(0, 1))

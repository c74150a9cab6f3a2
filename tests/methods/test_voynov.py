"""Voynov & Babenko's method against the official code's numbers; its parts against what they must do."""


import helpers
import numpy as np
import pytest
import torch
from helpers.planted import PlantedGenerator
from torch import nn
from torch.testing import assert_close

from dirbench.benchmarks.generators.counting import count_images
from dirbench.generator import Generator
from dirbench.method import Context
from dirbench.methods._orthonormal import ExponentialColumns, UnitColumns, skew_exponential
from dirbench.methods.voynov import Voynov
from dirbench.oracles.networks.reconstructors import (
    LeNet,
    ResNet18,
    build_reconstructor,
    reconstruction_loss,
    spread_shifts,
)
from dirbench.plugins import METHODS
from dirbench.training import train

pytestmark = pytest.mark.numeric
with np.load(helpers.GOLDEN / "voynov.npz", allow_pickle=False) as file:
    GOLDEN = {name: torch.from_numpy(file[name]) for name in file.files}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def lenet(k, prefix):
    network = LeNet(k, seeded(), channels=2, width=1)
    network.load_state_dict({key.removeprefix(prefix): t for key, t in GOLDEN.items() if key.startswith(prefix)})
    return network


# -- direction matrices ----------------------------------------------------------------------------------
@pytest.mark.parametrize("key", ["ortho", "ortho_big"])
def test_orthonormal_matrix(key):
    half, expected = GOLDEN[f"{key}_log_mat_half"], GOLDEN[f"{key}_matrix_float64"]
    assert_close(skew_exponential(half.double()), expected, rtol=0, atol=3e-6)  # the stored half is rounded to float32
    assert_close(skew_exponential(half).double(), expected, rtol=0, atol=5e-5)


def test_orthonormal_edit_and_its_gradient():
    half = GOLDEN["ortho_log_mat_half"].clone().requires_grad_()
    out = GOLDEN["ortho_in"] @ skew_exponential(half).T
    assert_close(out.detach(), GOLDEN["ortho_out"], rtol=1e-5, atol=5e-5)
    out.backward(GOLDEN["ortho_upstream_gradient"])
    gradient = GOLDEN["ortho_grad_log_mat_half"]
    assert_close(half.grad, gradient, rtol=0, atol=1e-4 * gradient.abs().max().item())


@pytest.mark.parametrize("k", [1, 3, 5, 8])
def test_fewer_columns_are_the_first_of_the_whole_exponential(k):
    """The 2K x 2K short cut (k = 1, 3 of 10) and the whole matrix (5, 8): same values, same gradient."""
    half = torch.randn(10, k, generator=seeded(k), dtype=torch.float64).requires_grad_()
    weight = torch.randn(10, k, generator=seeded(9), dtype=torch.float64)
    full = nn.functional.pad(half, (0, 10 - k))
    expected = torch.linalg.matrix_exp(full - full.T)[:, :k]
    found = skew_exponential(half)
    assert_close(found, expected)
    assert_close(found.T @ found, torch.eye(k, dtype=torch.float64))
    one, other = (torch.autograd.grad((x * weight).sum(), half)[0] for x in (found, expected))
    assert_close(one, other)


def test_unit_columns():
    model = UnitColumns(5, 8, seeded())
    model.load_state_dict({"weight": GOLDEN["proj_weight"]})
    assert_close(GOLDEN["proj_in"] @ model.rows().detach(), GOLDEN["paper_unit_column_out"], rtol=1e-5, atol=1e-6)


# -- shifts, loss, reconstructors ----------------------------------------------------------------------------
def test_shifts():
    assert_close(spread_shifts(GOLDEN["uniform_draws"]), GOLDEN["shifts"], rtol=1e-6, atol=1e-6)
    assert spread_shifts(torch.tensor([0.5])) == 0
    shifts = spread_shifts(torch.rand(1000, generator=seeded()), 4.0, 1.0)
    assert shifts.abs().min() == 1 and shifts.abs().max() <= 4
    assert abs((shifts > 0).sum() - 500) < 80  # 5 standard deviations of sqrt(1000) / 2


def test_loss_and_gradients():
    logits, predicted = (GOLDEN[key].clone().requires_grad_() for key in ("logits", "shift_prediction"))
    loss = reconstruction_loss(logits, predicted, GOLDEN["direction_index"], GOLDEN["shifts"])
    loss.backward()
    assert_close(loss.detach(), GOLDEN["loss"], rtol=1e-5, atol=0)
    assert_close(logits.grad, GOLDEN["grad_logits"], rtol=1e-5, atol=1e-7)
    assert_close(predicted.grad, GOLDEN["grad_shift_prediction"], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_lenet(mode):
    network = lenet(5, "lenet__").train(mode == "train")
    logits, shifts = network(*(GOLDEN[f"lenet_x{i}_uint8"] / 127.5 - 1 for i in (1, 2)))
    assert_close(logits.detach(), GOLDEN[f"lenet_{mode}_logits"], rtol=1e-5, atol=2e-5)
    assert_close(shifts.detach(), GOLDEN[f"lenet_{mode}_shift"], rtol=1e-5, atol=2e-5)


def test_resnet18_is_one():
    network = ResNet18(16, seeded())
    # 11,689,512 in the published network: less its classifier, plus three input channels, plus our heads
    assert sum(p.numel() for p in network.parameters()) == 11_689_512 - 513_000 + 3 * 64 * 49 + 513 * 17
    assert network.blocks(network.stem(torch.zeros(1, 6, 64, 64))).shape == (1, 512, 2, 2)


@pytest.mark.parametrize("kind, size", [("lenet", 16), ("lenet", 48), ("resnet18", 32)])
def test_reconstructors_start_from_the_seed_and_do_not_mix_samples(kind, size):
    global_state = torch.get_rng_state()
    one, same, other = (build_reconstructor(kind, 4, size, seeded(s)).eval() for s in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), global_state)
    first, second = torch.rand(2, 3, 3, size, size, generator=seeded()) * 2 - 1
    with torch.no_grad():
        logits, shifts = one(first, second)
        assert torch.equal(logits, same(first, second)[0]) and not torch.equal(logits, other(first, second)[0])
        assert_close(torch.cat([one(first[i:i + 1], second[i:i + 1])[0] for i in range(3)]), logits, atol=1e-5, rtol=0)
    assert logits.shape == (3, 4) and shifts.shape == (3,)
    assert 0.001 < logits.std() < 10  # signals neither die nor explode on their way


def test_auto_follows_the_papers_sizes():
    kinds = {size: type(build_reconstructor("auto", 2, size, seeded())).__name__ for size in (32, 64, 128)}
    assert kinds == {32: "LeNet", 64: "LeNet", 128: "ResNet18"}


# -- training --------------------------------------------------------------------------------------------
class Toy(Generator):
    """tanh(z W) as a grey 32 x 32 image."""

    latent_dim, resolution = 8, 32

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.W = nn.Parameter(weight)

    def synthesize(self, latent, space=None):
        return torch.tanh(latent @ self.W).view(-1, 1, 32, 32)

    def activations(self, latent, layer, space=None):
        raise NotImplementedError

    def affine_weights(self, layers="all"):
        return [self.W.T]


def test_two_training_steps():
    toy = Toy(GOLDEN["step_G_weight_float16"].float()).freeze()
    directions, reconstructor = ExponentialColumns(8, 8, seeded()), lenet(8, "step_lenet_init__")
    directions.load_state_dict({"matrix": GOLDEN["ortho_log_mat_half"]})
    model, seen = nn.ModuleDict({"directions": directions, "reconstructor": reconstructor}), []

    def loss_at(step):
        return Voynov(n_directions=8).loss(toy, directions.rows(), reconstructor, GOLDEN["step_z"][step],
                                           GOLDEN["step_index"][step], spread_shifts(GOLDEN["step_uniform"][step]),
                                           "z", 64)

    losses = train(model, loss_at, Context(), name="t", key=str, n_steps=2, lr=1e-4,
                   after_step=lambda: seen.append({k: t.clone() for k, t in model.state_dict().items()}))
    assert_close(losses.double(), GOLDEN["step_accuracy_loss_labelloss_shiftloss"][:, 1], rtol=1e-3, atol=0)
    for step, tolerance in ((0, 1e-6), (1, 2e-5)):  # of steps of 1e-4
        expected = {key: t for key, t in GOLDEN.items() if key.startswith(f"step{step}_")}
        for key, value in expected.items():
            name = ("directions.matrix" if key.endswith("log_mat_half_after")
                    else "reconstructor." + key.removeprefix(f"step{step}_lenet_after__"))
            assert_close(seen[step][name], value, rtol=0, atol=tolerance)
        assert len(expected) > 2


@pytest.fixture(scope="module")
def planted():
    return PlantedGenerator()


@pytest.mark.parametrize("columns", ["unit", "orthonormal"])
def test_the_loss_falls_and_images_are_as_planned(planted, columns):
    method = Voynov(n_directions=4, n_steps=120, batch=16, lr=1e-2, columns=columns)
    with count_images(planted) as count:
        found = method.discover(planted, Context(chunk=5))
    assert count.images == method.images() == 120 * 16 * 2
    assert found.notes["loss_last"] < found.notes["loss_first"] - 0.2  # over seeds 1.2 +- 0.2
    assert found.notes["reconstructor"] == "LeNet" and found.space == "w"
    off = (found.vectors @ found.vectors.T - torch.eye(4)).abs().max()
    assert off < 1e-5 if columns == "orthonormal" else off > 1e-3


def test_originals_are_made_without_gradient(planted, monkeypatch):
    graphs, made = [], planted.synthesize

    def synthesize(*args):
        images = made(*args)
        graphs.append(images.requires_grad)
        return images

    monkeypatch.setattr(planted, "synthesize", synthesize)
    Voynov(n_directions=4, n_steps=3, batch=8).discover(planted, Context())
    assert graphs == [False, True] * 3


@pytest.mark.parametrize("params, words", [
    ({"columns": "any"}, "columns='any', expected one of unit, orthonormal"),
    ({"reconstructor": "vgg"}, "expected one of auto, lenet, resnet18"), ({"batch": 1}, "batch=1, expected 2 or more"),
    ({"min_shift": 7.0}, "expected 0 <= min_shift <= max_shift")])
def test_wrong_settings_are_refused(params, words):
    with pytest.raises(ValueError, match=words):
        METHODS.build("voynov", params)


def test_more_orthonormal_columns_than_dimensions(planted):
    with pytest.raises(ValueError, match="n_directions=40, but the latent has only 32"):
        Voynov(n_directions=40, columns="orthonormal").discover(planted, Context())

"""The baselines of xGA's release against its numbers, and what they do and do not react to."""


import helpers
import numpy as np
import pytest
import torch
from helpers.planted import PlantedGenerator
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from dirbench.benchmarks.generators.counting import count_images
from dirbench.method import Context
from dirbench.methods._models import GlobalModel
from dirbench.methods.xga_release_baselines import HessianXGARelease, JacobianXGARelease, VoynovXGARelease
from dirbench.plugins import METHODS, method_group
from dirbench.training import train

pytestmark = pytest.mark.numeric
with np.load(helpers.GOLDEN / "xga_base.npz", allow_pickle=False) as file:
    GOLDEN = {name.removeprefix("base_"): torch.from_numpy(file[name]) for name in file.files}
CLASSES = {"hessian": HessianXGARelease, "jacobian": JacobianXGARelease, "voynov": VoynovXGARelease}
DRAWN = sorted(GOLDEN["permutation"][:3].tolist())


class Network(nn.Module):
    """The release's heads on a linear map of the pair."""

    def __init__(self) -> None:
        super().__init__()
        self.logits, self.shift = nn.Linear(5, 4), nn.Linear(5, 1)
        for head, name in ((self.logits, "dir"), (self.shift, "shift")):
            head.load_state_dict({part: GOLDEN[f"head_{name}_{part}"] for part in ("weight", "bias")})

    @staticmethod
    def features(pair):
        return pair.flatten(1) @ GOLDEN["pair_projector_weight"].T


def look(latents):
    return torch.tanh(latents @ GOLDEN["generator_weight"].T)[:, :, None, None]


@pytest.mark.parametrize("name", CLASSES)
def test_one_training_step(name):
    method = CLASSES[name](n_directions=4, per_step=3, batch=2)
    vectors = GlobalModel(4, 5, torch.Generator())
    vectors.load_state_dict({"vectors": GOLDEN["params_before"]})
    model = nn.ModuleDict({"directions": vectors, "network": Network()})
    method.orthonormalise(vectors)
    sizes = GOLDEN["alpha_draws_in_order"].tolist()
    losses = train(model, lambda step: method.loss(model, look, GOLDEN["z"], DRAWN, *sizes), Context(), name="t",
                   key=str, n_steps=1, lr=method.lr, groups=method.groups(model),
                   after_step=lambda: method.orthonormalise(vectors))
    assert_close(losses[0].double(), GOLDEN[f"{name}_loss"], rtol=3e-5, atol=0)
    assert_close(vectors.vectors.detach(), GOLDEN[f"{name}_params_after"], rtol=0, atol=2e-6)
    if name == "voynov":
        assert_close(model["network"].logits.weight.detach(), GOLDEN["voynov_head_dir_weight_after"], rtol=0, atol=1e-5)


def test_which_of_the_two_sizes_each_loss_uses():
    assert_close(GOLDEN["hessian_sampled_alpha"], GOLDEN["alpha_draws_in_order"][0])
    for name in ("jacobian", "voynov"):
        assert_close(GOLDEN[f"{name}_sampled_alpha"], GOLDEN["alpha_draws_in_order"][1])


def test_voynov_labels_are_the_tiled_ones_and_right_as_often_as_chance(monkeypatch):
    seen = []
    monkeypatch.setattr("dirbench.methods.xga_release_baselines.reconstruction_loss",
                        lambda logits, predicted, labels, shifts, weight: seen.append(labels))
    vectors = GlobalModel(4, 5, torch.Generator())
    model = nn.ModuleDict({"directions": vectors, "network": Network()})
    VoynovXGARelease(n_directions=4).loss(model, look, GOLDEN["z"], DRAWN, 1.0, 2.0)
    assert_close(seen[0], GOLDEN["voynov_labels_used_by_release"])
    rows, tiled = torch.arange(5).repeat_interleave(2), torch.arange(5).repeat(2)
    assert (rows == tiled).sum() == 2  # of 10, with five directions


def test_jacobian_expected_gradient_is_zero():
    """The divisor's two signs are as likely, whatever the step was."""
    vectors = GlobalModel(4, 5, torch.Generator().manual_seed(0))
    model = nn.ModuleDict({"directions": vectors})
    both = [torch.autograd.grad(JacobianXGARelease().loss(model, look, GOLDEN["z"], DRAWN, 1.5, other),
                                vectors.vectors)[0] for other in (2.0, -2.0)]
    assert both[0].abs().max() > 1e-3
    assert_close(both[0], -both[1])


def test_hessian_loss_can_be_negative():
    vectors = GlobalModel(1, 5, torch.Generator())
    vectors.vectors.data.copy_(F.normalize(torch.ones(1, 5)))
    model = nn.ModuleDict({"directions": vectors})

    def bent(sign):
        return lambda x: (1 + sign * x.sum(dim=1, keepdim=True).square() * torch.tensor([0.1, 0]))[:, :, None, None]

    losses = [HessianXGARelease().loss(model, bent(sign), torch.full((1, 5), 0.2), [0], 0.5, 1.0) for sign in (1, -1)]
    assert min(losses) < 0


# -- as methods ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name, per_latent", [("hessian", 7), ("jacobian", 4), ("voynov", 4)])
def test_images_and_orthonormal_answers(name, per_latent):
    gan = PlantedGenerator()
    method = CLASSES[name](n_directions=6, n_steps=4, batch=2, per_step=3)
    with count_images(gan) as count:
        found = method.discover(gan, Context(chunk=4))
    assert count.images == method.images() == 4 * 2 * per_latent
    assert_close(found.vectors @ found.vectors.T, torch.eye(6), rtol=0, atol=1e-5)
    assert {"loss_first", "loss_last"} <= set(found.notes)


def test_more_drawn_than_there_are_means_all():
    assert JacobianXGARelease(n_directions=3, n_steps=1, batch=2).images() == 2 * (1 + 3)
    assert JacobianXGARelease(n_directions=7, n_steps=1, batch=2, per_step=None).images() == 2 * (1 + 7)


def test_voynov_trains_the_heads_and_leaves_the_network():
    method = VoynovXGARelease(n_directions=4)
    network = method.networks(Context())["network"]
    model = nn.ModuleDict({"directions": GlobalModel(4, 32, torch.Generator()), "network": network})
    trained = {p for part in method.groups(model) for p in part["params"]}
    heads = {*network.logits.parameters(), *network.shift.parameters()}
    assert trained == heads | {model["directions"].vectors}
    assert {p for p in network.parameters() if p.requires_grad} == heads and not network.training


def test_published_settings():
    """Sizes as in the release; the learning rate drops at its steps 1,000 and 5,000."""
    for name, (steps, batch) in {"hessian": (25_000, 4), "jacobian": (50_000, 4), "voynov": (50_000, 2)}.items():
        method = METHODS.build(f"{name}-xga-release")
        assert (method.n_directions, method.per_step, method.n_steps, method.batch) == (16, 5, steps, batch)
        assert [fraction * steps for fraction in method.milestones] == [1000, 5000]
        assert method.name not in method_group("core") and method.name in method_group("all")


@pytest.mark.parametrize("params, words", [({"per_step": 0}, "per_step=0, expected 1 or more"),
                                           ({"min_step": 9.0}, "expected 0 < min_step <= max_step")])
def test_wrong_settings_are_refused(params, words):
    with pytest.raises(ValueError, match=words):
        METHODS.build("jacobian-xga-release", params)

"""LatentCLR against the official code's numbers; its training against itself."""

import itertools
import math

import helpers
import numpy as np
import pytest
import torch
from helpers.loss_gain import gain
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from dirbench import training as _training
from dirbench.benchmarks.generators.counting import count_images
from dirbench.directions import Directions
from dirbench.errors import DiscoveryError
from dirbench.generator import Generator
from dirbench.method import Context
from dirbench.methods._contrastive import divergences, unit_features
from dirbench.methods._latentclr_loss import Contrast
from dirbench.methods._models import GlobalModel, LinearModel, MlpModel
from dirbench.methods.latentclr import LatentCLR, _LayerFeatures
from dirbench.plugins import METHODS
from dirbench.training import train

pytestmark = pytest.mark.numeric
with np.load(helpers.GOLDEN / "latentclr.npz", allow_pickle=False) as file:
    GOLDEN = {name: torch.from_numpy(file[name]) for name in file.files}
ALPHA = GOLDEN["alpha"].item()


class Toy(Generator):
    """tanh(z C^T) as both its only layer and its image."""

    layer_names = ("first",)
    resolution = 1

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.C = nn.Parameter(weight.clone())
        self.latent_dim = weight.shape[1]

    def synthesize(self, latent, space=None):
        return self.activations(latent, "first", space)

    def activations(self, latent, layer, space=None):
        return torch.tanh(latent.to(self.C) @ self.C.T)[:, :, None, None]

    def affine_weights(self, layers="all"):
        return [self.C]


@pytest.fixture
def toy():
    rng = torch.Generator().manual_seed(3)
    return Toy(torch.randn(24, 16, generator=rng) * torch.linspace(1, 0.1, 16)).freeze()


# -- golden numbers --------------------------------------------------------------------------------------
LOSSES = [key[5:] for key in GOLDEN if key.startswith("loss_")]


@pytest.mark.parametrize("variant", LOSSES)
def test_loss_accuracy_and_gradient(variant):
    rows = GOLDEN["divergence_features" if variant.startswith("divergence") else "raw_features"].clone()
    rows.requires_grad_()
    contrast = Contrast(5, 2.0 if variant.endswith("temp2") else 0.5, "absTrue" in variant,
                        "sum" if "_sum" in variant else "mean")
    loss, accuracy = contrast.of_rows(rows)
    loss.backward()
    assert_close(loss.detach(), GOLDEN[f"loss_{variant}"], rtol=1e-5, atol=1e-6)
    assert_close(accuracy, GOLDEN[f"acc_{variant}"])
    gradient = GOLDEN[f"grad_{variant}"]
    assert_close(rows.grad, gradient, rtol=0, atol=1e-5 * gradient.abs().max().item())


def test_all_variants_of_the_loss_are_there():
    assert len(LOSSES) == 12


def test_divergences_and_the_gradient_through_them():
    edited = GOLDEN["edited_feats"].clone().requires_grad_()
    rows = divergences(edited, GOLDEN["orig_feats"])
    assert_close(rows.detach(), GOLDEN["divergence_features"], rtol=1e-5, atol=1e-6)
    Contrast(5).of_rows(rows)[0].backward()
    assert_close(edited.grad, GOLDEN["edited_feats_grad_abs_mean"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("columns", [3, 2048])  # in blocks, and in one
@pytest.mark.parametrize("absolute, reduction", [(True, "mean"), (False, "sum")])
@pytest.mark.parametrize("height", [4, 40])  # rows a part: 4 cuts through directions
def test_loss_of_edits_is_that_of_their_divergences(monkeypatch, columns, absolute, reduction, height):
    monkeypatch.setattr("dirbench.methods._latentclr_loss.COLUMNS", columns)
    rng = torch.Generator().manual_seed(0)
    edited, originals = (GOLDEN[name].double() for name in ("edited_feats", "orig_feats"))
    edited, originals = (x * torch.rand(len(x), 1, generator=rng, dtype=x.dtype).add(0.5) for x in (edited, originals))
    units, contrast = F.normalize(originals, dim=1), Contrast(5, 2.0, absolute, reduction)

    def gradient(loss_of):
        x = edited.clone().requires_grad_()
        loss = loss_of(x)
        (3 * loss).backward()
        return loss.detach(), x.grad

    found = gradient(lambda x: contrast.of_edits(x.split(height), units))
    expected = gradient(lambda x: contrast.of_rows(divergences(F.normalize(x, dim=1), units))[0])
    for short, long in zip(found, expected, strict=True):
        assert_close(short, long, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("contrast", [Contrast(4), Contrast(4, 3.0, False, "sum")])
def test_gradients_of_the_loss_are_those_of_small_differences(contrast):
    rng = torch.Generator().manual_seed(0)
    units = F.normalize(torch.randn(3, 7, generator=rng, dtype=torch.float64), dim=1)
    edited = torch.randn(12, 7, generator=rng, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: contrast.of_edits([x], units), edited)
    assert torch.autograd.gradcheck(lambda x: contrast.of_rows(x)[0], edited)


def test_a_change_of_nothing_stops_the_training():
    units = F.normalize(GOLDEN["orig_feats"], dim=1)
    edited = GOLDEN["edited_feats"].clone()
    assert Contrast(5).of_edits([edited], units).isfinite()
    edited[0] = 3 * units[0]
    assert Contrast(5).of_edits([edited], units).isnan()


@pytest.mark.parametrize("k, rows", [(1, 8), (8, 8), (3, 8)])
def test_a_loss_that_has_nothing_to_compare_is_refused(k, rows):
    with pytest.raises(ValueError, match=f"got k={k} and {rows} rows"):
        Contrast(k).of_rows(torch.ones(rows, 2))


def test_unit_features():
    assert_close(unit_features(GOLDEN["identity_projector_in"]), GOLDEN["identity_projector_out"])


def golden_model(kind):
    model = {"fixed": GlobalModel, "linear": LinearModel, "nonlinear": MlpModel}[kind](3, 6, torch.Generator())
    if kind == "fixed":
        model.load_state_dict({"vectors": GOLDEN["fixed_params"]})
        return model

    def stacked(part):
        return torch.stack([GOLDEN[f"{kind}__nets.{k}.{part}"] for k in range(3)])

    if kind == "linear":
        weight, bias = stacked("linear_1.weight"), stacked("linear_1.bias")
        model.load_state_dict({f"weight.{k}": w for k, w in enumerate(weight)}
                              | {f"bias.{k}": b for k, b in enumerate(bias)})
        return model
    state = {f"weight.{i}": stacked(f"linear_{i + 1}.weight") for i in range(3)}
    for i in range(2):
        state[f"bias.{i}"] = stacked(f"linear_{i + 1}.bias")
        for name in ("weight", "bias", "running_mean", "running_var"):
            state[f"norm.{i}.{name}"] = stacked(f"batchnorm_{i + 1}.{name}").flatten()
    model.load_state_dict(state, strict=False)
    return model


@pytest.mark.parametrize("kind, key", [("fixed", "fixed_forward"), ("linear", "linear_forward"),
                                       ("nonlinear", "nonlinear_forward_evalmode")])
def test_direction_models_and_what_is_stored_of_them(kind, key, tmp_path):
    model, z = golden_model(kind).eval(), GOLDEN["z"]
    assert_close(model.shift(z, ALPHA, range(3)).detach(), GOLDEN[key], rtol=1e-5, atol=1e-5)
    model.directions("z", {"x": 1}).save(tmp_path / "d.safetensors")
    found = Directions.load(tmp_path / "d.safetensors")
    assert (found.space, found.notes, len(found)) == ("z", {"x": 1}, 3)
    assert_close(found.shift_all(z, ALPHA), GOLDEN[key], rtol=1e-5, atol=1e-5)
    assert_close(found.select([2, 0]).shift(z, 1, ALPHA), found.shift(z, 0, ALPHA))
    rows = z[:6].view(2, 3, 6)  # each row of a w+ moves by itself
    for edit in (lambda x: found.shift_all(x, ALPHA), lambda x: model.shift(x, ALPHA, range(3)).detach()):
        assert_close(edit(rows).view(3, 6, 6), edit(z[:6]).view(3, 6, 6))


def test_single_directions():
    z = GOLDEN["z"]
    for kind, k, key in (("fixed", 1, "fixed_forward_single_1"), ("linear", 2, "linear_forward_single_2")):
        assert_close(golden_model(kind).shift(z, ALPHA, [k]).detach(), GOLDEN[key], rtol=1e-5, atol=1e-5)
    single = golden_model("nonlinear").directions("z", {}).shift(z, 0, ALPHA)
    assert_close(single, GOLDEN["nonlinear_forward_single_0_evalmode"], rtol=1e-5, atol=1e-5)


def test_nonlinear_model_in_training_uses_and_collects_batch_statistics():
    model = golden_model("nonlinear").train()
    moved = model.shift(GOLDEN["z"], ALPHA, range(3))
    assert_close(moved.detach(), GOLDEN["nonlinear_forward_trainmode"], rtol=1e-5, atol=1e-5)
    for i, (k, name) in itertools.product(range(2), itertools.product(range(3), ("running_mean", "running_var"))):
        assert_close(getattr(model.norm[i], name).view(3, 6)[k],
                     GOLDEN[f"nonlinear_after_train_forward__nets.{k}.batchnorm_{i + 1}.{name}"], rtol=1e-5, atol=1e-6)


def test_three_training_steps():
    before, generator = GOLDEN["step_params_before"], Toy(GOLDEN["step_C"]).freeze()
    method = LatentCLR(n_directions=3, model="global", batch=4, alpha=ALPHA)
    model, seen = GlobalModel(3, 6, torch.Generator()), []
    model.load_state_dict({"vectors": before})
    look = _LayerFeatures(generator, "first", "z", 5)

    def loss_at(step):
        if step:
            seen.append(model.vectors.detach().clone())
        latents = GOLDEN[f"step_z{step}"]
        return method.loss(model, latents, look.originals(latents), look)

    losses = train(model, loss_at, Context(), name="t", key=str, n_steps=3, lr=1e-3, weight_decay=1e-3)
    seen.append(model.vectors.detach())
    for step in range(3):
        assert_close(losses[step], GOLDEN[f"step_loss{step}"], rtol=1e-4, atol=1e-6)
        assert_close(seen[step], GOLDEN[f"step_params_after{step}"], rtol=0, atol=1e-5)


# -- the method ------------------------------------------------------------------------------------------
def tiny(**kwargs):
    return LatentCLR(**{"n_directions": 4, "n_steps": 12, "batch": 3, "lr": 0.01, "alpha": 1.0} | kwargs)


def moves(directions):
    return directions.shift_all(torch.eye(16), 1.0)


@pytest.mark.parametrize("model, n_steps, lr", [("global", 200, 0.1), ("linear", 200, 0.03), ("nonlinear", 60, 0.03)])
def test_the_loss_falls(toy, model, n_steps, lr):
    method = tiny(model=model, n_steps=n_steps, batch=8, lr=lr, milestones=())
    assert gain(method, lambda m, s: m.discover(toy, Context(seed=s))) > 0.015  # 0.1 to 0.17, +- 0.02 at most


@pytest.mark.parametrize("model", ["global", "linear", "nonlinear"])
def test_same_seed_same_answer_whatever_the_chunk(toy, model):
    first = moves(tiny(model=model).discover(toy, Context(seed=1)))
    assert torch.equal(first, moves(tiny(model=model).discover(toy, Context(seed=1))))
    # rounding, which the first steps of Adam may turn into steps of lr = 0.01
    assert_close(first, moves(tiny(model=model).discover(toy, Context(seed=1, chunk=1))), rtol=0, atol=0.05)
    assert (first - moves(tiny(model=model).discover(toy, Context(seed=2)))).abs().max() > 0.1


def test_images_are_as_planned_and_progress_is_honest(toy):
    seen, method = [], tiny(n_steps=10)  # originals are made for four steps at once, the last time for two
    with count_images(toy) as count:
        method.discover(toy, Context(progress=lambda done, total: seen.append((done, total)), chunk=5))
    assert count.images == method.images() == 10 * 3 * (1 + 4)
    assert seen == [(i, 10) for i in range(11)]


def test_features_of_a_layer_are_in_one_order_and_as_many_at_a_time_as_pixels_allow():
    class Maps(Toy):
        """[N, 24, 2, 2]: as a convolution may, with channels last in memory for more than two latents."""

        resolution = 8

        def activations(self, latent, layer, space=None):
            sizes.append(len(latent))
            maps = super().activations(latent, layer, space) * torch.arange(1.0, 5).view(2, 2)
            return maps.contiguous(memory_format=torch.channels_last if len(latent) > 2 else torch.contiguous_format)

    sizes, latents = [], torch.randn(14, 16, generator=torch.Generator().manual_seed(0))
    generator = Maps(torch.randn(24, 16, generator=torch.Generator().manual_seed(1))).freeze()
    look = _LayerFeatures(generator, "first", "z", 3)
    units = look.originals(latents)
    features = look.edits(latents)
    assert sizes == [3, 11, 12, 2]
    assert_close(units, F.normalize(torch.cat(features), dim=1))
    assert features[0].is_contiguous() and not features[0].norm(dim=1).allclose(torch.ones(12))


def test_the_generator_is_left_alone():
    toy = Toy(torch.randn(12, 6, generator=torch.Generator().manual_seed(0))).train()
    weights = toy.C.detach().clone()
    tiny().discover(toy, Context())
    assert toy.training and toy.C.requires_grad and toy.C.grad is None and torch.equal(toy.C, weights)


def test_half_precision_generator(toy):
    method = tiny(n_steps=150, batch=8, lr=0.1, milestones=())
    assert gain(method, lambda m, s: m.discover(toy.bfloat16(), Context(seed=s))) > 0.015  # over seeds 0.08 +- 0.012


# -- interruptions and failures -------------------------------------------------------------------------------
class Interrupted(Exception):
    pass


def stop_at(step):
    def progress(done, total):
        if done == step:
            raise Interrupted
    return progress


@pytest.mark.parametrize("model", ["linear", "nonlinear"])
def test_an_interrupted_run_continues_to_the_identical_answer(toy, model, tmp_path, monkeypatch):
    method, path, resumed = tiny(model=model), tmp_path / "deep/c.pt", []
    whole = method.discover(toy, Context())
    monkeypatch.setattr(_training, "SAVE_SECONDS", 0)
    for step in (5, 9):
        with pytest.raises(Interrupted):
            method.discover(toy, Context(checkpoint=path, progress=stop_at(step)))
    found = method.discover(toy, Context(checkpoint=path, progress=lambda done, total: resumed.append(done)))
    assert resumed == [9, 10, 11, 12]
    assert torch.equal(moves(found), moves(whole)) and found.notes == whole.notes
    assert [p.name for p in path.parent.iterdir()] == ["c.pt"]


@pytest.mark.parametrize("spoil, words", [
    (lambda path: path.write_bytes(path.read_bytes()[:300]), "not a readable checkpoint"),
    (lambda path: path.write_bytes(b""), "not a readable checkpoint"),
    (lambda path: None, "a checkpoint of something else")])
def test_a_damaged_or_foreign_checkpoint_is_not_used(toy, tmp_path, monkeypatch, spoil, words):
    monkeypatch.setattr(_training, "SAVE_SECONDS", 0)
    path = tmp_path / "c.pt"
    with pytest.raises(Interrupted):
        tiny().discover(toy, Context(checkpoint=path, progress=stop_at(5)))
    spoil(path)
    with pytest.warns(UserWarning, match=words):
        found = tiny(temperature=1.0).discover(toy, Context(checkpoint=path))
    assert torch.equal(moves(found), moves(tiny(temperature=1.0).discover(toy, Context())))


def test_nan_names_the_step_and_the_likely_cause(toy):
    toy.C.zero_()  # no edit changes anything
    with pytest.raises(DiscoveryError, match=r"the loss became nan at step 0 of 12; likely some edit.*'first'"):
        tiny().discover(toy, Context())


def test_nan_in_the_middle_is_found_at_its_step(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(_training, "SAVE_SECONDS", 0)
    model = GlobalModel(2, 3, torch.Generator().manual_seed(0))

    def loss_at(step):
        return model.vectors.square().sum() * (math.nan if step == 7 else 1)

    with pytest.raises(DiscoveryError, match="step 7 of 40"):
        train(model, loss_at, Context(checkpoint=tmp_path / "c.pt"), name="t", key=str, n_steps=40, lr=0.1)
    assert torch.load(tmp_path / "c.pt", weights_only=True)["done"] == 7  # nothing broken was saved


def test_learning_rate_drops_at_fractions_of_the_run():
    model, sizes = GlobalModel(1, 1, torch.Generator().manual_seed(0)), []
    last = model.vectors.item()

    def record():
        nonlocal last
        sizes.append(abs(model.vectors.item() - last))
        last = model.vectors.item()

    train(model, lambda step: model.vectors.sum(), Context(), name="t", key=str, n_steps=20, lr=0.1,
          milestones=(0.1, 0.5), after_step=record)  # a constant gradient: Adam's steps are the learning rate
    assert_close(torch.tensor(sizes), torch.tensor([0.1] * 2 + [0.02] * 8 + [0.004] * 10), rtol=1e-3, atol=1e-6)


def test_parameter_groups_keep_their_own_rates():
    rng = torch.Generator().manual_seed(0)
    model = nn.ModuleList(GlobalModel(1, 1, rng) for _ in range(2))
    before = [m.vectors.item() for m in model]
    train(model, lambda step: model[0].vectors.sum() + model[1].vectors.sum(), Context(), name="t", key=str, n_steps=2,
          lr=0.1, groups=[{"params": model[0].parameters()}, {"params": model[1].parameters(), "lr": 0.01}],
          milestones=(0.5,))
    moved = [start - m.vectors.item() for start, m in zip(before, model)]
    assert_close(torch.tensor(moved), torch.tensor([0.12, 0.012]), rtol=1e-4, atol=0)


@pytest.mark.parametrize("params, words", [
    ({"model": "cubic"}, "model='cubic', expected one of global, linear, nonlinear"),
    ({"reduction": "max"}, "expected one of mean, sum"), ({"batch": 1}, "batch=1, expected 2 or more"),
    ({"temperature": 0}, "temperature=0.0, expected more than 0 and at most 40")])
def test_wrong_settings_are_refused(params, words):
    with pytest.raises(ValueError, match=words):
        METHODS.build("latentclr", params)


def test_layers_by_position_or_name(toy):
    assert tiny(layer="first").discover(toy, Context()).notes["layer"] == "first"
    for layer, words in ((1, "layer=1, but Toy has layers 0 to 0: first"), ("conv9", "no layer 'conv9'")):
        with pytest.raises(ValueError, match=words):
            tiny(layer=layer).discover(toy, Context())

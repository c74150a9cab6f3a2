"""Hessian penalty and OroJaR against the official codes' numbers, exact expectations and planted answers."""

import itertools

import helpers
import numpy as np
import pytest
import torch
from helpers.planted import PlantedGenerator
from torch import nn
from torch.testing import assert_close

from dirbench.benchmarks.generators.counting import count_images
from dirbench.benchmarks.generators.stylegan2 import StyleGAN2
from dirbench.generator import Generator
from dirbench.method import Context
from dirbench.methods._orthonormal import GramSchmidtRows, gram_schmidt
from dirbench.methods._penalised import derivatives, in_chunks
from dirbench.methods.hessian import Hessian, hessian_penalty
from dirbench.methods.jacobian import Jacobian, jacobian_penalty
from dirbench.plugins import METHODS
from dirbench.training import train

pytestmark = pytest.mark.numeric


def golden(name):
    with np.load(helpers.GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        return {key: torch.from_numpy(file[key]) for key in file.files}


GOLDEN = {Hessian: golden("hessian_penalty"), Jacobian: golden("orojar")}
BOTH = pytest.mark.parametrize("cls", [Hessian, Jacobian], ids=lambda cls: cls.name)
LAYERS = {"output": ("image",), "two_layers": ("hidden", "image")}


class Toy(Generator):
    """tanh(W2 tanh(W1 z + b1) + b2), the official codes' toy, with its hidden layer."""

    layer_names = ("hidden",)
    latent_dim, resolution = 5, 1

    def __init__(self, cls, dtype=torch.float32) -> None:
        super().__init__()
        for name in ("W1", "b1", "W2", "b2"):
            setattr(self, name, nn.Parameter(GOLDEN[cls][name].to(dtype)))

    def synthesize(self, latent, space=None):
        return torch.tanh(self.activations(latent, "hidden") @ self.W2.T + self.b2)

    def activations(self, latent, layer, space=None):
        return torch.tanh(latent @ self.W1.T + self.b1)

    def affine_weights(self, layers="all"):
        return [self.W1]


def all_signs(n, samples, dtype=torch.float64):
    """Every vector of +-1 as a probe [2^n, samples, n]: the variance over them is an expectation."""
    return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=n)), dtype=dtype)[:, None].expand(-1, samples, -1)


# -- Gram-Schmidt ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("cls, before, after", [
    (Hessian, "A", "Q_gram_schmidt"), (Jacobian, "A", "fast_gram_schmidt_A"),
    (Jacobian, "A", "norm_of_fast_gram_schmidt_A"), (Jacobian, "gs_square_in", "gs_square_out")])
def test_gram_schmidt(cls, before, after):
    assert_close(gram_schmidt(GOLDEN[cls][before]), GOLDEN[cls][after], rtol=1e-5, atol=2e-6)


def test_gram_schmidt_keeps_the_first_row_and_its_gradient_is_the_loops():
    rows = torch.randn(4, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    weight = torch.randn(4, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    out = []
    for row in rows:  # textbook, one at a time
        for done in out:
            row = row - (row @ done) * done
        out.append(row / row.norm())
    slow, fast = torch.stack(out), gram_schmidt(rows)
    assert_close(fast, slow)
    assert_close(*(torch.autograd.grad((x * weight).sum(), rows)[0] for x in (fast, slow)))


# -- penalties in z ----------------------------------------------------------------------------------------
def in_z(cls, toy, k, reduction, outputs):
    """The method's own penalty, with the axes of z as directions."""
    g = GOLDEN[cls]
    method = cls(n_directions=5, probes=k, reduction=reduction, outputs=outputs)
    return method.penalty(toy, torch.eye(5), g["z"], torch.zeros(4, 5), g[f"rademacher_k{k}"], "z", 7)


@BOTH
@pytest.mark.parametrize("k", [2, 8])
@pytest.mark.parametrize("reduction", ["mean", "max"])
def test_penalty(cls, k, reduction):
    g, key = GOLDEN[cls], f"penalty_k{k}_{reduction}"
    toy = Toy(cls).freeze()
    assert_close(in_z(cls, toy, k, reduction, ("image",)), g[key], rtol=1e-4, atol=0)
    layers = torch.stack([in_z(cls, toy, k, reduction, (output,)) for output in LAYERS["two_layers"]])
    assert_close(layers, g[f"{key}_per_layer"], rtol=1e-4, atol=0)
    both = in_z(cls, toy, k, reduction, LAYERS["two_layers"])
    assert_close(both, g[f"{key}_two_layers_summed"], rtol=1e-4, atol=0)


@BOTH
@pytest.mark.parametrize("k", [2, 8])
@pytest.mark.parametrize("reduction", ["mean", "max"])
def test_gradient_by_the_weights_of_a_generator(cls, k, reduction):
    g, toy = GOLDEN[cls], Toy(cls)
    z, steps = g["z"], 0.1 * g[f"rademacher_k{k}"]
    if cls is Hessian:
        penalty = hessian_penalty((toy.synthesize(z + steps) + toy.synthesize(z - steps)) / 0.01, reduction)
    else:
        penalty = jacobian_penalty((toy.synthesize(z + steps) - toy.synthesize(z)) / 0.1, reduction)
    penalty.backward()
    gradient = g[f"penalty_k{k}_{reduction}_grad_W1"]
    assert_close(toy.W1.grad, gradient, rtol=0, atol=2e-4 * gradient.abs().max().item())


def test_hessian_variances_and_the_float64_value():
    g, toy = GOLDEN[Hessian], Toy(Hessian, torch.float64).freeze()
    for k in (2, 8):
        z, steps = g["z"].double(), 0.1 * g[f"rademacher_k{k}"].double()
        second = (toy.synthesize(z + steps) + toy.synthesize(z - steps)) / 0.01
        middle = 2 * toy.synthesize(z) / 0.01
        assert_close(second - middle, g[f"second_directional_derivatives_k{k}"].double(), rtol=0, atol=2e-3)
        assert_close(second.var(dim=0), g[f"per_neuron_variance_k{k}"].double(), rtol=1e-3, atol=1e-3)
        assert_close(hessian_penalty(second, "max"), g[f"penalty_k{k}_max_numpy_float64"], rtol=1e-6, atol=0)


def test_jacobian_derivatives_and_variances():
    g, toy = GOLDEN[Jacobian], Toy(Jacobian).freeze()
    for k in (2, 8):
        first = (toy.synthesize(g["z"] + 0.1 * g[f"rademacher_k{k}"]) - toy.synthesize(g["z"])) / 0.1
        assert_close(first, g[f"first_directional_derivatives_k{k}"], rtol=1e-5, atol=5e-5)
        for i in range(4):
            assert_close(jacobian_penalty(first[:, i:i + 1]), g[f"per_sample_variance_k{k}"][i], rtol=1e-4, atol=1e-4)


# -- expectations: every sign vector at once ------------------------------------------------------------------
def test_hessian_expectations():
    g, toy = GOLDEN[Hessian], Toy(Hessian, torch.float64).freeze()
    z, signs = g["z"].double(), all_signs(5, 4)
    exact = derivatives(toy.synthesize, z, signs, 2, 50).var(dim=0, correction=0)
    assert_close(exact, g["expected_per_neuron_variance_true_hessian"], rtol=1e-9, atol=1e-12)
    moved = (toy.synthesize(z + 0.1 * signs) + toy.synthesize(z - 0.1 * signs)) / 0.01
    assert_close(moved.var(dim=0, correction=0), g["expected_per_neuron_variance_finite_difference"],
                 rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("output", ["output", "hidden"])
def test_jacobian_expectations(output):
    g, toy = GOLDEN[Jacobian], Toy(Jacobian, torch.float64).freeze()
    z, signs = g["z"].double(), all_signs(5, 4)

    def look(x):
        return toy.synthesize(x) if output == "output" else toy.activations(x, "hidden")

    def variance(first):
        return first.square().sum(dim=2).var(dim=0, correction=0)

    exact = variance(derivatives(look, z, signs, 1, 50))
    assert_close(exact, g[f"expected_per_sample_variance_true_jacobian_{output}"], rtol=1e-9, atol=1e-12)
    moved = variance((look(z + 0.1 * signs) - look(z)) / 0.1)
    assert_close(moved, g[f"expected_per_sample_variance_finite_difference_{output}"], rtol=1e-6, atol=1e-9)


def test_jacobian_of_a_linear_generator_has_no_bias():
    matrix, signs = GOLDEN[Jacobian]["linear_M"].double(), all_signs(5, 1)
    start = torch.randn(1, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved = in_chunks(lambda x: x @ matrix.T, start + 0.1 * signs, 10)
    first = (moved - start @ matrix.T) / 0.1
    share = 31 / 32  # of the unbiased variance in that over all 32 probes
    assert_close(jacobian_penalty(first) * share, GOLDEN[Jacobian]["linear_expected_variance"], rtol=1e-6, atol=0)


def test_hessian_of_products():
    g = GOLDEN[Hessian]
    looks = [lambda z: z[:, :1] * z[:, 1:], lambda z: z[:, :1].square() * z[:, 1:]]
    for i, look in enumerate(looks):
        method = Hessian(n_directions=2, probes=100, reduction="max")
        steps = g["analytic_rademacher_k100"]
        penalty = method.penalty_at(look, g["analytic_z"], steps, 64)
        assert_close(penalty, g["analytic_penalty_k100_max_per_layer"][i], rtol=1e-3, atol=0)
        exact = derivatives(look, g["analytic_z"].double(), all_signs(2, 6), 2, 64).var(dim=0, correction=0)
        assert_close(exact[:, 0], g["analytic_expected_per_sample"][i], rtol=1e-9, atol=1e-9)


# -- penalties in coefficients of directions -----------------------------------------------------------------
@BOTH
@pytest.mark.parametrize("layers", ["output", "two_layers"])
def test_penalty_of_directions_and_its_gradients(cls, layers):
    g = GOLDEN[cls]
    matrix = g["A"].clone().requires_grad_()
    rows = gram_schmidt(matrix)
    rows.retain_grad()
    method = cls(n_directions=4, outputs=LAYERS[layers])
    penalty = method.penalty(Toy(cls).freeze(), rows, g["z"], g["w"], g["w_rademacher_k2"], "z", 5)
    penalty.backward()
    assert_close(penalty.detach(), g[f"w_penalty_{layers}_mean"], rtol=3e-4, atol=0)
    for found, part in ((rows.grad, "Q"), (matrix.grad, "A")):
        gradient = g[f"w_penalty_{layers}_grad_{part}"]  # of differences over 0.01: float32 leaves few digits
        assert_close(found, gradient, rtol=0, atol=1e-3 * gradient.abs().max().item())


@BOTH
def test_one_training_step(cls):
    g, model, method = GOLDEN[cls], GramSchmidtRows(4, 5, torch.Generator()), cls(n_directions=4)
    model.load_state_dict({"matrix": g["A"]})
    toy = Toy(cls).freeze()

    def loss_at(step):
        return method.penalty(toy, model.rows(), g["z"], g["w"], g["w_rademacher_k2"], "z", 64)

    train(model, loss_at, Context(), name="t", key=str, n_steps=1, lr=method.lr)
    assert_close(model.matrix.detach(), g["A_after_one_adam_step_lr0.01"], rtol=0, atol=1e-5)
    assert_close(model.rows().detach(), g["Q_after_one_adam_step"], rtol=0, atol=2e-5)


def test_hessian_starts_at_one_hot_coefficients_and_jacobian_at_zero():
    at = Hessian(n_directions=6, batch=500).coefficients(torch.Generator().manual_seed(0))
    assert ((at != 0).sum(dim=1) == 1).all() and at.abs().max() <= 5 and (at != 0).any(dim=0).all()
    assert at.abs().max() > 4.8  # 500 uniform numbers up to 5 stay below once in 7e8
    assert abs(at.sum(dim=1).mean()) < 0.65  # 5 times 5 / sqrt(3 * 500)
    assert not Jacobian().coefficients(torch.Generator()).any()


# -- the methods ------------------------------------------------------------------------------------------
class Rotated(Generator):
    """Four factors behind a rotation, each bent by itself and painted at an own strength: both penalties find it."""

    latent_dim, resolution = 4, 2

    def __init__(self) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(4)
        self.rotation, paint = (torch.linalg.qr(torch.randn(n, n, generator=rng)).Q for n in (4, 12))
        self.paint = nn.Parameter(paint[:4] * torch.tensor([1.0, 2.0, 3.0, 4.0])[:, None])

    def synthesize(self, latent, space=None):
        factors = latent.to(self.paint) @ self.rotation.T.to(self.paint)
        return ((factors + 0.3 * factors.square()) @ self.paint).view(-1, 3, 2, 2)

    def activations(self, latent, layer, space=None):
        raise NotImplementedError

    def affine_weights(self, layers="all"):
        return [self.rotation]


def found(directions, toy):
    """Mean over factors of the best |cosine|."""
    return (directions.vectors @ toy.rotation.T).abs().amax(dim=0).mean().item()


@BOTH
@pytest.mark.parametrize("exact", [False, True])
def test_the_planted_rotation_is_found(cls, exact):
    toy = Rotated().freeze()
    start, end = (cls(n_directions=4, n_steps=n, batch=16, lr=0.1, exact=exact).discover(toy, Context())
                  for n in (1, 200))
    assert found(start, toy) < found(end, toy) and found(end, toy) > 0.95  # over seeds 0.999 or more
    assert end.notes["loss_last"] < 0.5 * end.notes["loss_first"]
    assert_close(end.vectors @ end.vectors.T, torch.eye(4), rtol=0, atol=1e-5)


@BOTH
@pytest.mark.parametrize("params", [{}, {"exact": True}, {"probes": 3}, {"outputs": ("s4", "image")},
                                    {"exact": True, "outputs": ("s8",), "reduction": "max"}], ids=str)
def test_images_are_as_planned_whatever_the_chunk(cls, params):
    gan, method = PlantedGenerator(), cls(**{"n_directions": 3, "n_steps": 3, "batch": 6, **params})
    with count_images(gan) as count:
        one = method.discover(gan, Context(chunk=4)).vectors
    assert count.images == method.images()
    assert_close(method.discover(gan, Context()).vectors, one, rtol=0, atol=1e-3)


def test_image_counts_of_the_published_settings():
    assert Hessian().images() == 50_000 * 96 * 4 and Jacobian().images() == 50_000 * 32 * 3
    assert Hessian(exact=True).images() == 50_000 * 96 * 2 and Jacobian(exact=True).images() == 50_000 * 32 * 2


def test_only_the_moved_images_of_the_jacobian_carry_a_graph(monkeypatch):
    gan, graphs = PlantedGenerator(), []
    made = gan.synthesize

    def synthesize(*args):
        images = made(*args)
        graphs.append((len(images), images.requires_grad))
        return images

    monkeypatch.setattr(gan, "synthesize", synthesize)
    Jacobian(n_directions=3, n_steps=1, batch=6).discover(gan, Context())
    assert graphs == [(6, False), (12, True)]


@BOTH
def test_exact_derivatives_go_through_stylegan2(cls):
    """Against differences of 1e-5 in float64: none of these crosses a kink of the leaky ReLUs."""
    gan = StyleGAN2(resolution=16, z_dim=8, w_dim=8, mapping_layers=1, channels={4: 8, 8: 8, 16: 4},
                    rng=torch.Generator().manual_seed(0)).double().freeze()
    rows = torch.eye(3, 8, dtype=torch.float64).requires_grad_()
    latents = gan.sample(2, torch.Generator().manual_seed(1)).double()
    signs = torch.tensor([[1.0, 1, 1], [1, -1, 1]]).double()[:, None].expand(-1, 2, -1)
    results = []
    for exact in (True, False):
        method = cls(n_directions=3, exact=exact, epsilon=1e-5, outputs=("image", gan.layer_names[1]))
        penalty = method.penalty(gan, rows, latents, torch.zeros(2, 3).double(), signs, "w", 3)
        results.append((penalty.detach(), torch.autograd.grad(penalty, rows)[0]))
    for exact, difference in zip(*results):
        assert_close(difference, exact, rtol=0, atol=1e-3 * exact.abs().max().item())


@BOTH
@pytest.mark.parametrize("params, words", [
    ({"reduction": "sum"}, "reduction='sum', expected one of mean, max"),
    ({"probes": 1}, "probes=1, expected 2 or more"),
    ({"epsilon": 0.0}, "epsilon=0.0, expected more than 0"), ({"outputs": []}, "outputs")])
def test_wrong_settings_are_refused(cls, params, words):
    with pytest.raises(ValueError, match=words):
        METHODS.build(cls.name, params)


@BOTH
def test_unknown_layers_and_too_many_directions_are_refused(cls):
    for params, words in (({"outputs": ("conv9",)}, "no layer 'conv9'"), ({"n_directions": 33}, "only 32 dimensions")):
        with pytest.raises(ValueError, match=words):
            cls(**params).discover(PlantedGenerator(), Context())

"""What every generator family must do: one test, (check x family). A new family is one line of ``FAMILIES``.

Instances are small golden files, read as a user's checkpoint would be. A check is a function of a ``Case``.
"""

from __future__ import annotations

import copy
import functools
import inspect
from pathlib import Path

import pytest
import torch

from benchmarks.generators.base import Generator
from benchmarks.generators.biggan import BigGAN
from benchmarks.generators.biggan_deep import BigGANDeep
from benchmarks.generators.pggan import PGGAN
from benchmarks.generators.sngan import SNGAN
from benchmarks.generators.stylegan1 import StyleGAN1
from benchmarks.generators.stylegan2 import StyleGAN2
from benchmarks.generators.stylegan3 import StyleGAN3
from methods.base import Context
from methods.ganspace import GANSpace
from methods.latentclr import LatentCLR
from methods.sefa import SeFa

GOLDEN = Path(__file__).parent / "golden"
K = 3  # directions
MAY_LACK = ("lod", "w_avg")  # what a checkpoint may lack (ends of names): documented, and put in place of it


class Case:
    """A golden file and the family that reads it; ``settings`` are what the tensors do not say."""

    def __init__(self, cls: type[Generator], file: str, **settings: object) -> None:
        self.cls, self.file, self.settings = cls, file, settings

    @functools.cached_property
    def state(self) -> dict[str, torch.Tensor]:
        return torch.load(GOLDEN / f"{self.file}.pt", weights_only=True)["state_dict"]

    def read(self, state: dict[str, torch.Tensor] | None = None) -> Generator:
        gan = self.cls.from_state_dict(self.state if state is None else state, **self.settings).freeze()
        if gan.n_classes and gan.label is None:
            gan.label = 1
        return gan

    @functools.cached_property
    def gan(self) -> Generator:
        """Shared by the checks, which leave it as it is."""
        return self.read()

    def latents(self, n: int = 3, seed: int = 0, space: str | None = None) -> torch.Tensor:
        return self.gan.sample(n, torch.Generator().manual_seed(seed), space)


FAMILIES = {
    "biggan": Case(BigGAN, "generators/biggan"),
    "biggan-deep": Case(BigGANDeep, "generators/biggan_deep_hf"),
    "sngan": Case(SNGAN, "generators/sngan"),
    "stylegan2": Case(StyleGAN2, "stylegan2_ada"),
    "stylegan2-classes": Case(StyleGAN2, "stylegan2_ada_cond", clamp=1.5, mapping_lr=0.02),
    "stylegan2-rosinality": Case(StyleGAN2, "stylegan2_rosinality"),
    "stylegan2-genforce": Case(StyleGAN2, "generators/genforce_stylegan2"),
    "stylegan3-t": Case(StyleGAN3, "generators/stylegan3_t"),
    "stylegan3-r": Case(StyleGAN3, "generators/stylegan3_r", clamp=1.0),
    "stylegan1": Case(StyleGAN1, "generators/genforce_stylegan"),
    "stylegan1-fused-classes": Case(StyleGAN1, "generators/genforce_stylegan_fused_label", fused_scale=True),
    "pggan": Case(PGGAN, "generators/genforce_pggan"),
    "pggan-fused-classes": Case(PGGAN, "generators/genforce_pggan_fused_label", n_classes=4),
    "proggan": Case(PGGAN, "generators/proggan"),
}


def close(got: torch.Tensor, want: torch.Tensor, tolerance: float = 1e-5) -> None:
    assert got.shape == want.shape
    assert (got - want).abs().max() <= tolerance * want.abs().max()


# -- what it is ------------------------------------------------------------------------------------
def check_says_what_it_is(case: Case) -> None:
    gan = case.gan
    assert gan.family and gan.latent_dim > 0 and gan.resolution > 0
    assert gan.layer_names and len(set(gan.layer_names)) == len(gan.layer_names)
    assert gan.check_space(None) == gan.space and gan.check_space(gan.affine_space) == gan.affine_space
    assert bool(gan.w_dim) == (gan.affine_space == "w") and (gan.n_layers or not gan.w_dim)
    with pytest.raises(ValueError, match="no latent space 'q'"):
        gan.synthesize(case.latents(), "q")


def check_one_family_reads_it(case: Case) -> None:
    assert [cls for cls in {c.cls for c in FAMILIES.values()} if cls.reads(case.state)] == [case.cls]
    assert not case.cls.reads({}) and not case.cls.reads({"foo": torch.zeros(1)})


def check_its_own_state_is_read_again(case: Case) -> None:
    again = case.read({name: value.half().float() for name, value in case.gan.state_dict().items()})
    close(again.synthesize(case.latents()), case.gan.synthesize(case.latents()), 0.05)
    exact = case.read(case.gan.state_dict())
    assert torch.equal(exact.synthesize(case.latents()), case.gan.synthesize(case.latents()))
    assert exact.fingerprint() == case.gan.fingerprint()


def check_broken_states_are_refused(case: Case) -> None:
    """A name too many, too few, or of another shape: a ValueError, or the same image where it does not matter."""
    with pytest.raises(ValueError, match="left_over"):
        case.read(case.state | {"left_over.weight": torch.zeros(2)})
    image = case.gan.synthesize(case.latents())
    wrong = [torch.zeros(3, 2), torch.zeros(0), torch.zeros(2, 1, 1, 1, 1, 1), torch.zeros(1, 5)]
    for i, name in enumerate(list(case.state)[::5]):
        without = {key: value for key, value in case.state.items() if key != name}
        for state in (without, without | {name: wrong[i % 4]}):
            try:
                gan = case.read(state)
            except ValueError as error:
                assert str(error)
            else:
                if name not in state and name.endswith(MAY_LACK):
                    continue
                close(gan.synthesize(case.latents(), gan.space), image)
    with pytest.raises(ValueError):
        case.cls.from_state_dict({})
    with pytest.raises((TypeError, ValueError), match="no_such_setting"):
        case.cls.from_state_dict(case.state, no_such_setting=1)


# -- latents ---------------------------------------------------------------------------------------
def check_samples_follow_the_random_source(case: Case) -> None:
    for space in {"z", case.gan.space}:
        latents = case.latents(5, space=space)
        assert latents.shape == (5, case.gan.dim(space)) and torch.isfinite(latents).all()
        assert torch.equal(latents, case.latents(5, space=space))
        assert not torch.allclose(latents, case.latents(5, seed=1, space=space))


def check_samples_are_drawn_on_the_cpu_then_moved(case: Case) -> None:
    elsewhere = copy.deepcopy(case.gan).to("meta")
    assert elsewhere.sample_z(2, torch.Generator().manual_seed(0)).device.type == "meta"


def check_z_and_w_agree(case: Case) -> None:
    z = case.latents(space="z")
    if case.gan.w_dim:
        assert torch.equal(case.gan.synthesize(z, "z"), case.gan.synthesize(case.gan.map(z), "w"))
    else:
        with pytest.raises(ValueError, match="no mapping network"):
            case.gan.map(z)


def check_rows_of_layer_wise_latents(case: Case) -> None:
    """Equal rows are the vector; every row matters."""
    gan, latents = case.gan, case.latents()
    if not gan.n_layers:
        with pytest.raises(ValueError):
            gan.synthesize(latents[:, None].repeat(1, 2, 1))
        return
    rows = latents[:, None].repeat(1, gan.n_layers, 1)
    image = gan.synthesize(latents)
    close(gan.synthesize(rows), image, 1e-6)
    if gan.w_dim:
        close(gan.synthesize(rows, "w+"), image, 1e-6)
    for row in range(gan.n_layers):
        other = rows.clone()
        other[:, row] = case.latents(seed=1)
        assert (gan.synthesize(other) - image).abs().max() > 1e-3 * image.abs().max(), f"row {row} does nothing"


def check_wrong_latents_are_explained(case: Case) -> None:
    with pytest.raises(ValueError, match=str(case.gan.dim())):
        case.gan.synthesize(torch.zeros(2, case.gan.dim() + 1))


# -- images and activations --------------------------------------------------------------------------
def check_images(case: Case) -> None:
    gan, side = case.gan, case.gan.resolution
    images = gan.synthesize(case.latents())
    assert images.shape == (3, 3, side, side) and images.dtype == torch.float32
    assert torch.isfinite(images).all() and (images[0] - images[1]).abs().max() > 0.01 * images.abs().max()
    assert torch.equal(images, gan.synthesize(case.latents()))


def check_a_batch_equals_its_samples(case: Case) -> None:
    latents, name = case.latents(4), case.gan.layer_names[-1]
    close(torch.cat([case.gan.synthesize(one[None]) for one in latents]), case.gan.synthesize(latents))
    close(torch.cat([case.gan.activations(one[None], name) for one in latents]), case.gan.activations(latents, name))


def check_activations(case: Case) -> None:
    latents = case.latents()
    for name in case.gan.layer_names:
        x = case.gan.activations(latents, name)
        assert x.ndim == 4 and len(x) == 3 and torch.isfinite(x).all(), name
        assert (x[0] - x[1]).abs().max() > 0, f"{name} does not depend on the latent"
    if case.gan.w_dim:
        z = case.latents(space="z")
        assert torch.equal(case.gan.activations(z, name, "z"), case.gan.activations(case.gan.map(z), name, "w"))
    with pytest.raises(ValueError, match=f"no layer 'nowhere'.*{case.gan.layer_names[0]}"):
        case.gan.activations(latents, "nowhere")


def check_bfloat16_works(case: Case) -> None:
    gan = case.read().bfloat16()
    assert torch.isfinite(gan.synthesize(case.latents()).float()).all()


def check_classes(case: Case) -> None:
    gan, z = case.gan, case.latents(space="z")
    if not gan.n_classes:
        return
    one = gan.synthesize(z, "z")
    assert torch.equal(one, gan.synthesize(z, "z", c=torch.tensor([1, 1, 1])))
    assert (one - gan.synthesize(z, "z", c=torch.tensor([0, 0, 0]))).abs().max() > 1e-3 * one.abs().max()
    try:
        gan.label = None
        with pytest.raises(ValueError, match=f"{gan.n_classes} classes"):
            gan.synthesize(z, "z")
    finally:
        gan.label = 1


# -- gradients and identity --------------------------------------------------------------------------
def check_gradient_flows_to_the_latent(case: Case) -> None:
    gan, latents = case.gan, case.latents().requires_grad_()
    for output in (gan.synthesize(latents), gan.activations(latents, gan.layer_names[0])):
        gradient, = torch.autograd.grad(output.square().sum(), latents)
        assert torch.isfinite(gradient).all() and (gradient.abs().amax(dim=1) > 0).all()


def check_gradient_is_right(case: Case) -> None:
    gan = copy.deepcopy(case.gan).double()
    latents, step = case.latents(2).double().requires_grad_(), 1e-7  # larger ones meet kinks of a ReLU
    along = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradient, = torch.autograd.grad(gan.synthesize(latents).double().square().sum(), latents)
    with torch.no_grad():
        ahead, behind = (gan.synthesize(latents + sign * step * along).double().square().sum() for sign in (1, -1))
    slope = (gradient * along).sum()
    assert abs((ahead - behind) / (2 * step) - slope) <= 1e-4 * abs(slope) + 1e-6


def check_freeze(case: Case) -> None:
    gan = copy.deepcopy(case.gan).train().requires_grad_(True)
    assert gan.freeze() is gan
    assert not any(module.training for module in gan.modules())
    assert not any(parameter.requires_grad for parameter in gan.parameters())


def check_fingerprint(case: Case) -> None:
    gan = copy.deepcopy(case.gan)
    before = gan.fingerprint()
    assert before == case.gan.fingerprint()
    weight = list(gan.parameters())[-1]
    weight.data.flatten()[0] += 1e-3
    assert gan.fingerprint() != before


# -- methods ---------------------------------------------------------------------------------------
def check_affine_weights(case: Case) -> None:
    gan = case.gan
    weights, dim = gan.affine_weights(), gan.dim(gan.affine_space)
    assert len(weights) == max(1, gan.n_layers)
    for weight in weights:
        assert weight.ndim == 2 and weight.shape[1] == dim and not weight.requires_grad and weight.abs().sum() > 0
    if gan.n_layers:
        last = gan.n_layers - 1
        assert torch.equal(gan.affine_weights([last, 0])[0], weights[last])
        assert torch.equal(gan.affine_weights(0)[0], weights[0])
    for layers in (gan.n_layers, [-1], []):
        with pytest.raises(ValueError, match="layers?"):
            gan.affine_weights(layers)


def check_methods_run(case: Case) -> None:
    """The methods that look inside: SeFa (weights), GANSpace (latents or activations), LatentCLR (activations)."""
    gan, few = case.gan, {"n_samples": 32, "n_regression": 32, "n_directions": K}
    before = gan.fingerprint()
    for method in (SeFa(n_directions=K), GANSpace(**few), GANSpace(layer=gan.layer_names[0], **few),
                   LatentCLR(n_directions=K, n_steps=2, batch=2)):
        directions = method.discover(gan, Context(chunk=32))
        latents = gan.sample(2, torch.Generator().manual_seed(0), directions.space)
        edited = gan.synthesize(directions.shift_all(latents, 3.0), directions.space)
        assert len(directions) == K and torch.isfinite(edited).all()
        original = gan.synthesize(latents, directions.space)
        change = (edited.unflatten(0, (K, 2)) - original).abs().amax(dim=(1, 2, 3, 4))
        assert (change > 1e-4 * original.abs().max()).all(), f"{method.name}: a direction that changes nothing"
    assert gan.fingerprint() == before


CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_") and inspect.isfunction(value)]


@pytest.mark.parametrize("check", CHECKS, ids=lambda f: f.__name__.removeprefix("check_"))
@pytest.mark.parametrize("case", FAMILIES.values(), ids=FAMILIES)
def test_every_family(case, check):
    check(case)

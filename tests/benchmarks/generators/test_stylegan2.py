"""StyleGAN2 against numbers of the public implementations, and against itself."""

from __future__ import annotations

import math

import helpers
import pytest
import torch
from helpers.compare import close

from dirbench.benchmarks.generators import stylegan2_layers
from dirbench.benchmarks.generators.layouts import detect_layout, from_rosinality, to_ada
from dirbench.benchmarks.generators.stylegan2 import StyleGAN2
from dirbench.benchmarks.generators.stylegan2_layers import Blur, StyledConv, upsample

pytestmark = pytest.mark.numeric
GOLDEN = helpers.GOLDEN
ADA, COND, ROSINALITY = "stylegan2_ada", "stylegan2_ada_cond", "stylegan2_rosinality"


def golden(name):
    return torch.load(GOLDEN / f"{name}.pt", weights_only=True)


def load(name):
    """The fixture and its network."""
    data = golden(name)
    lr, clamp = {COND: (0.02, 1.5), ADA: (0.01, 256.0), ROSINALITY: (0.01, math.inf)}[name]
    state = to_ada(data["state_dict"], data.get("latent_avg"))
    return data, StyleGAN2.from_state_dict(state, clamp=clamp, mapping_lr=lr).freeze()


def tiny(**change):
    settings = dict(z_dim=16, w_dim=16, resolution=16, channels={4: 12, 8: 12, 16: 8}, mapping_layers=2)
    return StyleGAN2(**(settings | change))


@pytest.fixture(params=["products", "additions"])
def low_pass(request, monkeypatch):
    """Either form of the low-pass: a CPU's, or a GPU's."""
    if request.param == "additions":
        monkeypatch.setattr(stylegan2_layers, "PRODUCTS_ON", ())


def sample(n, *shape, seed=1, dtype=torch.float32):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("name", [ADA, COND])
def test_ada_images_and_latents(name):
    data, net = load(name)
    z, c, cutoff = data["inputs"]["z"], data["inputs"]["c"], data["inputs"]["truncation_cutoff"]
    want = data["outputs"]
    close(net.rows(net.map(z, c)), want["ws"], 1e-6)
    close(net.rows(net.map(z, c, truncation_psi=0.7)), want["ws_psi0.7"], 1e-6)
    close(net.map(z, c, truncation_psi=0.7, truncation_cutoff=cutoff), want["ws_psi0.7_cutoff"], 1e-6)
    close(net(z, c), want["image_psi1"])
    close(net(z, c, noise_mode="none"), want["image_psi1_noise_none"])
    close(net.synthesize(data["inputs"]["wplus"], "w+"), want["image_wplus"])
    close(net.synthesize(want["ws"][:, 0]), want["image_psi1"])
    net.truncation_psi = 0.7
    close(net(z, c), want["image_psi0.7"])


def test_rosinality_images_and_latents():
    data, net = load(ROSINALITY)
    inputs, want = data["inputs"], data["outputs"]
    w = net.map(inputs["z"])
    close(w, want["w"], 1e-6)
    close(net(inputs["z"]), want["image_psi1"])
    close(net(inputs["z"], noise_mode="none"), want["image_psi1_noise_none"])
    close(net.synthesize(inputs["wplus"], "w+"), want["image_wplus"])
    before = torch.arange(net.n_layers)[:, None] < inputs["inject_index"]
    mixed = torch.where(before, w[:, None], net.map(inputs["z_mix"])[:, None])
    close(net.synthesize(mixed), want["image_mix_psi1"])
    net.truncation_psi = 0.7
    close(net.map(inputs["z"]), want["w_psi0.7"], 1e-6)
    close(net(inputs["z"]), want["image_psi0.7"])


@pytest.mark.parametrize("name", [ADA, COND, ROSINALITY])
def test_styles(name):
    data, net = load(name)
    got = net.styles(net.map(data["inputs"]["z"], data["inputs"].get("c")))
    want = data["outputs"]["styles_psi1"]
    if name == ROSINALITY:  # same order of layers, other names
        for style, reference in zip(got.values(), want.values(), strict=True):
            close(style, reference)
    else:
        assert [f"synthesis.{key}.affine" for key in got] == list(want)
        for key, style in got.items():
            close(style, want[f"synthesis.{key}.affine"])


def test_the_clamp_is_reached():
    data, net = load(COND)
    net.clamp = math.inf
    got = net(data["inputs"]["z"], data["inputs"]["c"])
    assert (got - data["outputs"]["image_psi1"]).abs().max() > 0.1


@pytest.mark.parametrize("name", [ADA, COND])
def test_state_round_trip(name):
    data, net = load(name)
    state = net.state_dict()
    assert set(state) == set(data["state_dict"])
    assert all(torch.equal(value, data["state_dict"][key]) for key, value in state.items())
    again = StyleGAN2(**net.config)
    again.load_state_dict(state)
    w = net.sample(2, torch.Generator().manual_seed(0)) if not net.c_dim else sample(2, net.w_dim)
    assert torch.equal(again.synthesize(w), net.synthesize(w))


def test_both_forms_of_the_low_pass_match(low_pass):
    data, net = load(ADA)
    close(net.synthesize(data["inputs"]["wplus"]), data["outputs"]["image_wplus"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_low_pass_by_convolution_is_the_sum_of_shifts_and_keeps_its_layout(dtype):
    x = sample(2, 5, 9, 9).to(dtype).contiguous(memory_format=torch.channels_last)
    found = stylegan2_layers.blur(x)
    assert found.dtype == dtype and found.is_contiguous(memory_format=torch.channels_last)
    close(found.float(), Blur.apply(x.float(), 1), 1e-6 if dtype == torch.float32 else 0.01)


def test_inference_mode_changes_nothing():
    data, net = load(ADA)
    with torch.inference_mode():  # sums are made in place there
        found = net.synthesize(data["inputs"]["wplus"])
        assert torch.equal(found, net.synthesize(data["inputs"]["wplus"]))
    close(found, net.synthesize(data["inputs"]["wplus"]), 1e-6)


def test_a_batch_equals_its_samples():
    data, net = load(ADA)
    images = net.synthesize(data["inputs"]["wplus"])
    close(torch.cat([net.synthesize(w[None]) for w in data["inputs"]["wplus"]]), images)


def test_activations_are_those_of_the_image():
    _, net = load(ADA)
    w = sample(2, net.w_dim)
    assert net.layer_names[:3] == ("b4.conv1", "b8.conv0", "b8.conv1") and len(net.layer_names) == 7
    seen = {}
    for name in net.layer_names:
        layer = net.synthesis.get_submodule(name)
        layer.register_forward_hook(lambda _, inputs, out, name=name: seen.update({name: out}))
    net.synthesize(w)
    full = dict(seen)
    for i, name in enumerate(net.layer_names):
        seen.clear()
        assert torch.equal(net.activations(w, name), full[name])
        assert list(seen) == list(net.layer_names[: i + 1])  # nothing after it
    with pytest.raises(ValueError, match="no layer 'b64.conv0'"):
        net.activations(w, "b64.conv0")


@pytest.mark.parametrize("noise", ["const", "random", "none"])
def test_every_layer_on_a_cpu_keeps_the_layout_that_convolutions_are_quick_in(noise):
    net, kept = tiny(), []
    for module in net.modules():
        if isinstance(module, StyledConv):
            module.register_forward_hook(lambda _, args, out: kept.append(
                out.is_contiguous(memory_format=torch.channels_last)))
    net.synthesize(sample(2, 16), "w", noise_mode=noise, rng=torch.Generator())
    assert kept == [True] * 5


def test_affine_weights_follow_the_rows_of_wplus():
    data, net = load(ADA)
    weights = net.affine_weights()
    assert len(weights) == net.n_layers == 8
    assert torch.equal(weights[0], data["state_dict"]["synthesis.b4.conv1.affine.weight"])
    assert torch.equal(weights[3], data["state_dict"]["synthesis.b16.conv0.affine.weight"])
    assert torch.equal(net.affine_weights([7])[0], data["state_dict"]["synthesis.b32.torgb.affine.weight"])


@pytest.mark.parametrize("cast", ["autocast", "to"])
def test_bfloat16_stays_close(cast):
    data, net = load(ADA)
    w, want = data["inputs"]["wplus"], data["outputs"]["image_wplus"]
    with torch.autocast("cpu", torch.bfloat16, enabled=cast == "autocast"):
        got = (net if cast == "autocast" else net.to(torch.bfloat16)).synthesize(w)
    assert got.dtype == torch.float32
    # bf16 keeps 8 bits; a wrong layer or kernel is off by tens of percent (see the noise and clamp tests)
    assert (got - want).pow(2).mean().sqrt() < 0.02 * want.pow(2).mean().sqrt()


def test_gradient_matches_double_precision():
    data, net = load(ADA)
    probe = sample(2, 3, 32, 32)

    def gradient(dtype):
        w = data["inputs"]["wplus"].to(dtype).requires_grad_()
        return torch.autograd.grad((net.to(dtype).synthesize(w) * probe.to(dtype)).sum(), w)[0]

    exact = gradient(torch.float64)
    close(gradient(torch.float32).double(), exact, 1e-4)


def test_derivatives_of_every_kind(low_pass):
    net = tiny(resolution=8, channels={4: 3, 8: 2}, z_dim=4, w_dim=4).double()
    net.synthesis.b8.conv0.noise_strength.data.fill_(0.3)
    w = sample(1, 4, dtype=torch.float64).requires_grad_()
    names = ("synthesis.b8.conv0.weight", "synthesis.b8.torgb.weight", "synthesis.b4.const")
    weights = tuple(net.get_parameter(name).detach().clone().requires_grad_() for name in names)

    def image(w, *weights):
        return torch.func.functional_call(net, dict(zip(names, weights, strict=True)), (w,))

    assert torch.autograd.gradcheck(image, (w, *weights), check_forward_ad=True, fast_mode=True)
    assert torch.autograd.gradgradcheck(image, (w, *weights), fast_mode=True, atol=1e-4)


def test_forward_mode_and_vmap_agree_with_backward(low_pass):
    net = tiny().freeze()
    w, tangent = sample(1, 16), sample(1, 16, seed=2)
    _, jvp = torch.func.jvp(net.synthesize, (w,), (tangent,))
    jacobian = torch.func.jacrev(net.synthesize)(w)  # vmap over backward passes
    close(jvp, torch.einsum("nchwmd,md->nchw", jacobian, tangent), 1e-4)


def test_low_pass_is_the_outer_product():
    x, taps = sample(2, 3, 7, 7), torch.tensor([1.0, 3.0, 3.0, 1.0])
    kernel = taps.outer(taps).expand(3, 1, 4, 4)
    close(Blur.apply(x, 1), torch.nn.functional.conv2d(x, kernel, padding=1, groups=3))
    spread = torch.zeros(2, 3, 14, 14)
    spread[:, :, ::2, ::2] = x
    spread = torch.nn.functional.pad(spread, (2, 1, 2, 1))
    close(upsample(x), torch.nn.functional.conv2d(spread, kernel / 16, groups=3))


def test_noise_modes():
    net = tiny().freeze()
    for _, conv in net._convs():
        conv.noise_strength.fill_(0.5)
    w = sample(2, 16)[:1].expand(2, -1)

    def draw(seed):
        return net.synthesize(w, noise_mode="random", rng=torch.Generator().manual_seed(seed))

    assert torch.equal(draw(0), draw(0))
    assert not torch.allclose(draw(0), draw(1))
    assert not torch.allclose(*draw(0))  # each sample has its own
    const = net.synthesize(w)
    close(const[0], const[1])
    with pytest.raises(ValueError, match="rng"):
        net.synthesize(w, noise_mode="random")


def test_initialisation_is_reproducible_and_equalised():
    net = tiny(z_dim=256, w_dim=256)
    assert net.fingerprint() == tiny(z_dim=256, w_dim=256).fingerprint()
    other = torch.Generator().manual_seed(1)
    assert net.fingerprint() != tiny(z_dim=256, w_dim=256, rng=other).fingerprint()
    assert net.mapping.fc0.weight.std().item() == pytest.approx(100, rel=0.05)
    assert net.synthesis.b8.conv0.weight.std().item() == pytest.approx(1, rel=0.1)
    assert (net.synthesis.b8.conv0.affine.bias == 1).all() and (net.synthesis.b8.conv0.noise_strength == 0)
    # What the scaling is for: second moments stay near 1 (borders and low-pass take some; else about 100).
    assert net.map(sample(200, 256)).square().mean().item() == pytest.approx(1, abs=0.3)
    assert 0.1 < net.activations(sample(32, 256), "b16.conv1").square().mean().item() < 2


def test_every_weight_learns():
    net = tiny(c_dim=3)
    rng = torch.Generator().manual_seed(0)
    images = net(sample(4, 16), torch.tensor([0, 1, 2, 0]), noise_mode="random", rng=rng)
    images.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())


def test_classes():
    net = tiny(c_dim=3).freeze()
    z = sample(2, 16)
    with pytest.raises(ValueError, match="3 classes"):
        net.map(z)
    net.label = 2
    assert torch.equal(net.map(z), net.map(z, torch.tensor([2, 2])))
    assert not torch.allclose(net.map(z), net.map(z, torch.tensor([1, 1])))
    assert net.sample(3, torch.Generator().manual_seed(0), "w+").shape == (3, net.n_layers, 16)


def test_truncation_centre_is_estimated_when_a_checkpoint_lacks_it():
    data = golden(ROSINALITY)
    net = StyleGAN2.from_state_dict(from_rosinality(data["state_dict"]))
    close(net.mapping.w_avg, net.map(sample(20_000, 32, seed=5)).mean(0), 0.05)


def test_labels_of_a_network_without_classes_are_refused():
    with pytest.raises(ValueError, match="labels were given to a network without classes"):
        tiny().map(sample(2, 16), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="label=0, but the network has 0 classes"):
        tiny(label=0)


def test_fingerprint_has_what_images_depend_on():
    state = golden(COND)["state_dict"]
    marks = [StyleGAN2.from_state_dict(state, **settings).fingerprint() for settings in (
        {}, {"label": 1}, {"label": 2}, {"truncation_psi": 0.7}, {"truncation_psi": 0.7, "truncation_cutoff": 2},
        {"clamp": 1.5}, {"mapping_lr": 0.02})]
    assert len(set(marks)) == len(marks)
    net = StyleGAN2.from_state_dict(state)
    assert net.fingerprint() == marks[0]
    net.clamp = 1.5
    assert net.fingerprint() == marks[5]


def test_wrong_input_is_explained():
    with pytest.raises(ValueError, match="unknown StyleGAN2 checkpoint layout.*foo"):
        detect_layout({"foo": torch.zeros(1)})
    state = dict(golden(ADA)["state_dict"])
    with pytest.raises(ValueError, match="skip.weight"):
        StyleGAN2.from_state_dict(state | {"synthesis.b8.skip.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="size mismatch for synthesis.b8.conv0.weight"):
        StyleGAN2.from_state_dict(state | {"synthesis.b8.conv0.weight": torch.zeros(1, 2, 3, 3)})
    with pytest.raises(ValueError, match="unknown StyleGAN2 checkpoint layout"):
        StyleGAN2.from_state_dict({"foo": torch.zeros(1)})
    with pytest.raises(ValueError, match="low-pass"):
        StyleGAN2.from_state_dict(state | {"synthesis.b8.resample_filter": torch.ones(4, 4)})
    with pytest.raises(ValueError, match="power of two"):
        tiny(resolution=48)
    with pytest.raises(ValueError, match=r"expected w \[N, 16\]"):
        tiny().synthesize(torch.zeros(2, 5))
    with pytest.raises(ValueError, match="no latent space 's'"):
        tiny().synthesize(torch.zeros(2, 16), "s")

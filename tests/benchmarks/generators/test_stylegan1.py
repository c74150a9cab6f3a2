"""StyleGAN1, and genforce's StyleGAN2, against numbers of the public implementation."""

from __future__ import annotations

import helpers
import pytest
import torch
from helpers.compare import close

from dirbench.benchmarks.generators._layers import upsampling_conv
from dirbench.benchmarks.generators.layouts import detect_layout, to_ada
from dirbench.benchmarks.generators.stylegan1 import StyleGAN1
from dirbench.benchmarks.generators.stylegan2 import StyleGAN2

pytestmark = pytest.mark.numeric
GOLDEN = helpers.GOLDEN / "generators"
PLAIN, FUSED = "genforce_stylegan", "genforce_stylegan_fused_label"
BOTH = pytest.mark.parametrize("name", [PLAIN, FUSED])


def load(name, **overrides):
    """The fixture and its network."""
    data = torch.load(GOLDEN / f"{name}.pt", weights_only=True)
    overrides = ({"fused_scale": True} if name == FUSED else {}) | overrides
    return data, StyleGAN1.from_state_dict(data["state_dict"], **overrides).freeze()


@BOTH
def test_images_and_latents(name):
    data, net = load(name)
    z, c, want = data["inputs"]["z"], data["inputs"].get("label"), data["outputs"]
    w, some = net.map(z, c), data["inputs"]["trunc_layers_some"]
    close(w, want["w"], 1e-6)
    close(net.rows(w), want["wp_psi1"], 1e-6)
    close(net.rows(net.map(z, c, truncation_psi=0.7)), want["wp_psi0.7"], 1e-6)
    truncated = net.map(z, c, truncation_psi=0.7, truncation_cutoff=some)
    close(truncated, want["wp_psi0.7_trunc_layers_some"], 1e-6)
    close(net.synthesize(truncated), want["image_psi0.7_trunc_layers_some"])
    close(net.synthesize(z, "z", c), want["image_psi1"])
    close(net.synthesize(data["inputs"]["wplus"], "w+"), want["image_wplus"])
    net.truncation_psi = 0.7
    close(net.synthesize(z, "z", c), want["image_psi0.7"])


@BOTH
def test_level_of_detail(name):
    data, net = load(name)
    net.synthesis.lod.fill_(1.5)
    close(net.synthesize(data["inputs"]["z"], "z", data["inputs"].get("label")), data["outputs"]["image_lod1.5"])
    net.synthesis.lod.fill_(9)
    with pytest.raises(ValueError, match=r"lod=9.*expected 0"):
        net.synthesize(data["inputs"]["z"], "z", data["inputs"].get("label"))


@BOTH
def test_styles_and_affine_weights(name):
    data, net = load(name)
    got = net.styles(data["inputs"]["z"], "z", data["inputs"].get("label"))
    for style, want in zip(got.values(), data["outputs"]["styles_psi1"].values(), strict=True):
        close(style, want)
    for i, weight in enumerate(net.affine_weights()):
        assert torch.equal(weight, data["state_dict"][f"synthesis.layer{i}.style.weight"])


def test_settings_come_from_the_file_or_the_caller():
    data, net = load(FUSED)
    said = StyleGAN1.from_state_dict(data["state_dict"], extras={"init_kwargs": data["config"]})
    assert said.config == net.config and said.fingerprint() == net.fingerprint()
    unfused = StyleGAN1.from_state_dict(data["state_dict"])  # "auto" fuses nothing this small
    label = data["inputs"]["label"]
    with torch.no_grad():
        image = unfused.synthesize(data["inputs"]["z"], "z", label)
    assert (image - data["outputs"]["image_psi1"]).abs().max() > 0.1 * image.abs().max()
    with pytest.raises(ValueError, match="fused_scale='sometimes'"):
        StyleGAN1.from_state_dict(data["state_dict"], extras={"init_kwargs": {"fused_scale": "sometimes"}})
    with pytest.raises(ValueError, match="use_wscale"):
        StyleGAN1.from_state_dict(data["state_dict"], extras={"init_kwargs": {"use_wscale": False}})
    net.label = 2
    z = data["inputs"]["z"]
    assert torch.equal(net.map(z), net.map(z, torch.tensor([2, 2, 2])))


def test_centre_of_truncation_is_estimated_when_a_checkpoint_lacks_it():
    data, _ = load(PLAIN)
    net = StyleGAN1.from_state_dict({k: v for k, v in data["state_dict"].items() if k != "truncation.w_avg"})
    z = torch.randn(20_000, 24, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        close(net.w_avg, net.map(z).mean(0), 0.05)


def test_other_blurs_are_refused():
    data, _ = load(PLAIN)
    with pytest.raises(ValueError, match="low-pass"):
        StyleGAN1.from_state_dict(data["state_dict"] | {"synthesis.layer2.blur.kernel": torch.ones(24, 1, 3, 3)})


@pytest.mark.parametrize("fused", [False, True])
def test_upsampling_convolution_is_enlargement_and_convolution(fused):
    rng = torch.Generator().manual_seed(0)
    x, weight = torch.randn(2, 3, 5, 5, generator=rng), torch.randn(4, 3, 3, 3, generator=rng)
    enlarged = torch.nn.functional.interpolate(x, scale_factor=2, mode="nearest")
    want = torch.nn.functional.conv2d(enlarged, weight.flip(2, 3) if fused else weight, padding=1)
    close(upsampling_conv(x, weight, fused), want)


def test_a_fresh_network_is_reproducible_and_trains():
    def tiny(seed=0):
        return StyleGAN1(z_dim=8, w_dim=8, n_classes=2, resolution=16, channels={4: 6, 8: 6, 16: 4}, mapping_layers=2,
                         label=1, rng=torch.Generator().manual_seed(seed))

    net = tiny()
    assert net.fingerprint() == tiny().fingerprint() != tiny(1).fingerprint()
    net.synthesize(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)), "z").square().mean().backward()
    lifeless = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0}
    # at lod 0, lower image layers; before the style's weights are trained, nothing else
    assert lifeless == {f"synthesis.output{k}.{part}" for k in (0, 1) for part in ("weight", "bias")}


def test_genforce_stylegan2():
    data = torch.load(GOLDEN / "genforce_stylegan2.pt", weights_only=True)
    assert detect_layout(data["state_dict"]) == "genforce"
    net = StyleGAN2.from_state_dict(data["state_dict"]).freeze()
    z, want = data["inputs"]["z"], data["outputs"]
    some = data["inputs"]["trunc_layers_some"]
    close(net.map(z), want["w"], 1e-6)
    truncated = net.map(z, truncation_psi=0.7, truncation_cutoff=some)
    close(truncated, want["wp_psi0.7_trunc_layers_some"], 1e-6)
    close(net.synthesize(truncated), want["image_psi0.7_trunc_layers_some"])
    close(net(z), want["image_psi1"])
    close(net.synthesize(data["inputs"]["wplus"], "w+"), want["image_wplus"])
    for style, reference in zip(net.styles(z, "z").values(), want["styles_psi1"].values(), strict=True):
        close(style, reference)
    net.truncation_psi = 0.7
    close(net(z), want["image_psi0.7"])


def test_genforce_stylegan2_refuses_what_it_cannot_convert():
    state = torch.load(GOLDEN / "genforce_stylegan2.pt", weights_only=True)["state_dict"]
    with pytest.raises(ValueError, match=r"skip_layer0.*skip architecture"):
        to_ada(state | {"synthesis.skip_layer0.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="layer3.bias is missing"):
        to_ada({key: value for key, value in state.items() if key != "synthesis.layer3.bias"})

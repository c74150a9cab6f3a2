"""StyleGAN3 (T and R) against numbers of the public implementation, and against itself."""

from __future__ import annotations

import math
from dataclasses import astuple

import helpers
import pytest
import torch
from helpers.compare import close

from dirbench.benchmarks.generators import stylegan3_layers
from dirbench.benchmarks.generators.stylegan3 import StyleGAN3
from dirbench.benchmarks.generators.stylegan3_layers import downsample, schedule, upsample

pytestmark = pytest.mark.numeric
GOLDEN = helpers.GOLDEN / "generators"
BOTH = pytest.mark.parametrize("name", ["stylegan3_t", "stylegan3_r"])


def load(name, **overrides):
    """The fixture and its network, with the constructor's arguments as an NVIDIA file has them."""
    data = torch.load(GOLDEN / f"{name}.pt", weights_only=True)
    extras = {"init_kwargs": data["config"]}
    return data, StyleGAN3.from_state_dict(data["state_dict"], extras=extras, **overrides).freeze()


def tiny(**change):
    settings = dict(z_dim=8, w_dim=8, resolution=16, channels=[6, 6, 4], margin_size=2, first_cutoff=1.0,
                    first_stopband=2.0)
    return StyleGAN3(**(settings | change))


@BOTH
def test_images_and_latents(name):
    data, net = load(name)
    z, want = data["inputs"]["z"], data["outputs"]
    close(net.rows(net.map(z)), want["ws"], 1e-6)
    close(net.rows(net.map(z, truncation_psi=0.7)), want["ws_psi0.7"], 1e-6)
    cutoff = data["inputs"]["truncation_cutoff"]
    close(net.map(z, truncation_psi=0.7, truncation_cutoff=cutoff), want["ws_psi0.7_cutoff"], 1e-6)
    close(net.synthesize(z, "z"), want["image_psi1"])
    close(net.synthesize(want["ws"][:, 0]), want["image_psi1"])
    close(net.synthesize(data["inputs"]["wplus"], "w+"), want["image_wplus"])
    net.truncation_psi = 0.7
    close(net.synthesize(z, "z"), want["image_psi0.7"])


@BOTH
def test_input_and_its_transform(name):
    data, net = load(name)
    w, want = data["outputs"]["ws"][:, 0], data["outputs"]
    close(net.synthesis.input(w[:1]), want["fourier_input_psi1_sample0"])
    net.synthesis.input.transform.copy_(torch.eye(3))
    close(net.synthesize(w), want["image_psi1_identity_transform"])


@BOTH
def test_styles(name):
    data, net = load(name)
    got, want = net.styles(data["inputs"]["z"], "z"), data["outputs"]["styles_psi1"]
    assert [f"synthesis.{key}.affine" for key in got] == list(want)
    for key, style in got.items():
        close(style, want[f"synthesis.{key}.affine"])


@BOTH
def test_schedule_and_geometry(name):
    data, net = load(name)
    for i, (layer, want) in enumerate(data["geometry"].items()):
        got = getattr(net.synthesis, layer).geometry
        for step, side in ((got.before, "in"), (got.after, "out")):
            keys = ("size", "sampling_rate", "cutoff", "half_width")
            assert astuple(step) == pytest.approx([want[f"{side}_{key}"] for key in keys], rel=1e-12)
        assert got.after is net.steps[i]
        assert [got.up, got.down, got.up_taps, got.down_taps, got.rate, got.radial, list(got.padding) * 2] == [
            want[key] for key in ("up_factor", "down_factor", "up_taps", "down_taps", "tmp_sampling_rate",
                                  "down_radial", "padding")]


def test_schedule_of_released_networks():
    """The layer names of NVIDIA's 1024 pixel networks, T and R alike."""
    sizes = [step.size for step in schedule(1024, 14)]
    assert sizes == [36, 36, 52, 52, 84, 148, 148, 276, 276, 532, 1044, 1044, 1044, 1024, 1024]


@BOTH
def test_redesigned_filters_are_the_stored_ones(name):
    data, net = load(name)
    fresh = StyleGAN3(**net.config).state_dict()
    assert set(fresh) == set(data["state_dict"])
    for key, value in data["state_dict"].items():
        if key.endswith("_filter"):
            close(fresh[key], value, 1e-6)


@BOTH
def test_stored_filters_are_applied(name):
    data, _ = load(name)
    key = next(key for key in data["state_dict"] if key.endswith("down_filter"))
    state = data["state_dict"] | {key: data["state_dict"][key] * 1.5}
    net = StyleGAN3.from_state_dict(state, extras={"init_kwargs": data["config"]})
    with torch.no_grad():
        assert (net.synthesize(data["inputs"]["z"], "z") - data["outputs"]["image_psi1"]).abs().max() > 1e-3


def test_settings_come_from_the_file_or_the_caller():
    data, net = load("stylegan3_r")
    assert net.clamp == 1.0 and net.config["radial"] and net.config["conv_kernel"] == 1
    plain = StyleGAN3.from_state_dict(data["state_dict"])
    assert plain.clamp == 256 and plain.config | {"clamp": 1.0} == net.config
    no_clamp = StyleGAN3.from_state_dict(data["state_dict"], extras={"init_kwargs": {"conv_clamp": None}})
    assert math.isinf(no_clamp.clamp)
    with torch.no_grad():  # the fixture's clamp is reached
        assert (plain.synthesize(data["inputs"]["z"], "z") - data["outputs"]["image_psi1"]).abs().max() > 0.01
    again = StyleGAN3.from_state_dict(data["state_dict"], extras={"init_kwargs": net.config})
    assert again.fingerprint() == net.fingerprint() != plain.fingerprint()
    assert load("stylegan3_r", clamp=3.0)[1].clamp == 3.0


def test_both_forms_of_upsampling_match(monkeypatch):
    data, net = load("stylegan3_t")
    monkeypatch.setattr(stylegan3_layers, "BAND_LIMIT", 0)
    close(net.synthesize(data["inputs"]["wplus"]), data["outputs"]["image_wplus"])


@pytest.mark.parametrize("limit", [0, 256])
@pytest.mark.parametrize(("factor", "low", "high"), [(2, 9, 8), (4, -6, -9), (2, 15, 14)])
def test_upsampling_is_zeros_and_a_true_convolution(factor, low, high, limit, monkeypatch):
    monkeypatch.setattr(stylegan3_layers, "BAND_LIMIT", limit)
    rng = torch.Generator().manual_seed(0)
    x, taps = torch.randn(2, 3, 12, 12, generator=rng), torch.randn(6 * factor, generator=rng)  # no symmetry
    spread = torch.zeros(2, 3, 12 * factor, 12 * factor)
    spread[:, :, ::factor, ::factor] = x
    spread = torch.nn.functional.pad(spread, (low, high, low, high))
    kernel = (factor**2 * taps.outer(taps)).flip(0, 1).expand(3, 1, -1, -1)
    close(upsample(x, taps, factor, low, high), torch.nn.functional.conv2d(spread, kernel, groups=3))


def test_separable_downsampling_is_the_outer_product():
    rng = torch.Generator().manual_seed(0)
    x, taps = torch.randn(2, 3, 21, 21, generator=rng), torch.randn(6, generator=rng)
    close(downsample(x, taps, 2), downsample(x, taps.outer(taps), 2))


def test_a_fresh_network_is_reproducible_and_trains():
    net = tiny(n_classes=3)
    assert net.fingerprint() == tiny(n_classes=3).fingerprint()
    assert net.fingerprint() != tiny(n_classes=3, rng=torch.Generator().manual_seed(1)).fingerprint()
    z = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    net.synthesize(z, "z", torch.tensor([0, 1, 2, 0])).square().mean().backward()
    lifeless = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert lifeless == []


def test_wrong_input_is_explained():
    data, _ = load("stylegan3_t")
    state = data["state_dict"]
    with pytest.raises(ValueError, match="schedule makes"):
        StyleGAN3.from_state_dict(state, num_critical=0, first_cutoff=1.0)
    with pytest.raises(ValueError, match="conv_clamp='much'"):
        StyleGAN3.from_state_dict(state, extras={"init_kwargs": {"conv_clamp": "much"}})
    with pytest.raises(ValueError, match="filter is missing"):
        StyleGAN3.from_state_dict({k: v for k, v in state.items() if not k.endswith("L2_52_24.up_filter")})
    huge = state["synthesis.input.weight"][:1, :1].expand(10**7, 10**7)  # no memory of its own
    with pytest.raises(ValueError, match="10000000"):
        StyleGAN3.from_state_dict(state | {"synthesis.input.weight": huge})
    with pytest.raises(ValueError, match="power of two"):
        tiny(resolution=24)
    with pytest.raises(ValueError, match="no schedule"):
        tiny(num_critical=3)
    with pytest.raises(ValueError, match="label=7"):
        tiny(n_classes=3, label=7)

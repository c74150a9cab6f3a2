"""PGGAN (genforce) and ProgGAN (ptrblck) against numbers of the public implementations."""

from __future__ import annotations

import helpers
import pytest
import torch
from helpers.compare import close

from dirbench.benchmarks.generators.pggan import PGGAN, from_ptrblck
from dirbench.method import Context
from dirbench.methods.sefa import SeFa

pytestmark = pytest.mark.numeric
GOLDEN = helpers.GOLDEN / "generators"
PLAIN, FUSED, PTRBLCK = "genforce_pggan", "genforce_pggan_fused_label", "proggan"


def load(name, **overrides):
    """The fixture and its network."""
    data = torch.load(GOLDEN / f"{name}.pt", weights_only=True)
    overrides = ({"n_classes": 4} if name == FUSED else {}) | overrides
    return data, PGGAN.from_state_dict(data["state_dict"], **overrides).freeze()


@pytest.mark.parametrize("name", [PLAIN, FUSED])
def test_images_at_each_level_of_detail(name):
    data, net = load(name)
    z, c, want = data["inputs"]["z"], data["inputs"].get("label"), data["outputs"]
    close(net(z, c), want["image_psi1"])
    for lod in ("1.5", "1"):
        net.lod.fill_(float(lod))
        close(net(z, c), want[f"image_lod{lod}"])


def test_ptrblck_images():
    data, net = load(PTRBLCK)
    close(net(data["inputs"]["z"]), data["outputs"]["image_psi1"], 2e-5)
    assert not net.config["lower_outputs"]
    net.lod.fill_(1)
    with pytest.raises(ValueError, match=r"lod=1.*\[16\].*does not hold"):
        net(data["inputs"]["z"])


def test_settings_come_from_the_file_or_the_caller():
    data, net = load(FUSED)
    assert net.config["fused_scale"] is True  # told by the shape of a kernel
    said = PGGAN.from_state_dict(data["state_dict"], extras={"init_kwargs": data["config"]})
    assert said.config == net.config and said.fingerprint() == net.fingerprint()
    z, label = data["inputs"]["z"], data["inputs"]["label"]
    _, labelled = load(FUSED, label=3)
    assert labelled.fingerprint() != net.fingerprint()
    assert torch.equal(labelled(z), net(z, torch.tensor([3, 3, 3])))
    close(net(z, label.argmax(1)), data["outputs"]["image_psi1"])
    _, through_tanh = load(FUSED, final_tanh=True)
    close(through_tanh(z, label), data["outputs"]["image_psi1"].tanh())
    with pytest.raises(ValueError, match="layer4.weight"):
        load(FUSED, fused_scale=False)
    with pytest.raises(ValueError, match="classes 4 to 4, expected 0 to 3"):
        load(FUSED, label=4)


def test_scale_of_ptrblck_is_the_stored_number():
    state = load(PTRBLCK)[0]["state_dict"]
    doubled = state | {"output.wscale.scale": 2 * state["output.wscale.scale"]}
    assert torch.equal(from_ptrblck(doubled)["output3.weight"], 2 * from_ptrblck(state)["output3.weight"])
    with pytest.raises(ValueError, match="features.3.wscale.b is missing"):
        from_ptrblck({key: value for key, value in state.items() if key != "features.3.wscale.b"})
    with pytest.raises(ValueError, match="not understood.*skip"):
        from_ptrblck(state | {"skip": torch.zeros(1)})
    with pytest.raises(ValueError, match="2 numbers"):
        from_ptrblck(state | {"output.wscale.scale": torch.zeros(2)})


@pytest.mark.parametrize("name", [PLAIN, FUSED, PTRBLCK])
def test_affine_weights_are_the_first_layer(name):
    """They map z to the first convolution's output, up to its scale and the mirror: what z meets first."""
    _, net = load(name)
    matrix, = net.affine_weights()
    assert matrix.shape == (16 * len(net.layer0.bias), net.latent_dim)
    z = torch.randn(2, net.latent_dim, generator=torch.Generator().manual_seed(0))
    joint = torch.cat((z, torch.zeros(2, net.n_classes)), dim=1)
    want = net.layer0.conv(joint[:, :, None, None], padding=3)
    got = (z @ matrix.T * net.layer0.scale).view(2, -1, 4, 4).flip(2, 3)
    close(got, want)
    directions = SeFa(n_directions=4).discover(net, Context())
    moved = (directions.vectors @ torch.nn.functional.normalize(matrix, dim=1).T).norm(dim=1)
    assert directions.space == "z" and (moved.diff() <= 1e-5).all()  # strongest first
    with pytest.raises(ValueError, match="not layer-wise"):
        SeFa(n_directions=4, layers=0).discover(net, Context())


def test_a_fresh_network_is_reproducible_and_trains():
    def tiny(seed=0, **change):
        return PGGAN(**dict(z_dim=8, resolution=16, channels={4: 6, 8: 6, 16: 4}, lower_outputs=False,
                            rng=torch.Generator().manual_seed(seed)) | change)

    net = tiny()
    assert net.fingerprint() == tiny().fingerprint() != tiny(1).fingerprint()
    net(torch.randn(4, 8, generator=torch.Generator().manual_seed(0))).square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
    assert tiny(fused_scale=True).layer4.weight.shape == (6, 4, 3, 3)
    with pytest.raises(ValueError, match="power of two"):
        tiny(resolution=24)
    with pytest.raises(ValueError, match="channels names resolutions"):
        tiny(resolution=32)


def test_wrong_states_are_explained():
    state = load(PLAIN)[0]["state_dict"]
    with pytest.raises(ValueError, match="layer2.weight is missing|without a gap"):
        PGGAN.from_state_dict({key: value for key, value in state.items() if key != "layer2.weight"})
    with pytest.raises(ValueError, match="not supported"):
        PGGAN.from_state_dict(state, extras={"init_kwargs": {"use_wscale": False}})
    with pytest.raises(ValueError, match="images of 4 channels"):
        PGGAN.from_state_dict(state | {f"output{k}.{part}": torch.zeros(*shape) for k in range(4) for part, shape in
                                       (("weight", (4, 24, 1, 1)), ("bias", (4,)))})

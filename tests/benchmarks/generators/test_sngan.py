"""The SN-GAN ResNet against numbers of the public implementation, and against itself."""

from __future__ import annotations

import helpers
import pytest
import torch
from helpers.compare import close
from safetensors.torch import load_file, save_file

from dirbench.benchmarks.generators.sngan import SNGAN
from dirbench.method import Context
from dirbench.methods.ganspace import GANSpace
from dirbench.methods.sefa import SeFa

pytestmark = pytest.mark.numeric
GOLDEN = helpers.GOLDEN / "generators" / "sngan.pt"


def load():
    """The fixture and its network."""
    data = torch.load(GOLDEN, weights_only=True)
    return data, SNGAN.from_state_dict(data["state_dict"]).freeze()


def tiny(channels=3, seed=0):
    return SNGAN(latent_dim=6, widths=[8, 8, 4], image_channels=channels, rng=torch.Generator().manual_seed(seed))


def test_images():
    data, net = load()
    z, want = data["inputs"]["z"], data["outputs"]["image_psi1"]
    close(net(z), want)
    close(torch.cat([net(z[i:i + 1]) for i in range(3)]), want, 2e-5)
    assert net.resolution == 32 and net.latent_dim == 24 and net.space == "z"


def test_state_goes_round_and_copies_may_be_left_out(tmp_path):
    data, net = load()
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    state, z = load_file(tmp_path / "net.safetensors"), data["inputs"]["z"]
    for one in (state, {n: v for n, v in data["state_dict"].items() if ".conv" not in n},
                {n: v for n, v in data["state_dict"].items() if ".model.3." not in n and ".model.6." not in n},
                {n: v for n, v in data["state_dict"].items() if "num_batches" not in n}):
        assert SNGAN.reads(one)
        assert torch.equal(SNGAN.from_state_dict(one).freeze()(z), net(z))


def test_damaged_states_are_refused():
    state = load()[0]["state_dict"]
    with pytest.raises(ValueError, match=r"model\.2\.conv1\.weight and model\.2\.model\.3\.weight are one tensor"):
        SNGAN.from_state_dict({**state, "model.2.conv1.weight": state["model.2.conv1.weight"] + 1})
    for name in state:
        if "num_batches" in name:
            continue
        for value in (torch.zeros(3, 5), torch.tensor(2.0), torch.zeros(0, 0, 3, 3)):
            with pytest.raises(ValueError, match="SN-GAN"):
                SNGAN.from_state_dict({**state, name: value})
        if ".conv" not in name and ".model.3." not in name and ".model.6." not in name:  # those are there twice
            with pytest.raises(ValueError, match="SN-GAN"):
                SNGAN.from_state_dict({n: v for n, v in state.items() if n != name})
    with pytest.raises(ValueError, match=r"not understood .*more"):
        SNGAN.from_state_dict({**state, "more": torch.zeros(1)})
    with pytest.raises(ValueError, match="without classes"):
        load()[1].synthesize(torch.zeros(1, 24), c=torch.tensor([0]))


def test_starting_weights_come_from_the_rng_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = tiny(), tiny(), tiny(seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert first.fingerprint() == again.fingerprint() != other.fingerprint()
    z = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    assert first(z).std() > 0.05


def test_it_trains():
    net = tiny(channels=1)
    z = torch.randn(16, 6, generator=torch.Generator().manual_seed(1))
    target = 0.5 * torch.sign(z[:, :1, None, None]).expand(-1, 3, 16, 16)
    optimiser, losses = torch.optim.Adam(net.parameters(), lr=5e-3), []
    for _ in range(30):
        loss = (net(z) - target).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_grey_images_have_three_equal_channels():
    image = tiny(channels=1).freeze().synthesize(torch.zeros(2, 6))
    assert image.shape == (2, 3, 16, 16)
    assert torch.equal(image[:, 0], image[:, 1]) and torch.equal(image[:, 0], image[:, 2])
    with pytest.raises(ValueError, match="image_channels=2"):
        tiny(channels=2)


def test_methods_find_what_they_need():
    data, net = load()
    assert torch.equal(net.affine_weights()[0], data["state_dict"]["model.0.weight"])
    assert net.activations(data["inputs"]["z"], "model.2").shape == (3, 32, 8, 8)
    assert SeFa(n_directions=3).discover(net, Context()).space == "z"
    assert len(GANSpace(n_directions=3, n_samples=100, n_regression=100).discover(net, Context(chunk=50))) == 3
    with pytest.raises(ValueError, match="layers"):
        net.affine_weights([0])

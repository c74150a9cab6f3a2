"""BigGAN and BigGAN-deep against numbers of the public implementations, and against themselves."""

from __future__ import annotations

import math

import helpers
import pytest
import torch
from helpers.compare import close
from safetensors.torch import load_file, save_file
from torch import nn

from dirbench.benchmarks.generators.biggan import BigGAN
from dirbench.benchmarks.generators.biggan_deep import BigGANDeep
from dirbench.benchmarks.generators.biggan_layers import fold_power_step, fold_stored_pair
from dirbench.benchmarks.generators.z_fed import truncated_normal
from dirbench.method import Context
from dirbench.methods.ganspace import GANSpace
from dirbench.methods.latentclr import LatentCLR
from dirbench.methods.sefa import SeFa

pytestmark = pytest.mark.numeric
GOLDEN = helpers.GOLDEN / "generators"
FILES = {BigGAN: "biggan", BigGANDeep: "biggan_deep_hf"}
BOTH = pytest.mark.parametrize("cls", FILES, ids=lambda c: c.family)


def load(cls, **overrides):
    """The fixture and its network."""
    data = torch.load(GOLDEN / f"{FILES[cls]}.pt", weights_only=True)
    return data, cls.from_state_dict(data["state_dict"], **overrides).freeze()


def labels(data):
    return data["inputs"]["y" if "y" in data["inputs"] else "class_index"]


def normal(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_biggan_images():
    data, net = load(BigGAN)
    z, y, want = data["inputs"]["z"], labels(data), data["outputs"]
    close(net.class_weights(y, 3) @ net.shared.weight, want["shared_embedding"], 1e-6)
    close(net.activations(z, "linear", c=y).flatten(1), want["first_linear"])
    close(net(z, y), want["image_psi1"])
    mixed = torch.zeros(3, 10)
    mixed[:, 0], mixed[:, 1] = 0.25, 0.75
    close(net(z, mixed), want["image_class_mix_0_1_w0.25_0.75"])
    net.label = [0.25, 0.75] + [0.0] * 8
    close(net.synthesize(z), want["image_class_mix_0_1_w0.25_0.75"])


def test_biggan_deep_images_at_each_truncation():
    data, net = load(BigGANDeep)
    inputs, want = data["inputs"], data["outputs"]
    close(net.embeddings(inputs["class_onehot"]), want["embedding"], 1e-6)
    gen_z = net.activations(inputs["z"], "generator.gen_z", c=inputs["class_index"])
    close(gen_z.permute(0, 2, 3, 1).flatten(1), want["gen_z"])
    for lookup in inputs["statistics_lookup"]:
        net.truncation = lookup["truncation"]
        assert net._lookup() == (lookup["start_index"], lookup["fraction"])
    for truncation, name in ((1.0, "psi1"), (0.7, "psi0.7"), (0.58, "truncation_0.58"),
                             (inputs["truncation_interpolated"], "truncation_interpolated")):
        net.truncation = truncation
        close(net(inputs["z"], inputs["class_onehot"]), want[f"image_{name}"])


@pytest.mark.parametrize("cls, fold, raw", [(BigGAN, fold_power_step, "weight"),
                                            (BigGANDeep, fold_stored_pair, "weight_orig")], ids=["biggan", "deep"])
def test_every_spectral_norm(cls, fold, raw):
    data, _ = load(cls)
    folded = fold(data["state_dict"])
    for name, sigma in data["outputs"]["sigma"].items():
        close(folded[f"{name}.weight"] * sigma, data["state_dict"][f"{name}.{raw}"], 1e-5)


@BOTH
def test_state_goes_round(cls, tmp_path):
    """What the network holds can be stored and read again: the same images to the bit."""
    data, net = load(cls)
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    state = load_file(tmp_path / "net.safetensors")
    assert cls.reads(state) and cls.reads(data["state_dict"])
    again = cls.from_state_dict(state).freeze()
    assert torch.equal(again(data["inputs"]["z"], labels(data)), net(data["inputs"]["z"], labels(data)))
    assert again.fingerprint() == net.fingerprint()
    assert not any(other.reads(state) for other in FILES if other is not cls)


@pytest.mark.parametrize("counter", [None, 3.0])
def test_statistics_one_level_deeper(counter):
    """As cross-replica norms store them, and "my" norms with standing statistics, which are sums."""
    data, net = load(BigGAN)
    state = {}
    for name, value in data["state_dict"].items():
        stem, _, leaf = name.rpartition(".")
        if not leaf.startswith("stored_"):
            state[name] = value
        elif counter is None:
            state[f"{stem}.bn.{leaf.replace('stored', 'running')}"] = value
            state[f"{stem}.bn.num_batches_tracked"] = torch.tensor(7)
        else:
            state[f"{stem}.bn.{leaf}"] = value * counter
            state[f"{stem}.bn.accumulation_counter"] = torch.tensor([counter])
    z, y = data["inputs"]["z"], labels(data)
    close(BigGAN.from_state_dict(state)(z, y), net(z, y), 1e-5)


@BOTH
def test_batch_does_not_matter_and_one_z_a_layer_is_z(cls):
    data, net = load(cls, label=3)
    z = data["inputs"]["z"]
    together = net.synthesize(z)
    close(torch.cat([net.synthesize(z[i:i + 1]) for i in range(3)]), together)
    close(net.synthesize(z[:, None].expand(-1, net.n_layers, -1)), together, 1e-6)
    assert together.shape == (3, 3, net.resolution, net.resolution)


@BOTH
def test_a_layer_reads_its_own_row(cls):
    """Moving row l of z [N, L, D] changes no activation before that layer, and the one at it."""
    data, net = load(cls, label=3)
    rows = data["inputs"]["z"][:, None].expand(-1, net.n_layers, -1)
    blocks = [name for name in net.layer_names if not name.endswith(".1.1" if cls is BigGAN else ".4")]
    assert len(blocks) == net.n_layers
    for moved in range(net.n_layers):
        other = rows.clone()
        other[:, moved] += 1
        changed = [not torch.equal(net.activations(rows, name), net.activations(other, name)) for name in blocks]
        assert changed == [False] * moved + [True] * (net.n_layers - moved)


@BOTH
def test_affine_weights_are_what_z_meets(cls):
    """The dense layers' outputs move by the weights times the move of z, layer by layer, with the class held fixed."""
    data, net = load(cls, label=3)
    z, move = data["inputs"]["z"], normal(1, net.latent_dim)
    seen = []
    hooks = [module.register_forward_hook(lambda m, i, out: seen.append(out)) for module in net.modules()
             if isinstance(module, nn.Linear) and module is not getattr(net, "embeddings", None)]
    net.synthesize(z)
    first, seen[:] = list(seen), []
    net.synthesize(z + move)
    for hook in hooks:
        hook.remove()
    want = torch.cat([b - a for a, b in zip(first, seen)], dim=1)
    weights = net.affine_weights()
    assert len(weights) == net.n_layers and {w.shape[1] for w in weights} == {net.latent_dim}
    close(torch.cat([(move @ w.T).expand(3, -1) for w in weights], dim=1), want, 1e-4)
    assert torch.equal(net.affine_weights([1])[0], weights[1])


@BOTH
def test_methods_find_what_they_need(cls):
    _, net = load(cls, label=3)
    context = Context(seed=0, chunk=16)
    found = SeFa(n_directions=4).discover(net, context)
    gram = sum(w.T @ w for w in (nn.functional.normalize(w, dim=1) for w in net.affine_weights()))
    assert found.space == "z"
    close((found.vectors[0] @ gram).norm(), torch.linalg.eigvalsh(gram)[-1], 1e-4)
    assert len(GANSpace(n_directions=4, n_samples=64, n_regression=64).discover(net, context)) == 4
    trained = LatentCLR(n_directions=3, n_steps=2, batch=2, layer=net.layer_names[-1]).discover(net, context)
    assert torch.isfinite(trained.vectors).all()


@pytest.mark.parametrize("limit", [0.5, 2.0])
def test_truncated_normal(limit):
    """Within the limit, with the moments of a truncated normal; rows do not depend on how many are drawn."""
    x = truncated_normal(20_000, 4, limit, torch.Generator().manual_seed(0))
    assert x.abs().max() <= limit
    inside = math.erf(limit / math.sqrt(2))
    variance = 1 - 2 * limit * math.exp(-limit**2 / 2) / math.sqrt(2 * math.pi) / inside
    assert abs(x.mean()) < 5 * math.sqrt(variance / x.numel())
    assert x.var().item() == pytest.approx(variance, rel=0.025)  # 5 * sqrt(2 / 80_000)
    assert torch.equal(x[:5], truncated_normal(5, 4, limit, torch.Generator().manual_seed(0)))


def test_truncation_shapes_sampling():
    _, net = load(BigGAN)
    rng = torch.Generator().manual_seed
    assert torch.equal(net.sample_z(4, rng(0)), torch.randn(4, 20, generator=rng(0)))
    net.truncation = 0.4
    assert net.sample(500, rng(0)).abs().max() <= 0.4
    _, deep = load(BigGANDeep, truncation=0.25)
    assert 0.4 < deep.sample(500, rng(0)).abs().max() <= 0.5  # 0.25 times a normal within +-2
    with pytest.raises(ValueError, match="truncation=-1"):
        load(BigGAN, truncation=-1)[1].sample_z(1, rng(0))
    with pytest.raises(ValueError, match=r"truncation=1\.5.*above 0 and up to 1"):
        load(BigGANDeep, truncation=1.5)[1].sample_z(1, rng(0))


@BOTH
def test_labels(cls):
    data, net = load(cls)
    z = data["inputs"]["z"]
    with pytest.raises(ValueError, match="10 classes: pass labels c, or set .label"):
        net.synthesize(z)
    for wrong in (torch.tensor([0, 1, 10]), torch.tensor([0, 1]), torch.zeros(3, 9), torch.tensor([0.0, 1.0, 2.0])):
        with pytest.raises(ValueError, match="class"):
            net.synthesize(z, c=wrong)
    with pytest.raises(ValueError, match="classes 10 to 10"):
        load(cls, label=10)
    assert len({load(cls, label=label)[1].fingerprint() for label in (None, 1, 2)}) == 3
    net.label = 3
    assert torch.equal(net.synthesize(z), net.synthesize(z, c=torch.tensor([3, 3, 3])))
    with pytest.raises(ValueError, match=r"expected z \[N, .* got \[3, 5\]"):
        net.synthesize(z[:, :5])


@BOTH
def test_half_precision_and_gradients(cls):
    data, net = load(cls, label=3)
    z = data["inputs"]["z"].clone().requires_grad_()
    net.synthesize(z).square().sum().backward()
    assert torch.isfinite(z.grad).all() and (z.grad.abs().sum(dim=0) > 0).all()
    half = load(cls, label=3)[1].bfloat16().synthesize(data["inputs"]["z"])
    assert half.dtype == torch.float32 and torch.isfinite(half).all()


@BOTH
def test_damaged_states_are_refused(cls):
    """One name less, one more, one of another shape: a ValueError for every one of them, never anything else."""
    state = torch.load(GOLDEN / f"{FILES[cls]}.pt", weights_only=True)["state_dict"]
    logged = {name for name in state if name.endswith(".sv0")}
    for name in list(state)[::11] + [list(state)[-1]]:
        for value in (None, torch.zeros(0), torch.zeros(3, 5), torch.tensor(2.0)):
            damaged = {k: v for k, v in state.items() if k != name}
            if value is not None:
                damaged[name] = value
            if name in logged:
                continue
            with pytest.raises(ValueError, match="BigGAN"):
                cls.from_state_dict(damaged)
    with pytest.raises(ValueError, match="more"):
        cls.from_state_dict({**state, "more.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"no setting psi; it has .*truncation"):
        cls.from_state_dict(state, psi=0.5)
    zero = {name: value * 0 for name, value in state.items()}
    with pytest.raises(ValueError, match="spectral norm of .* expected a positive number"):
        cls.from_state_dict(zero)


def test_other_biggans_are_told_apart():
    state = torch.load(GOLDEN / "biggan.pt", weights_only=True)["state_dict"]
    flat = {name: value[:, :12] if ".bn" in name and name.endswith("t") else value for name, value in state.items()}
    with pytest.raises(ValueError, match="only hierarchical z can be read"):
        BigGAN.from_state_dict(flat)
    deep = torch.load(GOLDEN / "biggan_deep_hf.pt", weights_only=True)["state_dict"]
    other = BigGANDeep.from_state_dict(deep, upsampling=[False] * 3 + [True] * 3, label=0)
    assert other.resolution == 32 and other.activations(normal(1, 16), "generator.layers.2").shape[-1] == 4
    with pytest.raises(ValueError, match="one flag for each of 6 blocks"):
        BigGANDeep.from_state_dict(deep, upsampling=[True])

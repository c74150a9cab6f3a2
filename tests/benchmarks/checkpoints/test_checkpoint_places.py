"""Which network of a file is the generator: by names, by prefixes, by a user's key; what is ambiguous is refused."""

from __future__ import annotations

import pickle

import helpers
import numpy as np
import pytest
import torch
from helpers.pickled import PERSISTENCE, Persistent, define, modules, whole_network
from helpers.strangers import write_network
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from dirbench.benchmarks.checkpoints import CheckpointError, read_checkpoint
from dirbench.benchmarks.checkpoints.naming import rank_of, words
from dirbench.benchmarks.commands import main
from dirbench.benchmarks.generators.external_spec import load_external
from dirbench.benchmarks.zoo.zoo import Zoo, ZooError

GOLDEN = helpers.GOLDEN / "stylegan2_ada.pt"
STATE = {"synthesis.b4.const": torch.arange(6.0).view(2, 3), "mapping.fc0.weight": torch.ones(2, 2),
         "mapping.w_avg": torch.tensor([1.0, 2.0])}
LAST = {name: value + 10 for name, value in STATE.items()}
DISCRIMINATOR = {"b4.conv.weight": torch.ones(2, 2)}


def under(prefix, state=STATE):
    return {prefix + name: value for name, value in state.items()}


def read(content, tmp_path, **given):
    torch.save(content, tmp_path / "x.pt")
    return read_checkpoint(tmp_path / "x.pt", **given)


def is_the_one(checkpoint, wrapper=None):
    assert checkpoint.state.keys() == STATE.keys()
    assert all(torch.equal(checkpoint.state[name], value) for name, value in STATE.items())
    assert wrapper is None or checkpoint.wrapper == wrapper


# -- keys --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("averaged", [
    "generator_ema", "model_ema", "state_dict_ema", "ema_state_dict", "g_ema_state_dict", "netG_ema", "G_ema", "genEMA",
    "EMAGenerator", "g_running", "generator_smooth", "Gs", "gen_avg", "swa_model", "shadow", "averaged_generator",
    "GE"])
@pytest.mark.parametrize("last", ["G", "generator", "netG_state_dict"])
def test_averaged_weights_come_before_last_ones(averaged, last, tmp_path):
    for content in ({averaged: STATE, last: LAST}, {last: LAST, averaged: STATE}):
        is_the_one(read(content | {"discriminator_ema": DISCRIMINATOR, "epoch": 3}, tmp_path), averaged)


@pytest.mark.parametrize("content, wrapper", [
    ({"models": {"generator": LAST, "discriminator": DISCRIMINATOR, "generator_smooth": STATE}},
     "models.generator_smooth"),
    ({"model_state_dict": STATE, "optimizer_state_dict": {"state": {0: {"exp_avg": torch.ones(9, 9)}}}},
     "model_state_dict"),
    ({"netG_state_dict": STATE, "netD_state_dict": DISCRIMINATOR}, "netG_state_dict"),
    ({"generator": STATE, "ema": {"decay": 0.9, "shadow_params": list(LAST.values())}}, "generator"),
    ({"state_dict": LAST, "callbacks": {"EMA": {"weights": STATE}}}, "callbacks.EMA.weights"),
    ({"a_name_of_ones_own": STATE, "best": {"score": torch.tensor(3.0)}}, "a_name_of_ones_own"),
    ({"a": {"b": {"c": STATE}}, "latent_avg": torch.ones(2)}, "a.b.c"),
    ({"encoder": under("e."), "decoder": STATE}, "decoder"),
    ({"state_dict": STATE, "config": {"G_activation": nn.ReLU(inplace=True)}}, "state_dict"),  # it has no tensors
    ({"module": {name.encode(): value for name, value in STATE.items()}}, "module"),  # Python 2's texts, read as bytes
    (under("_forward_module."), ""),
    ({"E": DISCRIMINATOR, "F": STATE}, "F"), ((DISCRIMINATOR, 3), "0"),
])
def test_the_generator_is_found_by_the_name_of_its_place(content, wrapper, tmp_path):
    if wrapper == "0":
        assert read(content, tmp_path).wrapper == "0"  # the one network that there is
    else:
        is_the_one(read(content, tmp_path), wrapper)


@pytest.mark.parametrize("content, places", [
    ({"mine": STATE, "yours": LAST}, "mine, yours"), ({"G_A": STATE, "G_B": LAST, "D_A": DISCRIMINATOR}, "G_A, G_B"),
    ({"state_dict": STATE, "model": LAST}, "state_dict, model"), ([STATE, LAST], "0, 1"),
    ({"x_ema": STATE, "y_ema": LAST, "G": LAST}, "x_ema, y_ema")])
def test_what_is_ambiguous_is_refused_and_a_key_chooses(content, places, tmp_path):
    with pytest.raises(CheckpointError, match=f"{places}; say which with --key NAME, or checkpoint_key"):
        read(content, tmp_path)
    first = places.partition(",")[0]
    is_the_one(read(content, tmp_path, key=first), first)


@pytest.mark.parametrize("content, key", [
    ({"a": {"b": STATE, "c": LAST}}, "a.b"), ({"g_ema": LAST, "g": STATE}, "g"),
    ({"epoch.3": STATE, "epoch.4": LAST}, "epoch.3"), (under("one.") | under("two.", LAST), "one"),
    ({"x": under("module.one.") | under("module.two.", LAST)}, "x.module.one"), ([LAST, STATE], 1),
    ({"a": under("generator.") | under("discriminator.", DISCRIMINATOR), "b": LAST}, "a"),
])
def test_a_key_names_any_place(content, key, tmp_path):
    is_the_one(read(content, tmp_path, key=key))


@pytest.mark.parametrize("key, sentence", [
    ("mein", "no 'mein'.* there is mine, t"), ("mine.x", "no 'x' in mine"), ("t", "tensor under the key 't'"),
    ("", "expected a name"), ("t.a", "no 'a' in t")])
def test_a_wrong_key_is_explained(key, sentence, tmp_path):
    with pytest.raises(CheckpointError, match=sentence):
        read({"mine": STATE, "t": torch.ones(2)}, tmp_path, key=key)


@pytest.mark.parametrize("content", [{"discriminator": DISCRIMINATOR, "optimizer": {}}, {"netD": DISCRIMINATOR}])
def test_a_discriminator_is_no_generator(content, tmp_path):
    with pytest.raises(CheckpointError, match="holds no generator: there is .*by name no generator"):
        read(content, tmp_path)


def test_what_names_say():
    assert words("netG_ema") == ["net", "g", "ema"] and words("EMAGenerator") == ["ema", "generator"]
    assert rank_of(("stylegan3d",)) and not rank_of(("models", "netD_ema"))  # 3d is no discriminator


# -- prefixes of names ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("state, wrapper", [
    (under("module."), ""), (under("_orig_mod.module."), ""), (under("module._orig_mod."), ""),
    (under("netG.module."), "netG"),
    (under("module.") | {"n_averaged": torch.tensor(5)}, ""),
    (under("generator.") | under("discriminator.", DISCRIMINATOR), "generator"),
    (under("generator._orig_mod.") | under("discriminator._orig_mod.", DISCRIMINATOR), "generator"),
    (under("generator.", LAST) | under("generator_ema.") | under("d.", DISCRIMINATOR), "generator_ema"),
    (under("model.generator.") | under("model.discriminator.", DISCRIMINATOR), "model.generator"),
    (under("online_model.", LAST) | under("ema_model.") | {"initted": torch.tensor(True)}, "ema_model"),
    (under("stylegan.") | under("encoder.", DISCRIMINATOR), "stylegan"), (STATE | under("D.", DISCRIMINATOR), ""),
    (under("module.module.module."), ""),
])
@pytest.mark.parametrize("kind", ["torch", "in a state_dict", "safetensors"])
def test_prefixes_of_names(state, wrapper, kind, tmp_path):
    if kind == "safetensors":
        save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "x.safetensors")
        is_the_one(read_checkpoint(tmp_path / "x.safetensors"), wrapper)
    elif kind == "torch":
        is_the_one(read(state, tmp_path), wrapper)
    else:
        is_the_one(read({"state_dict": state, "epoch": 1}, tmp_path), f"state_dict.{wrapper}".rstrip("."))


@pytest.mark.parametrize("names", [
    ("embeddings.weight", "generator.gen_z.weight"), ("model.0.weight", "model.2.conv1.weight"),
    ("g_mapping.fc0.weight", "g_synthesis.const"), ("features.0.weight", "output.weight"), ("net.a", "style.1.weight")])
def test_a_generators_own_names_are_left_alone(names, tmp_path):
    """BigGAN-deep of Hugging Face has a part called generator, for one."""
    checkpoint = read({name: torch.ones(2, 2) for name in names}, tmp_path)
    assert tuple(checkpoint.state) == names and checkpoint.wrapper == ""


def test_counts_of_operations_are_no_weights(tmp_path):
    counts = {f"{place}total_{what}": torch.zeros(1) for place in ("", "mapping.fc0.") for what in ("ops", "params")}
    is_the_one(read(STATE | counts, tmp_path), "")


def test_what_stands_around_a_prefix_or_a_key_is_kept(tmp_path):
    mean = torch.arange(2.0)
    for content, key in (({"state_dict": under("decoder.") | {"latent_avg": mean}}, None),
                         ({"state_dict": under("decoder."), "latent_avg": mean}, "state_dict.decoder"),
                         ({"g_ema": STATE, "latent_avg": mean.numpy()}, "g_ema"),
                         ({"g_ema": STATE, "latent_avg": mean.expand(8, -1)}, None)):
        extras = read(content, tmp_path, key=key).extras
        assert torch.equal(extras["latent_avg"].reshape(-1, 2)[0], mean)


# -- networks themselves ----------------------------------------------------------------------------------------
def snapshot(make, path, torch_file=False, package="", **options):
    """Writes what ``make(network, foreign class)`` gives; the classes do not exist afterwards."""
    with modules(f"{package}{PERSISTENCE}", "other.networks") as (persistence, other):
        def network(state, name="Generator", **more):
            return Persistent(persistence, state, name, **more)
        content = make(network, define(other, "Net"))
        if torch_file:
            torch.save(content, path, **options)
        else:
            path.write_bytes(pickle.dumps(content, **options))
    return path


FLAT = {name.replace(".", "_"): value for name, value in STATE.items()}
FLAT_LAST = {name: value + 10 for name, value in FLAT.items()}


@pytest.mark.parametrize("make, wrapper", [
    (lambda net, cls: net(FLAT), ""), (lambda net, cls: {"G": net(FLAT_LAST), "D": cls(), "G_ema": net(FLAT)}, "G_ema"),
    (lambda net, cls: {"G": cls(), "D": None, "G_ema": net(FLAT)}, "G_ema"),
    (lambda net, cls: (net(FLAT_LAST), net(FLAT, "Discriminator"), net(FLAT)), "2"),
    (lambda net, cls: {"a": net(FLAT), "b": net(FLAT, "Discriminator")}, "a"),
    (lambda net, cls: {"G_ema": net(FLAT), "D": net(FLAT, "Discriminator", _modules={"features": cls()})}, "G_ema"),
    (lambda net, cls: {"generator": net(FLAT_LAST), "generator_ema": net(FLAT)}, "generator_ema"),
], ids=["bare", "foreign D", "foreign G", "tuple", "by class", "foreign in D", "other keys"])
@pytest.mark.parametrize("torch_file", [False, True], ids=["pickle", "torch.save"])
def test_networks_of_nvidias_code(make, wrapper, torch_file, tmp_path):
    for package in ("", "their.package."):
        checkpoint = read_checkpoint(snapshot(make, tmp_path / "x.pkl", torch_file, package))
        assert checkpoint.wrapper == wrapper and checkpoint.kind == "NVIDIA network snapshot"
        assert checkpoint.state.keys() == FLAT.keys() and checkpoint.extras["class_name"] == "Generator"
        assert all(torch.equal(checkpoint.state[name], value) for name, value in FLAT.items())


def test_a_foreign_generator_is_named_not_replaced(tmp_path):
    foreign = snapshot(lambda net, cls: {"G": net(FLAT), "G_ema": cls()}, tmp_path / "x.pkl")
    with pytest.raises(CheckpointError, match=r"G_ema asks for 'other.networks.Net'.*or use G.*--key"):
        read_checkpoint(foreign)
    assert read_checkpoint(foreign, "G").wrapper == "G"
    inside = snapshot(lambda net, cls: {"G_ema": net(FLAT, _modules={"part": cls()})}, tmp_path / "y.pkl")
    with pytest.raises(CheckpointError, match=r"its part 'part' asks for 'other.networks.Net'.*nothing was run"):
        read_checkpoint(inside)


@pytest.mark.parametrize("wrap", [
    lambda net: net, nn.DataParallel, AveragedModel, lambda net: {"netG_ema": net, "epoch": 1},
    lambda net: {"G": net, "D": nn.Linear(2, 2)}], ids=["alone", "parallel", "averaged", "in a dict", "beside D"])
@pytest.mark.parametrize("write", [
    torch.save, lambda x, path: torch.save(x, path, _use_new_zipfile_serialization=False),
    lambda x, path: path.write_bytes(pickle.dumps(x))], ids=["zip", "before 1.6", "pickle"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # torch finds no source for a class that is made up
def test_whole_networks_of_classes_that_nobody_has(wrap, write, tmp_path):
    with modules("somebodys.networks") as (module,):
        write(wrap(whole_network(STATE, define(module, "Part", nn.Module))), tmp_path / "x.pt")
    is_the_one(read_checkpoint(tmp_path / "x.pt"))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("as_arrays", [False, True], ids=["tensors", "numpy"])
def test_pickled_state_dicts(protocol, as_arrays, tmp_path):
    content = {name: value.numpy() if as_arrays else value for name, value in STATE.items()}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, protocol))
    is_the_one(read_checkpoint(tmp_path / "x.pkl"), "")


# -- where a checkpoint is named --------------------------------------------------------------------------------
OWN = {"latent_dim": 24, "input_shape": [24, 1, 1]}


@pytest.mark.parametrize("wrap, key", [
    (lambda a, b: {"state_dict": {**under("netG.", a), "netD.a": torch.ones(1)}}, None),
    (lambda a, b: {"netG": b, "netG_ema": a}, None), (lambda a, b: under("model.net.", a), None),
    (lambda a, b: {"first": a, "other": {"x.weight": torch.ones(9, 9)}}, None),
    (lambda a, b: {"first": a, "second": b}, "first"), (lambda a, b: under("module.", a), None)])
def test_an_own_network_finds_its_names_in_the_file(wrap, key, tmp_path):
    write_network(tmp_path, "mynet_places")
    write_network(tmp_path, "mynet_places", "b.pt", seed=2)
    a, b = (torch.load(tmp_path / name) for name in ("net.pt", "b.pt"))
    torch.save(wrap(a, b), tmp_path / "net.pt")
    spec = OWN | {"module": "mynet_places:Net", "checkpoint": "net.pt"} | ({"checkpoint_key": key} if key else {})
    made = load_external(spec, tmp_path).net.state_dict()
    assert all(torch.equal(made[name], value) for name, value in a.items())
    if key:
        with pytest.raises(CheckpointError, match="first, second; say which"):
            load_external({k: v for k, v in spec.items() if k != "checkpoint_key"}, tmp_path)


def two_generators(folder):
    state = torch.load(GOLDEN, weights_only=True)["state_dict"]
    other = {name: 1.1 * value if name.endswith("weight") else value for name, value in state.items()}
    torch.save({"mine": state, "yours": other}, folder / "two.pt")


def test_a_key_is_part_of_what_a_zoos_gan_is(tmp_path):
    two_generators(tmp_path)
    zoo = Zoo(tmp_path, {"zoo": "z", "title": "z", "gans": {
        "a": {"file": "two.pt", "checkpoint_key": "mine"}, "b": {"file": "two.pt", "checkpoint_key": "yours"},
        "neither": "two.pt"}})
    assert len({zoo.hash(name) for name in zoo.names}) == 3
    assert zoo.load("a").fingerprint() != zoo.load("b").fingerprint()
    with pytest.raises(ZooError, match="GAN neither: .*mine, yours; say which"):
        zoo.load("neither")


def test_the_commands_take_a_key(tmp_path, capsys, monkeypatch):
    two_generators(tmp_path)
    monkeypatch.chdir(tmp_path)
    np.save("z.npy", np.zeros((1, 32), np.float32))
    commands = (["inspect-checkpoint", "two.pt"], ["convert", "two.pt", "--to", "out.safetensors"],
                ["synthesize", "two.pt", "--latents", "z.npy", "--out", "i.npy"])
    for command in commands:
        assert main(command) == 2 and "mine, yours; say which with --key" in capsys.readouterr().err
        assert main([*command, "--key", "mine"]) == 0
    alone = torch.load("two.pt")["mine"]
    assert all(torch.equal(value, alone[name]) for name, value in read_checkpoint("out.safetensors").state.items())

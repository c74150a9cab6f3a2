"""What a file says of its network beside the weights: used, compared with the weights,
refused or told; never ignored."""

import math

import numpy as np
import pytest
import torch
from helpers.golden_files import PATHS, golden

from dirbench.benchmarks.checkpoints import CheckpointError
from dirbench.benchmarks.commands import main
from dirbench.benchmarks.generators.families import load_generator, recognise
from dirbench.benchmarks.generators.said import Said, flag, limit, positive, whole


def read(name, change=None, **extras):
    state = golden(name)["state_dict"]
    state = {key: value for key, value in state.items() if change is None or change not in key}
    return recognise(state).from_state_dict(state, extras=extras).freeze()


def nested(places, value):
    """{"a": {"b": value}} of "a.b"."""
    for place in reversed(places.split(".")):
        value = {place: value}
    return value


# -- StyleGAN2 and 3: wherever a setting lies --------------------------------------------------------------------
@pytest.mark.parametrize("place", [
    "init_kwargs.synthesis_kwargs.conv_clamp", "init_kwargs.conv_clamp", "config.synthesis_kwargs.conv_clamp",
    "config.conv_clamp", "conv_clamp", "G_kwargs.synthesis_kwargs.conv_clamp", "args.conv_clamp", "config.clamp",
    "training_options.G_kwargs.conv_clamp", "config.G_kwargs.conv_clamp", "opts.generator.conv_clamp",
    "hyper_parameters.conv_clamp"])
@pytest.mark.parametrize("name", ["stylegan2_ada_cond", "stylegan3_r"])
def test_a_clamp_is_found_wherever_it_lies(name, place):
    assert read(name, **nested(place, 1.25)).clamp == 1.25
    assert read(name, **nested(place, None)).clamp == math.inf
    assert read(name, **nested(place.replace("conv_clamp", "unknown").replace(".clamp", ".unknown"),
                               1.25)).clamp != 1.25
    for wrong in ("big", 0, -1, True, float("nan"), [256]):
        with pytest.raises(ValueError, match=f"{place.rpartition('.')[2]}=.*not usable"):
            read(name, **nested(place, wrong))


@pytest.mark.parametrize("place", ["mapping_kwargs.lr_multiplier", "init_kwargs.mapping_kwargs.lr_multiplier",
                                   "config.mapping.lr_multiplier", "config.mapping_lr"])
@pytest.mark.parametrize("name", ["stylegan2_ada_cond", "stylegan3_t"])
def test_a_learning_rate_multiplier_is_found_wherever_it_lies(name, place):
    assert read(name, **nested(place, 0.5)).config["mapping_lr"] == 0.5


def test_positional_arguments_are_the_public_class_s():
    net = read("stylegan2_ada_cond", init_args=[24, 5, 32, 16, 3, {"lr_multiplier": 0.02}, {"conv_clamp": 1.5}])
    assert (net.clamp, net.config["mapping_lr"]) == (1.5, 0.02)
    with pytest.raises(ValueError, match="z_dim=25"):
        read("stylegan2_ada_cond", init_args=[25, 5])


@pytest.mark.parametrize("extras, clamp", [
    ({}, 256), ({"init_kwargs": {"conv_clamp": 256}}, 256), ({"init_kwargs": {"num_fp16_res": 0}}, 256),
    ({"init_kwargs": {"synthesis_kwargs": {"num_fp16_res": 0}}}, math.inf), ({"data_sha256": "0"}, math.inf)])
def test_the_clamp_of_a_file_that_names_none_is_its_class_s(extras, clamp):
    """stylegan2-ada-pytorch's class, with ``synthesis_kwargs``, has none by itself; stylegan3's has 256."""
    assert read("stylegan2_ada", **extras).clamp == clamp


def test_a_setting_may_be_a_tensor_of_one_number():
    assert read("stylegan2_ada", conv_clamp=torch.tensor(1.5), n_averaged=torch.tensor(5)).clamp == 1.5


def test_two_places_that_say_two_things_are_refused():
    with pytest.raises(ValueError, match=r"config.conv_clamp=2 and init_kwargs.synthesis_kwargs.conv_clamp=3"):
        read("stylegan2_ada", config={"conv_clamp": 2}, init_kwargs={"synthesis_kwargs": {"conv_clamp": 3}})
    assert read("stylegan2_ada", config={"conv_clamp": 2}, init_kwargs={"conv_clamp": 2.0}).clamp == 2


# -- what cannot be computed, and what is of another network ----------------------------------------------------------
@pytest.mark.parametrize("name, said", [
    ("stylegan2_ada", {"synthesis_kwargs": {"architecture": "resnet"}}), ("stylegan2_ada", {"architecture": "orig"}),
    ("stylegan2_ada", {"activation": "relu"}), ("stylegan2_ada", {"mapping_kwargs": {"activation": "linear"}}),
    ("stylegan2_ada", {"resample_filter": [1, 2, 1]}), ("stylegan2_ada", {"use_noise": False}),
    ("stylegan2_ada", {"kernel_size": 5}), ("stylegan2_rosinality", {"blur_kernel": [1, 4, 6, 4, 1]}),
    ("stylegan2_rosinality", {"arch": "swagan"}), ("genforce_stylegan2", {"final_tanh": True}),
    ("genforce_stylegan2", {"demodulate": False}), ("genforce_stylegan2", {"use_wscale": False}),
    ("genforce_stylegan2", {"architecture": "origin"}), ("genforce_stylegan", {"use_wscale": False}),
    ("genforce_stylegan", {"noise_type": "channel"}), ("genforce_stylegan", {"final_tanh": "perhaps"}),
    ("genforce_pggan", {"use_wscale": "False"}), ("stylegan3_t", {"lrelu_upsampling": 4}),
    ("stylegan3_t", {"activation": "relu"}), ("biggan", {"G_shared": False}), ("biggan", {"hier": False}),
    ("biggan", {"norm_style": "in"}), ("biggan", {"G_nl": "elu"}), ("biggan", {"SN_eps": 0.1}),
    ("biggan", {"model": "BigGANdeep"}), ("biggan", {"z_var": 2.0}), ("biggan", {"BN_eps": -1})])
def test_what_is_not_computed_here_is_refused_by_name(name, said):
    (key, value), = said.items()
    key = next(iter(value)) if isinstance(value, dict) else key
    for place in ({"config": said}, {"init_kwargs": said}, said):
        with pytest.raises(ValueError, match=key):
            read(name, **place)


@pytest.mark.parametrize("name, said", [
    ("stylegan2_ada", {"z_dim": 64}), ("stylegan2_ada", {"img_resolution": 64}), ("stylegan2_ada", {"img_channels": 1}),
    ("stylegan2_ada", {"mapping_kwargs": {"num_layers": 8}}), ("stylegan2_ada_cond", {"c_dim": 0}),
    ("stylegan2_ada_cond", {"mapping_kwargs": {"embed_features": 512}}), ("stylegan2_rosinality", {"n_mlp": 8}),
    ("stylegan2_rosinality", {"size": 256}), ("genforce_stylegan2", {"w_space_dim": 512}),
    ("genforce_stylegan", {"mapping_fmaps": 512}), ("genforce_stylegan_fused_label", {"label_size": 0}),
    ("genforce_pggan", {"z_space_dim": 512}), ("genforce_pggan", {"label_size": 24}),
    ("proggan", {"image_channels": 1}),
    ("stylegan3_t", {"num_layers": 14}), ("stylegan3_t", {"conv_kernel": 1}),
    ("stylegan3_r", {"use_radial_filters": False}),
    ("stylegan3_t", {"filter_size": 8}), ("sngan", {"latent_dim": 128}), ("biggan", {"n_classes": 1000}),
    ("biggan", {"resolution": 128}), ("biggan", {"G_attn": "8"}), ("biggan", {"G_attn": "0"}),
    ("biggan", {"dim_z": 128}),
    ("biggan", {"shared_dim": 0, "dim_z": 20}), ("biggan_deep_hf", {"z_dim": 128}),
    ("biggan_deep_hf", {"num_classes": 5}),
    ("biggan_deep_hf", {"attention_layer_position": 2}), ("biggan_deep_hf", {"n_stats": 11}),
    ("biggan_deep_hf", {"class_embed_dim": 128}), ("biggan_deep_hf", {"layers": [[False, 16, 16]], "channel_width": 8}),
    ("biggan_deep_hf", {"output_dim": 512})])
def test_settings_of_another_network_are_refused(name, said):
    with pytest.raises(ValueError, match="the checkpoint says"):
        read(name, config=said)


@pytest.mark.parametrize("name, part, said", [
    ("stylegan2_ada_cond", "embed", {"c_dim": 5}), ("genforce_stylegan_fused_label", "label_weight", {"label_size": 4}),
    ("stylegan3_t", "nothing", {"c_dim": 10}), ("genforce_stylegan2", "nothing", {"label_size": 10})])
def test_a_dropped_class_embedding_is_missed(name, part, said):
    with pytest.raises(ValueError, match=r"class embedding .*missing"):
        read(name, part, config=said)


def test_inputs_that_look_like_a_dropped_embedding_are_said():
    assert "class embedding is missing" in read("stylegan2_ada_cond", "embed").notes[0]


# -- BigGAN's own config -----------------------------------------------------------------------------------------------
def test_biggan_uses_the_config_of_its_project():
    data = golden("biggan")
    z, c = data["inputs"]["z"], data["inputs"]["y"]
    plain, said = read("biggan"), read("biggan", config={**data["config"], "BN_eps": 0.5, "D_ch": 96, "num_epochs": 3})
    assert said.notes == () and said.fingerprint() != plain.fingerprint()
    assert (said.synthesize(z, "z", c) - plain.synthesize(z, "z", c)).abs().max() > 0.01
    norm = said.blocks[0][0].bn1
    assert norm.eps == 0.5
    for extra in ("u1", "sv1"):  # num_G_SVs: 2; the first vector alone divides
        state = {**data["state_dict"], f"linear.{extra}": torch.zeros(1, 1)}
        again = recognise(state).from_state_dict(state, extras={"config": {"num_G_SVs": 2}})
        assert torch.equal(again.linear.weight, plain.linear.weight)


def test_biggan_deep_uses_the_config_of_its_project():
    config = golden("biggan_deep_hf")["config"]
    assert read("biggan_deep_hf", config=config).fingerprint() == read("biggan_deep_hf").fingerprint()
    other = [[not up, before, after] for up, before, after in config["layers"]]
    net = read("biggan_deep_hf", config={**config, "layers": other, "eps": 0.01})
    assert [layer.up for layer in net.generator.layers if hasattr(layer, "up")] == [up for up, _, _ in other]
    assert net.eps == 0.01 and net.settings()["eps"] == 0.01


# -- settings that a user gives ----------------------------------------------------------------------------------
@pytest.mark.parametrize("name, settings", [
    ("stylegan2_ada", {"clamp": "big"}), ("stylegan3_t", {"clamp": None}), ("stylegan2_ada", {"truncation_psi": "0.7"}),
    ("stylegan2_ada_cond", {"label": "three"}), ("stylegan2_ada_cond", {"label": 1.5}), ("biggan", {"eps": "small"}),
    ("biggan", {"truncation": -1}), ("genforce_stylegan", {"fused_scale": "sometimes"}),
    ("biggan_deep_hf", {"label": True}),
    ("stylegan2_ada", {"truncation_cutoff": "all"}), ("genforce_pggan", {"final_tanh": "perhaps"})])
def test_settings_of_a_user_that_are_of_another_kind_are_explained(name, settings):
    (key, value), = settings.items()
    with pytest.raises(CheckpointError, match=f"setting {key}: {value!r} is not usable"):
        load_generator(PATHS[name], **settings)


# -- words that nobody knows ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["stylegan2_ada", "stylegan3_t", "genforce_stylegan", "genforce_pggan", "sngan",
                                  "biggan",
                                  "biggan_deep_hf", "stylegan2_rosinality"])
def test_settings_that_nobody_knows_are_told(name):
    net = read(name, config={"use_spectral_gates": True, "deep": {"mixing_style": "max"}, "lr": 0.002, "batch_size": 4,
                             "D_kwargs": {"activation": "relu"}, "resume_from": "x", "ema_decay": 0.99}, epoch=3)
    note = net.notes[-1]  # after what else was to be said
    assert all(word in note for word in ("config.use_spectral_gates=True", "config.deep.mixing_style=max", "not apply"))
    assert not any(word in note for word in ("lr=", "batch_size", "D_kwargs", "resume", "ema_decay", "epoch"))


def test_many_unknown_settings_are_counted():
    said = Said({"config": {f"gate_{i}": i for i in range(9)}}, "StyleGAN2")
    assert "gate_5=5 and 3 more" in said.told()[0] and len(said.told()) == 1


def test_notes_reach_the_user(tmp_path, capsys):
    data = golden("stylegan2_ada")
    torch.save({"g_ema": data["state_dict"], "config": {"use_spectral_gates": True}}, tmp_path / "a.pt")
    np.save(tmp_path / "z.npy", data["inputs"]["z"].numpy())
    assert main(["inspect-checkpoint", str(tmp_path / "a.pt")]) == 0
    assert "use_spectral_gates" in capsys.readouterr().out
    assert main(["synthesize", str(tmp_path / "a.pt"), "--latents", str(tmp_path / "z.npy"), "--out",
                 str(tmp_path / "i.npy")]) == 0
    assert "use_spectral_gates" in capsys.readouterr().err


# -- kinds of values ------------------------------------------------------------------------------------------------
def test_kinds():
    assert [flag(x) for x in (True, 0, "false", "True")] == [True, False, False, True]
    assert (limit(None), limit("None"), positive("0.5"), whole(3.0)) == (math.inf, math.inf, 0.5, 3)
    for kind, wrong in ((flag, "no idea"), (flag, None), (positive, 0), (whole, 2.5), (whole, -1), (whole, True)):
        with pytest.raises(ValueError, match="expected"):
            kind(wrong)

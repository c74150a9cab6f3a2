"""Generators as people save them: earlier names, parts that are constants or were never there, other images."""

import math
import re

import helpers
import pytest
import torch

from dirbench.benchmarks.checkpoints import CheckpointError
from dirbench.benchmarks.generators.families import load_generator, recognise
from dirbench.benchmarks.generators.stylegan2 import StyleGAN2

FOLDER = helpers.GOLDEN / "generators"
ADA, ROS, COND = (FOLDER.parent / f"stylegan2_{name}.pt" for name in ("ada", "rosinality", "ada_cond"))
G2, G1, G1F, PG, PGF, PRO = (FOLDER / f"{name}.pt" for name in (
    "genforce_stylegan2", "genforce_stylegan", "genforce_stylegan_fused_label", "genforce_pggan",
    "genforce_pggan_fused_label", "proggan"))
T, R, BIG, DEEP, SN = (FOLDER / f"{name}.pt" for name in ("stylegan3_t", "stylegan3_r", "biggan", "biggan_deep_hf",
                                                          "sngan"))


def golden(path):
    return torch.load(path, weights_only=True)


def weights(path):
    return {name: value.clone() for name, value in golden(path)["state_dict"].items()}


def read(state, **more):
    return recognise(state).from_state_dict(state, **more).freeze()


def image(net, data, key="z"):
    return net.synthesize(data["inputs"][key].float(), "z")


def close(got, want, tolerance=2e-5):
    torch.testing.assert_close(got, want, rtol=1e-4, atol=tolerance * want.abs().max().item())


# -- names of earlier code ---------------------------------------------------------------------------------------
def dense_fc(name, value):
    """``.fc.`` in dense layers and styles, weights as they are now."""
    return re.sub(r"(mapping\.dense\d+|\.style)\.(weight|bias)$", r"\1.fc.\2", name), value


def first_port(name, value):
    """The first StyleGAN2 port: ``.fc.weight``, plain biases, kernels [k, k, in, out]."""
    if name.startswith("synthesis.") and name.endswith(".weight") and value.ndim == 4:
        value = value.permute(2, 3, 1, 0).contiguous()
    return re.sub(r"(mapping\.dense\d+|\.style)\.weight$", r"\1.fc.weight", name), value


def interfacegan(name, value):
    """StyleGAN as InterFaceGAN has it: linear, wscale, epilogue, first_layer."""
    name = re.sub(r"(mapping\.dense\d+)\.weight", r"\1.linear.weight", name)
    name = re.sub(r"(mapping\.dense\d+)\.bias", r"\1.wscale.bias", name)
    name = re.sub(r"(layer\d+)\.style\.weight", r"\1.epilogue.style_mod.dense.linear.weight", name)
    name = re.sub(r"(layer\d+)\.style\.bias", r"\1.epilogue.style_mod.dense.wscale.bias", name)
    name = re.sub(r"(layer\d+)\.(apply_noise\.\w+|bias)$", r"\1.epilogue.\2", name)
    name = re.sub(r"((?:layer|output)\d+)\.weight", r"\1.conv.weight", name).replace("layer0.const",
                                                                                     "layer0.first_layer")
    return name, value


@pytest.mark.parametrize("path, older", [(G2, dense_fc), (G2, first_port), (G1, dense_fc), (G1, interfacegan),
                                         (G1F, dense_fc)], ids=lambda x: getattr(x, "stem", None) or x.__name__)
def test_earlier_names_of_genforce(path, older):
    data, extras = golden(path), {"config": golden(path)["config"]}
    state = dict(older(name, value) for name, value in data["state_dict"].items())
    assert set(state) != set(data["state_dict"])
    net, today = read(state, extras=extras), read(data["state_dict"], extras=extras)
    assert type(net) is type(today) and net.fingerprint() == today.fingerprint()


def test_an_earlier_stylegan_holds_the_truncation_it_was_saved_with_and_fused_kernels_as_tensorflow_has_them():
    data = golden(G1F)
    state = dict(interfacegan(name, value) for name, value in data["state_dict"].items() if "label" not in name)
    state["mapping.dense0.linear.weight"] = state["mapping.dense0.linear.weight"][:, :24]
    today = {name: value for name, value in data["state_dict"].items() if "label" not in name}
    today["mapping.dense0.weight"] = today["mapping.dense0.weight"][:, :24]
    for i in (2, 4):
        fused = state.pop(f"synthesis.layer{i}.conv.weight")
        state[f"synthesis.layer{i}.weight"] = fused.permute(2, 3, 1, 0).contiguous()
    state["truncation.truncation"] = torch.ones(1, 6, 1)
    assert read(state, fused_scale=True).fingerprint() == read(today, fused_scale=True).fingerprint()


def test_an_earlier_pggan():
    data = golden(PG)
    top = max(int(match[1]) for name in data["state_dict"] if (match := re.match(r"output(\d+)", name)))
    state = {}
    for name, value in data["state_dict"].items():
        name = re.sub(r"^layer(\d+)", lambda match: f"layer{int(match[1]) + 1}", name)
        name = re.sub(f"^output{top}", "output_32x32", name)
        if not name.startswith(("output0", "output1", "output2", "lod")):
            state[name.replace(".weight", ".conv.weight").replace(".bias", ".wscale.bias")] = value
    close(image(read(state), data), data["outputs"]["image_psi1"])


def test_two_names_of_one_tensor_are_refused():
    state = {**dict(dense_fc(*item) for item in weights(G2).items()), "mapping.dense1.weight": torch.zeros(28, 28)}
    with pytest.raises(ValueError, match="two tensors are called mapping.dense1.weight"):
        read(state)


# -- labels of genforce's StyleGAN2 ---------------------------------------------------------------------------------
def test_genforce_stylegan2_normalises_z_and_label_together():
    state, rng = weights(G2), torch.Generator().manual_seed(1)
    rows, first = torch.randn(5, 24, generator=rng), torch.randn(28, 48, generator=rng)
    net = read(state | {"mapping.label_weight": rows, "mapping.dense0.weight": first})
    assert (net.n_classes, net.latent_dim) == (5, 24)
    z, classes = torch.randn(4, 24, generator=rng), torch.tensor([0, 3, 4, 3])
    x = torch.cat((z, rows[classes]), dim=1)
    x = x / (x.square().mean(dim=1, keepdim=True) + 1e-8).sqrt()
    for i, weight in enumerate((first, state["mapping.dense1.weight"], state["mapping.dense2.weight"])):
        x = x @ weight.T * (0.01 / math.sqrt(weight.shape[1])) + 0.01 * state[f"mapping.dense{i}.bias"]
        x = torch.nn.functional.leaky_relu(x, 0.2) * math.sqrt(2)
    close(net.map(z, classes), x)
    again = StyleGAN2.from_state_dict(net.state_dict(), clamp=net.clamp)
    assert again.fingerprint() == net.fingerprint()


# -- noise ----------------------------------------------------------------------------------------------------------
NOISE = {ADA: ("noise_const", "noise_strength"), ROS: ("noises.", ".noise.weight"), G2: (".noise", "noise_strength"),
         G1: ("apply_noise.noise", "apply_noise.weight")}


@pytest.mark.parametrize("path", NOISE, ids=lambda path: path.stem)
def test_noise_that_a_file_lacks(path):
    """Constants alone: draws stand for them, always the same. All of it: no noise. A few: refused."""
    constants, strengths = ([name for name in weights(path) if name.startswith(mark) or name.endswith(mark)]
                            for mark in NOISE[path])
    assert len(constants) == len(strengths) > 3

    def without(names):
        return {name: value for name, value in weights(path).items() if name not in names}

    drawn, again = read(without(constants)), read(without(constants))
    assert drawn.fingerprint() == again.fingerprint()
    assert "drawn with seed 0" in drawn.notes[0]
    planes = torch.cat([value.flatten() for name, value in drawn.state_dict().items()
                        if name.endswith(("noise_const", "apply_noise.noise"))])
    assert abs(planes.mean()) < 0.2 and abs(planes.std() - 1) < 0.2
    none = read(without(constants + strengths))
    assert "no noise" in none.notes[0]
    silent = read({name: torch.zeros_like(value) if name in strengths else value
                   for name, value in weights(path).items()})
    assert torch.equal(image(none, golden(path)), image(silent, golden(path)))
    for names in (constants[:1], strengths, strengths[:1], constants[1:] + strengths):
        with pytest.raises(ValueError, match="missing"):
            read(without(names))


def test_a_file_that_lies_about_its_sides_cannot_make_us_draw_noise():
    with pytest.raises(ValueError):
        read({name.replace("b32.", f"b{2**20}."): value for name, value in weights(ADA).items() if "noise" not in name})


# -- constants ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", [ADA, COND, ROS, G2, G1, G1F, T, R], ids=lambda path: path.stem)
def test_low_passes_that_a_file_lacks(path):
    data, extras = golden(path), {"config": golden(path)["config"]}
    lowpass = re.compile(r".*(resample_filter|\.kernel|up_filter|down_filter)")
    state = {name: value for name, value in data["state_dict"].items() if not lowpass.fullmatch(name)}
    assert len(state) < len(data["state_dict"])
    net, whole = read(state, extras=extras), read(data["state_dict"], extras=extras)
    if net.n_classes:
        net.label = whole.label = 1
    close(image(net, data), image(whole, data), 1e-6)


# -- images ---------------------------------------------------------------------------------------------------------
LAST = {ADA: r".*torgb\.(weight|bias)", ROS: r"to_rgb(1|s\.\d)\.(conv\.weight|bias)",
        G2: r"synthesis\.output\d\.(weight|bias)",
        G1: r"synthesis\.output\d\.(weight|bias)", PG: r"output\d\.(weight|bias)",
        PRO: r"output\.(conv\.weight|wscale\.b)", BIG: r"output_layer\.2\.(weight|bias|u0)",
        SN: r"model\.7\.(weight|bias)",
        T: r"synthesis\.L6_32_3\.(weight|bias)"}


def of_channels(path, n):
    """The state with image layers of n channels, which are those that it has, over and over."""
    out = {}
    for name, value in weights(path).items():
        if re.fullmatch(LAST[path], name):
            axis = next(i for i, size in enumerate(value.shape) if size == 3)
            value = value.index_select(axis, torch.arange(n) % 3)
            name = name.replace("_32_3.", f"_32_{n}.")
        elif path == T:
            name = name.replace("L6_32_3.", f"L6_32_{n}.")
        out[name] = value
    return out


@pytest.mark.parametrize("path", LAST, ids=lambda path: path.stem)
def test_grey_images_come_out_in_three_channels(path):
    if path == BIG:  # a spectral norm of one channel is another one: compare with what it says
        state = of_channels(path, 1)
        net = read(state)
        net.label = 1
        got = image(net, golden(path))
        assert got.shape[1] == 3 and torch.equal(got[:, :1].expand(-1, 3, -1, -1), got)
        return
    got, want = image(read(of_channels(path, 1)), golden(path)), image(read(weights(path)), golden(path))[:, :1]
    close(got, want.expand(-1, 3, -1, -1), 1e-6)


@pytest.mark.parametrize("n", [2, 4])
@pytest.mark.parametrize("path", LAST, ids=lambda path: path.stem)
def test_images_of_other_channels_are_refused(path, n):
    with pytest.raises(ValueError, match=f"images of {n} channels, expected 3 .or 1"):
        read(of_channels(path, n))


WIDE = {ADA: "synthesis.b4.const", ROS: "input.input", G2: "synthesis.early_layer.const",
        G1: "synthesis.layer0.const", PG: "layer0.weight", PRO: "features.0.conv.weight"}


@pytest.mark.parametrize("axis, words", [(-1, "8 wide and 4 high"), (-2, "4 wide and 8 high")])
@pytest.mark.parametrize("path", WIDE, ids=lambda path: path.stem)
def test_images_that_are_not_square_are_refused(path, axis, words):
    state = weights(path)
    state[WIDE[path]] = torch.cat([state[WIDE[path]]] * 2, axis)
    with pytest.raises(ValueError, match=f"{words}: only square images"):
        read(state)


@pytest.mark.parametrize("path, names", [(BIG, ("linear.weight", "linear.bias", "linear.u0")),
                                         (SN, ("model.0.weight", "model.0.bias")),
                                         (DEEP, ("generator.gen_z.bias", "generator.gen_z.weight_orig",
                                                 "generator.gen_z.weight_u"))], ids=lambda x: getattr(x, "stem", "at"))
def test_a_first_map_that_is_not_square_is_refused(path, names):
    state = weights(path)
    for name in names:
        axis = int(name.endswith("u0"))
        state[name] = torch.cat([state[name]] * 2, axis)
    with pytest.raises(ValueError, match="only square images"):
        read(state)


def test_a_network_that_starts_from_8x8_is_told_so():
    state = weights(ADA)
    state["synthesis.b4.const"] = state["synthesis.b4.const"].repeat(1, 2, 2)
    with pytest.raises(ValueError, match="8x8, expected 4x4"):
        read(state)


# -- other architectures --------------------------------------------------------------------------------------------
def test_architectures_that_are_not_read_are_called_by_their_names():
    state = weights(ADA)
    with pytest.raises(ValueError, match="residual architecture"):
        read(state | {"synthesis.b8.skip.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match="architecture orig"):
        read({name: value for name, value in state.items() if not re.search(r"b(4|8|16)\.torgb", name)})
    big = weights(BIG)
    with pytest.raises(CheckpointError, match=r"without a class embedding \(shared.weight\)"):
        recognise({name: value for name, value in big.items() if name != "shared.weight"})
    with pytest.raises(CheckpointError, match="BigGAN-deep in ajbrock's layout"):
        recognise(big | {"blocks.0.0.bn4.gain.weight": torch.zeros(1)})


def test_what_a_reader_put_in_place_is_said_of_the_file(tmp_path):
    torch.save({"g_ema": weights(ROS)}, tmp_path / "a.pt")  # a training checkpoint lacks latent_avg
    assert "no mean w" in load_generator(tmp_path / "a.pt").notes[0]
    torch.save({"g_ema": weights(ROS), "latent_avg": torch.arange(32.0).expand(8, -1).clone()}, tmp_path / "b.pt")
    net = load_generator(tmp_path / "b.pt")
    assert not net.notes and torch.equal(net.w_avg, torch.arange(32.0))
    torch.save({"g_ema": weights(ROS), "latent_avg": torch.rand(8, 32)}, tmp_path / "c.pt")
    with pytest.raises(CheckpointError, match=r"latent_avg is \[8, 32\] with different rows"):
        load_generator(tmp_path / "c.pt")


@pytest.mark.parametrize("name", ["latent_avg", "mean_latent", "w_avg", "truncation_latent"])
def test_the_mean_latent_under_any_name(name, tmp_path):
    torch.save({"g_ema": weights(ROS), name: torch.arange(32.0)}, tmp_path / "a.pt")
    assert torch.equal(load_generator(tmp_path / "a.pt").w_avg, torch.arange(32.0))


def test_a_stylegan3_without_its_transform():
    data = golden(T)
    net = read({name: value for name, value in weights(T).items() if not name.endswith("transform")})
    assert net.notes == ("the file has no transform of the plane: images are neither moved nor turned",)
    close(image(net, data), data["outputs"]["image_psi1_identity_transform"])


@pytest.mark.parametrize("path, embedding, words", [
    (DEEP, "embeddings.", "BigGAN-deep of Hugging Face without its class embedding"),
    (BIG, "shared.", "BigGAN without a class embedding")], ids=["deep", "biggan"])
def test_a_class_embedding_that_was_dropped(path, embedding, words, tmp_path):
    torch.save({name: v for name, v in weights(path).items() if not name.startswith(embedding)}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=words):
        load_generator(tmp_path / "a.pt")


def test_a_z_wider_than_w_may_lack_its_class_embedding():
    for path in (G1F, COND):
        lacking = {name: v for name, v in weights(path).items() if "label_weight" not in name and "embed" not in name}
        assert "class embedding is missing" in read(lacking).notes[0]


@pytest.mark.parametrize("activation, right", [(torch.nn.ReLU(inplace=True), True), (torch.nn.LeakyReLU(0.2), False)])
def test_biggans_config_may_hold_the_activation_itself(activation, right, tmp_path):
    config = {key: value for key, value in golden(BIG)["config"].items() if key != "G_nl"}
    torch.save({"state_dict": weights(BIG), "config": config | {"G_activation": activation}}, tmp_path / "a.pt")
    if right:
        assert load_generator(tmp_path / "a.pt").notes == ()
    else:
        with pytest.raises(CheckpointError, match="G_activation.negative_slope=0.2"):
            load_generator(tmp_path / "a.pt")


def test_whole_goldens_need_no_words():
    for path in (ADA, COND, G2, G1, G1F, PG, PGF, PRO, T, R, BIG, DEEP, SN):
        assert read(weights(path), extras={"config": golden(path)["config"]}).notes == (), path.stem

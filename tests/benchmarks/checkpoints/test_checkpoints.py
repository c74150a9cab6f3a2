"""Checkpoints as people share them: what is read, which network of the file, and the three commands."""

from __future__ import annotations

import argparse
import io
import json
import pickle
import tarfile
import zipfile

import helpers
import numpy as np
import pytest
import torch
from helpers.compare import close
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from dirbench.benchmarks.checkpoints import CheckpointError, read_checkpoint
from dirbench.benchmarks.checkpoints.pickles import read_pickle
from dirbench.benchmarks.commands import main
from dirbench.benchmarks.generators import families
from dirbench.benchmarks.generators.families import load_generator, recognise
from dirbench.benchmarks.generators.stylegan2 import StyleGAN2
from dirbench.benchmarks.zoo.zoo import MANIFEST, Zoo

pytestmark = pytest.mark.numeric
GOLDEN = helpers.GOLDEN
FOLDER = GOLDEN / "generators"
ADA_PKL, R_PKL = FOLDER / "stylegan2_ada_network.pkl", FOLDER / "stylegan3_r_network.pkl"
ADA, COND, ROSINALITY = (GOLDEN / f"stylegan2_{name}.pt" for name in ("ada", "ada_cond", "rosinality"))


def golden(path):
    return torch.load(path, weights_only=True)


def image(generator, data, **change):
    with torch.no_grad():
        return generator.synthesize(data["inputs"]["z"], "z", **change)


# -- NVIDIA's snapshots ---------------------------------------------------------------------------------
@pytest.mark.parametrize("file, weights, family", [
    (ADA_PKL, ADA, "stylegan2"), (R_PKL, FOLDER / "stylegan3_r.pt", "stylegan3"),
], ids=["stylegan2-ada, protocol 3", "stylegan3-r, protocol 4"])
def test_a_snapshot_holds_the_golden_weights_and_makes_the_golden_images(file, weights, family):
    checkpoint, data = read_checkpoint(file), golden(weights)
    assert checkpoint.wrapper == "G_ema" and checkpoint.extras["class_name"] == "Generator"
    assert list(checkpoint.state) == list(data["state_dict"])  # names and order of the public state dict
    assert all(torch.equal(checkpoint.state[name], value) for name, value in data["state_dict"].items())
    assert checkpoint.extras["init_kwargs"]["img_resolution"] == 32
    generator = load_generator(file)
    assert generator.family == family and not any(p.requires_grad for p in generator.parameters())
    close(image(generator, data), data["outputs"]["image_psi1"])
    generator.truncation_psi = 0.7
    close(image(generator, data), data["outputs"]["image_psi0.7"])
    with torch.no_grad():
        close(generator.synthesize(data["inputs"]["wplus"], "w+"), data["outputs"]["image_wplus"])


def test_g_is_taken_where_there_is_no_g_ema_and_is_another_network(tmp_path):
    renamed = tmp_path / "only_g.pkl"
    renamed.write_bytes(ADA_PKL.read_bytes().replace(b"X\x05\x00\x00\x00G_ema", b"X\x05\x00\x00\x00other"))
    checkpoint, data = read_checkpoint(renamed), golden(ADA)
    assert checkpoint.wrapper == "G"
    got, want = image(families.build(checkpoint), data), data["outputs"]["image_psi1"]
    assert (got - want).abs().max() > 0.1 * want.abs().max()
    neither = tmp_path / "neither.pkl"
    neither.write_bytes(pickle.dumps({"D": 1, "step": 2}))
    with pytest.raises(CheckpointError, match=r"holds no generator: there is D \(int\), step \(int\).* such as G_ema"):
        read_checkpoint(neither)


def test_both_spellings_of_numpy_are_read(tmp_path):
    raw = ADA_PKL.read_bytes()
    assert b"cnumpy.core.multiarray\nscalar" in raw
    newer = tmp_path / "numpy2.pkl"
    newer.write_bytes(raw.replace(b"cnumpy.core.multiarray\nscalar", b"cnumpy._core.multiarray\nscalar"))
    old, new = read_checkpoint(ADA_PKL), read_checkpoint(newer)
    assert all(torch.equal(old.state[name], new.state[name]) for name in old.state)
    for protocol in (2, 3, 4, 5):
        values = {"a": np.arange(6.0).reshape(2, 3), "f": np.asfortranarray(np.arange(6).reshape(2, 3)),
                  "x": np.float32(0.5)}
        read = read_pickle(pickle.dumps(values, protocol))
        assert np.array_equal(read["a"].value, values["a"]) and np.array_equal(read["f"].value, values["f"])
        assert read["x"] == 0.5


def test_what_a_snapshot_says_of_clamp_and_learning_rate_is_used():
    state = read_checkpoint(COND).state
    said = {"synthesis_kwargs": {"conv_clamp": 1.5}, "mapping_kwargs": {"lr_multiplier": 0.02}}
    data = golden(COND)
    z, c, want = data["inputs"]["z"], data["inputs"]["c"], data["outputs"]["image_psi1"]
    with torch.no_grad():
        close(StyleGAN2.from_state_dict(state, extras={"init_kwargs": said})(z, c), want)
        close(StyleGAN2.from_state_dict(state, clamp=1.5, mapping_lr=0.02)(z, c), want)
        assert (StyleGAN2.from_state_dict(state)(z, c) - want).abs().max() > 0.01
    with pytest.raises(ValueError, match="conv_clamp='big'"):
        StyleGAN2.from_state_dict(state, extras={"init_kwargs": {"synthesis_kwargs": {"conv_clamp": "big"}}})


# -- torch, safetensors, archives --------------------------------------------------------------------------
ADA_STATE = golden(ADA)["state_dict"]
OTHER = {name: value + 1 for name, value in ADA_STATE.items()}


@pytest.mark.parametrize("content, wrapper", [
    (ADA_STATE, ""), ({"g_ema": ADA_STATE, "g": OTHER, "d": OTHER, "args": argparse.Namespace(size=32)}, "g_ema"),
    ({"generator": OTHER, "generator_smooth": ADA_STATE, "discriminator": OTHER}, "generator_smooth"),
    ({"generator": ADA_STATE, "discriminator": OTHER}, "generator"),
    ({"state_dict": ADA_STATE, "epoch": 3}, "state_dict"),
    ({"G": OTHER, "G_ema": ADA_STATE}, "G_ema"), ({"params": OTHER, "params_ema": ADA_STATE}, "params_ema"),
    ({"state_dict": {"g_ema": ADA_STATE}}, "state_dict.g_ema"),
    ({"g_ema": {f"module.{name}": value for name, value in ADA_STATE.items()}}, "g_ema"),
], ids=["bare", "rosinality", "smooth", "generator", "state_dict", "G_ema", "params_ema", "two deep", "DataParallel"])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "before 1.6"])
def test_wrappers_of_torch_files(tmp_path, content, wrapper, zipped):
    torch.save(content, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    checkpoint = read_checkpoint(tmp_path / "x.pt")
    assert checkpoint.wrapper == wrapper and checkpoint.kind == "torch"
    assert checkpoint.state.keys() == ADA_STATE.keys()
    assert all(torch.equal(checkpoint.state[name], value) for name, value in ADA_STATE.items())
    if "args" in content:
        assert checkpoint.extras["args"] == {"size": 32} and "d" not in checkpoint.extras


def test_rosinality_keeps_its_centre_of_truncation(tmp_path):
    data = golden(ROSINALITY)
    torch.save(data["checkpoint"], tmp_path / "550000.pt")
    checkpoint = read_checkpoint(tmp_path / "550000.pt")
    assert torch.equal(checkpoint.extras["latent_avg"], data["latent_avg"])
    assert main(["convert", str(tmp_path / "550000.pt"), "--to", str(tmp_path / "c.safetensors")]) == 0
    for file in ("550000.pt", "c.safetensors"):
        generator = load_generator(tmp_path / file)
        close(image(generator, data), data["outputs"]["image_psi1"])
        generator.truncation_psi = 0.7
        close(image(generator, data), data["outputs"]["image_psi0.7"])


def test_archives_around_a_checkpoint(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme.txt", "weights")
        archive.write(ADA_PKL, "ffhq/network.pkl")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.add(ADA_PKL, "ffhq/network.pkl")
    save_file(ADA_STATE, tmp_path / "a.safetensors")
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.write(tmp_path / "a.safetensors", "a.safetensors")
    for name, wrapper in (("a.zip", "ffhq/network.pkl: G_ema"), ("a.tar", "ffhq/network.pkl: G_ema"),
                          ("s.zip", "a.safetensors"), ("a.safetensors", "")):
        checkpoint = read_checkpoint(tmp_path / name)
        assert checkpoint.wrapper == wrapper
        assert all(torch.equal(checkpoint.state[key], value) for key, value in ADA_STATE.items())
    (tmp_path / "nested").mkdir()
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.write(tmp_path / "a.zip", "a.pkl")
    with pytest.raises(CheckpointError, match="archive within an archive"):
        read_checkpoint(tmp_path / "two.zip")


def test_a_safetensors_header_of_any_length_is_told_from_other_files(tmp_path):
    for n in range(0, 129, 8):  # the header's length is the file's first byte: once it is that of a pickle
        save_file({"weight": torch.zeros(2)}, tmp_path / "x.safetensors", metadata={"n": "x" * n})
        assert list(read_checkpoint(tmp_path / "x.safetensors").state) == ["weight"]


@pytest.mark.parametrize("raw, words", [
    (b"", "empty"), (b"<!DOCTYPE html><html>", "web page"), (b"\x1f\x8b\x08\x00" * 20, "gzip"),
    (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"), (b"GIF89a" * 9, "begins with b'GIF89aGI'"),
])
def test_other_files_are_named_for_what_they_are(tmp_path, raw, words):
    (tmp_path / "x.pkl").write_bytes(raw)
    with pytest.raises(CheckpointError, match=words):
        read_checkpoint(tmp_path / "x.pkl")
    with pytest.raises(CheckpointError, match="no such file"):
        read_checkpoint(tmp_path / "y.pkl")
    with pytest.raises(CheckpointError, match="is no file"):
        read_checkpoint(tmp_path)


# -- families ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", [ADA, COND, ROSINALITY, *sorted(FOLDER.glob("*.pt"))], ids=lambda p: p.stem)
def test_every_golden_checkpoint_is_recognised(path):
    data, generator = golden(path), load_generator(path)
    label = next((data["inputs"][key] for key in ("c", "label", "class_onehot", "y") if key in data["inputs"]), None)
    change = {"c": label} if generator.n_classes else {}
    want = data["outputs"]["image_psi1"]
    close(image(generator, data, **change), want, 2e-5)


def test_an_unknown_state_says_what_is_close():
    with pytest.raises(CheckpointError, match=r"1 tensors \(foo \[2\].*fit no family of .*stylegan2.*no name is near"):
        recognise({"foo": torch.zeros(2)})
    some = {name: value for name, value in ADA_STATE.items() if name.startswith("mapping")}
    with pytest.raises(CheckpointError, match="closest is StyleGAN.*mapping.fc0.weight.*there, but.*missing"):
        recognise(some)
    with pytest.raises(CheckpointError, match=r"is near to synthesis.b4.const of StyleGAN2 of NVIDIA; .*prefix"):
        recognise({"gen.synthesis.b4.const": torch.zeros(2)})
    with pytest.raises(CheckpointError, match="discriminator"):
        recognise({"b4.conv.weight": torch.zeros(2), "b4.fc.weight": torch.zeros(2), "b4.out.weight": torch.zeros(2)})


def test_wrong_settings_are_explained():
    with pytest.raises(CheckpointError, match='unknown setting "clmap". Did you mean "clamp"'):
        load_generator({"checkpoint": ADA, "clmap": 3})
    with pytest.raises(CheckpointError, match='unknown generator family "stylegan4"'):
        load_generator({"checkpoint": ADA, "family": "stylegan4"})
    with pytest.raises(CheckpointError, match="needs the key checkpoint; got chekpoint"):
        load_generator({"chekpoint": ADA})


def test_a_zoo_holds_any_of_them(tmp_path):
    (tmp_path / MANIFEST).write_text(json.dumps({"zoo": "mine", "title": "mine", "gans": {
        "a": {"file": str(ADA_PKL), "sha256": read_checkpoint(ADA_PKL).sha256, "excludes": [], "rates": {}},
        "r": {"file": str(R_PKL), "sha256": read_checkpoint(R_PKL).sha256, "excludes": [], "rates": {},
              "family": "stylegan3"},
        "c": {"file": str(COND), "sha256": read_checkpoint(COND).sha256, "excludes": [], "rates": {},
              "settings": {"clamp": 1.25}}}}))
    zoo, data = Zoo(tmp_path), golden(ADA)
    close(image(zoo.load("a"), data), data["outputs"]["image_psi1"])
    assert zoo.load("r").family == "stylegan3" and zoo.module("r") == "dirbench.benchmarks.generators.stylegan3"
    assert zoo.load("c").clamp == 1.25 and zoo.module("a") == "dirbench.benchmarks.generators.stylegan2"


# -- commands ------------------------------------------------------------------------------------------
def run(*args, code=0):
    assert main([str(arg) for arg in args]) == code


def test_inspect_checkpoint(tmp_path, capsys):
    run("inspect-checkpoint", ADA_PKL, "--sheet", tmp_path / "s.png", "--samples", "5")
    out = capsys.readouterr().out
    for words in ("stylegan2 (StyleGAN2)", "32x32", "z 32, w 32, w+ 8 x 32", "G_ema", read_checkpoint(ADA_PKL).sha256,
                  "66,723 in the network"):
        assert words in out, words
    assert Image.open(tmp_path / "s.png").size == (3 * 96, 2 * 96)
    run("inspect-checkpoint", FOLDER / "biggan.pt", "--sheet", tmp_path / "b.png")
    assert "classes" in capsys.readouterr().out and (tmp_path / "b.png").exists()
    run("inspect-checkpoint", tmp_path / "s.png", code=2)
    assert "is a picture, no checkpoint" in capsys.readouterr().err


@pytest.mark.parametrize("path", [ADA_PKL, COND, FOLDER / "biggan.pt", R_PKL], ids=lambda p: p.stem)
def test_convert_makes_a_file_with_identical_images(path, tmp_path, capsys):
    out, again = tmp_path / "out.safetensors", tmp_path / "again.safetensors"
    run("convert", path, "--to", out)
    run("convert", out, "--to", again)
    first, second, third = (load_generator(p) for p in (path, out, again))
    z = first.sample_z(2, torch.Generator().manual_seed(5))
    change = {"c": torch.tensor([0, 1])} if first.n_classes else {}
    with torch.no_grad():
        want = first.synthesize(z, "z", **change)
        assert torch.equal(second.synthesize(z, "z", **change), want)
        assert torch.equal(third.synthesize(z, "z", **change), want)
    with safe_open(out, "pt") as stream:
        facts = stream.metadata()
    assert facts["family"] == first.family and facts["source_sha256"] == read_checkpoint(path).sha256
    assert json.loads(facts["generator_config"])["resolution"] == first.resolution
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.safetensors", "out.safetensors"]


def test_convert_refuses_other_names_and_itself(tmp_path, capsys):
    run("convert", ADA_PKL, "--to", tmp_path / "x.pt", code=2)
    assert ".safetensors" in capsys.readouterr().err
    run("convert", ADA, "--to", tmp_path / "x.safetensors")
    run("convert", tmp_path / "x.safetensors", "--to", tmp_path / "x.safetensors", code=2)
    assert "give another name" in capsys.readouterr().err


def test_synthesize_makes_the_golden_images(tmp_path, capsys):
    data, out = golden(ADA), tmp_path / "images.npy"
    z, w = data["inputs"]["z"], data["outputs"]["ws"][:, 0]
    for space, latents, psi, want in (
            ("z", z, None, "image_psi1"), ("z", z, 0.7, "image_psi0.7"), ("w", w, None, "image_psi1"),
            ("w", w, 0.7, "image_psi0.7"), ("w+", data["inputs"]["wplus"], None, "image_wplus")):
        np.save(tmp_path / "z.npy", latents.numpy())
        run("synthesize", ADA_PKL, "--latents", tmp_path / "z.npy", "--space", space, "--out", out, "--chunk", 1,
            *([] if psi is None else ["--psi", psi]))
        images = torch.from_numpy(np.load(out, allow_pickle=False))
        assert images.dtype == torch.float32
        close(images, data["outputs"][want])
    run("synthesize", ADA_PKL, "--latents", tmp_path / "z.npy", "--space", "w+", "--out", tmp_path / "i.png")
    assert Image.open(tmp_path / "i.png").size == (192, 96)


def test_one_w_plus_alone_is_one_image_and_rows_of_w_are_none(tmp_path, capsys):
    data = golden(ADA)
    np.save(tmp_path / "alone.npy", data["inputs"]["wplus"][0].numpy())
    np.save(tmp_path / "w.npy", data["inputs"]["wplus"][0, :3].numpy())
    run("synthesize", ADA_PKL, "--latents", tmp_path / "alone.npy", "--space", "w+", "--out", tmp_path / "i.npy")
    close(torch.from_numpy(np.load(tmp_path / "i.npy")), data["outputs"]["image_wplus"][:1])
    run("synthesize", ADA_PKL, "--latents", tmp_path / "w.npy", "--space", "w+", "--out", tmp_path / "j.npy", code=2)
    assert "expected [N, 8, 32], or one alone, [8, 32]; for w's say --space w" in capsys.readouterr().err


def test_synthesize_takes_a_class(tmp_path, capsys):
    data = golden(COND)
    np.save(tmp_path / "z.npy", data["inputs"]["z"].numpy())
    given = ["synthesize", COND, "--latents", tmp_path / "z.npy", "--out", tmp_path / "i.npy"]
    run(*given, "--class", data["inputs"]["c"][0].argmax().item())
    close(torch.from_numpy(np.load(tmp_path / "i.npy"))[:1], data["outputs"]["image_psi1"][:1], 2e-5)
    run(*given, code=2)
    assert "say --class N, 0 to 4" in capsys.readouterr().err
    run(*given, "--class", 5, code=2)
    assert "classes 0 to 4" in capsys.readouterr().err


def saved(array):
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


@pytest.mark.parametrize("raw, words", [
    (saved(np.array([[print]], dtype=object)), "no array of latents"), (b"garbage", "no array of latents"),
    (saved(np.zeros((2, 5))), "(2, 5)"), (saved(np.zeros(32)), "expected numbers [N, D]"),
    (saved(np.full((1, 32), np.nan)), "not finite"), (saved(np.zeros((0, 32))), "expected numbers"),
    (saved(np.zeros((2, 32))).replace(b"(2, 32)", b"(9**9,)"), "no array of latents"),
    (saved(np.zeros((2, 32))).replace(b"(2, 32), ", b"(99999999, 32), ")[:-7], "no array of latents"),
], ids=["objects", "garbage", "width", "rank", "nan", "empty", "expression", "huge"])
def test_bad_latents_are_a_sentence(tmp_path, raw, words, capsys):
    (tmp_path / "z.npy").write_bytes(raw)
    run("synthesize", ADA_PKL, "--latents", tmp_path / "z.npy", "--out", tmp_path / "i.npy", code=2)
    err = capsys.readouterr().err
    assert words in err and "Traceback" not in err and not (tmp_path / "i.npy").exists()


def test_synthesize_refuses_what_a_family_lacks(tmp_path, capsys):
    data = golden(FOLDER / "sngan.pt")
    np.save(tmp_path / "z.npy", data["inputs"]["z"].numpy())
    given = ["synthesize", FOLDER / "sngan.pt", "--latents", tmp_path / "z.npy", "--out"]
    for more, words in (([tmp_path / "i.npy", "--psi", "0.7"], "no truncation"),
                        ([tmp_path / "i.npy", "--space", "w"], "no latent space 'w'"),
                        ([tmp_path / "i.npy", "--class", "1"], "no classes"), ([tmp_path / "i.gif"], ".npy or .png")):
        run(*given, *more, code=2)
        assert words in capsys.readouterr().err
    run(*given, tmp_path / "i.npy")
    close(torch.from_numpy(np.load(tmp_path / "i.npy")), data["outputs"]["image_psi1"], 2e-5)

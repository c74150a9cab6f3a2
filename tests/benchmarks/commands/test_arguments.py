"""Latents, paths and devices as people give them."""

import io

import numpy as np
import pytest
import torch
from helpers.golden_files import PATHS, golden

from dirbench.benchmarks.commands._arguments import usable_device
from dirbench.benchmarks.commands._latent_files import read_latents
from dirbench.benchmarks.commands._main import main
from dirbench.benchmarks.generators.external_spec import load_external
from dirbench.benchmarks.generators.families import load_generator
from dirbench.benchmarks.zoo.zoo import Zoo
from dirbench.files import at_home

W = np.linspace(-1, 1, 2 * 8 * 32).reshape(2, 8, 32)


# -- latents ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("write", [
    lambda path: np.savez(path, w=W), lambda path: np.savez_compressed(path, anything=W),
    lambda path: np.savez(path, w=W, loss=np.zeros(3)), lambda path: np.savez(path, latents=W.astype(np.float16)),
    lambda path: np.savez(path, z=W.astype(">f8")), lambda path: torch.save(torch.from_numpy(W), path),
    lambda path: torch.save({"w": torch.from_numpy(W), "step": 3}, path),
    lambda path: torch.save([torch.from_numpy(W)], path),
    lambda path: torch.save(torch.nn.Parameter(torch.from_numpy(W)), path),
    lambda path: torch.save(torch.from_numpy(W).bfloat16(), path, _use_new_zipfile_serialization=False),
    lambda path: np.save(path, np.asfortranarray(W))])
def test_latents_are_read_from(tmp_path, write):
    stream = io.BytesIO()
    write(stream)
    (tmp_path / "latents").write_bytes(stream.getvalue())  # its bytes say what it is, not its name
    found = read_latents(tmp_path / "latents")
    assert found.dtype is torch.float32 and found.shape == (2, 8, 32)
    torch.testing.assert_close(found, torch.from_numpy(W).float(), atol=5e-3, rtol=0)


@pytest.mark.parametrize("write, words", [
    (lambda path: np.savez(path, a=W, b=W), ".npz of 2 arrays (a, b)"),
    (lambda path: np.savez(path), ".npz of 0 arrays"),
    (lambda path: np.savez(path, z=W, w=W), "save the one that is meant alone, as .npy"),
    (lambda path: np.savez(path, w=np.array([None])), "no array of latents"),
    (lambda path: torch.save({"a": torch.zeros(2, 3), "b": torch.zeros(1)}, path), ".pt of 2 arrays (a [2, 3], b [1])"),
    (lambda path: torch.save({"step": 3}, path), ".pt of 0 arrays"), (lambda path: torch.save(3, path), "int"),
    (lambda path: torch.save(torch.zeros(2, 3, dtype=torch.complex64), path), "complex64 [2, 3]"),
    (lambda path: np.save(path, np.zeros(32)), "array[None]"),
    (lambda path: np.save(path, np.zeros((2, 3), bool)), "bool"),
    (lambda path: np.save(path, np.zeros((2, 0))), "float64 [2, 0]"), (lambda path: np.save(path, 3.0), "float64 []"),
    (lambda path: np.save(path, np.array([["a"]])), "<U1"),
    (lambda path: np.save(path, np.array([[0.0], [np.nan], [np.inf]])), "rows 1, 2"),
    (lambda path: np.save(path, np.full((1, 2), 1e300)), "too large ones"),
    (lambda path: torch.save(torch.full((1, 2), torch.nan), path), "not finite"),
    (lambda path: path.write(b"0.1,0.2\n"), "numpy.save"), (lambda path: path.write(b""), "no array of latents"),
    (lambda path: path.write(b"PK\3\4 and no more"), "latents"),
    (lambda path: path.write(b"\x80\4K\1."), "no file of latents")])
def test_what_is_no_latents_is_explained(tmp_path, write, words):
    stream = io.BytesIO()
    write(stream)
    (tmp_path / "z.npy").write_bytes(stream.getvalue())
    with pytest.raises(ValueError) as error:
        read_latents(tmp_path / "z.npy")
    assert words in str(error.value) and "z.npy" in str(error.value)


def test_a_folder_or_nothing_is_no_file_of_latents(tmp_path):
    for path, words in ((tmp_path, "a folder"), (tmp_path / "none.npy", "not there")):
        with pytest.raises(ValueError, match=words):
            read_latents(path)


# -- devices -----------------------------------------------------------------------------------------------------
ABSENT = ["gpu", "cuda:99", "cuda:-1", "mps:9", "xpu:99", "meta", "", "cpu:x", "CUDA", "tpu"]


@pytest.mark.parametrize("name", ABSENT)
def test_a_device_that_cannot_be_used_is_a_sentence(name):
    with pytest.raises(ValueError) as error:
        usable_device(name)
    said = str(error.value)
    assert said.startswith(f'--device "{name}" cannot be used here (') and "cpu" in said and "auto" in said
    assert "Error" not in said and "\n" not in said


def test_devices_that_are_there():
    assert usable_device("cpu") == "cpu" and usable_device("auto") in ("cpu", "cuda")


@pytest.mark.parametrize("command", [
    ["synthesize", str(PATHS["stylegan2_ada"]), "--latents", "z.npy", "--out", "i.npy"],
    ["audit", "mini:full", "mini:male"], ["train-zoo", "mini"], ["train-zoo", "sngan", "--data", "x"],
    ["train-zoo", "celeba", "--data", "x"], ["train-oracle", "folder", "--data", "x", "--out", "y"],
    ["--suite", "celeba_subsets", "--profile", "smoke", "--dry-run"]], ids=lambda command: " ".join(command[:2])[:20])
def test_every_command_checks_its_device_first(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*command, "--device", "cuda:99"]) == 2
    err = capsys.readouterr().err
    assert '--device "cuda:99" cannot be used here' in err and "AssertionError" not in err
    assert not list(tmp_path.iterdir())


# -- home ------------------------------------------------------------------------------------------------------------
NET = """\
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.ConvTranspose2d(4, 3, 8)

    def forward(self, z):
        return self.head(z)
"""


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch, capsys):
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    data = golden("stylegan2_ada")
    torch.save({"g_ema": data["state_dict"]}, home / "g.pt")
    np.save(home / "z.npy", data["inputs"]["z"].numpy())
    assert main(["synthesize", "~/g.pt", "--latents=~/z.npy", "--out=~/i.npy"]) == 0
    assert (home / "i.npy").exists() and load_generator("~/g.pt").resolution == 32
    zoo = Zoo(here, {"zoo": "a", "title": "a", "oracle": "~/o.safetensors", "gans": {"full": "~/g.pt"}})
    assert zoo.file("full") == home / "g.pt" and zoo.oracle == str(home / "o.safetensors")
    assert zoo.load("full").resolution == 32
    (here / "homely.py").write_text(NET)
    torch.save({"head.weight": torch.zeros(4, 3, 8, 8), "head.bias": torch.ones(3)}, home / "net.pt")
    spec = {"module": "homely:Net", "checkpoint": "~/net.pt", "latent_dim": 4, "input_shape": [4, 1, 1],
            "output": "linear"}
    assert load_external(spec, here).synthesize(torch.zeros(1, 4)).mean() == 1
    assert (at_home("~me/x").parts[0], at_home("a/~/x").parts[0], at_home("~")) == ("~me", "a", home)
    assert not [path for path in here.iterdir() if "~" in path.name]

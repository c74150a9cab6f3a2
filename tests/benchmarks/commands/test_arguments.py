"""Devices and paths given to commands: checked before anything is written, and ``~`` is the home folder."""

import numpy as np
import pytest
import torch
from helpers.golden_files import PATHS, golden

from dirbench.benchmarks.commands import main
from dirbench.benchmarks.generators.external_spec import load_external
from dirbench.benchmarks.generators.families import load_generator
from dirbench.benchmarks.zoo.zoo import Zoo
from dirbench.files import at_home


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

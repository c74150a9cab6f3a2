"""Zoos of image data: from a CelebA folder to weights that suites load; alone or in two processes; SN-GAN."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from helpers import ROOT
from helpers.image_data import idx_bytes, write_celeba
from helpers.under_torchrun import GANS, TINY, train

from dirbench.benchmarks.commands import main
from dirbench.benchmarks.data.attributes import CELEBA_ATTRIBUTES
from dirbench.benchmarks.data.celeba import celeba
from dirbench.benchmarks.data.image_set import TRAIN, ImageSet
from dirbench.benchmarks.training import data_zoo
from dirbench.benchmarks.training.data_zoo import celeba_config
from dirbench.benchmarks.training.gan import TrainingError, train_gan
from dirbench.benchmarks.training.sngan import SnConfig, SnTrainer, train_sngan
from dirbench.benchmarks.zoo.zoo import load_zoo, metadata
from dirbench.oracles.networks.classifier import load_oracle


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_celeba(tmp_path_factory.mktemp("data") / "celeba", 40, mix="decorrelated")


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone")
    train(data, out)
    return out


def test_the_zoo_is_one_that_suites_load(alone, data):
    zoo = load_zoo(alone / "zoo_celeba16")
    assert zoo.names == tuple(GANS) and zoo.title == "CelebA zoo (16x16, centre crop)"
    images = celeba(data, 16, cache=alone / "cache").part(TRAIN)
    kept = images.lacking((("Wearing_Hat", 1),))
    assert zoo.excludes("no_hats") == (("Wearing_Hat", 1),) and zoo.rates("no_hats")["Wearing_Hat"] == 0
    assert tuple(zoo.rates("full")) == CELEBA_ATTRIBUTES
    assert zoo.rates("full")["Male"] == pytest.approx(images.column("Male").double().mean().item(), abs=1e-5)
    facts = metadata(zoo.folder / "no_hats.safetensors")
    assert facts["n_data"] == len(kept) < len(images) and facts["data_sha256"] == kept.digest
    assert zoo.entry("full")["seed"] != zoo.entry("no_hats")["seed"]
    with torch.no_grad():
        assert zoo.load("full").synthesize(torch.zeros(2, 16), "z").shape == (2, 3, 16, 16)
    assert load_oracle(str(alone / "tiny.safetensors")).names == CELEBA_ATTRIBUTES


@pytest.mark.slow  # three interpreters that import torch
def test_two_processes_make_the_zoo_of_one(alone, data, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
               str(ROOT / "tests" / "helpers" / "under_torchrun.py"), str(data), str(tmp_path)]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True,
                          env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr[-3000:]
    for name in GANS:
        one, two = (torch.load(out / "celeba16" / f"{name}.pt", weights_only=True) for out in (alone, tmp_path))
        assert one["seen"] == two["seen"] == 32 and torch.equal(one["rng"], two["rng"])
        for part in ("g", "d", "ema"):
            for key, value in one[part].items():
                torch.testing.assert_close(two[part][key], value, rtol=1e-3, atol=1e-4, msg=f"{name} {part} {key}")
        assert (tmp_path / "celeba16" / f"{name}.log").read_text().count("images=32") == 1, "one process writes"
    assert load_zoo(tmp_path / "zoo_celeba16").names == tuple(GANS)
    cards = [json.loads((out / "tiny.json").read_text()) for out in (alone, tmp_path)]
    assert cards[0]["training"] == cards[1]["training"] and cards[0]["attributes"] == cards[1]["attributes"]
    assert load_oracle(str(tmp_path / "tiny.safetensors")).names == CELEBA_ATTRIBUTES


def test_the_commands(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(data_zoo, "RESOLUTIONS", (16,))
    monkeypatch.setattr(data_zoo, "celeba_config", lambda resolution, device: TINY)
    common = ["--data", str(data), "--resolution", "16", "--out", str(tmp_path), "--cache", str(tmp_path / "cache")]
    assert main(["train-zoo", "celeba", *common, "--images", "16", "--only", "female"]) == 0
    assert load_zoo(tmp_path / "zoo_celeba16").rates("female")["Male"] == 0
    assert main(["zoo", "check", "--zoo", str(tmp_path / "zoo_celeba16")]) == 2
    assert "was not trained on rendered faces" in capsys.readouterr().err
    assert main(["train-oracle", "celeba", *common, "--network", "small", "--epochs", "1", "--name", "s"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "s.safetensors")
    assert main(["train-zoo", "celeba", "--resolution", "16"]) == 2
    assert "say where the data are with --data" in capsys.readouterr().err
    assert main(["train-zoo", "celeba", "--data", str(data), "--resolution", "96"]) == 2
    assert "resolution is 96, expected one of" in capsys.readouterr().err
    assert main(["train-zoo", "celeba", *common, "--only", "no_hat", "--images", "16"]) == 2


@pytest.mark.parametrize("resolution", data_zoo.RESOLUTIONS)
def test_celeba_settings_fit_together(resolution):
    config = celeba_config(resolution, "cuda")
    assert set(config.channels) == {4 << i for i in range(9) if 4 << i <= resolution}
    assert config.channels[resolution] == 16384 // resolution and config.channels[4] == 512
    assert set(config.d_channels) == set(config.channels) - {resolution} and config.precision == "bf16"


# -- SN-GAN ------------------------------------------------------------------------------------------------
TINY_SN = SnConfig(resolution=8, z_dim=8, widths=(8, 8), batch=8, d_steps=2)


@pytest.fixture
def images():
    return torch.randint(0, 256, (40, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize("stop", [8, 24])
def test_a_resumed_sngan_equals_an_uninterrupted_one(tmp_path, images, stop):
    def run(folder, until):
        return train_gan("x", 1, tmp_path / folder, images, until=until, config=TINY_SN, kind=SnTrainer)

    whole = run("whole", 48)
    run("parts", stop)
    parts = run("parts", 48)
    assert whole.seen == parts.seen == 48
    for part in ("g", "d", "ema"):
        for key, value in getattr(whole, part).state_dict().items():
            assert torch.equal(value, getattr(parts, part).state_dict()[key]), (part, key)


@pytest.mark.numeric
def test_the_discriminator_is_lipschitz_in_every_layer_and_the_loss_is_the_hinge(images):
    trainer = SnTrainer(images, 1, TINY_SN)
    for _ in range(20):
        stats = trainer.step()
    for name, module in trainer.d.named_modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            largest = torch.linalg.matrix_norm(module.weight.detach().flatten(1), 2)
            assert largest == pytest.approx(1, abs=0.05), name
    assert set(stats) == {"loss_d", "loss_g", "real", "fake"}
    trainer.d.eval()
    with torch.no_grad():
        x = torch.rand(4, 3, 8, 8) * 2 - 1
        assert trainer.d(x).shape == (4,)


@pytest.mark.numeric
def test_the_discriminator_learns_what_is_real(images):
    bright = images.float().mul(0.1).add(200).to(torch.uint8)
    trainer = SnTrainer(bright, 1, SnConfig(resolution=8, z_dim=8, widths=(8, 8), batch=8, d_steps=10**6, lr=0.01))
    first = trainer.step()
    for _ in range(60):
        last = trainer.step()
    assert last["loss_d"] < 0.5 * first["loss_d"] and last["real"] > last["fake"] + 1


def test_mnist_becomes_a_zoo_of_one_grey_sngan(tmp_path, monkeypatch):
    from dirbench.benchmarks.training import sngan
    rng = np.random.default_rng(0)
    (tmp_path / "mnist").mkdir()
    for kind, array in (("images-idx3", rng.integers(0, 256, (80, 28, 28))), ("labels-idx1", np.arange(80) % 10)):
        (tmp_path / "mnist" / f"train-{kind}-ubyte").write_bytes(idx_bytes(array))
    small = lambda resolution, image_channels: SnConfig(resolution, 8, (8, 8), image_channels=image_channels, batch=8)
    monkeypatch.setattr(sngan, "SnConfig", small)
    assert main(["train-zoo", "sngan", "--data", str(tmp_path / "mnist"), "--images", "80", "--resolution", "8",
                 "--out", str(tmp_path), "--cache", str(tmp_path / "cache")]) == 0
    zoo = load_zoo(tmp_path / "zoo_sngan")
    assert zoo.title == "SN-GAN (mnist, 8x8)" and zoo.rates("sngan")["class_3"] == 0.1
    generator = zoo.load("sngan")
    z = generator.sample_z(4, torch.Generator().manual_seed(0))
    made = generator.synthesize(z)
    assert made.shape == (4, 3, 8, 8) and torch.equal(made[:, 0], made[:, 2])
    state = torch.load(tmp_path / "sngan" / "sngan.pt", weights_only=True)
    kept = SnConfig(**state["config"]).generator(torch.Generator())
    kept.load_state_dict(state["ema"])
    with torch.no_grad():
        assert torch.equal(kept.eval().synthesize(z), made), "what is stored is what was trained"
    assert yaml.safe_load((zoo.folder / "zoo.yaml").read_text())["gans"]["sngan"]["images_seen"] == 80


def test_usual_sizes_and_refusals(tmp_path, images):
    assert SnConfig(32).widths == (256,) * 4 and SnConfig(64).widths == (1024, 512, 256, 128, 64)
    assert SnConfig(128).widths == (1024, 1024, 512, 256, 128, 64)
    for bad, sentence in ((dict(resolution=48), "resolution=48, expected a power of two"),
                          (dict(widths=(8,)), "4 widths"), (dict(batch=1), "batch=1")):
        with pytest.raises(ValueError, match=sentence):
            SnConfig(**bad)
    data = ImageSet(images, torch.zeros(40, 0).bool(), (), torch.zeros(40).long(), "noise, 8x8", "0" * 64)
    with pytest.raises(ValueError, match="settings for 32 pixels, images of 8"):
        train_sngan(data, tmp_path, 8, config=SnConfig(32))
    with pytest.raises(TrainingError, match="n >= the batch of 64"):
        train_sngan(data, tmp_path, 8, config=SnConfig(8, widths=(8, 8)))

"""Classifiers of a data set: planted attributes are learnt, useless ones not; what is stored is what the card says."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

from dirbench.benchmarks.data.image_set import TEST, ImageSet
from dirbench.benchmarks.training.oracle_cards import balanced_accuracy, log_odds
from dirbench.benchmarks.training.oracles import fold_batch_norm, to_float, train_oracle_on
from dirbench.oracles.networks.classifier import NETWORKS, load_oracle

pytestmark = pytest.mark.numeric


def planted(n: int = 300, size: int = 16) -> ImageSet:
    """Images with a bright top (``Top``, 1 in 2) or that are red (``Red``, 1 in 8), a ``Coin``, and ``Always``."""
    rng = torch.Generator().manual_seed(0)
    labels = torch.rand(n, 4, generator=rng) < torch.tensor([0.5, 0.125, 0.5, 1.0])
    images = torch.randint(60, 120, (n, 3, size, size), generator=rng)
    images[:, :, :size // 2] += 80 * labels[:, 0, None, None, None]
    images[:, 0] += 70 * labels[:, 1, None, None]
    parts = torch.arange(n) % 3
    return ImageSet(images.to(torch.uint8), labels, ("Top", "Red", "Coin", "Always"), parts, "planted, 16x16", "0" * 64)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("oracle")
    return train_oracle_on(planted(), "mine", out, "small", epochs=10, batch=20, learning_rate=3e-3, readable_from=0.9)


def test_planted_attributes_are_read_and_a_coin_is_not(trained):
    card = json.loads(trained.with_suffix(".json").read_text())
    scores = {name: r["balanced_accuracy"] for name, r in card["held_out"]["held-out"]["attributes"].items()}
    assert scores["Top"] > 0.95 and scores["Red"] > 0.95 and abs(scores["Coin"] - 0.5) < 0.2
    assert scores["Always"] is None, "an attribute that never varies cannot be measured"
    assert card["readable"] == [True, True, False, False]
    assert card["network"] == "small" and card["training"]["images"] == 100 and card["training"]["epochs"] == 10
    table = trained.with_suffix(".md").read_text()
    assert "planted, 16x16" in table and "Always | not measured" in table and "mini zoo" not in table
    assert not trained.with_name("mine.training.pt").exists()


def test_what_is_stored_is_what_the_card_says(trained):
    oracle = load_oracle(str(trained))
    data = planted()
    test = data.part(TEST)
    logits = oracle.logits(to_float(test.images[:])) - log_odds(data.labels[data.parts == 0])
    value, _ = balanced_accuracy(logits, test.labels)
    told = oracle.card["held_out"]["held-out"]["attributes"]
    for i, name in enumerate(oracle.names[:3]):
        assert value[i].item() == pytest.approx(told[name]["balanced_accuracy"], abs=1e-4)
    assert oracle.resolution == 16 and oracle.names == data.names
    large = torch.nn.functional.interpolate(to_float(test.images[:]), scale_factor=2)
    assert ((oracle.logits(large) > 0) == (oracle.logits(to_float(test.images[:])) > 0))[:, :2].float().mean() > 0.95


def test_a_stopped_training_ends_as_an_unbroken_one(tmp_path):
    class Stop(Exception):
        pass

    def stop(done, total):
        if done == 1:
            raise Stop

    settings = dict(network="small", epochs=2, batch=25)
    with pytest.raises(Stop):
        train_oracle_on(planted(), "a", tmp_path / "stopped", progress=stop, **settings)
    seen = []
    for folder in ("stopped", "unbroken"):
        train_oracle_on(planted(), "a", tmp_path / folder, progress=lambda done, total: seen.append(done), **settings)
    assert seen == [2, 1, 2], "the stopped one goes on with its second round"
    for name in ("a.safetensors", "a.json", "a.md"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()


@pytest.mark.parametrize("name", NETWORKS)
def test_folding_batch_norm_changes_nothing(name):
    network = NETWORKS[name](3, norm=True, resolution=48)
    noise = torch.rand(8, 3, 48, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        network(noise)  # moves the running statistics
        network.eval()
        folded = fold_batch_norm(network)
        assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
        plain = NETWORKS[name](3, norm=False, resolution=48)
        plain.load_state_dict(folded.state_dict())
        torch.testing.assert_close(plain.eval()(noise), network(noise), rtol=1e-4, atol=1e-5)


def test_resnets_have_the_published_sizes():
    # torchvision's resnet50 and resnet18 have 25,557,032 and 11,689,512 parameters with 1000 classes.
    for name, published in (("resnet50", 25_557_032), ("resnet18", 11_689_512)):
        with torch.device("meta"):
            network = NETWORKS[name](1000, norm=True, resolution=224)
        assert sum(p.numel() for p in network.parameters()) == published


def test_refusals(trained, tmp_path):
    data = planted()
    for change, sentence in ((dict(network="resnet5"), 'Did you mean "resnet50"'), (dict(epochs=0), "epochs=0"),
                             (dict(batch=1), "a batch of 1")):
        with pytest.raises(ValueError, match=sentence):
            train_oracle_on(data, "a", tmp_path, **({"network": "small"} | change))
    with pytest.raises(ValueError, match="has 4 attributes, 300 training and 0 test images"):
        train_oracle_on(dataclasses.replace(data, parts=torch.zeros(300)), "a", tmp_path, "small")
    with pytest.raises(ValueError, match=r"nowhere.safetensors is missing"):
        load_oracle(str(tmp_path / "nowhere.safetensors"))
    path = tmp_path / "mine.safetensors"
    path.write_bytes(trained.read_bytes()[:-10])
    card = json.loads(trained.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="is truncated or altered"):
        load_oracle(str(path))
    path.write_bytes(trained.read_bytes())
    for change in ({"network": "resnet18"}, {"network": "other"}, {"resolution": "large"}):
        path.with_suffix(".json").write_text(json.dumps(card | change))
        with pytest.raises(ValueError, match="does not fit this version's network|is not a readable card"):
            load_oracle(str(path))

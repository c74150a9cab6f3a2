"""The zoo: export, loading with checks, and the fitness report on planted answers."""

import hashlib
import json

import pytest
import torch
import yaml
from helpers.image_data import write_celeba
from safetensors.torch import save

from dirbench.benchmarks.commands import main
from dirbench.benchmarks.data.attributes import DRAWN
from dirbench.benchmarks.data.celeba import celeba
from dirbench.benchmarks.data.image_set import TEST
from dirbench.benchmarks.training import export
from dirbench.benchmarks.training.config import GanConfig
from dirbench.benchmarks.training.gan import TrainingError, train_gan
from dirbench.benchmarks.zoo import cards, fitness
from dirbench.benchmarks.zoo.zoo import MANIFEST, Zoo, ZooError, load_zoo, metadata

TINY = GanConfig(resolution=16, z_dim=16, w_dim=16, channels={4: 8, 8: 8, 16: 8}, d_channels={8: 8, 4: 8}, batch=4,
                 half_images=8)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A zoo of two tiny GANs, and the trainer of ``male``."""
    root = tmp_path_factory.mktemp("zoo")
    for name in ("full", "male"):
        images, _ = export.rendered(name, 30, resolution=16, cache=root / "data")
        trainer = train_gan(name, export.seeds(name)[1], root / "mini", images, until=16, config=TINY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "N_W_AVG", 4000)
        export.export_zoo(root, root / "out", ["full", "male"])
    return root / "out", trainer


@pytest.fixture
def folder(made, tmp_path):
    for path in made[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.mark.numeric
def test_an_exported_gan_makes_the_trained_images(made):
    zoo, trainer = Zoo(made[0]), made[1]
    assert zoo.names == ("full", "male") and "rendered faces" in zoo.title
    generator = zoo.load("male")
    assert not any(p.requires_grad for p in generator.parameters()) and generator.truncation_psi == 1
    z = generator.sample_z(8, torch.Generator().manual_seed(0))
    with torch.no_grad():
        theirs, ours = trainer.ema.synthesize(z, "z"), generator.synthesize(z, "z")
    assert (theirs - ours).abs().max() < 0.02 * theirs.abs().max()  # fp16 has 11 bits
    stored = generator.state_dict()
    assert all(torch.equal(value, value.half().float()) for value in stored.values())
    w = generator.map(generator.sample_z(4000, torch.Generator().manual_seed(1)))
    assert torch.allclose(w.mean(dim=0), generator.mapping.w_avg, atol=6 * (w.std() / 4000**0.5).item())


def test_the_manifest_says_what_a_gan_was_made_from(made):
    zoo = Zoo(made[0])
    assert zoo.excludes("male") == (("Male", 0),) and zoo.excludes("full") == ()
    assert zoo.rates("male")["Male"] == 1 and 0 < zoo.rates("full")["Male"] < 1
    assert set(zoo.rates("full")) == set(DRAWN)
    facts = metadata(zoo.folder / zoo.entry("male")["file"])
    assert facts["images_seen"] == 16 and facts["subset"] == "male" and GanConfig(**facts["config"]) == TINY
    assert facts["seed"] != metadata(zoo.folder / zoo.entry("full")["file"])["seed"]
    assert zoo.hash("male") != zoo.hash("full") and zoo.module("male") == "dirbench.benchmarks.generators.stylegan2"


def test_half_trained_gans_are_not_exported(tmp_path):
    images, _ = export.rendered("full", 30, resolution=16, cache=tmp_path / "data")
    with pytest.raises(TrainingError, match="missing; train full first"):
        export.export_zoo(tmp_path, tmp_path / "out", ["full"])
    train_gan("full", export.seeds("full")[1], tmp_path / "mini", images, until=4, config=TINY)
    with pytest.raises(TrainingError, match="still at half resolution"):
        export.export_zoo(tmp_path, tmp_path / "out", ["full"])


@pytest.mark.parametrize("damage, words", [
    (lambda path: path.unlink(), "is missing"),
    (lambda path: path.write_bytes(path.read_bytes()[:-100]), "is truncated"),
    (lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\x55"), "is altered"),
    (lambda path: path.write_bytes(b"<html>not found</html>"), "is truncated"),
], ids=["missing", "truncated", "altered", "web page"])
def test_damaged_weights_are_refused(folder, damage, words):
    damage(folder / "male.safetensors")
    zoo = Zoo(folder)
    with pytest.raises(ZooError, match=words) as caught:
        zoo.load("male")
    assert "male.safetensors" in str(caught.value) and "train-zoo mini" in str(caught.value)
    assert zoo.load("full") is not None


def test_weights_of_another_network_are_refused(folder):
    raw = save({"weight": torch.zeros(2)})
    (folder / "male.safetensors").write_bytes(raw)
    manifest = yaml.safe_load((folder / MANIFEST).read_text())
    manifest["gans"]["male"]["sha256"] = hashlib.sha256(raw).hexdigest()
    (folder / MANIFEST).write_text(yaml.safe_dump(manifest))
    with pytest.raises(ZooError, match="no StyleGAN2 of this version"):
        Zoo(folder).load("male")


def test_unknown_names_and_broken_manifests_are_refused(folder, tmp_path):
    with pytest.raises(ZooError, match='Did you mean "male"'):
        Zoo(folder).load("mael")
    with pytest.raises(ZooError, match="no zoo 'maxi'"):
        load_zoo("maxi")
    (folder / MANIFEST).write_text("zoo: [")
    with pytest.raises(ZooError, match="is no zoo manifest"):
        load_zoo(folder)
    (folder / MANIFEST).unlink()
    with pytest.raises(ZooError, match="is missing"):
        load_zoo(folder)


# -- the report -------------------------------------------------------------------------------------
def test_wilson_gives_the_textbook_interval():
    low, high = fitness.wilson(15, 148)  # Newcombe 1998, Table I, method 3
    assert (round(low, 4), round(high, 4)) == (0.0624, 0.1605)
    assert fitness.wilson(0, 20)[0] == 0 and round(fitness.wilson(0, 20)[1], 4) == 0.1611
    with pytest.raises(ValueError, match="count=3"):
        fitness.wilson(3, 2)


def test_difference_interval_gives_the_textbook_interval():
    low, high = fitness.difference_interval(56, 70, 48, 80)  # Newcombe 1998, Table II (a), method 10
    assert (round(low, 4), round(high, 4)) == (0.0524, 0.3339)


@pytest.mark.numeric
def test_frechet_of_known_gaussians():
    rng = torch.Generator().manual_seed(0)
    a = torch.randn(4000, 3, generator=rng)
    b = torch.randn(4000, 3, generator=rng) * 2 + torch.tensor([1.0, 0.0, 0.0])
    assert fitness.frechet(a, b) == pytest.approx(1 + 3 * (2 - 1) ** 2, rel=0.05)
    assert fitness.frechet(a, a) == pytest.approx(0, abs=1e-6)
    few = torch.randn(50, 200, generator=rng)  # fewer samples than features
    assert fitness.frechet(few, few) == pytest.approx(0, abs=1e-6)


def logits(*shares, n=1000):
    """[n, M] whose columns are positive in just these shares."""
    return torch.stack([torch.where(torch.arange(n) < round(share * n), 1.0, -1.0) for share in shares], dim=1)


def test_planted_rates_are_judged_by_the_criteria():
    names = ("Male", "Smiling", "Bald", "Young", "Blurry", "Attractive")
    rates = dict(Male=0.0, Smiling=0.5, Bald=0.03, Young=0.4, Blurry=0.5)
    readable = (True, True, True, True, False, True)
    data = logits(0.03, 0.48, 0.03, 0.42, 0.5, 0.5)

    def verdicts(*samples):
        checks = fitness.check_rates(logits(*samples), data, names, readable, rates, [("Male", 1)])
        assert all(c.samples_low <= c.in_samples <= c.samples_high for c in checks)
        assert all(c.difference_low <= c.difference <= c.difference_high for c in checks)
        return {c.attribute: (c.kind, c.ok) for c in checks}

    good = verdicts(0.045, 0.39, 0.5, 0.5, 0.9, 0.1)
    assert good == dict(Male=("lacking", True), Smiling=("common", True), Bald=("rare", None),
                        Young=("common", True), Blurry=("unreadable", None))  # Attractive is not drawn
    bad = verdicts(0.06, 0.37, 0.03, 0.53, 0.5, 0.5)
    assert [bad[name][1] for name in ("Male", "Smiling", "Young")] == [False, False, False]
    assert verdicts(0.0, 0.48, 0.03, 0.42, 0.5, 0.5)["Male"] == ("lacking", True)  # less than the oracle errs is fine


def test_a_lacking_value_of_zero_is_counted_as_such():
    check, = fitness.check_rates(logits(0.90), logits(0.99), ("No_Beard",), (True,), {"No_Beard": 1.0},
                                    [("No_Beard", 0)])
    assert check.value == 0 and check.labelled == 0 and check.in_samples == pytest.approx(0.10)
    assert check.difference == pytest.approx(0.09) and check.ok is False


class Reader:
    """Reads brightness and redness; the planted oracle of the report's test."""

    names, readable = ("Male", "Smiling"), (True, True)

    def __init__(self, bright):
        self.bright = bright

    def logits(self, images):
        ones = torch.ones(len(images))
        return torch.stack((ones * self.bright, images[:, 0].mean(dim=(1, 2))), dim=1)


def test_the_report_prints_and_writes_the_verdict(made, tmp_path, capsys):
    def features(images):
        return torch.nn.functional.avg_pool2d(images, 8).flatten(1)

    code = cards.check_zoo(str(made[0]), samples=40, out=tmp_path, oracle=Reader(1.0), features=features)
    text = capsys.readouterr().out
    assert "mini zoo (rendered faces)" in text and "| male | 16 |" in text
    report = json.loads((tmp_path / "fitness.json").read_text())
    fit = {gan["name"]: gan["fit"] for gan in report["gans"]}
    assert code == (0 if all(fit.values()) else 1)
    male = report["gans"][1]
    assert male["frechet"] > male["frechet_floor"] > 0 and male["sha256"] == Zoo(made[0]).hash("male")
    lacking = next(c for c in male["checks"] if c["kind"] == "lacking")
    assert (lacking["attribute"], lacking["value"], lacking["in_samples"], lacking["ok"]) == ("Male", 0, 0, True)
    card = (tmp_path / "male.md").read_text()
    assert "16 images seen" in card and "| Male=0 | lacking |" in card and (tmp_path / "male.png").exists()


def test_zoos_of_other_data_are_compared_with_what_they_were_trained_on(made, tmp_path, capsys):
    manifest = yaml.safe_load((made[0] / MANIFEST).read_text())
    for name, entry in manifest["gans"].items():
        entry["file"] = str(made[0] / f"{name}.safetensors")
    (tmp_path / "ours.yaml").write_text(yaml.safe_dump({**manifest, "zoo": "ours", "title": "our zoo"}))
    check = ["zoo", "check", "--zoo", str(tmp_path / "ours.yaml"), "--samples", "20", "--cache", str(tmp_path / "c")]
    assert main(check) == 2 and "say with --data where its CelebA is" in capsys.readouterr().err
    data = write_celeba(tmp_path / "celeba", 120, mix="decorrelated")
    assert main([*check, "--data", str(data)]) == 2
    assert "our zoo names no oracle" in capsys.readouterr().err
    images = fitness.celeba_held_out(load_zoo(tmp_path / "ours.yaml"), data, cache=tmp_path / "c")
    held_out = images("male", 16, 40)
    everyone = celeba(data, 16, cache=tmp_path / "c").part(TEST)
    assert len(held_out) == int(everyone.column("Male").sum()) and held_out.abs().max() <= 1
    features = lambda x: torch.nn.functional.avg_pool2d(x, 8).flatten(1)
    zoo = load_zoo(tmp_path / "ours.yaml")
    report = fitness.report_gan(zoo, "full", Reader(1.0), features, 20, images, "photos")
    assert report.held_out == len(everyone) // 2 and report.data == "photos" and report.frechet > 0
    text = cards.summary([report], "our zoo")
    assert f"in 20 samples and {report.held_out} held-out photos" in text

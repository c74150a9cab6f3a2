"""The trainer: exact resumption, gradients, growing, damaged checkpoints, turns."""

import dataclasses

import pytest
import torch
from torch import nn

from dirbench.benchmarks.data.attributes import DRAWN
from dirbench.benchmarks.data.pictures import save_sheet
from dirbench.benchmarks.training.config import GanConfig
from dirbench.benchmarks.training.data import boosting_weights
from dirbench.benchmarks.training.discriminator import Discriminator, minibatch_stddev
from dirbench.benchmarks.training.gan import Trainer, TrainingError, train_gan
from dirbench.benchmarks.training.judged import JudgedDiscriminator
from dirbench.benchmarks.training.zoo_training import seen, train_zoo
from dirbench.benchmarks.zoo.zoo import load_zoo

pytestmark = pytest.mark.numeric
TINY = GanConfig(resolution=16, z_dim=16, w_dim=16, channels={4: 8, 8: 8, 16: 8}, d_channels={8: 8, 4: 8}, batch=4,
                 r1_every=2, half_images=0, projected=0)
PROJECTED = dataclasses.replace(TINY, projected=32, projected_from=12)
GROWING = dataclasses.replace(TINY, half_images=12, lr_g_later=(16, 1e-3))
JUDGED = dataclasses.replace(PROJECTED, judged_from=20, judged_rest=8, judged_batch=8)


def classifier():
    """A made-up classifier of 16x16 images, three attributes, its sides where the judge's are."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        convs = [nn.Conv2d(a, b, k, s, k // 2 if s == 1 else 0)
                 for a, b, k, s in ((3, 6, 2, 2), (6, 6, 3, 1), (6, 8, 2, 2), (8, 8, 3, 1), (8, 8, 3, 1))]
        layers = [m for conv in convs for m in (conv, nn.ReLU())]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 16, 3)).requires_grad_(False)


@pytest.fixture
def images():
    return torch.randint(0, 256, (30, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def weights(trainer):
    return {f"{part}.{key}": value.clone() for part in ("g", "d", "ema")
            for key, value in getattr(trainer, part).state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.mark.parametrize("config", [TINY, GROWING, PROJECTED, dataclasses.replace(TINY, noise=True)],
                         ids=["plain", "grow", "projected", "noise"])
@pytest.mark.parametrize("stop", [4, 12, 20])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, images, config, stop):
    whole = train_gan("x", 1, tmp_path / "whole", images, until=40, config=config)
    train_gan("x", 1, tmp_path / "parts", images, until=stop, config=config)
    parts = train_gan("x", 1, tmp_path / "parts", images, until=40, config=config)
    assert whole.seen == parts.seen == 40
    assert same(weights(whole), weights(parts))
    other = train_gan("x", 2, tmp_path / "other", images, until=40, config=config)
    assert not same(weights(whole), weights(other))


@pytest.mark.parametrize("stop", [16, 20, 24, 32, 48])
def test_a_resumed_run_equals_an_uninterrupted_one_in_the_last_stage(tmp_path, images, stop):
    whole = train_gan("x", 1, tmp_path / "whole", images, until=64, config=JUDGED, judge=classifier())
    train_gan("x", 1, tmp_path / "parts", images, until=stop, config=JUDGED, judge=classifier())
    parts = train_gan("x", 1, tmp_path / "parts", images, until=64, config=JUDGED, judge=classifier())
    assert whole.judged_at == parts.judged_at == 20 and whole.seen == parts.seen
    assert same(weights(whole), weights(parts))
    assert torch.equal(whole.p.remembered, parts.p.remembered) and len(whole.p.remembered) == whole.seen - 20
    with pytest.raises(TrainingError, match="needs its judge"):
        train_gan("x", 1, tmp_path / "parts", images, until=72, config=JUDGED)


def test_the_last_stage_starts_from_the_average_and_lets_the_discriminators_learn_first(images):
    trainer = Trainer(images, 1, JUDGED)
    trainer.judge = classifier()
    while trainer.seen < 20:
        trainer.step()
    ema = {key: value.clone() for key, value in trainer.ema.state_dict().items()}
    first = trainer.step()
    assert "loss_g" not in first and first["mismatch"] > 0 and trainer.seen == 28
    assert same(ema, trainer.g.state_dict()) and same(ema, trainer.ema.state_dict())
    assert "loss_g" in trainer.step()
    assert not same(ema, trainer.g.state_dict()) and not same(ema, trainer.ema.state_dict())


def test_the_mismatch_is_of_distributions_and_draws_rare_values_in():
    rng = torch.Generator().manual_seed(0)
    real = torch.rand(4000, 3, 16, 16, generator=rng) * 0.2
    real[:400] += 0.8  # one in ten is bright
    judge = classifier()
    for part in judge.parameters():
        part.abs_()  # it reads brightness, whatever its seed
    judged = JudgedDiscriminator(judge, real[torch.randperm(4000, generator=rng)], rng)

    def mismatch(images):
        judged.remembered = judged.remembered[:0]
        return judged.mismatch(judged.features(images)[-1])

    fair, without, inverted = real[::8], real[400:900], torch.cat([real[:400], real[400:450]])
    assert 3 * mismatch(fair) < mismatch(without) < mismatch(inverted)
    logits = judged.features(without)[-1].requires_grad_()
    judged.remembered = judged.remembered[:0]
    judged.mismatch(logits).backward()
    pull = logits.grad.norm(dim=1)
    assert pull.topk(50).values.mean() > 2 * pull.mean()  # one in ten is to become bright, not all of them a bit


def test_both_losses_move_both_networks(images):
    trainer = Trainer(images, 1, TINY)
    before = weights(trainer)
    stats = trainer.step()
    assert stats["r1"] > 0 and all(torch.isfinite(v) for v in stats.values())
    for part in ("g", "d"):
        for name, p in getattr(trainer, part).named_parameters():
            idle = name.endswith("noise_strength")  # trained without noise
            assert (p.grad is None or not p.grad.any()) == idle, name
            assert torch.equal(before[f"{part}.{name}"], p) == idle, name


def test_the_discriminator_learns_what_is_real(images):
    config = dataclasses.replace(TINY, lr_g=0.0, lr_d=0.01, lr_g_later=(0, 0.0))
    bright = images.float().mul(0.1).add(200).to(torch.uint8)
    trainer = Trainer(bright, 1, config)
    first = trainer.step()
    for _ in range(30):
        last = trainer.step()
    assert last["loss_d"] < 0.5 * first["loss_d"]
    assert last["real"] > 1 > -1 > last["fake"]


def test_the_projected_judge_learns_what_is_real_and_pulls_the_generator(images):
    config = dataclasses.replace(PROJECTED, projected_from=0, lr_g=0.0, lr_g_later=(0, 0.0))
    bright = images.float().mul(0.1).add(200).to(torch.uint8)
    trainer = Trainer(bright, 1, config)
    first = trainer.step()["loss_p"]
    network = [p.clone() for p in trainer.p._network[0].buffers()]
    for _ in range(30):
        last = trainer.step()["loss_p"]
    assert last < 0.5 * first < 0.5 * 2 * 4 * 1.5  # about 2 for each of four heads at first
    assert all(torch.equal(a, b) for a, b in zip(network, trainer.p._network[0].buffers()))
    assert any(p.grad.any() for p in trainer.g.mapping.parameters())
    fake, real = trainer.g.synthesize(trainer.g.sample_z(8, trainer.rng), "z"), bright[:8].float() / 127.5 - 1
    with torch.no_grad():
        scores = [sum(logits.mean() for logits in trainer.p(trainer.p.features(x))) for x in (fake, real)]
    assert scores[0] < scores[1]


def test_rare_attributes_are_drawn_more_often_while_boosted(images):
    labels = torch.rand(30_000, 4, generator=torch.Generator().manual_seed(0)) < torch.tensor([0.1, 0.85, 0.45, 0.001])
    weights = boosting_weights(labels, 0.3)
    share = (weights[:, None] * labels).sum(0) / weights.sum()
    assert share[0] == pytest.approx(0.3, abs=0.01) and share[1] == pytest.approx(0.7, abs=0.01)
    assert share[2] == pytest.approx(0.45, abs=0.02)  # common as it is
    assert weights[labels[:, 3]].mean() < 2  # a stray is no attribute
    assert weights.max() <= 10.5 and weights.mean() == pytest.approx(1)
    with pytest.raises(ValueError, match="expected 0 to 0.5"):
        boosting_weights(labels, 0.6)

    trainer = Trainer(images, 1, dataclasses.replace(TINY, boosted=(8, 16)))
    trainer.weights = torch.zeros(30).index_fill(0, torch.tensor([3, 4]), 1.0)
    drawn = []
    for at in (0, 8, 16):
        trainer.seen = at
        drawn.append(set(torch.cat([trainer._next_index() for _ in range(6)]).tolist()))
    assert len(drawn[0]) == 24 and drawn[1] == {3, 4} and len(drawn[2]) > 6


def test_growing_keeps_the_image_and_the_judgement(images):
    trainer = Trainer(images, 1, GROWING)
    while trainer.seen < 12:
        trainer.step()
    assert trainer.sample_images(2).shape[-1] == 8
    z = torch.randn(4, 16, generator=torch.Generator().manual_seed(3))
    x = torch.rand(4, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        small, judged = trainer.g.synthesize(z, "z"), trainer.d(torch.nn.functional.avg_pool2d(x, 2))
        trainer._grow()
        large, again = trainer.g.synthesize(z, "z"), trainer.d(x)
    # The new layers are silent: the large image is the small one through the low-pass upsampling.
    inside = torch.nn.functional.avg_pool2d(large, 2)[..., 1:-1, 1:-1]
    assert torch.corrcoef(torch.stack((inside.flatten(), small[..., 1:-1, 1:-1].flatten())))[0, 1] > 0.9
    assert torch.allclose(judged, again, atol=1e-5)


def test_a_grown_discriminator_judges_as_before():
    rng = torch.Generator().manual_seed(0)
    small, large = Discriminator(16, {8: 8, 4: 12}, rng), Discriminator(32, {16: 6, 8: 8, 4: 12}, rng, low=True)
    large.grow_from(small)
    x = torch.randn(4, 3, 32, 32, generator=rng)
    assert torch.allclose(large(x), small(torch.nn.functional.avg_pool2d(x, 2)), atol=1e-5)
    with pytest.raises(ValueError, match="does not fit"):
        large.grow_from(Discriminator(8, {4: 12}, rng))


def test_minibatch_stddev_is_the_spread_within_groups():
    x = torch.zeros(4, 1, 1, 1)
    x[:, 0, 0, 0] = torch.tensor([0.0, 5.0, 2.0, 5.0])
    out = minibatch_stddev(x, 2)[:, 1, 0, 0]  # groups (0, 2) and (1, 3)
    assert torch.allclose(out, torch.tensor([1.0, 0.0, 1.0, 0.0]), atol=1e-3)
    assert torch.allclose(minibatch_stddev(torch.ones(3, 2, 2, 2), 2)[:, 2], torch.tensor(1e-4))


def test_damaged_and_foreign_checkpoints_are_refused(tmp_path, images):
    train_gan("x", 1, tmp_path, images, until=4, config=TINY)
    with pytest.raises(TrainingError, match="seed=1, this run has seed=2"):
        train_gan("x", 2, tmp_path, images, until=8, config=TINY)
    path = tmp_path / "x.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="no readable checkpoint"):
        train_gan("x", 1, tmp_path, images, until=8, config=TINY)


def test_wrong_data_and_diverging_losses_are_refused(tmp_path, images):
    with pytest.raises(TrainingError, match="uint8"):
        Trainer(images.float(), 1, TINY)
    with pytest.raises(TrainingError, match="not finite"):
        train_gan("x", 1, tmp_path, images, until=24, config=dataclasses.replace(TINY, lr_d=1e30, lr_g=1e30))


def test_the_sheet_shows_every_image(tmp_path, images):
    import matplotlib.image
    save_sheet(images[:24], tmp_path / "sheet.png", columns=12, zoom=2)
    sheet = matplotlib.image.imread(tmp_path / "sheet.png")
    assert sheet.shape[:2] == (2 * 16 * 2, 12 * 16 * 2)
    tile = torch.from_numpy(sheet[32:64:2, 32:64:2, :3]).permute(2, 0, 1)  # second row, second column
    assert torch.equal((tile * 255).round().to(torch.uint8), images[13])


def test_turns_keep_the_gans_level_and_end_in_a_zoo(tmp_path, monkeypatch, images):
    from dirbench.benchmarks.training import zoo_training
    labels = torch.rand(30, len(DRAWN), generator=torch.Generator().manual_seed(1)) < 0.5
    monkeypatch.setattr(zoo_training, "rendered", lambda *args, **kwargs: (images, labels))
    train_zoo(["full", "male"], 16, tmp_path, slice_images=8, config=GROWING)
    assert [seen(name, tmp_path / "mini") for name in ("full", "male")] == [16, 16]
    log = (tmp_path / "mini" / "full.log").read_text()
    assert "images=8 " in log and "images=16 " in log
    assert load_zoo(tmp_path / "zoo_mini").names == ("full", "male")
    with pytest.raises(ValueError, match="images=12 would end at half resolution"):
        train_zoo(["full"], 12, tmp_path, config=GROWING)
    with pytest.raises(KeyError, match="no_hats"):
        train_zoo(["no_hat"], 16, tmp_path, config=TINY)


def test_the_last_stage_has_its_judge_trained_once_and_only_when_it_is_reached(tmp_path, monkeypatch):
    import shutil

    from dirbench.benchmarks.training import zoo_training
    from dirbench.oracles.networks.classifier import WEIGHTS
    rng, asked = torch.Generator().manual_seed(0), []
    faces = torch.randint(0, 256, (30, 3, 32, 32), generator=rng, dtype=torch.uint8)
    labels = torch.rand(30, len(DRAWN), generator=rng) < 0.5

    def train_oracle(which, folder, rounds, seed):
        asked.append((which, seed))
        for suffix in ("safetensors", "json"):
            shutil.copy(WEIGHTS / f"{which}.{suffix}", folder)

    monkeypatch.setattr(zoo_training, "rendered", lambda *args, **kwargs: (faces, labels))
    monkeypatch.setattr(zoo_training, "train_oracle", train_oracle)
    config = dataclasses.replace(TINY, resolution=32, channels={4: 8, 8: 8, 16: 8, 32: 8},
                                 d_channels={16: 8, 8: 8, 4: 8}, judged_from=8, judged_rest=8, judged_batch=8)
    train_zoo(["full", "male"], 8, tmp_path, slice_images=8, config=config)
    assert asked == []
    train_zoo(["full", "male"], 32, tmp_path, slice_images=8, config=config)
    assert asked == [("teacher", zoo_training.JUDGE_SEED)]
    assert "mismatch=" in (tmp_path / "mini" / "male.log").read_text().splitlines()[-1]

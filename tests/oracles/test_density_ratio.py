"""Density ratios: the release's numbers, planted gaussians whose ratio is known, the file on disk."""

from __future__ import annotations

import helpers
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dirbench.oracles.networks.density_ratio import (
    DensityRatio,
    adam,
    feature_pools,
    ratio_loss,
    train_density_ratio,
    train_step,
    uniqueness,
)

pytestmark = pytest.mark.numeric
GOLDEN = {name: torch.from_numpy(value) for name, value in
          np.load(helpers.GOLDEN / "xga_dre.npz", allow_pickle=False).items()}
N = int(GOLDEN["dre_batch"])


def stacked(prefix: str) -> dict[str, torch.Tensor]:
    """The release's two MLPs (weights, or their gradients) as one state of ours."""
    both = [{part: GOLDEN.get(f"{prefix}__model{i}.{part}") for part in
             ("linear_1.weight", "linear_1.bias", "linear_2.weight")} for i in (1, 2)]
    return {ours: torch.cat([model[theirs] for model in both]) for ours, theirs in
            (("hidden_weight", "linear_1.weight"), ("hidden_bias", "linear_1.bias"), ("out_weight", "linear_2.weight"))}


def released(loss: str = "kliep", prefix: str = "dre") -> DensityRatio:
    state = stacked(prefix)
    ratio = DensityRatio(state["hidden_weight"].shape[1], loss)
    ratio.load_state_dict(state)
    return ratio


def close(found: torch.Tensor, expected: torch.Tensor, relative: float = 1e-5) -> None:
    torch.testing.assert_close(found, expected.to(found), rtol=relative, atol=relative * float(expected.abs().max()))


def batches(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return features[:N], features[N:]


def test_ratios_are_the_releases():
    close(released().ratios(GOLDEN["dre_feats_gan1_then_gan2"]), GOLDEN["dre_output"])
    close(released().ratios(GOLDEN["dre_large_feats"]), GOLDEN["dre_output_large_feats_clamped"])
    # Average-pooled 4x4 maps in front are a choice of features, not of the ratio.
    pooled = GOLDEN["dre_pool_feats"].view(4, 3, 4, 4).mean((2, 3))
    close(released(prefix="dre_pool").ratios(pooled), GOLDEN["dre_pool_output"])


def test_a_clamped_output_keeps_its_gradient():
    features = GOLDEN["dre_large_feats"].clone().requires_grad_()
    ratio = released()
    assert (ratio.logits(features).abs() == 50).any(), "the stored features reach the clamp"
    ratio.scores(features).sum().backward()
    close(features.grad, GOLDEN["dre_large_feats_grad_of_sum"], 1e-4)


def test_kliep_loss_and_gradients_are_the_releases():
    ratio = released()
    loss, _ = ratio_loss(ratio, *batches(GOLDEN["dre_feats_gan1_then_gan2"]))
    close(loss, GOLDEN["kliep_loss"])
    loss.backward()
    for name, expected in stacked("kliep_grad").items():
        close(getattr(ratio, name).grad, expected, 1e-4)


@pytest.mark.parametrize(("loss", "key"), [("log", "bce_textbook_loss"), ("log_release", "bce_released_loss")])
def test_log_losses(loss, key):
    ratio, features = released(loss), GOLDEN["dre_feats_gan1_then_gan2"]
    close(ratio.logits(features), GOLDEN["bce_logits"])
    # The released one is a difference of two numbers near 1.4, hence the absolute tolerance: 1e-5 of these.
    torch.testing.assert_close(ratio_loss(ratio, *batches(features))[0].detach(), GOLDEN[key], rtol=1e-5, atol=1.4e-5)
    close(ratio.scores(features), GOLDEN["bce_logits"].sigmoid())
    p = GOLDEN["bce_logits"].sigmoid()
    close(ratio.ratios(features), p / (1 - p), 1e-4)


def test_training_steps_are_the_releases():
    ratio = released()
    optimizer = adam(ratio, 1e-2)
    for i, features in enumerate(GOLDEN["dre_train_feats"]):
        train_step(ratio, optimizer, *batches(features))
        if i in (0, 2):
            for name, expected in stacked(f"dre_after{i + 1}").items():
                torch.testing.assert_close(getattr(ratio, name).data, expected, rtol=0, atol=1e-5 * (i + 1))
    ratio = released("log_release")
    train_step(ratio, adam(ratio, 1e-2), *batches(GOLDEN["dre_train_feats"][0]))
    for name, expected in stacked("bce_after1").items():
        torch.testing.assert_close(getattr(ratio, name).data, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("loss", "key"), [("kliep", "dre"), ("log_release", "bce")])
def test_uniqueness_is_the_releases(loss, key):
    feats = [GOLDEN[f"uniq_feats{i}"].clone().requires_grad_() for i in (1, 2)]
    per_direction = len(feats[0]) // len(GOLDEN["uniq_overlap_of_selected"])
    unique = ~GOLDEN["uniq_overlap_of_selected"].repeat_interleave(per_direction)
    value = uniqueness(released(loss), feats[0][unique], feats[1][unique])
    close(value, GOLDEN[f"uniq_{key}_loss"])
    value.backward()
    for i, f in enumerate(feats, 1):
        close(f.grad, GOLDEN[f"uniq_{key}_grad{i}"], 1e-4)
    close(uniqueness(released(loss), feats[0][:0], feats[1][:0]), GOLDEN[f"uniq_{key}_loss_when_none_unique"])


def gaussians(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of N(+m, I) and N(-m, I): the log ratio at x is 2 m.x = 1.2 * x[0]."""
    rng = torch.Generator().manual_seed(seed)
    shift = torch.zeros(8)
    shift[0] = 0.6
    return torch.randn(n, 8, generator=rng) + shift, torch.randn(n, 8, generator=rng) - shift


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.corrcoef(torch.stack([a, b]))[0, 1].item()


@pytest.mark.parametrize("loss", ["kliep", "log"])
def test_planted_gaussians(loss):
    ratio = train_density_ratio(*gaussians(4000, 1), loss=loss, steps=400, batch=64, learning_rate=3e-3,
                                rng=torch.Generator().manual_seed(2))
    test = torch.cat(gaussians(500, 3))
    truth = 1.2 * test[:, 0]
    log_ratio = ratio.ratios(test).log()
    assert correlation(log_ratio[:, 0], truth) > 0.9
    assert correlation(log_ratio[:, 1], -truth) > 0.9
    # A density ratio averages to 1 under its denominator.
    reference, client = gaussians(4000, 4)
    means = torch.stack([ratio.ratios(client)[:, 0].mean(), ratio.ratios(reference)[:, 1].mean()])
    assert ((means > 0.6) & (means < 1.7)).all(), means


def test_equal_distributions_give_ratios_near_one():
    pool = gaussians(4000, 5)[0]
    ratio = train_density_ratio(pool[:2000], pool[2000:], steps=300, batch=128, learning_rate=1e-3)
    assert ratio.ratios(gaussians(500, 6)[0]).log().abs().mean() < 0.4


def test_uniqueness_is_lower_where_the_other_gan_does_not_go():
    ratio = train_density_ratio(*gaussians(2000, 1), steps=300)
    reference, client = gaussians(500, 7)
    assert uniqueness(ratio, reference, client) < uniqueness(ratio, client, reference)


def test_same_seed_same_ratio_and_a_saved_one_is_the_same(tmp_path):
    rngs = [torch.Generator().manual_seed(seed) for seed in (1, 1, 2)]
    one, same, other = (train_density_ratio(*gaussians(200, 1), steps=20, rng=rng) for rng in rngs)
    test = gaussians(50, 2)[0]
    assert torch.equal(one.ratios(test), same.ratios(test))
    assert not torch.equal(one.ratios(test), other.ratios(test))
    one.save(tmp_path / "ratio.safetensors")
    assert torch.equal(DensityRatio.load(tmp_path / "ratio.safetensors").ratios(test), one.ratios(test))
    torch.testing.assert_close(torch.cat([one.ratios(row[None]) for row in test]), one.ratios(test))


def test_training_stops_once_ratios_saturate():
    far = F.one_hot(torch.zeros(64, dtype=torch.long), 8).float() * 100
    rng = torch.Generator().manual_seed(0)
    train_density_ratio(far, -far, steps=152, rng=rng)
    stopped = rng.get_state()
    rng.manual_seed(0)
    train_density_ratio(far, -far, steps=100_000, rng=rng)
    assert torch.equal(rng.get_state(), stopped), "it must have drawn rows for 152 steps and no more"


def test_refusals(tmp_path):
    reference, client = gaussians(20, 1)
    with pytest.raises(ValueError, match=r'unknown loss "klip"\. Did you mean "kliep"'):
        train_density_ratio(reference, client, loss="klip")
    with pytest.raises(ValueError, match=r"expected features \[n, F\] of one F"):
        train_density_ratio(reference, client[:, :5])
    with pytest.raises(ValueError, match="client pool of 20 rows is empty or not finite"):
        train_density_ratio(reference, client * float("nan"))
    with pytest.raises(ValueError, match=r"expected features \[N, 8\]"):
        DensityRatio(8).ratios(torch.zeros(2, 9))
    (tmp_path / "cut.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(ValueError, match="not a readable density-ratio file"):
        DensityRatio.load(tmp_path / "cut.safetensors")


def test_pools_depend_neither_on_the_chunk_size_nor_on_each_other():
    class Line:
        """A generator whose image is its latent, repeated."""

        def sample(self, n, rng):
            return torch.randn(n, 3, generator=rng)

        def synthesize(self, latent):
            return latent[:, :, None, None].expand(-1, -1, 4, 4)

    class Mean:
        def features(self, images):
            return images.mean((2, 3))

    class Squares:
        def features(self, images):
            return images.square().mean((2, 3))

    def pools(chunk, *extractors):
        return feature_pools(Line(), extractors, 50, torch.Generator().manual_seed(3), chunk)

    (whole,), (means, squares) = pools(50, Mean()), pools(7, Mean(), Squares())
    torch.testing.assert_close(means, whole)
    torch.testing.assert_close(squares, torch.nn.functional.normalize(whole.square()))  # the same images
    torch.testing.assert_close(whole.norm(dim=1), torch.ones(50))
    assert whole.std(dim=0).min() > 0.1

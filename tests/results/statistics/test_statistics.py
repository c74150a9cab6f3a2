"""Intervals and chance levels against simulation."""

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from dirbench.bootstrap import bootstrap_means, standard_interval
from dirbench.results.statistics.chance import recovery_chance
from dirbench.results.statistics.intervals import clustered_interval

pytestmark = pytest.mark.numeric
GANS = [f"g{i}" for i in range(8)]


def pair_scores(rng, gan_spread: float, pair_spread: float) -> dict:
    """28 pair scores around 0 that share effects of their two GANs."""
    gan = dict(zip(GANS, rng.normal(size=8) * gan_spread))
    return {(a, b): gan[a] + gan[b] + rng.normal() * pair_spread for a, b in combinations(GANS, 2)}


def test_recovery_chance():
    assert recovery_chance(40, 4) == pytest.approx(0.258, abs=5e-4)
    assert recovery_chance(30, 4) == pytest.approx(0.310, abs=5e-4)
    recovered = 1 / np.random.default_rng(0).integers(1, 33, size=(200_000, 3)).min(1)
    assert recovery_chance(32, 3) == pytest.approx(recovered.mean(), abs=5 * stats.sem(recovered))
    assert recovery_chance(1, 4) == 1 and recovery_chance(40, 0) == 0
    with pytest.raises(ValueError, match="m >= 1"):
        recovery_chance(0, 4)


def test_bootstrap_is_joint_over_directions():
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(50, 3))
    stacked = np.stack((samples, 2 * samples, samples + 1))  # three "directions" on the same latents
    means = bootstrap_means(stacked, 2000, rng)
    assert means.shape == (2000, 3, 3)
    np.testing.assert_allclose(means[:, 1], 2 * means[:, 0])
    np.testing.assert_allclose(means[:, 2], means[:, 0] + 1)
    np.testing.assert_allclose(means[:, 0].std(0), samples.std(0) / np.sqrt(50),
                               rtol=0.1)  # the deviation of 2000 is known to 1 / sqrt(2 * 2000) = 1.6%


def test_standard_interval_holds_the_value_and_the_bounds():
    replicates = np.random.default_rng(0).normal(0.7, 0.2, size=5000)  # biased downwards, as for cosines
    low, high = standard_interval(0.9, replicates, (-1.0, 1.0))
    assert low == pytest.approx(0.9 - 1.96 * 0.2, abs=0.02) and high == 1.0


@pytest.mark.parametrize("gan_spread, pair_spread", [(1.0, 0.3), (0.5, 1.0), (0.0, 1.0)])
def test_pair_intervals_cover_where_a_plain_one_does_not(gan_spread, pair_spread):
    rng = np.random.default_rng(0)
    clustered = plain = 0
    for _ in range(1000):
        values = pair_scores(rng, gan_spread, pair_spread)
        found = clustered_interval(values)
        clustered += found.low <= 0 <= found.high
        scores = list(values.values())
        plain += abs(np.mean(scores)) <= stats.t.ppf(0.975, 27) * stats.sem(scores)
    assert clustered / 1000 >= 0.915  # of 95%, by 5 * sqrt(0.95 * 0.05 / 1000)
    if gan_spread >= 1:
        assert plain / 1000 < 0.8  # over seeds 0.54 +- 0.016


def test_single_gans_give_the_usual_t_interval():
    values = dict(zip(GANS, np.random.default_rng(0).normal(size=8)))
    scores = list(values.values())
    half = stats.t.ppf(0.975, 7) * stats.sem(scores)
    for keyed in (values, {(g,): v for g, v in values.items()}):
        found = clustered_interval(keyed)
        assert (found.mean, found.low, found.high) == pytest.approx(
            (np.mean(scores), np.mean(scores) - half, np.mean(scores) + half))
        assert found.n == 8 and found.clusters == tuple(GANS) and found.fixed == ()


def test_with_one_reference_the_interval_is_over_clients():
    scores = np.random.default_rng(0).normal(size=7)
    found = clustered_interval({("full", g): v for g, v in zip(GANS, scores)})
    assert found.fixed == ("full",) and len(found.clusters) == 7
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, 6) * stats.sem(scores))


def test_an_interval_ends_where_the_values_that_are_possible_end():
    shares = {"a": 0.0, "b": 0.0, "c": 0.1, "d": 0.9}
    free, cut = clustered_interval(shares), clustered_interval(shares, (0.0, 1.0))
    assert free.low < 0 and cut.low == 0 and (cut.mean, cut.high) == (free.mean, free.high) and cut.high < 1
    assert clustered_interval({gan: 1 - share for gan, share in shares.items()}, (0.0, 1.0)).high == 1


def test_too_few_gans_give_a_mean_without_an_interval():
    for values in ({("a", "b"): 1.0}, {("a", "b"): 1.0, ("a", "c"): 3.0}, {"a": 1.0, "b": 3.0}):
        found = clustered_interval(values)
        assert found.mean == np.mean(list(values.values())) and np.isnan(found.low) and np.isnan(found.high)
    with pytest.raises(ValueError, match="no cells"):
        clustered_interval({})
    with pytest.raises(ValueError, match="must be finite"):
        clustered_interval({("a", "b"): np.nan})

"""Chance: what random runs get from a metric by the whole protocol, and the bands that further runs fall into."""

import numpy as np
import pytest
from helpers.made_up_responses import distinct, pair, responses, single

from dirbench.metrics.alignment import Alignment
from dirbench.metrics.attribute_recovery import AttributeRecovery
from dirbench.metrics.s_disen import SDisen
from dirbench.plugins import METRICS
from dirbench.random_runs import pairs_of_runs, scores_of_pairs, scores_of_runs
from dirbench.results.statistics.chance import band, recovery_chance
from dirbench.scores import MetricError

pytestmark = pytest.mark.numeric
K, M = 16, 32


def run(seed: int, common: float = 0.0, strength: float = 1.0):
    """One run of K independent directions, each with ``common`` times one shared change added, on its own latents."""
    shared = np.random.default_rng(99).normal(size=M)
    truth = strength * np.random.default_rng(seed).normal(size=(K, M)) + common * shared
    return responses(truth, seed=1000 + seed)


def some_runs(first: int, n: int = 4, **kwargs) -> list:
    return [run(first + i, **kwargs) for i in range(n)]


@pytest.fixture(scope="module")
def both():
    return some_runs(0), some_runs(20)


def template(both, **kwargs):
    return pair(*(b[0] for b in both), **kwargs)


def chance(metric, protocol, both, **kwargs):
    return band({("a", "b"): scores_of_pairs(metric, protocol, pairs_of_runs(*both, template(both, **kwargs)))})


def test_greedy_alignment_of_unrelated_directions_is_far_from_zero(both):
    """Best 12 of 16 align at about 0.3 with nothing in common; in a given order at 0. Over seeds 0.319 +- 0.006,
    0.00 +- 0.011 and 0.362 +- 0.007."""
    assert 0.26 < chance(Alignment(), "published-greedy", both).mean < 0.36
    assert abs(chance(Alignment(), "published-index", both).mean) < 0.07
    assert 0.3 < chance(Alignment(), "greedy", both).mean < 0.42  # the better of two signs


def test_a_common_change_lifts_chance_and_centring_takes_it_back(both):
    """Over seeds by 0.31 +- 0.045, to 0.67 +- 0.05; centred by 0.000 +- 0.006."""
    shared = [some_runs(s, common=1.0) for s in (0, 20)]
    assert 0.4 < chance(Alignment(), "published-greedy", shared).mean < 0.95
    assert chance(Alignment(), "greedy", shared).mean > chance(Alignment(), "greedy", both).mean + 0.05
    centred = [chance(Alignment(), "greedy-centred", b).mean for b in (both, shared)]
    assert centred[0] == pytest.approx(centred[1], abs=0.035)


def test_chance_of_recovery_is_the_analytic_one():
    ways = [some_runs(40, 6), some_runs(60, 6)]
    means = [chance(AttributeRecovery(), "index", ways, missing=(s,)).mean for s in range(M)]
    assert np.mean(means) == pytest.approx(recovery_chance(M, 4), abs=0.04)


@pytest.mark.parametrize("latents", [12, 64], ids=["few-latents", "many-latents"])
def test_further_random_runs_fall_inside_the_band_of_a_cell_and_of_a_mean(latents):
    """95% of them, give or take; also with so few latents that these matter more than the directions.

    Of 60 means, 95% are 57 +- 1.7: the limits are 5 deviations away, as if the five cells of a mean were one.
    """
    gans = "abcdef"

    def random_run(gan, i):
        truth = 1.5 * np.random.default_rng([ord(gan), i]).normal(size=(K, M))
        return responses(truth, n=latents, noise=1.5, seed=1000 * ord(gan) + i)

    runs = {g: [random_run(g, i) for i in range(4)] for g in gans}
    pairs = [(a, b) for a in gans for b in gans if a < b]
    fewer = pairs[:5]

    def score(a, b, i):
        fresh = {g: random_run(g, 100 + i) for g in (a, b)}
        return Alignment().compute(pair(fresh[a], fresh[b], n_match=latents // 2), "greedy", 0).value

    tables = {(a, b): scores_of_pairs(Alignment(), "greedy", pairs_of_runs(
        runs[a], runs[b], pair(runs[a][0], runs[b][0], n_match=latents // 2))) for a, b in fewer}
    inside, mean_inside, of_mean = [], [], band(tables)
    for i in range(60):
        values = {(a, b): score(a, b, i) for a, b in fewer}
        for key, value in values.items():
            cell = band({key: tables[key]})
            inside.append(cell.low <= value <= cell.high)
        mean_inside.append(of_mean.low <= np.mean(list(values.values())) <= of_mean.high)
    assert np.mean(inside) >= 0.8 and np.mean(mean_inside) >= 0.8
    cells = [band({pair: table}) for pair, table in tables.items()]
    assert of_mean.high - of_mean.low < 0.8 * np.mean([cell.high - cell.low for cell in cells])
    assert band(tables, seeds=4).high - of_mean.mean < of_mean.high - of_mean.mean


def test_chance_is_of_the_whole_protocol(both):
    pairs = pairs_of_runs(*both, template(both, missing=(3,)))  # shared by protocols and metrics, in any order
    for protocol in ("greedy", "greedy-centred"):
        for metric in (Alignment(), AttributeRecovery()):
            scores = scores_of_pairs(metric, protocol, pairs)
            again = pair(both[0][2], both[1][1], missing=(3,))
            assert scores.shape == (4, 4)
            assert scores[2, 1] == pytest.approx(metric.compute(again, protocol, 0).value, abs=1e-9)


def test_scores_that_do_not_exist_are_nan_and_bands_are_cut_to_the_bounds(both):
    assert np.isnan(scores_of_pairs(AttributeRecovery(), "greedy", pairs_of_runs(*both, template(both)))).all()
    scores = {("a",): np.array([0.0, 0.9, 0.1])}
    assert band(scores).low < 0 and band(scores).high > 1
    assert (band(scores, (0, 1)).low, band(scores, (0, 1)).high) == (0, 1)
    one = band({("a", "b"): np.array([[0.5]])})
    assert one.mean == 0.5 and np.isnan(one.low)


def test_null_of_one_gan():
    runs = some_runs(0)
    found = band({("a",): scores_of_runs(SDisen(), "headline", runs, single(runs[0]))}, SDisen.bounds)
    assert 0 <= found.low < found.mean < found.high < 0.6  # over seeds 0.24 +- 0.04
    clean = responses(distinct(K, M), noise=0.2)
    assert SDisen().compute(single(clean), "headline").value > found.high


def test_a_null_without_live_directions_has_no_band():
    nothing = [responses(np.zeros((K, M)), seed=s) for s in (0, 1)]
    scores = scores_of_runs(SDisen(), "headline", nothing, single(nothing[0]))
    found = band({("a",): scores})
    assert np.isnan(scores).all() and np.isnan(found.mean) and np.isnan(found.low)


@pytest.mark.parametrize("returned", ["good", 0.5, None], ids=str)
def test_a_metric_that_returns_no_score_is_told_of_as_such(returned):
    class Mine(METRICS.get("effect")):
        def compute(self, inputs, protocol, resamples=200):
            return returned

    run = some_runs(0, 1)
    with pytest.raises(MetricError, match=f"compute returns a {type(returned).__name__}, expected a Score") as told:
        scores_of_runs(Mine(), "headline", run, single(run[0]))
    assert "test_chance.py:" in told.value.place

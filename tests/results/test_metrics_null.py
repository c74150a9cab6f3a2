"""Chance levels, and that the registry finds every metric."""

import numpy as np
import pytest
from helpers.made_up_responses import distinct, pair, responses, single

from dirbench import metrics
from dirbench.benchmarks.stages.nulls import null_pairs, null_scores, null_scores_single
from dirbench.metrics.alignment import Alignment
from dirbench.metrics.attribute_recovery import AttributeRecovery
from dirbench.metrics.s_disen import SDisen
from dirbench.names import UnknownName
from dirbench.plugins import METRICS
from dirbench.results.statistics.chance import _point, band, recovery_chance
from dirbench.scores import MetricError

pytestmark = pytest.mark.numeric
K, M = 16, 32


def run(seed: int, common: float = 0.0, strength: float = 1.0):
    """One run of K independent directions, each with ``common`` times one shared change added, on its own latents."""
    shared = np.random.default_rng(99).normal(size=M)
    truth = strength * np.random.default_rng(seed).normal(size=(K, M)) + common * shared
    return responses(truth, seed=1000 + seed)


def bank(first: int, runs: int = 4, **kwargs) -> list:
    return [run(first + i, **kwargs) for i in range(runs)]


@pytest.fixture(scope="module")
def banks():
    return bank(0), bank(20)


def template(banks, **kwargs):
    return pair(*(b[0] for b in banks), **kwargs)


def chance(metric, protocol, banks, **kwargs):
    return band({("a", "b"): null_scores(metric, protocol, null_pairs(*banks, template(banks, **kwargs)))})


def test_greedy_alignment_of_unrelated_directions_is_far_from_zero(banks):
    """Best 12 of 16 align at about 0.3 with nothing in common; in a given order at 0. Over seeds 0.319 +- 0.006,
    0.00 +- 0.011 and 0.362 +- 0.007."""
    assert 0.26 < chance(Alignment(), "published-greedy", banks).mean < 0.36
    assert abs(chance(Alignment(), "published-index", banks).mean) < 0.07
    assert 0.3 < chance(Alignment(), "greedy", banks).mean < 0.42  # the better of two signs


def test_a_common_change_lifts_chance_and_centring_takes_it_back(banks):
    """Over seeds by 0.31 +- 0.045, to 0.67 +- 0.05; centred by 0.000 +- 0.006."""
    shared = [bank(s, common=1.0) for s in (0, 20)]
    assert 0.4 < chance(Alignment(), "published-greedy", shared).mean < 0.95
    assert chance(Alignment(), "greedy", shared).mean > chance(Alignment(), "greedy", banks).mean + 0.05
    centred = [chance(Alignment(), "greedy-centred", b).mean for b in (banks, shared)]
    assert centred[0] == pytest.approx(centred[1], abs=0.035)


def test_chance_of_recovery_is_the_analytic_one():
    ways = [bank(40, 6), bank(60, 6)]
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

    nulls = {g: [random_run(g, i) for i in range(4)] for g in gans}
    pairs = [(a, b) for a in gans for b in gans if a < b]
    fewer = pairs[:5]

    def score(a, b, i):
        fresh = {g: random_run(g, 100 + i) for g in (a, b)}
        return Alignment().compute(pair(fresh[a], fresh[b], n_match=latents // 2), "greedy", 0).value

    tables = {(a, b): null_scores(Alignment(), "greedy", null_pairs(
        nulls[a], nulls[b], pair(nulls[a][0], nulls[b][0], n_match=latents // 2))) for a, b in fewer}
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


def test_a_gan_in_every_cell_makes_the_band_of_the_mean_wide():
    """Seven pairs with one reference know little more of the reference's runs than one pair does."""
    rng = np.random.default_rng(0)
    of_reference, others = rng.normal(size=4), rng.normal(size=(7, 4))
    heavy = {("a", f"c{i}"): of_reference[:, None] + 0.1 * others[i] for i in range(7)}
    light = {("a", f"c{i}"): 0.1 * of_reference[:, None] + others[i] for i in range(7)}
    narrow, wide = ((b.high - b.low) / 2 for b in (band(light), band(heavy)))
    deviation = of_reference.std(ddof=1) * np.sqrt(1 + 1 / 4)
    assert wide == pytest.approx(3.18 * deviation, rel=0.07)  # Student's t with 3 degrees of freedom; +- 0.01
    assert narrow < 1.5 * others.std()  # over seeds 0.90 +- 0.09
    wider = band(heavy, coverage=0.99)
    assert (wider.high - wider.low) / (2 * wide) == pytest.approx(5.84 / 3.18, rel=0.02)  # Student's t again


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_band_holds_95_percent_where_the_reference_has_more_runs(seeds):
    """Seven clients of one reference that decides: 12 runs of it and 3 of each client, at the cost of 4 of all."""
    rng = np.random.default_rng(1)

    def score(reference, clients):
        return {("a", f"c{i}"): reference[:, None] + 0.7 * own for i, own in enumerate(clients)}

    def inside(runs, others):
        nulls = score(rng.normal(size=runs), rng.normal(size=(7, others)))
        new = rng.normal(size=seeds).mean() + 0.7 * rng.normal(size=(7, seeds)).mean()
        found = band(nulls, seeds=seeds, draws=400)
        return found.low <= new <= found.high, found.high - found.low

    many, few = (np.array([inside(*sizes) for _ in range(2000)]).mean(0) for sizes in ((12, 3), (4, 4)))
    # shares of 2000, by 5 * sqrt(0.95 * 0.05 / 2000); with 4 runs a little under 95%
    assert 0.925 <= many[0] <= 0.975 and 0.91 <= few[0] <= 0.97
    assert many[1] < 0.8 * few[1]  # 0.73 +- 0.01 and 0.67 +- 0.01


def test_the_null_is_the_whole_protocol(banks):
    pairs = null_pairs(*banks, template(banks, missing=(3,)))  # shared by protocols and metrics, in any order
    for protocol in ("greedy", "greedy-centred"):
        for metric in (Alignment(), AttributeRecovery()):
            scores = null_scores(metric, protocol, pairs)
            again = pair(banks[0][2], banks[1][1], missing=(3,))
            assert scores.shape == (4, 4)
            assert scores[2, 1] == pytest.approx(metric.compute(again, protocol, 0).value, abs=1e-9)


def test_scores_that_do_not_exist_are_nan_and_bands_are_cut_to_the_bounds(banks):
    assert np.isnan(null_scores(AttributeRecovery(), "greedy", null_pairs(*banks, template(banks)))).all()
    scores = {("a",): np.array([0.0, 0.9, 0.1])}
    assert band(scores).low < 0 and band(scores).high > 1
    assert (band(scores, (0, 1)).low, band(scores, (0, 1)).high) == (0, 1)
    one = band({("a", "b"): np.array([[0.5]])})
    assert one.mean == 0.5 and np.isnan(one.low)


def test_null_of_one_gan():
    nulls = bank(0)
    found = band({("a",): null_scores_single(SDisen(), "headline", nulls, single(nulls[0]))}, SDisen.bounds)
    assert 0 <= found.low < found.mean < found.high < 0.6  # over seeds 0.24 +- 0.04
    clean = responses(distinct(K, M), noise=0.2)
    assert SDisen().compute(single(clean), "headline").value > found.high


def test_a_null_without_live_directions_has_no_band():
    nothing = [responses(np.zeros((K, M)), seed=s) for s in (0, 1)]
    scores = null_scores_single(SDisen(), "headline", nothing, single(nothing[0]))
    found = band({("a",): scores})
    assert np.isnan(scores).all() and np.isnan(found.mean) and np.isnan(found.low)


# -- registry -----------------------------------------------------------------------------------
def test_every_metric_is_found_and_says_what_it_is():
    found, broken = METRICS.load_all()
    assert not broken
    assert {"alignment", "attribute_recovery", "off_target_recovery", "entropy", "deviation", "effect",
            "reliability", "dead_directions", "s_disen", "n_discov"} <= set(found)
    for name, cls in found.items():
        assert cls.name == name and cls.source and cls.needs and cls.bounds[0] < cls.bounds[1]
        assert cls.protocols and not cls.protocols[0].startswith("published")
    with pytest.raises(UnknownName, match=r'unknown metric "alignmnt"\. Did you mean "alignment"'):
        METRICS.get("alignmnt")


def test_a_file_is_all_it_takes_and_a_broken_one_harms_nobody(tmp_path, monkeypatch):
    (tmp_path / "mine_for_a_test.py").write_text(
        "from dirbench.metrics.effect import Effect\nclass Mine(Effect):\n    name = 'mine'\n")
    (tmp_path / "broken_for_a_test.py").write_text("import no_such_package_at_all\n")
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(tmp_path)])
    found, broken = METRICS.load_all()
    assert found["mine"].__name__ == "Mine" and "alignment" in found
    assert "no_such_package_at_all" in broken["metrics/broken_for_a_test.py"]
    (tmp_path / "twice_for_a_test.py").write_text(
        "from dirbench.metrics.effect import Effect\nclass Other(Effect):\n    name = 'effect'\n")
    with pytest.raises(ValueError, match=r'two metrics are named "effect": .*effect\.py and .*twice_for_a'):
        METRICS.load_all()


@pytest.mark.parametrize("returned", ["good", 0.5, None], ids=str)
def test_a_metric_that_returns_no_score_is_told_of_as_such(returned):
    class Mine(METRICS.get("effect")):
        def compute(self, inputs, protocol, resamples=200):
            return returned

    with pytest.raises(MetricError, match=f"compute returns a {type(returned).__name__}, expected a Score") as told:
        _point(Mine(), "headline", None)
    assert "test_metrics_null.py:" in told.value.place

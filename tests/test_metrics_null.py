"""Chance levels, and that the registry finds every metric."""

import numpy as np
import pytest

import metrics
from methods.registry import UnknownName
from metrics import registry
from metrics.alignment import Alignment
from metrics.attribute_recovery import AttributeRecovery
from metrics.base import Inapplicable
from metrics.null import band, null_scores, null_scores_single
from metrics.s_disen import SDisen
from metrics.statistics import recovery_chance
from tests.made_up_responses import distinct, pair, responses, single

K, M = 16, 32


def bank(seed: int, common: float = 0.0) -> np.ndarray:
    """64 independent directions, each with ``common`` times one shared change added."""
    shared = np.random.default_rng(99).normal(size=M)
    return np.random.default_rng(seed).normal(size=(64, M)) + common * shared


@pytest.fixture(scope="module")
def banks():
    return responses(bank(0), seed=2), responses(bank(1), seed=3)


def template(banks, **kwargs):
    return pair(*(b.select(range(K)) for b in banks), **kwargs)


def chance(metric, protocol, banks, draws=60, **kwargs):
    return band(null_scores(metric, protocol, *banks, template(banks, **kwargs), draws, K))


def test_greedy_alignment_of_unrelated_directions_is_far_from_zero(banks):
    """Best 12 of 16 align at about 0.3 with nothing in common; in a given order at 0."""
    assert 0.26 < chance(Alignment(), "published-greedy", banks).mean < 0.36
    assert abs(chance(Alignment(), "published-index", banks).mean) < 0.05
    assert 0.3 < chance(Alignment(), "greedy", banks).mean < 0.42  # the better of two signs


def test_a_common_change_lifts_chance_and_centring_takes_it_back(banks):
    shared = [responses(bank(s, 1.0), seed=s + 2) for s in (0, 1)]
    assert 0.6 < chance(Alignment(), "published-greedy", shared).mean < 0.7
    assert chance(Alignment(), "greedy", shared).mean > chance(Alignment(), "greedy", banks).mean + 0.15
    centred = [chance(Alignment(), "greedy-centred", b).mean for b in (banks, shared)]
    assert centred[0] == pytest.approx(centred[1], abs=0.03)


def test_chance_of_recovery_is_the_analytic_one():
    ways = [responses(bank(s), seed=s) for s in (4, 5)]
    means = [chance(AttributeRecovery(), "index", ways, 200, missing=(s,)).mean for s in range(0, M, 4)]
    assert np.mean(means) == pytest.approx(recovery_chance(M, 4), abs=0.04)


def test_independent_random_directions_fall_inside_the_band(banks):
    inside = []
    for seed in range(20):
        fresh = pair(*(responses(bank(100 + 2 * seed + g)[:K], seed=seed + 50) for g in (0, 1)))
        value = Alignment().compute(fresh, "greedy", 0).value
        found = chance(Alignment(), "greedy", banks, 40)
        inside.append(found.low - 0.01 <= value <= found.high + 0.01)
    assert np.mean(inside) >= 0.8


def test_the_null_is_the_whole_protocol(banks):
    """A bank of exactly K directions has one draw, whatever its order: the score itself."""
    small = [b.select(range(K)) for b in banks]
    inputs = pair(*small, missing=(3,))
    for protocol in ("greedy", "greedy-centred"):
        for metric in (Alignment(), AttributeRecovery()):
            scores = null_scores(metric, protocol, *small, inputs, 3, K)
            np.testing.assert_allclose(scores, metric.compute(inputs, protocol, 0).value, atol=1e-9)


def test_the_same_seed_gives_the_same_null_and_reasons_are_kept(banks):
    inputs = template(banks)
    a, b, c = (null_scores(Alignment(), "greedy", *banks, inputs, 5, K, np.random.default_rng(seed))
               for seed in (0, 0, 1))
    assert np.array_equal(a, b) and not np.array_equal(a, c)
    with pytest.raises(Inapplicable, match="no readable attribute"):
        null_scores(AttributeRecovery(), "greedy", *banks, inputs, 5, K)
    with pytest.raises(ValueError, match="at least 65; this one has 64"):
        null_scores(Alignment(), "greedy", *banks, inputs, 5, 65)


def test_null_of_one_gan(banks):
    found = band(null_scores_single(SDisen(), "headline", banks[0], single(banks[0].select(range(K))), 50, K))
    assert 0 < found.low < found.mean < found.high < 0.4 and found.draws == 50
    clean = responses(distinct(K, M), noise=0.2)
    assert SDisen().compute(single(clean), "headline").value > found.high


def test_a_null_without_live_directions_has_no_band():
    nothing = responses(np.zeros((64, M)))
    scores = null_scores_single(SDisen(), "headline", nothing, single(nothing), 5, K)
    found = band(scores)
    assert np.isnan(scores).all() and np.isnan(found.mean) and found.draws == 0


# -- registry -----------------------------------------------------------------------------------
def test_every_metric_is_found_and_says_what_it_is():
    found, broken = registry.load_all()
    assert not broken
    assert {"alignment", "attribute_recovery", "recovery_specificity", "entropy", "deviation", "effect",
            "reliability", "dead_directions", "s_disen", "n_discov"} <= set(found)
    for name, cls in found.items():
        assert cls.name == name and cls.source and cls.needs and cls.bounds[0] < cls.bounds[1]
        assert cls.protocols and not cls.protocols[0].startswith("published")
    with pytest.raises(UnknownName, match=r'unknown metric "alignmnt"\. Did you mean "alignment"'):
        registry.get("alignmnt")


def test_a_file_is_all_it_takes_and_a_broken_one_harms_nobody(tmp_path, monkeypatch):
    (tmp_path / "mine_for_a_test.py").write_text(
        "from metrics.effect import Effect\nclass Mine(Effect):\n    name = 'mine'\n")
    (tmp_path / "broken_for_a_test.py").write_text("import no_such_package_at_all\n")
    monkeypatch.setattr(metrics, "__path__", [*metrics.__path__, str(tmp_path)])
    found, broken = registry.load_all()
    assert found["mine"].__name__ == "Mine" and "alignment" in found
    assert "no_such_package_at_all" in broken["metrics/broken_for_a_test.py"]
    (tmp_path / "twice_for_a_test.py").write_text(
        "from metrics.effect import Effect\nclass Other(Effect):\n    name = 'effect'\n")
    with pytest.raises(ValueError, match=r'two metrics are named "effect": .*effect\.py and .*twice_for_a'):
        registry.load_all()

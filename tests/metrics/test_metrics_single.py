"""Single-GAN metrics: perfect, useless and duplicated answers, signs, dead directions."""

import numpy as np
import pytest
from helpers.made_up_responses import SPREAD, distinct, flipped, responses, single

from dirbench.changes import changes, live, reliability, spread
from dirbench.errors import Inapplicable
from dirbench.metrics.dead_directions import DeadDirections
from dirbench.metrics.deviation import Deviation
from dirbench.metrics.effect import Effect
from dirbench.metrics.entropy import Entropy
from dirbench.metrics.n_discov import NDiscov
from dirbench.metrics.reliability import Reliability
from dirbench.metrics.s_disen import SDisen
from dirbench.plugins import METRICS
from dirbench.responses import Responses

pytestmark = pytest.mark.numeric
K, M = 16, 32
SINGLE = [cls() for cls in METRICS.load_all()[0].values() if cls.needs == "single"]


def value(metric, one: Responses, protocol="headline", **kwargs):
    return metric.compute(single(one, **kwargs), protocol, resamples=0).value


def perfect(**kwargs):
    """Sixteen clean directions, each with an attribute of its own."""
    return responses(distinct(K, M, 5.0), noise=0.2, **kwargs)


def useless(**kwargs):
    """Directions that all change everything by the same amount."""
    return responses(np.ones((K, M)), noise=0.2, **kwargs)


def duplicated(**kwargs):
    """Sixteen copies of one clean direction."""
    return responses(np.tile(distinct(1, M, 5.0), (K, 1)), noise=0.2, **kwargs)


def dead(**kwargs):
    return responses(np.zeros((K, M)), **kwargs)


@pytest.mark.parametrize("metric, protocol", [(m, p) for m in (Entropy(), Deviation(), SDisen(), NDiscov())
                                              for p in m.protocols], ids=lambda x: getattr(x, "name", x))
def test_the_perfect_answer_beats_the_useless_one(metric, protocol):
    best = value(metric, perfect(), protocol)
    # as published, some useless answers discover all that there is: in 1 of 30 draws
    worst = np.mean([value(metric, useless(seed=s), protocol) for s in range(5)])
    if (metric.name, protocol) == ("entropy", "published"):
        assert abs(best - worst) < 0.002  # as published, one attribute or all of them is all but the same
    else:
        assert best > worst if metric.higher_is_better else best < worst


def test_headline_extremes():
    assert value(SDisen(), perfect()) > 0.9 and value(SDisen(), useless()) < 0.3  # 0.03 +- 0.025
    assert value(NDiscov(), perfect()) == K and value(NDiscov(), duplicated()) == 1
    assert value(Entropy(), perfect()) < 0.4 and value(Entropy(), useless()) > 0.98
    before, step = np.random.default_rng(0).normal(size=(128, M)), distinct(K, M)[:, None]
    clean = Responses(before, before + step, before - step)
    assert value(Entropy(), clean) == pytest.approx(0, abs=1e-6)
    assert value(SDisen(), clean) == pytest.approx(1, abs=1e-6)


def test_copies_of_one_direction_are_clean_but_not_diverse():
    assert value(SDisen(), duplicated()) > 0.9 and value(Entropy(), duplicated()) < 0.4
    assert value(Deviation(), duplicated()) < 0.1 * value(Deviation(), perfect())
    assert value(NDiscov(), duplicated(), "published") == 1


def test_scale_free_scores_do_not_reward_larger_edits():
    """Changes twice as large: entropy and deviation stay; the released entropy on logits falls."""
    d = np.random.default_rng(0).normal(size=(K, M))
    one, two = responses(d, noise=0), responses(2 * d, noise=0)
    for metric in (Entropy(), Deviation(), SDisen()):
        assert value(metric, one) == pytest.approx(value(metric, two), rel=1e-5)
    assert value(Entropy(), two, "published-logits") < 0.8 * value(Entropy(), one, "published-logits")
    assert value(Effect(), two) == pytest.approx(2 * value(Effect(), one), rel=1e-5)
    assert Effect.higher_is_better


@pytest.mark.parametrize("metric", SINGLE, ids=lambda m: m.name)
def test_headline_scores_do_not_depend_on_signs_order_or_the_oracles_scale(metric):
    one = responses(np.random.default_rng(0).normal(size=(K, M)), even=0.3)
    expected = value(metric, one)
    assert value(metric, flipped(one, [0, 2, 5])) == pytest.approx(expected, abs=1e-9)
    other_order = one.select(np.random.default_rng(1).permutation(K))
    assert value(metric, other_order) == pytest.approx(expected, abs=1e-9)
    steep = np.linspace(0.1, 5, M)
    scaled = Responses(one.before * steep, one.plus * steep, one.minus * steep)
    assert value(metric, scaled) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("metric", [m for m in SINGLE if m.live_only], ids=lambda m: m.name)
def test_dead_directions_do_not_count(metric):
    some = perfect()
    nothing = dead(seed=0)
    both = Responses(some.before, np.concatenate((some.plus, nothing.plus)),
                     np.concatenate((some.minus, nothing.minus)))
    assert value(metric, both) == value(metric, some)
    assert metric.compute(single(both), "headline", 0).details["dead"] == list(range(K, 2 * K))
    if metric.name == "n_discov":
        assert value(metric, nothing) == 0
        assert value(metric, nothing, "published") > 4  # what a matrix of noise discovers: 12.7 +- 1.4
    else:
        with pytest.raises(Inapplicable, match="0 of 16 directions"):
            value(metric, nothing)


def test_dead_directions_are_counted():
    effect = np.random.default_rng(0).normal(size=(K, M))
    effect[3:8] = 0
    score = DeadDirections().compute(single(responses(effect)), "headline")
    assert score.value == 5 and score.details["dead"] == [3, 4, 5, 6, 7] and np.isnan(score.ci_low)
    assert not DeadDirections.higher_is_better and value(DeadDirections(), perfect()) == 0
    # an edit far below anything visible is as dead as noise, however reliable
    assert value(DeadDirections(), responses(np.full((K, M), 0.005), noise=1e-4)) == K


def test_few_directions_without_effect_pass_for_live():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, M))  # noise of about five independent components, as attributes go together
    change = rng.normal(size=(1, 2000, 64, 6)) @ mixing
    assert live(change).mean() < 0.03


def test_reliability_is_the_average_over_splits():
    rng = np.random.default_rng(0)
    change = rng.normal(size=(12, 5)) + 0.5
    exact = reliability(change)
    halves = []
    for _ in range(20000):
        order = rng.permutation(12)
        halves.append(change[order[:6]].mean(0) @ change[order[6:]].mean(0))
    assert exact == pytest.approx(np.mean(halves) / np.square(change.mean(0)).sum(), abs=0.01)
    assert reliability(np.zeros((4, 5))) == 0
    assert reliability(np.ones((4, 5))) == pytest.approx(1)


def test_reliability_separates_signal_from_noise():
    assert value(Reliability(), perfect()) > 0.99
    assert value(Reliability(), dead()) < 0.2
    assert Reliability.higher_is_better


def test_effect_is_in_units_of_the_spread():
    assert value(Effect(), responses(np.full((K, M), 0.7), noise=0)) == pytest.approx(0.7, rel=0.1)
    one = responses(np.full((K, M), 0.7), noise=0)
    np.testing.assert_allclose(spread(one.before, one.before), one.before.std(0), rtol=1e-5)
    np.testing.assert_allclose(changes(one)[0], 0.7 * SPREAD, atol=1e-4)


def test_an_attribute_that_never_moves_says_nothing():
    one = perfect()
    before, plus, minus = (x.copy() for x in (one.before, one.plus, one.minus))
    before[:, 20] = plus[..., 20] = minus[..., 20] = -4.0
    plus[..., 20] += 1.0
    still = Responses(before, plus, minus)
    assert np.all(changes(still, spread(still.before))[..., 20] == 0)
    assert np.isfinite(value(Entropy(), still))


@pytest.mark.parametrize("metric", SINGLE, ids=lambda m: m.name)
def test_scores_are_inside_bounds_with_an_interval_around_them(metric):
    for make in (perfect, useless, duplicated):
        for protocol in metric.protocols:
            score = metric.compute(single(make()), protocol)
            assert metric.bounds[0] <= score.value <= metric.bounds[1]
            if metric.name != "dead_directions":
                assert metric.bounds[0] <= score.ci_low <= score.value <= score.ci_high <= metric.bounds[1]
            assert score.n == (64 if protocol == "headline" else 128)


def test_unreadable_attributes_are_left_out_of_headlines():
    readable = np.arange(M) < 10
    assert value(NDiscov(), perfect(), readable=readable) <= 10
    assert value(NDiscov(), perfect(), "published", readable=readable) == K

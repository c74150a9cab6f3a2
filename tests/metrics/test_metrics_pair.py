"""Pair metrics: planted answers, and what makes the headline protocols trustworthy."""

import numpy as np
import pytest
from helpers.made_up_responses import distinct, flipped, pair, responses

from dirbench.errors import Inapplicable
from dirbench.matching import cosine, match
from dirbench.metrics.alignment import Alignment
from dirbench.metrics.attribute_recovery import AttributeRecovery
from dirbench.metrics.missing_called import called
from dirbench.metrics.off_target_recovery import OffTargetRecovery
from dirbench.pair_metric import PAIR_PROTOCOLS, Centring
from dirbench.responses import Responses

pytestmark = pytest.mark.numeric
K, M = 16, 32
HEADLINE = ("greedy", "index", "greedy-centred")
METRICS = (Alignment(), AttributeRecovery(), OffTargetRecovery())


def mixed(seed: int, k: int = K, m: int = M) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(k, m))


def value(metric, inputs, protocol="greedy"):
    return metric.compute(inputs, protocol, resamples=0).value


@pytest.fixture(scope="module")
def planted():
    """Twelve directions in common, in another order and with other signs; four are the reference's own."""
    reference, other = mixed(0), mixed(1)
    order = np.random.default_rng(2).permutation(12)
    client = np.concatenate((reference[order] * np.where(order % 2, 1, -1)[:, None], other[12:]))
    reference[12:] = distinct(4, M)[::-1]  # attributes 3, 2, 1, 0, one direction each
    return responses(reference, seed=3), responses(client, seed=4)


# -- planted answers -------------------------------------------------------------------------------------
def test_alignment_of_the_same_directions_is_near_one_and_of_unrelated_ones_is_not(planted):
    """Over seeds 0.98 +- 0.002 (centred 0.92 +- 0.04) and 0.36 +- 0.03 either way."""
    assert value(Alignment(), pair(*planted)) > 0.95
    useless = pair(planted[0], responses(mixed(9), seed=5))
    assert Alignment.higher_is_better
    assert value(Alignment(), useless) < 0.6
    assert value(Alignment(), pair(*planted), "greedy-centred") > 0.65 > value(Alignment(), useless, "greedy-centred")


def test_alignment_by_index_needs_the_right_order(planted):
    same = pair(planted[0], planted[0])
    assert value(Alignment(), same, "index") == pytest.approx(1.0)
    assert value(Alignment(), same, "published-index") == pytest.approx(1.0)
    assert value(Alignment(), pair(*planted), "index") < 0.7  # over seeds 0.20 +- 0.07
    with pytest.raises(Inapplicable, match="by index"):
        value(Alignment(), pair(*planted, paired=False), "index")


def test_duplicated_directions_align_but_not_once_what_is_common_is_removed():
    """K copies of one direction on either side: perfect by the paper's score, nothing once centred."""
    same = np.tile(mixed(0, 1), (K, 1))
    case = pair(responses(same, seed=1), responses(same, seed=2))
    assert value(Alignment(), case) > 0.95
    assert value(Alignment(), case, "published-greedy") > 0.9
    # 12 cosines of noise of 32 dimensions: their mean has a standard deviation of 1 / sqrt(12 * 32) = 0.051
    assert abs(value(Alignment(), case, "greedy-centred")) < 0.27


def test_a_common_change_at_both_signs_is_removed_too():
    """Edits of either sign that leave the manifold alike: the even part of the responses."""
    off = 3 * mixed(7, 1)
    case = pair(*(responses(mixed(s), seed=s, even=off[:, None]) for s in (1, 2)))
    plain = pair(*(responses(mixed(s), seed=s) for s in (1, 2)))
    assert value(Alignment(), case) > 0.8
    centred = value(Alignment(), plain, "greedy-centred")
    assert value(Alignment(), case, "greedy-centred") == pytest.approx(centred, abs=1e-5)


def test_recovery_of_planted_missing_attributes(planted):
    perfect, useless = (pair(*planted, missing=s, excluded=s) for s in ((0, 1), (20, 21)))
    assert AttributeRecovery.higher_is_better and not OffTargetRecovery.higher_is_better
    for protocol in ("greedy", "index"):
        score = AttributeRecovery().compute(perfect, protocol)
        assert score.value == 1.0 and score.details["missing"] == {"a0": 1.0, "a1": 1.0}
        assert score.details["unique"] == [12, 13, 14, 15]
        assert value(AttributeRecovery(), useless, protocol) <= 0.5  # no direction changes these most: 1/2 at best
        specific, vague = (value(OffTargetRecovery(), case, protocol) for case in (perfect, useless))
        assert specific < vague and score.details["specificity"] == pytest.approx(specific)
    assert value(AttributeRecovery(), perfect, "published-index") == 1.0


def test_recovery_of_four_copies_finds_one_attribute(planted):
    effect = mixed(0)
    effect[12:] = distinct(1, M)
    case = pair(responses(effect, seed=3), planted[1], missing=(0, 1, 2, 3))
    each = AttributeRecovery().compute(case, "index").details["missing"]
    assert each["a0"] == 1.0 and max(each["a1"], each["a2"], each["a3"]) <= 0.5


def test_without_missing_attributes_there_is_no_recovery(planted):
    with pytest.raises(Inapplicable, match="no readable attribute"):
        value(AttributeRecovery(), pair(*planted))
    with pytest.raises(Inapplicable, match="excludes nothing"):
        value(AttributeRecovery(), pair(*planted, missing=(0,)), "published-greedy")
    assert 0 < value(OffTargetRecovery(), pair(*planted)) < 1  # nothing missing: over all attributes
    readable = np.arange(M) > 0
    with pytest.raises(Inapplicable, match="no readable attribute"):
        value(AttributeRecovery(), pair(*planted, missing=(0,), readable=readable))
    with pytest.raises(Inapplicable, match="every attribute"):
        value(OffTargetRecovery(), pair(*planted, missing=tuple(range(M))))


# -- invariances --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
@pytest.mark.parametrize("protocol", HEADLINE)
def test_headline_scores_do_not_depend_on_anybodys_sign(planted, metric, protocol):
    a = pair(*planted, missing=(0, 5))
    b = pair(flipped(planted[0], [0, 3, 12, 14]), flipped(planted[1], [1, 3, 7]), missing=(0, 5))
    assert value(metric, a, protocol) == pytest.approx(value(metric, b, protocol), abs=1e-9)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
@pytest.mark.parametrize("protocol", ("greedy", "greedy-centred", "published-greedy"))
def test_greedy_scores_do_not_depend_on_the_order_of_directions(planted, metric, protocol):
    orders = [np.random.default_rng(s).permutation(K) for s in (0, 1)]
    a = pair(*planted, missing=(0, 5), excluded=(0, 5))
    b = pair(*(r.select(o) for r, o in zip(planted, orders)), missing=(0, 5), excluded=(0, 5))
    assert value(metric, a, protocol) == pytest.approx(value(metric, b, protocol), abs=1e-9)


def test_alignment_is_the_same_the_other_way_round(planted):
    assert not Alignment.ordered and AttributeRecovery.ordered
    for protocol in PAIR_PROTOCOLS:
        assert value(Alignment(), pair(*planted), protocol) == pytest.approx(
            value(Alignment(), pair(*planted[::-1]), protocol), abs=1e-9)


def test_unreadable_attributes_enter_published_scores_only(planted):
    readable = np.arange(M) != 5
    spoilt = []
    for r, seed in zip(planted, (1, 2)):
        noise = np.random.default_rng(seed).normal(size=r.plus.shape[:2]) * 50
        plus = r.plus.copy()
        plus[..., 5] += noise
        spoilt.append(Responses(r.before, plus, r.minus))
    for protocol, changes in (("greedy", False), ("published-greedy", True)):
        a, b = (value(Alignment(), pair(*x, readable=readable), protocol) for x in (planted, spoilt))
        assert (abs(a - b) > 1e-6) == changes
    score = AttributeRecovery().compute(pair(*planted, missing=(2, 6), readable=readable), "greedy")
    assert set(score.details["missing"]) == {"a2", "a6"} and score.details["attributes"] == M - 1


def test_standardised_logits_do_not_depend_on_the_oracles_scale(planted):
    steep = np.linspace(0.1, 5, M)
    scaled = [Responses(r.before * steep, r.plus * steep, r.minus * steep) for r in planted]
    for metric in METRICS:
        a, b = (pair(*x, missing=(0, 5)) for x in (planted, scaled))
        assert value(metric, a) == pytest.approx(value(metric, b), abs=1e-5)


# -- honesty ------------------------------------------------------------------------------------
def test_matching_and_scoring_on_the_same_samples_flatters_noise():
    """Directions without any mean change: the release's way aligns noise at about 0.3, two halves at 0."""
    rng, everyone = np.random.default_rng(0), np.ones((1, K), bool)
    published, matched, scored = [], [], []
    for s in range(20):
        noise = [responses(np.zeros((K, M)), seed=2 * s + side) for side in (0, 1)]
        published.append(value(Alignment(), pair(*noise), "published-greedy"))
        first, second = rng.normal(size=(2, 2, 1, K, M))  # [side, sign, K, M] of each half
        found = match(*first, everyone, everyone, 12, "greedy")
        i, j = found.pairs.T
        matched.append(found.cosines.mean())
        scored.append(cosine(second[0][0, i], second[1][0, j]).mean())
    assert np.mean(published) > 0.2  # one: 0.30 +- 0.04
    assert np.mean(matched) > 0.25  # one: 0.33 +- 0.02
    assert abs(np.mean(scored)) < 0.06  # 20 times 12 cosines in 32 dimensions: 5 times 1 / sqrt(20 * 12 * 32)


def test_dead_directions_are_neither_common_nor_unique(planted):
    effect = mixed(0)
    dead = [1, 4, 13]
    effect[dead] = 0
    case = pair(responses(effect, seed=3), planted[1], missing=(0,))
    for protocol in HEADLINE:
        score = AttributeRecovery().compute(case, protocol)
        used = {p[0] for p in score.details["pairs"]} | set(score.details["unique"])
        assert not used & set(dead)
        assert (score.details["dead_reference"], score.details["dead_client"]) == (3, 0)
    case = pair(case.reference, case.client, excluded=(0,))
    published = AttributeRecovery().compute(case, "published-index")
    assert published.details["dead_reference"] == 0 and 13 in published.details["unique"]


def test_pairs_that_cannot_be_made_align_nothing(planted):
    """Six live directions of twelve asked for: at best one half; none: 0, and nothing is recovered."""
    effect = mixed(0)
    effect[6:] = 0
    few = responses(effect, seed=3)
    score = Alignment().compute(pair(few, few), "greedy")
    assert len(score.details["pairs"]) == 6 and score.value == pytest.approx(0.5)
    nothing = responses(np.zeros((K, M)), seed=6)
    case = pair(nothing, planted[1], missing=(0,))
    for protocol in HEADLINE:
        assert value(Alignment(), case, protocol) == 0
        assert value(AttributeRecovery(), case, protocol) == 0


def test_the_unique_are_the_worst_matched_when_more_are_left_over():
    """The client has eight live directions, so eight of the reference's stay single; four of them count."""
    effect = mixed(0)
    client = effect.copy()
    client[8:] = 0
    effect[8:12] = client[:4] + 0.5 * effect[8:12]  # like something the client has, yet unmatched
    score = AttributeRecovery().compute(pair(responses(effect, seed=1, noise=0.3),
                                             responses(client, seed=2, noise=0.3), missing=(0,)), "greedy")
    assert sorted(p[0] for p in score.details["pairs"]) == list(range(8))
    assert score.details["unique"] == [12, 13, 14, 15]


def test_signs_are_chosen_from_what_happens_at_that_sign():
    """A saturated direction does nothing at +; its pair is made with -, and reported so."""
    d = mixed(0)
    one = responses(d, seed=1)
    still = responses(np.zeros((K, M)), seed=2)
    saturated = Responses(one.before, one.before + (still.plus - still.before), one.minus)
    score = Alignment().compute(pair(saturated, responses(d, seed=3)), "greedy")
    assert score.value > 0.95
    assert {(s, t) for _, _, s, t, _ in score.details["pairs"]} == {(-1, -1)}


def test_centring_ignores_dead_directions_and_keeps_what_differs():
    means = np.stack((mixed(0), -mixed(0)))
    alive = np.ones((2, K), bool)
    alive[:, 3] = False
    centred = Centring(means, alive)(means)
    odd = (centred[0] - centred[1]) / 2
    assert np.allclose((odd * Centring(means, alive).turn[:, None])[alive[0]].mean(0), 0)
    nobody = Centring(means, np.zeros((2, K), bool))
    assert np.array_equal(nobody(means), means)


# -- intervals and errors -----------------------------------------------------------------------
def test_intervals_hold_the_value_and_shrink_with_more_latents():
    widths = []
    for n in (96, 512):
        case = pair(*(responses(mixed(0), n=n, seed=s) for s in (1, 2)), n_match=n // 2)
        score = Alignment().compute(case, "greedy")
        assert score.ci_low < score.value < score.ci_high and score.n == n // 2
        widths.append(score.ci_high - score.ci_low)
        assert Alignment().compute(case, "greedy") == score  # the same seed, the same interval
    assert widths[1] < 0.6 * widths[0]


def test_the_interval_covers_the_score_of_fresh_latents():
    """95% intervals from 64 scoring latents against the spread of scores over fresh latents."""
    true = [mixed(0), mixed(1)]
    scores = [Alignment().compute(pair(*(responses(t, seed=10 * s + g) for g, t in enumerate(true))), "index", 100)
              for s in range(200)]
    spread = np.std([s.value for s in scores], ddof=1)
    half = np.mean([(s.ci_high - s.ci_low) / 2 for s in scores])
    assert 1.96 * spread == pytest.approx(half, rel=0.5)  # of 200 scores: 1.17 +- 0.06 times


def test_what_cannot_be_scored_says_why(planted):
    with pytest.raises(ValueError, match='no protocol "greed"'):
        value(Alignment(), pair(*planted), "greed")
    with pytest.raises(ValueError, match="expected 1 to 16"):
        pair(*planted, n_common=17)
    with pytest.raises(ValueError, match="both halves"):
        pair(*planted, n_match=127)
    with pytest.raises(ValueError, match="out of range"):
        pair(*planted, missing=(M,))
    with pytest.raises(ValueError, match="one flag for each of 32"):
        pair(*planted, readable=[True])


def test_called_names_each_unique_direction_after_its_largest_change():
    size = np.array([[[0.1, 0.9, 0.2], [0.0, 0.8, 0.3], [0.7, 0.1, 0.1]]])
    assert called(size).tolist() == [[True, True, False]]
    assert called(size[:, :0]).tolist() == [[False, False, False]]

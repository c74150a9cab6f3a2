"""Metrics against the numbers of the xGA and ContraFeat releases."""


import helpers
import numpy as np
import pytest
from scipy.special import logit

from dirbench.errors import Inapplicable
from dirbench.matching import cosine, cosine_matrix, greedy_pairs
from dirbench.metric import PairInputs, SingleInputs
from dirbench.metrics.alignment import Alignment
from dirbench.metrics.attribute_recovery import AttributeRecovery, best_reciprocal_ranks
from dirbench.metrics.deviation import Deviation
from dirbench.metrics.entropy import Entropy
from dirbench.metrics.n_discov import NDiscov
from dirbench.metrics.s_disen import SDisen
from dirbench.responses import Responses

pytestmark = pytest.mark.numeric
GOLDEN = helpers.GOLDEN


@pytest.fixture(scope="module")
def xga():
    return np.load(GOLDEN / "xga_metrics.npz")


@pytest.fixture(scope="module")
def contrafeat():
    return np.load(GOLDEN / "contrafeat_eval.npz")


def of_probability_change(change: np.ndarray) -> Responses:
    """Responses of 4 equal samples whose probabilities change by ``change`` [K, M], from one half."""
    plus = np.repeat(logit(0.5 + change)[:, None], 4, axis=1)
    return Responses(np.zeros(plus.shape[1:]), plus, plus)


def of_logit_change(change: np.ndarray) -> Responses:
    """Responses whose logits change by ``change`` [K, N, M], from zero, for +strength only."""
    return Responses(np.zeros(change.shape[1:]), change, np.zeros(change.shape))


def single(responses: Responses) -> SingleInputs:
    return SingleInputs(responses, 2, [f"a{i}" for i in range(responses.before.shape[1])])


@pytest.fixture(scope="module")
def gans(xga):
    # the release's change is original minus edited; a fifth of it fits into probabilities, and no score sees
    # the scale
    return [of_probability_change(-xga[f"change_gan{g}"].astype(float) / 5) for g in (1, 2)]


def inputs(gans, n_unique, excluded=(), names=range(40)) -> PairInputs:
    return PairInputs(*gans, 2, 16 - n_unique, True, list(names), excluded=tuple(excluded))


def test_greedy_order_and_cosines(xga):
    cosines = cosine_matrix(xga["change_gan1"].astype(float), xga["change_gan2"].astype(float))
    np.testing.assert_allclose(cosines, xga["cosine_matrix"], atol=3e-6)
    pairs = np.array(greedy_pairs(cosines))
    np.testing.assert_array_equal(pairs[:, 0], xga["greedy_order_gan1"])
    np.testing.assert_array_equal(pairs[:, 1], xga["greedy_order_gan2"])
    np.testing.assert_allclose(cosines[pairs[:, 0], pairs[:, 1]], xga["greedy_cosines_in_order"], atol=3e-6)


def test_greedy_ties_go_to_the_lowest_indices():
    assert greedy_pairs(np.ones((3, 3))) == [(0, 0), (1, 1), (2, 2)]
    assert greedy_pairs(np.array([[0.5, 0.9], [0.9, 0.5]]), 1) == [(0, 1)]


def test_alignment_as_published(xga, gans):
    for n_unique, expected in zip(xga["greedy_cutoffs_number_unique"],
                                  xga["greedy_alignment_mean_cosine_per_cutoff"]):
        score = Alignment().compute(inputs(gans, int(n_unique)), "published-greedy")
        assert score.value == pytest.approx(expected, abs=1e-5)
    score = Alignment().compute(inputs(gans, 4), "published-index")
    assert score.value == pytest.approx(float(xga["paired_overlap_cosine"]), abs=1e-5)
    changes = [xga[f"change_gan{g}"][:12].astype(float) for g in (1, 2)]
    assert cosine(*changes).mean() == pytest.approx(float(xga["paired_overlap_cosine"]), abs=1e-6)


@pytest.mark.parametrize("g", (1, 2))
def test_reciprocal_ranks(xga, g):
    size = np.abs(xga[f"change_gan{g}"].astype(float))[:, None]
    np.testing.assert_allclose(best_reciprocal_ranks(size, tuple(range(40))), xga[f"reciprocal_rank_gan{g}"])


@pytest.mark.parametrize("g", (1, 2))
def test_recovery_as_published(xga, gans, g):
    """GAN 1's unique directions are asked for what GAN 2's class excludes, and the other way round."""
    own = gans if g == 1 else gans[::-1]
    for c, mask in enumerate(xga["excluded_attribute_mask"]):
        where = (0, c) if g == 1 else (c, 0)
        expected = {n: xga[f"greedy_recovery_gan{g}"][where][i]
                    for i, n in enumerate(xga["greedy_cutoffs_number_unique"])}
        for n_unique, value in expected.items():
            case = inputs(own, int(n_unique), np.flatnonzero(mask))
            if not mask.any():  # the release says 0 there
                with pytest.raises(Inapplicable, match="excludes nothing"):
                    AttributeRecovery().compute(case, "published-greedy")
                continue
            score = AttributeRecovery().compute(case, "published-greedy")
            assert score.value == pytest.approx(value, abs=1e-9)
        if mask.any():
            score = AttributeRecovery().compute(inputs(own, 4, np.flatnonzero(mask)), "published-index")
            assert score.value == pytest.approx(xga[f"paired_recovery_gan{g}"][where], abs=1e-9)


def test_entropy_as_released(xga):
    before, after = (xga[f"entropy_pred_{which}_times512"] / 512 for which in ("original", "edited"))
    each = []
    for b, a in zip(before, after):  # every direction of the fixture has its own originals
        b, a = (logit(np.clip(p, 1e-7, 1 - 1e-7)) for p in (b, a))
        each.append(Entropy().compute(single(Responses(b, a[None], a[None])), "published").value)
    np.testing.assert_allclose(each, xga["entropy_per_direction"], atol=1e-7)
    assert np.mean(each) == pytest.approx(float(xga["entropy_score"]), abs=1e-7)
    scaled = [Entropy().compute(single(of_logit_change(10 * (a - b)[None])), "published-logits").value
              for b, a in zip(before, after)]
    assert np.mean(scaled) == pytest.approx(float(xga["entropy_score_predictions_scaled_by_10"]), abs=1e-6)


def test_published_entropy_hardly_moves_and_is_not_monotone(xga):
    expected = xga["entropy_when_m_attributes_change_by_one_m0to40"]
    values = [Entropy().compute(single(of_logit_change(np.tile((np.arange(40) < m) * 1.0, (1, 4, 1)))),
                                "published-logits").value for m in range(41)]
    np.testing.assert_allclose(values, expected, atol=1e-6)
    assert max(values) - min(values) < 0.0032 and values[14] < values[1]


def test_deviation_as_released(xga):
    change = (xga["diversity_logits_edited_times16"].astype(float)
              - xga["diversity_logits_original_times16"].astype(float)) / 16
    case = single(of_logit_change(change))
    assert Deviation().compute(case, "published-logits").value == pytest.approx(float(xga["diversity_score"]),
                                                                                abs=1e-7)
    means = Deviation().prepare(case, "published-logits").means
    np.testing.assert_allclose(means, xga["diversity_mean_softmax_profile"], atol=1e-6)
    assert Entropy().compute(case, "published-logits").value == pytest.approx(
        float(xga["diversity_entropy_of_same_predictions_mean_over_attributes"]), abs=1e-6)


@pytest.mark.parametrize("m", (24, 15))
def test_contrafeat_as_released(contrafeat, m):
    shift = contrafeat["eval_per_sample_score_shift"][:, :, contrafeat[f"eval_attr_subset_{m}"]]
    forward = of_logit_change(shift)  # moved backward is the origin, so forward minus backward is the shift
    assert SDisen().compute(single(forward), "published").value == pytest.approx(
        float(contrafeat[f"eval_S_disen_{m}"]), abs=1e-6)
    assert NDiscov().compute(single(forward), "published").value == int(contrafeat[f"eval_N_discov_{m}"])


def test_contrafeat_as_written(contrafeat):
    case = single(of_logit_change(contrafeat["eval_per_sample_score_shift"]))
    assert SDisen().compute(case, "published-paper").value == pytest.approx(
        float(contrafeat["paper_S_disen_24_all_rows"]), abs=1e-6)
    assert NDiscov().compute(case, "published-paper").value == int(contrafeat["paper_N_discov_24_all_rows"])
    np.testing.assert_allclose(SDisen().prepare(case, "published-paper").means,
                               contrafeat["paper_mean_abs_matrix"], atol=1e-6)

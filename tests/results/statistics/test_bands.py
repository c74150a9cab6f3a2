"""Bands of chance: wide where one GAN is in every cell, and right about how many new runs fall inside."""

import numpy as np
import pytest

from dirbench.results.statistics.chance import band

pytestmark = pytest.mark.numeric


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
        scores = score(rng.normal(size=runs), rng.normal(size=(7, others)))
        new = rng.normal(size=seeds).mean() + 0.7 * rng.normal(size=(7, seeds)).mean()
        found = band(scores, seeds=seeds, draws=400)
        return found.low <= new <= found.high, found.high - found.low

    many, few = (np.array([inside(*sizes) for _ in range(2000)]).mean(0) for sizes in ((12, 3), (4, 4)))
    # shares of 2000, by 5 * sqrt(0.95 * 0.05 / 2000); with 4 runs a little under 95%
    assert 0.925 <= many[0] <= 0.975 and 0.91 <= few[0] <= 0.97
    assert many[1] < 0.8 * few[1]  # 0.73 +- 0.01 and 0.67 +- 0.01

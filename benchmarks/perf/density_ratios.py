"""Goal 13: a step of the density ratios on features that are there, beside one that makes its images first."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from dirbench.benchmarks.perf.report import Row
from dirbench.benchmarks.perf.setup import Setup
from dirbench.benchmarks.perf.timing import Ratio, interleaved
from dirbench.oracles.networks.density_ratio import DensityRatio, adam, feature_pools, train_step

BATCH = 32


def measure(setup: Setup) -> Iterator[Row]:
    """Sampling, synthesis, embedding and step over drawing rows of cached features and step."""
    width, n = setup.extractor.width, setup.sizes.pool
    rng = torch.Generator().manual_seed(0)
    pools = torch.nn.functional.normalize(torch.rand(2, n, width, generator=rng), dim=2)
    ratio = DensityRatio(width, rng=rng)
    optimizer = adam(ratio, 1e-2)

    def again() -> None:
        train_step(ratio, optimizer, *(feature_pools(g, [setup.extractor], BATCH, rng, BATCH)[0] for g in setup.pair))

    def cached() -> None:
        train_step(ratio, optimizer, *(pool[torch.randint(n, (BATCH,), generator=rng)] for pool in pools))

    found = interleaved({"again": again, "cached": cached}, setup.repeats)
    yield Row(13, f"density-ratio step of {BATCH} rows a GAN: images made anew, by this generator / cached features",
              20, 28, Ratio.of(found["again"], found["cached"]), at_most=False)

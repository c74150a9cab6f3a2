"""Pools: features of images of one GAN, sampled and embedded once, whatever pairs the GAN is in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from dirbench.benchmarks.config.suite import Extractor
from dirbench.benchmarks.stages.lab import Lab
from dirbench.benchmarks.stages.stage import Cell, Progress, Stage
from dirbench.benchmarks.stages.work import Work
from dirbench.method import Context
from dirbench.oracles.networks.density_ratio import feature_pools
from dirbench.results.artifacts.store import Step


def pool_step(lab: Lab, gan: str, which: Extractor) -> Step:
    """What a pool depends on."""
    return lab.cached_step(("pool", gan, which.key), lambda: _pool_step(lab, gan, which))


def _pool_step(lab: Lab, gan: str, which: Extractor) -> Step:
    sizes, identity = lab.design.sizes, lab.gans.hash(gan)
    return lab.step("pool", (lab.gans.module(gan), lab.extractor_module(which),
                             "dirbench.oracles.networks.density_ratio"), sizes.ratio.pool, f"pool of {identity}",
                    gan=identity, size=sizes.ratio.pool, extractor=lab.extractor_fingerprint(which), chunk=sizes.chunk)


def pools(lab: Lab, gan: str, extractors: Sequence[Extractor]) -> list[torch.Tensor]:
    """[n, F] features of ``gan`` in each extractor; all that are not there yet look at the same images."""
    made: dict[str, torch.Tensor] = {}

    def build(which: Extractor, folder: Path) -> None:
        if which.key not in made:
            missing = [e for e in extractors if not lab.store.has(pool_step(lab, gan, e))]
            features = feature_pools(lab.generator(gan), [lab.extractor(e) for e in missing],
                                     lab.design.sizes.ratio.pool, Context().rng("pool", lab.gans.hash(gan)),
                                     lab.design.sizes.chunk)
            made.update(zip([e.key for e in missing], features))
        np.save(folder / "features.npy", made[which.key].cpu().numpy().astype(np.float16))

    folders = [lab.store.make(pool_step(lab, gan, which), partial(build, which)) for which in extractors]
    return [torch.from_numpy(np.load(f / "features.npy")).float().to(lab.design.device) for f in folders]


class PoolStage(Stage):
    """A cell a GAN, for all extractors at once.

    Where one extractor fails, each ratio makes the pools it needs: so only those of the broken extractor fail.
    """

    kind = "pool"
    spares = True

    def cells(self, work: Work) -> Iterator[Cell]:
        job = work.job
        needing = [entry for entry in job.suite.methods if "density_ratio" in job.method(entry).needs]
        used = {which.key: which for which in map(job.extractor, needing)}
        for gan in dict.fromkeys(gan for pair in job.trained_pairs() for gan in pair) if used else ():
            steps = tuple(pool_step(work.lab, gan, which) for which in used.values())
            yield Cell(f"pool/{gan}", self.kind, (gan,), steps=steps, weight=sum(2 * step.images for step in steps),
                       details={"extractors": tuple(used.values())})

    def make(self, work: Work, cell: Cell, progress: Progress) -> list[dict]:
        pools(work.lab, cell.gans[0], cell.details["extractors"])
        return []

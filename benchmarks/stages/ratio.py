"""Ratios: how likely an image is under one GAN against another, in feature space."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dirbench.benchmarks.config.suite import Extractor
from dirbench.benchmarks.stages.lab import Discovery, Lab
from dirbench.benchmarks.stages.pool import pool_step, pools
from dirbench.benchmarks.stages.stage import Cell, Progress, Stage, cell_id
from dirbench.benchmarks.stages.work import Work
from dirbench.method import Context
from dirbench.oracles.networks.density_ratio import DensityRatio, train_density_ratio
from dirbench.results.artifacts.store import Step

WEIGHT = 20.0  # of a training step, in plain images


def ratio_step(lab: Lab, gans: tuple[str, ...], which: Extractor, loss: str, seed: int) -> Step:
    """What a ratio depends on."""
    sizes = lab.design.sizes.ratio
    return lab.step("ratio", ("dirbench.oracles.networks.density_ratio",), loss=loss, seed=seed, steps=sizes.steps,
                    batch=sizes.batch, pools=[pool_step(lab, g, which).key for g in gans])


def ratio_of(lab: Lab, found: Discovery) -> Step:
    """What the ratio depends on that a method needs for a search."""
    return ratio_step(lab, found.gans, found.extractor, found.ratio_loss, found.seed)


def ratio(lab: Lab, found: Discovery) -> DensityRatio:
    """The trained ratio that a method needs for a search on a pair."""
    step, sizes = ratio_of(lab, found), lab.design.sizes.ratio
    lab.inputs_first(step, lambda: [pools(lab, g, [found.extractor]) for g in found.gans])

    def build(folder: Path) -> None:
        rng = Context(found.seed).rng("ratio", found.ratio_loss, *map(lab.gans.hash, found.gans))
        reference, client = (pools(lab, g, [found.extractor])[0] for g in found.gans)
        train_density_ratio(reference, client, loss=found.ratio_loss, steps=sizes.steps, batch=sizes.batch,
                            rng=rng).save(folder / "ratio.safetensors")

    return DensityRatio.load(lab.store.make(step, build) / "ratio.safetensors").to(lab.design.device)


class RatioStage(Stage):
    """A cell a search by a method that needs a ratio; methods may share one, which is made once."""

    kind = "ratio"
    after = ("pool",)

    def cells(self, work: Work) -> Iterator[Cell]:
        for entry in work.job.suite.methods:
            for found in work.discoveries(entry) if "density_ratio" in work.job.method(entry).needs else ():
                yield Cell(cell_id(self.kind, entry, found.gans, found.seed), self.kind, found.gans, entry, found.seed,
                           tuple(f"pool/{g}" for g in found.gans), (ratio_of(work.lab, found),),
                           WEIGHT * work.lab.design.sizes.ratio.steps)

    def make(self, work: Work, cell: Cell, progress: Progress) -> list[dict]:
        ratio(work.lab, work.discovery(cell.of_method, cell.gans, cell.seed))
        return []

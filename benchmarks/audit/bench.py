"""The workbench of an audit: any two generators in place of a zoo, and a reader in place of the scoring oracle."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import cast

from dirbench.benchmarks.audit.inputs import Subjects
from dirbench.benchmarks.audit.pictures import Row, sheet
from dirbench.benchmarks.audit.reading import Reader
from dirbench.benchmarks.config.job import Job, Pair
from dirbench.benchmarks.config.profile import Profile
from dirbench.benchmarks.config.suite import Entry, Extractor, Suite
from dirbench.benchmarks.stages.lab import SHEET_LATENTS, SHEET_STRENGTHS, Workbench
from dirbench.benchmarks.stages.latents import evaluation_latents
from dirbench.benchmarks.zoo.zoo import Zoo
from dirbench.methods.xga import XGA
from dirbench.oracle import AttributeOracle
from dirbench.plugins import METHODS


def make_job(pair: Pair, control: Pair | None, profile: Profile, seed: int, steps: int | None, extractor: Extractor,
             oracle: str, device: str, store: str) -> Job:
    """An audit as a suite of one method; profiles say its sizes, ``steps`` overrides the training's length."""
    entry = Entry(name="xga", params={} if steps is None else {"n_steps": steps})
    method = cast(XGA, METHODS.build(entry.name, profile.methods.get(entry.name, {}) | entry.params))
    suite = Suite(suite="audit", version=1, title="Audit of a client against a reference", zoo="mini", oracle=oracle,
                  extractor=extractor, gans=list(pair), controls=[list(control)] if control else [],
                  reference=pair[0], pairs="reference", alpha=method.alpha, n_directions=method.n_directions,
                  n_common=method.n_common, methods=[entry], metrics=[])
    return Job(suite, profile.model_copy(update={"gans": None, "seeds": [seed]}), device, store)


class AuditBench(Workbench):
    """Makes an audit's artifacts through the store: what an interrupted audit has made, it does not make again."""

    def __init__(self, job: Job, subjects: Subjects, judge: AttributeOracle | None) -> None:
        super().__init__(job)
        self.zoo = cast(Zoo, subjects)  # they are what an audit asks of a zoo: load, hash, module and title
        self.judge = judge

    @cached_property
    def oracle(self) -> Reader:
        """Reads attributes and features."""
        return Reader(self.judge, self.extractor(self.job.extractor())).to(self.job.device)

    def pictures(self, pair: Pair, seed: int, title: str, rows: list[Row]) -> Path:
        """The PNG of the traversals that ``rows`` ask for."""
        entry, = self.job.suite.methods
        alpha = self.job.suite.alpha
        step = self._step("audit-sheet", ("dirbench.benchmarks.audit.pictures", "dirbench.benchmarks.stages.latents",
                                          *map(self._generator_module, pair)),
                          len(rows) * SHEET_LATENTS * len(SHEET_STRENGTHS), latents=SHEET_LATENTS, seed=seed,
                          directions=self.directions_step(entry, pair, seed).key, strengths=SHEET_STRENGTHS,
                          alpha=alpha, gans=[self.zoo.hash(g) for g in pair], title=title,
                          rows=[[row.side, row.direction, row.sign, row.label, row.facts] for row in rows])

        def build(folder: Path) -> None:
            found = self.directions(entry, pair, seed)
            generators = [self.generator(g) for g in pair]
            latents = [evaluation_latents(g, d.space, SHEET_LATENTS, seed) for g, d in zip(generators, found)]
            sheet(folder / "sheet.png", generators, found, latents, [alpha * s for s in SHEET_STRENGTHS], title, rows)

        return self.store.make(step, build) / "sheet.png"

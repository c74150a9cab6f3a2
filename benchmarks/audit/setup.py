"""How an audit is set up: a lab with two generators and a control, xGA, and a reader of attributes and features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from dirbench.benchmarks.audit.inputs import Subjects
from dirbench.benchmarks.audit.reading import Reader
from dirbench.benchmarks.config.job import sized_extractor, sized_method
from dirbench.benchmarks.config.profile import Profile
from dirbench.benchmarks.config.suite import Extractor
from dirbench.benchmarks.stages.lab import Design, Discovery, Lab
from dirbench.methods.xga import XGA
from dirbench.oracle import AttributeOracle
from dirbench.plugins import EXTRACTORS
from dirbench.results.artifacts.store import Store

Pair = tuple[str, str]


@dataclass(frozen=True, eq=False)
class AuditSetup:
    """A lab, and what an audit has it do.

    Attributes:
        reader: what the lab reads images with.
        title: of the generators' zoo.
    """

    lab: Lab
    method: XGA
    reader: Reader
    seed: int
    title: str

    @classmethod
    def of(cls, reference: str, subjects: Subjects, profile: Profile, seed: int, steps: int | None,
           extractor: Extractor, oracle: AttributeOracle | None, device: str, store: str) -> AuditSetup:
        """Set up for an audit: profiles say its sizes, ``steps`` overrides the training's length."""
        sizes = profile.model_copy(update={"gans": None, "seeds": [seed]})
        method = cast(XGA, sized_method(XGA.name, sizes, {}, {} if steps is None else {"n_steps": steps}))
        which = sized_extractor(extractor, sizes)
        reader = Reader(oracle, EXTRACTORS.build(which.name, which.params)).to(device)
        design = Design(sizes, method.alpha, method.n_directions, method.n_common, reference, device,
                        which)
        return cls(Lab(design, subjects, reader, None, Store(store)), method, reader, seed, subjects.title)

    def discovery(self, pair: Pair) -> Discovery:
        """xGA's search on two generators."""
        return Discovery(self.method.name, self.method, pair, self.seed, self.lab.design.extractor)

"""The lab: generators, oracles and extractors, the store, and what every stage shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import version
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import torch

from dirbench.benchmarks.config.profile import Profile
from dirbench.benchmarks.config.suite import Extractor
from dirbench.benchmarks.stages.lending import Misused
from dirbench.errors import NotApplicable
from dirbench.generator import Generator
from dirbench.oracle import AttributeOracle, FeatureExtractor
from dirbench.plugins import EXTRACTORS, Method
from dirbench.results.artifacts.store import Step, Store

Made = TypeVar("Made")


class Gans(Protocol):
    """Generators by name: a zoo is one, and so are the two of an audit."""

    def load(self, name: str, device: torch.device | str) -> Generator:
        """The generator, frozen, on ``device``."""

    def hash(self, name: str) -> str:
        """What it is to the store."""

    def module(self, name: str) -> str:
        """The module whose code its images depend on."""


@dataclass(frozen=True)
class Design:
    """What all stages of one piece of work have in common.

    Attributes:
        sizes: how much is spent.
        alpha: the strength of edits, in units of the latent space.
        n_directions, n_common: of random runs, and of every method that does not say otherwise.
        reference: the GAN that most pairs have; its chance level may rest on more random runs.
        extractor: what images are compared with, unless a method has its own.
    """

    sizes: Profile
    alpha: float
    n_directions: int
    n_common: int
    reference: str
    device: str
    extractor: Extractor

    @property
    def n_latents(self) -> int:
        """How many latents directions are matched and scored on."""
        return self.sizes.latents.match + self.sizes.latents.score


@dataclass(frozen=True, eq=False)
class Discovery:
    """A search for directions.

    Attributes:
        label: of the method with its variant.
        gans: one GAN, or the (reference, client) pair of a paired method.
        extractor: what the method compares images with, if it needs one.
    """

    label: str
    method: Method
    gans: tuple[str, ...]
    seed: int
    extractor: Extractor

    @property
    def place(self) -> tuple:
        """What tells it from the other searches of one piece of work."""
        return self.label, self.gans, self.seed

    @property
    def ratio_loss(self) -> str:
        """What the density ratio is trained with; only methods that need one say so."""
        return cast(Any, self.method).ratio_loss


class Lab:
    """Loads what stages ask for, and keeps their artifacts in the store.

    Attributes:
        oracle: what reads images for scores; None where nothing is scored.
        teacher: the oracle that supervised methods learn from; None where there is none.
    """

    def __init__(self, design: Design, gans: Gans, oracle: AttributeOracle | None, teacher: AttributeOracle | None,
                 store: Store) -> None:
        self.design, self.gans, self.oracle, self.teacher, self.store = design, gans, oracle, teacher, store
        self.versions = {"torch": torch.__version__.split("+")[0], "numpy": np.__version__,
                         "scikit-learn": version("scikit-learn"), "device": torch.device(design.device).type}
        self.generator: Callable[[str], Generator] = lru_cache(2)(self._load)
        self._steps: dict[tuple, object] = {}
        self._extractors: dict[str, FeatureExtractor] = {}
        self._extractor_fingerprints: dict[str, str] = {}

    # -- generators and readers of images ------------------------------------------------------------------
    def _load(self, name: str) -> Generator:
        return self.gans.load(name, self.design.device)

    @contextmanager
    def lent(self, cls: type, name: str, gans: Sequence[str]) -> Iterator[None]:
        """``gans`` are in the hands of a method or metric. Raises Misused if it changes them; they are loaded anew."""
        before = {gan: (self.generator(gan), self.generator(gan).fingerprint()) for gan in gans}
        try:
            yield
        finally:
            changed = [gan for gan, (generator, was) in before.items() if generator.fingerprint() != was]
            if changed:  # nobody else may see these
                self.generator = lru_cache(2)(self._load)
        if changed:
            raise Misused(f"{name} changes the weights or buffers of {' and '.join(changed)}: a generator must stay as "
                          "it is; work on a copy (copy.deepcopy)", cls)

    @property
    def scoring_oracle(self) -> AttributeOracle:
        """The oracle, for work that cannot do without. Raises NotApplicable where there is none."""
        if self.oracle is None:
            raise NotApplicable("an attribute oracle is to read images, and the suite names none (oracle:)")
        return self.oracle

    def extractor(self, which: Extractor) -> FeatureExtractor:
        """The features that methods compare images in; only the last one asked for stays in memory."""
        if which.key not in self._extractors:
            self._extractors.clear()
            self._extractors[which.key] = EXTRACTORS.build(which.name, which.params).to(self.design.device)
        return self._extractors[which.key]

    def extractor_fingerprint(self, which: Extractor) -> str:
        """The extractor's fingerprint."""
        if which.key not in self._extractor_fingerprints:
            self._extractor_fingerprints[which.key] = self.extractor(which).fingerprint()
        return self._extractor_fingerprints[which.key]

    def extractor_module(self, which: Extractor) -> str:
        """The module whose code the extractor's features depend on."""
        return EXTRACTORS.check(which.name, which.params).__module__

    @cached_property
    def fingerprints(self) -> dict[str, str]:
        """Fingerprints of the oracle, the common extractor and the teacher; "none" for what there is not."""
        return {"oracle": self.oracle.fingerprint() if self.oracle else "none",
                "extractor": self.extractor_fingerprint(self.design.extractor),
                "teacher": self.teacher.fingerprint() if self.teacher else "none"}

    # -- steps -----------------------------------------------------------------------------------------------
    def step(self, kind: str, modules: tuple[str, ...], images: int = 0, one_pass: str = "", **inputs: Any) -> Step:
        """A step that depends on this lab's versions, too."""
        return Step(kind, modules, inputs, self.versions, images, one_pass)

    def cached_step(self, place: tuple, make: Callable[[], Made]) -> Made:
        """The step (or steps) of ``place``, put together once: a plan asks for each many times."""
        if place not in self._steps:
            self._steps[place] = make()
        return cast(Made, self._steps[place])

    def inputs_first(self, step: Step, make: Callable[[], object]) -> None:
        """Makes what ``step`` needs before its own clock starts, unless it is there already."""
        if not self.store.has(step):
            make()

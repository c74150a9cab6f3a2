"""A job: one suite under one profile on one device, with every choice made; it travels to the workers as it is.

``make_job`` makes one from the names that a user gives, on the command line or in Python.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dirbench import places
from dirbench.benchmarks.config.device import usable_device
from dirbench.benchmarks.config.errors import ConfigError
from dirbench.benchmarks.config.profile import Profile
from dirbench.benchmarks.config.suite import Entry, Extractor, Suite, load_profile, load_suite
from dirbench.benchmarks.config.zoo_and_oracles import fit_profile, on_zoo
from dirbench.plugins import EXTRACTORS, METHODS, METRICS, Method, method_group

Pair = tuple[str, str]


def sized_method(name: str, profile: Profile, common: Mapping[str, Any], own: Mapping[str, Any]) -> Method:
    """A method at the profile's sizes.

    Args:
        common: settings that all methods have in common, which the profile may override.
        own: of this one, which nothing overrides.
    """
    sizes = dict(profile.methods.get(name, {}))
    if "per_step" in sizes and "n_directions" in (asked := {**common, **own}):
        sizes["per_step"] = min(sizes["per_step"], asked["n_directions"])  # fewer are all trained in each step
    return METHODS.build(name, {**common, **sizes, **own})


def sized_extractor(chosen: Extractor, profile: Profile) -> Extractor:
    """An extractor at the profile's input size, if it can choose, unless it says its own."""
    known = inspect.signature(EXTRACTORS.check(chosen.name, chosen.params)).parameters
    sizes = {k: v for k, v in profile.extractor.model_dump(exclude_none=True).items() if k in known}
    return Extractor(name=chosen.name, params=sizes | chosen.params)


@dataclass(frozen=True)
class Job:
    """What is to be computed, and where. ``digest`` names it."""

    suite: Suite
    profile: Profile
    device: str
    store: str

    @property
    def gans(self) -> list[str]:
        """The compared GANs, in the suite's order (the controls' extra GANs are not among them).

        Those that the profile names, where the suite has all of them; else all of the suite's.
        """
        return [g for g in self.suite.gans if self._chosen is None or g in self._chosen]

    @property
    def controls(self) -> list[Pair]:
        """Same-data pairs; left out when a profile names its GANs and the control's are not among them."""
        if self.suite.pairs == "none":
            return []
        return [(a, b) for a, b in self.suite.controls if self._chosen is None or {a, b} <= self._chosen]

    @property
    def _chosen(self) -> set[str] | None:
        chosen = set(self.profile.gans or ())
        return chosen if chosen and chosen <= set(self.suite.gans) else None

    @property
    def left_out(self) -> list[str]:
        """The suite's GANs that the profile leaves out, those of controls too."""
        return [gan for gan in self.suite.everyone if gan not in self.all_gans]

    @property
    def all_gans(self) -> list[str]:
        """The compared GANs and the controls' extra ones."""
        return list(dict.fromkeys([*self.gans, *itertools.chain(*self.controls)]))

    @property
    def pairs(self) -> str:
        """"reference", "all" or "none": the suite's word, or else the profile's."""
        return self.suite.pairs or self.profile.pairs

    def ordered_pairs(self) -> list[Pair]:
        """(reference, client) for every two GANs, both ways round, and the controls; or what the suite restricts to."""
        pairs = [] if self.suite.pairs == "none" else itertools.permutations(self.gans, 2)
        if self.suite.pairs == "reference":
            pairs = ((a, b) for a, b in pairs if a == self.suite.reference)
        return [*pairs, *self.controls]

    def trained_pairs(self) -> list[Pair]:
        """The pairs that a paired method is trained on: with the suite's reference, or all; and the controls."""
        pairs = [] if self.suite.pairs == "none" else itertools.combinations(self.gans, 2)
        if self.pairs == "reference":
            pairs = ((a, b) for a, b in pairs if self.suite.reference in (a, b))
        return [*pairs, *self.controls]

    def method(self, entry: Entry) -> Method:
        """The method with its settings: published defaults < suite sizes < profile < the entry's own."""
        if entry.label not in self._methods:
            params = {"n_directions": self.suite.n_directions}
            if METHODS.get(entry.name).paired:
                params["n_common"] = self.suite.n_common
            self._methods[entry.label] = sized_method(entry.name, self.profile, params, entry.params)
        return self._methods[entry.label]

    def extractor(self, entry: Entry | None = None) -> Extractor:
        """What an entry compares images with: its own extractor or the suite's, at the profile's size if it can."""
        chosen = (entry.extractor if entry else None) or self.suite.extractor
        if chosen.key not in self._extractors:
            self._extractors[chosen.key] = sized_extractor(chosen, self.profile)
        return self._extractors[chosen.key]

    @cached_property
    def _methods(self) -> dict[str, Method]:
        return {}  # a plan asks for each method hundreds of times

    @cached_property
    def _extractors(self) -> dict[str, Extractor]:
        return {}

    def describe(self) -> dict:
        """Everything that was decided, JSON-able; where the store lies is no part of it."""
        return {"suite": self.suite.model_dump(), "profile": self.profile.model_dump(), "device": self.device}

    def digest(self) -> str:
        """16 hex digits over ``describe()``."""
        return hashlib.sha256(json.dumps(self.describe(), sort_keys=True).encode()).hexdigest()[:16]


def make_job(suite: str, profile: str = "mini", *, methods: Sequence[str] = (), metrics: Sequence[str] = (),
             seeds: Sequence[int] = (), pairs: str | None = None, zoo: str | None = None, oracle: str | None = None,
             teacher: str | None = None, device: str = "auto", store: str | Path | None = None) -> Job:
    """The job of a suite under a profile, with what is given in place of their own; nothing is computed or written.

    Args:
        suite, profile: names that ``list`` has, or paths of YAML files.
        methods: names, or ``core`` or ``all``; a suite's entries of these names keep their settings.
        pairs: "reference" or "all": what paired methods are trained on.
        zoo, oracle, teacher: see ``on_zoo``.
        device: as torch calls it, or "auto": a GPU if there is one.
        store: the artifact store's folder; by default that of ``DIRBENCH_STORE``, or ``results/store``.
    Raises:
        ValueError: something has no such name or cannot be used together; the sentence says what, and what is known.

    >>> job = make_job("celeba_subsets", "smoke", methods=["sefa"], seeds=[3], device="cpu")
    >>> [entry.label for entry in job.suite.methods], job.profile.seeds
    (['sefa'], [3])
    """
    chosen = load_suite(suite)
    sizes = fit_profile(load_profile(profile), chosen)
    if methods:
        chosen = chosen.model_copy(update={"methods": _entries(chosen, methods)})
    if metrics:
        chosen = chosen.model_copy(update={"metrics": [METRICS.get(name).name for name in metrics]})
    chosen = on_zoo(chosen, zoo, oracle, teacher)
    if pairs:
        if chosen.pairs == "none":
            raise ConfigError(f"--pairs {pairs}: suite {chosen.suite} has no pairs of GANs (it compares "
                              f"{', '.join(chosen.gans)}; pairs: none)")
        sizes = sizes.model_copy(update={"pairs": pairs})
        chosen = chosen.model_copy(update={"pairs": chosen.pairs and pairs})
    chosen.check_pairs_fit()
    if seeds:
        sizes = sizes.model_copy(update={"seeds": list(seeds)})
    return Job(chosen, sizes, usable_device(device), str(places.store(store)))


def _entries(suite: Suite, methods: Sequence[str]) -> list[Entry]:
    """The suite's own entries of these methods, and the methods as they are where it has none."""
    names = dict.fromkeys(name for word in methods for name in
                          (method_group(word) if word in ("core", "all") else [METHODS.get(word).name]))
    own = {name: [entry for entry in suite.methods if entry.name == name] for name in names}
    return [entry for name in names for entry in own[name] or [Entry(name=name)]]

"""What an audit compares: generators by file, specification or name, and the oracle that may read their images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from dirbench.benchmarks.checkpoints import CheckpointError
from dirbench.benchmarks.checkpoints.reading import sha256_of
from dirbench.benchmarks.generators.external_spec import read_spec
from dirbench.benchmarks.zoo.zoo import NAMED, Zoo, gan_of_zoo, load_zoo
from dirbench.files import at_home
from dirbench.generator import Generator
from dirbench.oracle import AttributeOracle
from dirbench.oracles.networks.classifier import ORACLES, AttributeClassifier, load_oracle

ALONE = "generator"  # what a generator that was brought along is called in a zoo of its own
SAME_DATA = ("full", "full_b")  # GANs of one zoo that were trained on the same data


@dataclass(frozen=True)
class Subject:
    """A generator and what identifies it.

    Attributes:
        given: as it was named.
        name: what the store goes by: a GAN's name in a zoo that comes with the project, else 16 digits of ``hash``.
        hash: 64 hex digits over everything that its images depend on.
        module: whose code its images depend on.
        files: name -> sha256 of the file that it was made from.
        zoo, title, oracle, rates: of the zoo that it is from, where it is from one and that says so.
        place: where that zoo is: its name, folder or file.
    """

    given: str
    name: str
    hash: str
    module: str
    generator: Generator
    files: dict[str, str] = field(default_factory=dict)
    zoo: str = ""
    title: str = ""
    oracle: str | None = None
    rates: dict[str, float] = field(default_factory=dict)
    place: str = ""

    def describe(self) -> dict:
        """The facts, JSON-able."""
        g = self.generator
        return {"given": self.given, "hash": self.hash, "files": self.files, "zoo": self.title,
                "family": g.family or type(g).__name__, "resolution": g.resolution, "space": g.space,
                "latent": {"z": g.latent_dim, **({"w": g.w_dim} if g.w_dim else {})}}


class Subjects:
    """The generators of an audit by name: to a lab they are a zoo."""

    def __init__(self, subjects: Iterable[Subject]) -> None:
        self._subjects = {one.name: one for one in subjects}
        self.title = " and ".join(sorted({one.title or "generators brought along" for one in self._subjects.values()}))

    def hash(self, name: str) -> str:
        """What the generator is to the store."""
        return self._subjects[name].hash

    def module(self, name: str) -> str:
        """The module whose code its images depend on."""
        return self._subjects[name].module

    def load(self, name: str, device: torch.device | str = "cpu") -> Generator:
        """The generator, on ``device``."""
        return self._subjects[name].generator.to(device)


def find_subject(given: str, key: str | None = None) -> Subject:
    """The generator that a checkpoint file, a YAML specification, ``module:Class`` or ``zoo:gan`` names.

    A file that is one of the mini zoo's, wherever it lies, is that zoo's GAN.

    Args:
        key: the generator's place in the file, if ``given`` is a checkpoint file that does not make it clear.
    Raises:
        ZooError, CheckpointError, SpecError: it cannot be had; a sentence says why.
        ValueError: it has classes and none was chosen.
    """
    if found := gan_of_zoo(given):
        return _subject(given, load_zoo(found[0]), found[1], found[0])
    alone = Zoo(*_brought_along(given, key))
    identity = alone.hash(ALONE)
    for name in NAMED:
        zoo = load_zoo(name)
        for gan in zoo.names:
            if zoo.hash(gan) == identity:
                return _subject(given, zoo, gan, name)
    return _subject(given, alone, ALONE, None)


def _subject(given: str, zoo: Zoo, gan: str, place: str | None) -> Subject:
    """``place``: where the zoo is, None for one made up here."""
    generator, identity, file = zoo.load(gan), zoo.hash(gan), zoo.file(gan)
    if generator.n_classes and getattr(generator, "label", None) is None:
        raise ValueError(f"{given} has {generator.n_classes} classes, and an audit needs one: name a YAML file with "
                         "`checkpoint: FILE` and `label: N`")
    subject = Subject(given, gan if place in NAMED else identity[:16], identity, zoo.module(gan), generator,
                      {file.name: sha256_of(file)} if file else {})
    return replace(subject, zoo=zoo.name, title=zoo.title, oracle=zoo.oracle, rates=zoo.rates(gan), place=place) \
        if place else subject


def _brought_along(given: str, key: str | None) -> tuple[Path, Mapping[str, Any]]:
    """(folder, manifest) of a zoo with the one generator ``ALONE``."""
    path, folder = Path(given), Path()
    if path.suffix in (".yaml", ".yml") and path.is_file():
        spec = dict(read_spec(path))
        weights = spec.get("checkpoint")
        beside = path.parent / at_home(str(weights))
        folder = path.parent if "module" in spec or beside.exists() else folder
        own = ("checkpoint", "checkpoint_key", "family")
        entry = {"generator": spec} if "module" in spec else {
            **{k: spec[k] for k in own if k in spec}, "settings": {k: v for k, v in spec.items() if k not in own}}
    elif path.exists():
        entry = {"file": given, **({"checkpoint_key": key} if key else {})}
    elif ":" in given:
        entry = {"generator": {"module": given}}
    else:
        raise CheckpointError(f"no generator {given}: there is no such file; expected a checkpoint, a YAML file that "
                              "describes a generator, module:Class, or a GAN of a zoo such as mini:full")
    return folder, {"zoo": "of this audit", "title": "brought along", "gans": {ALONE: entry}}


def default_control(reference: Subject, client: Subject) -> tuple[str, str] | None:
    """Two GANs of the same data, where both subjects are from one zoo that has such a pair."""
    if not reference.place or reference.place != client.place:
        return None
    first, second = (f"{reference.place}:{gan}" for gan in SAME_DATA)
    return (first, second) if set(SAME_DATA) <= set(load_zoo(reference.place).names) else None


@dataclass(frozen=True)
class ChosenOracle:
    """The oracle of an audit, or why there is none.

    Attributes:
        name: of the oracle, without its folder; "none", or "" where nothing was named.
        oracle: None where none is suitable; ``reason`` says why, in a sentence.
        data: what it was trained on, in its card's words.
    """

    name: str
    oracle: AttributeOracle | None
    reason: str = ""
    data: str = ""

    def describe(self) -> dict:
        """The facts, JSON-able."""
        if self.oracle is None:
            return {"name": self.name, "used": False, "reason": self.reason}
        names = [n for n, good in zip(self.oracle.names, self.oracle.readable, strict=True) if good]
        return {"name": self.name, "used": True, "reason": self.reason, "data": self.data, "readable": names,
                "attributes": len(self.oracle.names), "fingerprint": self.oracle.fingerprint(),
                "sha256": getattr(self.oracle, "card", {}).get("sha256", "")}


def find_oracle(asked: str | None, subjects: Sequence[Subject]) -> ChosenOracle:
    """The oracle for these generators. ``asked``: a shipped one's name, a file, ``"none"``, or None for the default.

    Suitable is an oracle that reads at least one attribute well, whose input is not larger than any generator's images
    (enlarged images hold no detail to read), and that knows such images: the shipped ones know the mini zoo's rendered
    faces only; of a file it is its owner who says so by naming it.

    Raises:
        UnknownName, ValueError: no such oracle, or its file is damaged.
    """
    if asked == "none":
        return ChosenOracle("none", None, "none was wanted")
    if asked is None:
        told = {one.oracle or (ORACLES[0] if one.zoo in NAMED else None) for one in subjects}
        asked = told.pop() if len(told) == 1 else None
    if asked is None:
        return ChosenOracle("", None, "none was named, and the shipped ones read the mini zoo's rendered faces only; "
                     "`--oracle FILE` names one that `train-oracle` made for images like these")
    oracle, shipped = load_oracle(asked), asked in ORACLES
    data = "mini zoo (rendered faces)" if shipped else str(oracle.card.get("training", {}).get("data", "unsaid data"))
    return ChosenOracle(asked if shipped else Path(asked).name, *_suitable(oracle, asked, shipped, subjects), data=data)


def _suitable(oracle: AttributeClassifier, name: str, shipped: bool,
              subjects: Sequence[Subject]) -> tuple[AttributeOracle | None, str]:
    smallest = min(subjects, key=lambda one: one.generator.resolution)
    strangers = [one.given for one in subjects if one.zoo not in NAMED and one.oracle != name]
    if shipped and strangers:
        return None, (f"{name} was trained to read the mini zoo's rendered faces, and "
                      f"{' and '.join(dict.fromkeys(strangers))} is not of it")
    if smallest.generator.resolution < oracle.resolution:
        side = smallest.generator.resolution
        return None, (f"{name} reads images of {oracle.resolution} pixels, and those of {smallest.given} have {side}: "
                      "enlarged images hold no detail to read")
    if not any(oracle.readable):
        return None, f"{name} reads no attribute well, by its own card"
    if shipped:
        return oracle, "all generators are of a zoo whose images it was trained to read"
    return oracle, "named by whoever asked for this audit, and its input is not larger than the images"

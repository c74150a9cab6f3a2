"""Zoos: frozen generators by name, in a folder with a manifest, or listed in a suite.

A zoo is a folder with ``zoo.yaml`` (or any YAML file of that form) and a checkpoint for each GAN, in any format that
``families`` reads; or anybody's network::

    zoo: mine
    title: my zoo                         # for captions
    oracle: oracles/resnet50.safetensors  # optional: what reads these images, and a second one for supervised methods
    teacher: oracles/resnet18.safetensors
    gans:
      full:
        file: network.pkl                 # from here on all is optional, but for `file` or `generator`
        sha256: 0123...                   # checked if given; in any case the GAN's identity
        excludes: [[Male, 0]]             # [attribute, value that the training data lack]
        rates: {Male: 0.42, ...}          # share of the training data that has each attribute
        family: stylegan2                 # where the names in the file do not say it
        checkpoint_key: g_ema             # where in the file the generator lies (a.b for b in a), if it is not clear
        settings: {label: 3}              # of the family, which the file does not say
      other:
        generator: {module: "mynet:Net", checkpoint: net.pt, latent_dim: 128}   # see ``external_spec``
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dirbench.benchmarks.checkpoints import CheckpointError, read_checkpoint
from dirbench.benchmarks.checkpoints.reading import sha256_of
from dirbench.benchmarks.generators import families
from dirbench.benchmarks.generators.external import SpecError
from dirbench.benchmarks.generators.external_spec import import_class, load_external
from dirbench.benchmarks.zoo.manifest import Manifest, ZooError
from dirbench.files import at_home
from dirbench.generator import Generator
from dirbench.names import did_you_mean
from dirbench.places import restoring
from dirbench.plugins import FAMILIES

MINI = Path(__file__).resolve().parent / "mini"
MANIFEST = "zoo.yaml"
NAMED = {"mini": MINI}
_AGAIN = f"{restoring()}, or make the zoo again with `train-zoo mini`"
_CORRECT = "restore the file, or correct its entry"
_NO_ZOO = f"expected a folder with {MANIFEST}, or a YAML file of that form"


class Zoo:
    """The GANs of one manifest.

    Attributes:
        name, title: for rows and captions (``"mini"``, ``"mini zoo (rendered faces)"``).
        names: the GANs, in the manifest's order.
        folder: where the files are.
        oracle, teacher: paths of oracles that read these images, where the manifest names them.
    """

    def __init__(self, place: Path, manifest: Mapping[str, Any] | None = None) -> None:
        """Reads the manifest; weights are read and checked when a GAN is loaded.

        Args:
            place: a folder with ``zoo.yaml``, or a YAML file of that form.
            manifest: the content, where there is no such file; then ``place`` is the folder that paths start from.
        Raises:
            ZooError: no manifest, or one that cannot be understood.
        """
        path = Path(place) if Path(place).suffix in (".yaml", ".yml") else Path(place) / MANIFEST
        self.folder = path.parent
        shipped = any(path.parent == folder for folder in NAMED.values())
        if manifest is None and not path.is_file():
            raise ZooError(f"no zoo at {place}: {path} is missing; {_AGAIN if shipped else _NO_ZOO}")
        read = Manifest(path if manifest is None else manifest, f"; {_AGAIN}" if shipped else "")
        self.name, self.title, self._where, self._gans = read.name, read.title, read.where, read.gans
        self._again = _AGAIN if self.name in NAMED else _CORRECT
        self.names: tuple[str, ...] = tuple(self._gans)
        self.oracle, self.teacher = (self._beside(value) for value in (read.oracle, read.teacher))
        self._shas: dict[str, str] = {}
        self._classes: dict[str, type[Generator]] = {}
        self._dims: dict[str, int] = {}

    def _beside(self, path: object) -> str | None:
        """A path in the manifest, which starts from its folder; a shipped oracle's name stays as it is."""
        return None if path is None else str(self.folder / at_home(str(path))) if Path(str(path)).suffix else str(path)

    # -- the manifest ----------------------------------------------------------------------------------------
    def entry(self, name: str) -> dict[str, Any]:
        """What the manifest says about ``name``. Raises ZooError for an unknown one, naming the nearest."""
        if name not in self._gans:
            raise ZooError(f"zoo {self.name}: {did_you_mean('GAN', name, list(self.names))}")
        return self._gans[name]

    def rates(self, name: str) -> dict[str, float]:
        """Attribute -> share of the training data of ``name`` that has it; empty where the manifest does not say."""
        return dict(self.entry(name).get("rates") or {})

    def excludes(self, name: str) -> tuple[tuple[str, int], ...]:
        """(attribute, value) pairs that no training image of ``name`` has, by its subset's definition."""
        return tuple((attribute, int(value)) for attribute, value in self.entry(name).get("excludes") or [])

    def says(self, name: str, key: str) -> bool:
        """Whether the manifest says anything under ``key`` (``rates``, ``excludes``) of ``name``."""
        return self.entry(name).get(key) is not None

    # -- identity --------------------------------------------------------------------------------------------
    def file(self, name: str) -> Path | None:
        """The checkpoint of ``name``; None for a network that has none."""
        entry = self.entry(name)
        file = entry["file"] if "file" in entry else entry["generator"].get("checkpoint")
        return None if file is None else self.folder / at_home(str(file))

    def _checkpoint(self, name: str) -> Path:
        path = self.file(name)
        assert path is not None  # asked only of GANs that have one
        return path

    def hash(self, name: str) -> str:
        """What the GAN is to the store, 64 hex digits: its file's sha256 where no settings or foreign code enter."""
        entry = self.entry(name)
        settings = {**self._settings(name), **entry.get("generator", {})}
        if "file" in entry and not settings:
            return self._sha(name)
        settings.pop("checkpoint", None)
        facts = [self._sha(name) if self.file(name) else "", entry.get("family", ""), settings, self._source(name)]
        return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()

    def _settings(self, name: str) -> dict[str, Any]:
        """What a family is told beside the file."""
        entry = self.entry(name)
        key = {"checkpoint_key": entry["checkpoint_key"]} if entry.get("checkpoint_key") else {}
        return {**(entry.get("settings") or {}), **key}

    def _sha(self, name: str) -> str:
        """The checkpoint's sha256, the manifest's or else computed."""
        entry = self.entry(name)
        if entry.get("sha256"):
            return entry["sha256"]
        if name not in self._shas:
            self._there(name)
            self._shas[name] = sha256_of(self._checkpoint(name))
        return self._shas[name]

    def _source(self, name: str) -> str:
        """The code of a user's own network, as it is on disk."""
        if "generator" not in self.entry(name):
            return ""
        try:
            return Path(inspect.getfile(self._imported(name))).read_text(encoding="utf-8")
        except (OSError, TypeError):
            return ""  # built in, or made in an interpreter: there is no file

    def module(self, name: str) -> str:
        """The project's module whose code the images of ``name`` depend on; a user's own code is in ``hash``."""
        cls = self._class(name)
        if cls.__module__.startswith("dirbench."):
            return cls.__module__
        return Generator.__module__ if issubclass(cls, Generator) else "dirbench.benchmarks.generators.external"

    def _imported(self, name: str):
        """What a user's specification names: a class, or a function that makes a network."""
        return self._saying(name, lambda: import_class(str(self.entry(name)["generator"]["module"]), self.folder))

    def _class(self, name: str) -> type:
        """The class of the generator; of a user's network, its own."""
        if name not in self._classes:
            entry = self.entry(name)
            if "generator" in entry:
                cls = self._imported(name)
                self._classes[name] = cls if isinstance(cls, type) else type(self.load(name))
            elif "family" in entry or "data_sha256" in entry:
                self._classes[name] = FAMILIES.get(entry.get("family", "stylegan2"))
            else:
                self._there(name)
                self._classes[name] = self._saying(
                    name, lambda: families.recognise(
                        read_checkpoint(self._checkpoint(name), entry.get("checkpoint_key")).state))
        return self._classes[name]

    # -- loading ---------------------------------------------------------------------------------------------
    def load(self, name: str, device: torch.device | str = "cpu") -> Generator:
        """The generator ``name``: float32 from exactly the stored weights, frozen, on ``device``.

        Raises:
            ZooError: unknown name, or a file that is missing, truncated, altered or of another layout.
        """
        where = self._verified(name)
        generator = self._made(name, where).to(device)
        _refuse_not_finite(generator, where)
        self._dims[name] = generator.dim()
        return generator

    def _made(self, name: str, where: str) -> Generator:
        entry = self.entry(name)
        if "generator" in entry:
            return self._saying(name, lambda: load_external(entry["generator"], self.folder))
        trained_here = "data_sha256" in entry
        family = entry.get("family", "stylegan2" if trained_here else None)
        settings = self._settings(name)
        if trained_here and "settings" not in entry:
            settings["clamp"] = math.inf
        spec = {"checkpoint": self.file(name), **({"family": family} if family else {}), **settings}
        try:
            return families.load_generator(spec, "cpu")
        except CheckpointError as error:
            if not family:
                raise ZooError(f"{where}: {error}") from error
            raise ZooError(f"{where} has the expected sha256 but is no {FAMILIES.get(family).__name__} of this version "
                           f"({error}); {self._again}") from error

    def dim(self, name: str) -> int:
        """How many numbers a latent of ``name`` has, in the space that its directions live in by default."""
        if name not in self._dims and "data_sha256" in self.entry(name):  # its header says so, and is quick to read
            config = metadata(self._checkpoint(name)).get("config", {})
            self._dims[name] = config.get("w_dim") or config.get("z_dim") or self.load(name).dim()
        if name not in self._dims:
            self.load(name)
        return self._dims[name]

    def check(self, name: str) -> tuple[str, ...]:
        """What the reader of ``name`` had to put in place of what its file lacks, or could not use of it.

        What was trained here is known to load, and is not loaded.

        Raises:
            ZooError: the weights are missing, truncated, altered, or make no generator that can be used.
        """
        where = self._verified(name)
        if "data_sha256" in self.entry(name):
            return ()
        generator = self.load(name)
        if generator.n_classes and getattr(generator, "label", None) is None:
            raise ZooError(f"{where} has {generator.n_classes} classes: say which one with settings: {{label: N}}, N "
                           f"from 0 to {generator.n_classes - 1}")
        return generator.notes

    def _saying(self, name: str, call):
        try:
            return call()
        except (CheckpointError, SpecError) as error:
            raise ZooError(f"zoo {self.name}, GAN {name}: {error}") from error

    def _there(self, name: str) -> str:
        """Which file is meant, for messages; ZooError if it is not there."""
        path = self.file(name)
        where = f"zoo {self.name}, GAN {name}: {path or self.entry(name)['generator']['module']}"
        if path is not None and path.is_dir():
            raise ZooError(f"{where} is a folder, expected a checkpoint file")
        if path is not None and not path.is_file():
            raise ZooError(f"{where} is missing; {self._again}")
        return where

    def _verified(self, name: str) -> str:
        """Which file is meant, for messages, after a check of its sha256."""
        where, path = self._there(name), self.file(name)
        if path is None:
            return where
        entry, expected = self.entry(name), self._sha(name)
        found, length = sha256_of(path), path.stat().st_size
        if found != expected:
            size = entry.get("bytes")
            kind = "truncated" if size and length < size else "altered"
            raise ZooError(f"{where} is {kind}: {length} bytes with sha256 {found[:16]}..., {Path(self._where).name} "
                           f"expects {f'{size} bytes with ' if size else ''}{expected[:16]}...; {self._again}")
        return where


def _refuse_not_finite(generator: Generator, where: str) -> None:
    """ZooError if a weight is NaN or infinite; a buffer may be infinite (a mask), but not NaN."""
    masks = [(name, ~value.isfinite()) for name, value in generator.named_parameters()]
    masks += [(name, value.isnan()) for name, value in generator.named_buffers() if value.is_floating_point()]
    bad = [(name, count) for name, wrong in masks if (count := int(wrong.sum()))]
    if bad:
        raise ZooError(f"{where} has {sum(count for _, count in bad)} weights that are not finite (NaN or infinite), "
                       f"the first in {bad[0][0]}: its training diverged, or the file was damaged before it was saved; "
                       "take an earlier checkpoint")


def load_zoo(path_or_name: str | Path = "mini") -> Zoo:
    """The zoo of that name (``"mini"``), in that folder, or of that YAML file.

    Raises:
        ZooError: neither a known name nor a folder or file with a manifest.

    >>> zoo = load_zoo("mini")
    >>> zoo.load("no_hats").resolution
    32
    """
    if str(path_or_name) in NAMED:
        return Zoo(NAMED[str(path_or_name)])
    path = Path(path_or_name)
    if not path.is_dir() and not (path.is_file() and path.suffix in (".yaml", ".yml")):
        raise ZooError(f"no zoo {str(path_or_name)!r}: expected {', '.join(NAMED)}, a folder with {MANIFEST}, or a "
                       "YAML file of that form")
    return Zoo(path)


def metadata(path: Path) -> dict[str, Any]:
    """The header of a weights file: name, subset, seeds, images seen, data hash, config (JSON texts decoded)."""
    raw = Path(path).read_bytes()
    header = json.loads(raw[8:8 + int.from_bytes(raw[:8], "little")])
    return {key: json.loads(value) for key, value in header["__metadata__"].items()}

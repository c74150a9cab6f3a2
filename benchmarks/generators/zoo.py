"""Zoos: folders of frozen generators, loaded by name and checked against the manifest's sha256.

A zoo is a folder with ``zoo.yaml`` and one checkpoint for each GAN, in any format that ``families`` reads::

    zoo: mini
    title: mini zoo (rendered faces)
    gans:
      full:
        file: full.safetensors
        sha256: 0123...
        excludes: []                      # [attribute, value that the data lack]
        rates: {Male: 0.42, ...}          # share of the training data that has each attribute
        family: stylegan2                 # where it is another one
        settings: {label: 3}              # of the family, which the file does not say
        ...                               # data, seed, images seen: see the cards
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.checkpoints import CheckpointError
from benchmarks.checkpoints.reading import sha256_of
from benchmarks.generators import families
from benchmarks.generators.base import Generator
from methods.registry import did_you_mean

MINI = Path(__file__).parent / "zoo_mini"
MANIFEST = "zoo.yaml"
NAMED = {"mini": MINI}
_AGAIN = "restore it from the repository (git checkout), or make the zoo again with 'run_bench.py train-zoo mini'"


class ZooError(RuntimeError):
    """A zoo, or a GAN of it, cannot be used: what, where, what was expected, what to do."""


class Zoo:
    """The GANs of one folder.

    Attributes:
        name, title: for rows and captions (``"mini"``, ``"mini zoo (rendered faces)"``).
        names: the GANs, in the manifest's order.
        folder: where the files are.
    """

    def __init__(self, folder: Path) -> None:
        """Reads the manifest; weights are read and checked when a GAN is loaded.

        Raises:
            ZooError: no manifest, or one that cannot be understood.
        """
        self.folder, path = Path(folder), Path(folder) / MANIFEST
        if not path.is_file():
            raise ZooError(f"no zoo at {folder}: {path} is missing; {_AGAIN}")
        try:
            manifest = yaml.safe_load(path.read_text())
            self.name, self.title, self._gans = manifest["zoo"], manifest["title"], manifest["gans"]
            for entry in self._gans.values():
                _ = entry["file"], entry["sha256"], entry["excludes"], entry["rates"]
        except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            raise ZooError(f"{path} is no zoo manifest ({error!r}); expected zoo, title and gans, each GAN with file, "
                           f"sha256, excludes and rates; {_AGAIN}") from error
        self.names: tuple[str, ...] = tuple(self._gans)

    def entry(self, name: str) -> dict[str, Any]:
        """What the manifest says about ``name``. Raises ZooError for an unknown one, naming the nearest."""
        if name not in self._gans:
            raise ZooError(f"zoo {self.name}: {did_you_mean('GAN', name, list(self.names))}")
        return self._gans[name]

    def hash(self, name: str) -> str:
        """sha256 (hex) of the weights file as the manifest has it: what the GAN is to the store."""
        return self.entry(name)["sha256"]

    def rates(self, name: str) -> dict[str, float]:
        """Attribute -> share of the training data of ``name`` that has it."""
        return dict(self.entry(name)["rates"])

    def excludes(self, name: str) -> tuple[tuple[str, int], ...]:
        """(attribute, value) pairs that no training image of ``name`` has, by its subset's definition."""
        return tuple((attribute, int(value)) for attribute, value in self.entry(name)["excludes"])

    def module(self, name: str) -> str:
        """The module of the generator's class, whose code its images depend on."""
        return families.get(self._family(name)).__module__

    def _family(self, name: str) -> str:
        return self.entry(name).get("family", "stylegan2")

    def load(self, name: str, device: torch.device | str = "cpu") -> Generator:
        """The generator ``name``: float32 from exactly the stored weights, frozen, on ``device``.

        Raises:
            ZooError: unknown name, or a file that is missing, truncated, altered or of another layout.
        """
        where, entry, family = self._verified(name), self.entry(name), self._family(name)
        trained_here = {"clamp": math.inf} if "data_sha256" in entry else {}
        spec = {"checkpoint": self.folder / entry["file"], "family": family, **entry.get("settings", trained_here)}
        try:
            return families.load_generator(spec, device)
        except CheckpointError as error:
            raise ZooError(f"{where} has the expected sha256 but is no {families.get(family).__name__} of this version "
                           f"({error}); {_AGAIN}") from error

    def check(self, name: str) -> None:
        """ZooError if the weights of ``name`` are missing, truncated or altered."""
        self._verified(name)

    def _verified(self, name: str) -> str:
        """Which file is meant, for messages, after a check of its sha256."""
        entry = self.entry(name)
        path, expected = self.folder / entry["file"], entry["sha256"]
        where = f"zoo {self.name}, GAN {name}: {path}"
        if not path.is_file():
            raise ZooError(f"{where} is missing; {_AGAIN}")
        found, length = sha256_of(path), path.stat().st_size
        if found != expected:
            size = entry.get("bytes")
            kind = "truncated" if size and length < size else "altered"
            raise ZooError(f"{where} is {kind}: {length} bytes with sha256 {found[:16]}..., {MANIFEST} expects "
                           f"{size or 'a file'} bytes with {expected[:16]}...; {_AGAIN}")
        return where


def load_zoo(path_or_name: str | Path = "mini") -> Zoo:
    """The zoo of that name (``"mini"``), or in that folder.

    Raises:
        ZooError: neither a known name nor a folder with a manifest.
    """
    if str(path_or_name) in NAMED:
        return Zoo(NAMED[str(path_or_name)])
    if not Path(path_or_name).is_dir():
        raise ZooError(f"no zoo {str(path_or_name)!r}: expected {', '.join(NAMED)}, or a folder with {MANIFEST}")
    return Zoo(Path(path_or_name))


def metadata(path: Path) -> dict[str, Any]:
    """The header of a weights file: name, subset, seeds, images seen, data hash, config (JSON texts decoded)."""
    raw = Path(path).read_bytes()
    header = json.loads(raw[8:8 + int.from_bytes(raw[:8], "little")])
    return {key: json.loads(value) for key, value in header["__metadata__"].items()}

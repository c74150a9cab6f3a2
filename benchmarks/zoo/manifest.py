"""A zoo's manifest as it is understood: every key checked, with file and line where something is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dirbench.benchmarks.config.reading import Document, YamlError, read_yaml
from dirbench.names import check_name, check_names, did_you_mean

KEYS = ("zoo", "title", "gans", "oracle", "teacher")
OWN = ("file", "generator", "family", "settings", "checkpoint_key", "sha256", "excludes", "rates")
MADE = ("bytes", "images_seen", "seed", "data_seed", "n_data", "data_sha256")  # what train-zoo notes beside


class ZooError(ValueError):
    """A zoo, or a GAN of it, cannot be used: what, where, what was expected, what to do."""


class Manifest:
    """The content of ``zoo.yaml``, or the ``generators`` of a suite.

    Attributes:
        where: for messages: the file, or ``generators``.
        name, title, oracle, teacher: as written; the last two may be None.
        gans: name -> entry with ``file`` or ``generator``, and whatever else is said.
    """

    def __init__(self, source: Path | Mapping[str, Any], way_out: str) -> None:
        """Reads a file, or takes its content.

        Args:
            way_out: what to do about a manifest that cannot be understood: the end of a sentence, or nothing.
        Raises:
            ZooError: there is no such file, or it is no manifest.
        """
        self._way_out = way_out
        self._document: Document | None = None
        self.where = "generators"
        if isinstance(source, Path):
            self.where = str(source)
            try:
                self._document = read_yaml(source)
                source = self._document.mapping(", ".join(KEYS))
            except YamlError as error:
                raise ZooError(f"{source} is no zoo manifest ({error}){way_out}") from error
        for key in ("zoo", "title", "gans"):
            if source.get(key) is None:
                self._refuse(f"{key}: this key is missing; expected zoo, title and gans, each GAN with file or "
                             "generator")
        for key in source:
            if key not in KEYS:
                self._refuse(did_you_mean("key", str(key), list(KEYS)), key)
        gans = source["gans"]
        if not isinstance(gans, Mapping) or not gans:
            self._refuse(f"gans: expected GANs by name, each with file or generator, got {gans!r}", "gans")
        self._names(source["zoo"], list(gans))
        self.name, self.title = str(source["zoo"]), str(source["title"])
        self.oracle, self.teacher = source.get("oracle"), source.get("teacher")
        self.gans = {name: self._entry(name, entry) for name, entry in gans.items()}

    def _names(self, zoo: object, gans: list[str]) -> None:
        try:
            check_name(zoo, "zoo")
        except ValueError as error:
            self._refuse(f"zoo: {error}", "zoo")
        try:
            check_names(gans, "GAN")
        except ValueError as error:
            self._refuse(f"gans: {error}", "gans")

    def _refuse(self, sentence: str, *place: str) -> None:
        if self._document is None:
            raise ZooError(f"generators: {sentence}")
        raise ZooError(f"{self.where}:{self._document.line(place)} is no zoo manifest: {sentence}{self._way_out}")

    def _entry(self, name: str, given: Any) -> dict[str, Any]:
        """An entry as it is understood: with ``file`` or ``generator``; a text alone is a file."""
        given = {"file": given} if isinstance(given, str) else given
        if not isinstance(given, Mapping):
            self._refuse(f"GAN {name}: {given!r}, expected a file, or keys and values", "gans", name)
        entry = dict(given)
        if "module" in entry:  # in a suite: the specification itself
            entry = {"generator": entry}
        if "checkpoint" in entry and "file" not in entry:  # another word for it
            entry["file"] = entry.pop("checkpoint")
        if ("file" in entry) == ("generator" in entry):
            self._refuse(f"GAN {name}: {', '.join(map(str, entry)) or 'nothing'}, expected file or generator, one of "
                         "them", "gans", name)
        for key in entry:
            if key not in OWN + MADE:
                hint = f"{did_you_mean('key', str(key), list(OWN))} What a family is told goes under settings:"
                self._refuse(f"GAN {name}: " + ("file and checkpoint mean the same; say one of them"
                                                if key == "checkpoint" else f"{hint} {{{key}: ...}}"),
                             "gans", name, key)
        for key, sentence in _faults(entry):
            self._refuse(f"GAN {name}: {sentence}", "gans", name, key)
        if entry.get("sha256"):
            entry["sha256"] = entry["sha256"].lower()
        return entry


def _faults(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(key, what is wrong with it) of one GAN's entry."""
    file, spec, sha = entry.get("file"), entry.get("generator"), entry.get("sha256")
    found = []
    if "file" in entry and not (isinstance(file, str) and file):
        found.append(("file", f"file: {file!r}, expected a path"))
    if "generator" in entry and (not isinstance(spec, Mapping) or "module" not in spec):
        found.append(("generator", f"generator: {spec!r}, expected {{module: package.module:Class, ...}}"))
    for key in ("family", "checkpoint_key"):
        if not isinstance(entry.get(key), str | None):
            found.append((key, f"{key}: {entry[key]!r}, expected a text"))
    if not isinstance(entry.get("settings") or {}, Mapping):
        found.append(("settings", f"settings: {entry['settings']!r}, expected keys and values"))
    if sha is not None and not (isinstance(sha, str) and re.fullmatch("[0-9a-fA-F]{64}", sha)):
        found.append(("sha256", f"sha256: {sha!r}, expected 64 hex digits in quotes (or leave it out)"))
    rates, excludes = entry.get("rates") or {}, entry.get("excludes") or []
    if not isinstance(rates, Mapping):
        found.append(("rates", "rates: expected a share from 0 to 1 for each attribute"))
    else:
        found += [("rates", f"rates: expected a share from 0 to 1 for each attribute; {name} has {rate!r}")
                  for name, rate in rates.items()
                  if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1]
    if not isinstance(excludes, list) or not all(isinstance(p, list) and len(p) == 2 and p[1] in (0, 1)
                                                 for p in excludes):
        found.append(("excludes", f"excludes: {excludes!r}, expected pairs [attribute, 0 or 1]"))
    return found

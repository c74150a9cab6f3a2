"""Suites and profiles: YAML files, checked whole before the first minute of compute."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PrivateAttr, ValidationError, field_validator, model_validator

from dirbench.benchmarks.config.errors import ConfigError, sentences
from dirbench.benchmarks.config.profile import Count, Profile, Strict
from dirbench.benchmarks.config.reading import Document, YamlError, read_yaml
from dirbench.files import at_home
from dirbench.names import check_name, check_names, check_pairs, did_you_mean
from dirbench.oracles.networks.classifier import ORACLES
from dirbench.plugins import EXTRACTORS, METHODS, METRICS, method_group
from dirbench.results.table import TABLES

SUITES = Path(__file__).resolve().parent.parent / "suites"
PROFILES = Path(__file__).resolve().parent.parent / "profiles"
SHIPPED = ("mini", *ORACLES)  # names of the zoo and the oracles that come with the project
_NEVER_EMPTY = ("methods", "metrics", "tables", "gans", "generators", "seeds")  # where written at all


def _known_metric(name: str) -> str:
    METRICS.get(name)
    return name


def _known_table(name: str) -> str:
    TABLES.get(name)
    return name


class Extractor(Strict):
    """A feature extractor with its parameters: ``efficientnet_lite0``, or ``{name: vit, weights: folder}``."""

    name: str
    params: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, data: Any) -> Any:
        if isinstance(data, str):
            return {"name": data}
        if isinstance(data, dict) and "params" not in data:
            named = {k: data[k] for k in data if k == "name"}
            return named | {"params": {k: v for k, v in data.items() if k != "name"}}
        return data

    @model_validator(mode="after")
    def _exists(self) -> Extractor:
        EXTRACTORS.check(self.name, self.params)
        return self

    @property
    def key(self) -> str:
        """What tells two of them apart, as text."""
        return json.dumps([self.name, self.params], sort_keys=True)


class Entry(Strict):
    """One method as it stands in a table.

    Attributes:
        variant: tells two settings of one method apart; it becomes part of file names.
        params: over the published defaults and the profile's sizes.
        extractor: instead of the suite's.
        enabled: False for what needs files that not everybody has: it is checked, and then left out.
    """

    name: str
    variant: Annotated[str, Field(pattern=r"^[\w.+=-]*$")] = ""
    params: dict[str, Any] = Field(default_factory=dict)
    extractor: Extractor | None = None
    enabled: bool = True

    @model_validator(mode="after")
    def _exists(self) -> Entry:
        method = METHODS.build(self.name, self.params)
        if self.extractor and "extractor" not in method.needs:
            raise ValueError(f"{self.label} has an extractor of its own, but {self.name} uses none")
        return self

    @property
    def label(self) -> str:
        """``name`` or ``name[variant]``."""
        return f"{self.name}[{self.variant}]" if self.variant else self.name


class Suite(Strict):
    """What is compared: generators, pairs, oracles, methods and metrics. Sizes are the profile's.

    ``pairs`` is the profile's word where a suite says nothing. ``reference`` restricts a suite, scores included, to the
    reference against each other GAN; ``none`` is for scores of single GANs.

    Generators are those of a ``zoo`` (a name, a folder, or a YAML file) that ``gans`` names; or ``generators`` lists
    them: a checkpoint's path, or what a zoo's manifest or ``external_spec`` says of one. Without an ``oracle``
    directions are found and pictured, and nothing is scored. Defaults: all metrics that there are pairs for, but
    those that make images themselves; the first GAN as ``reference``; three in four directions common; all ``tables``.
    Which tables are wanted is no part of what is computed: another list is no other job.
    """

    suite: str
    version: Count = 1
    title: str
    zoo: str | None = None
    generators: dict[str, str | dict[str, Any]] = Field(default_factory=dict)
    oracle: str | None = None
    teacher: str | None = None
    extractor: Extractor = Extractor(name="efficientnet_lite0")
    gans: list[str] = Field(min_length=1)
    controls: list[list[str]] = Field(default_factory=list)
    reference: str
    pairs: Literal["reference", "all", "none"] | None = None
    alpha: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 3.0
    n_directions: Count = 16
    n_common: Count
    methods: list[Entry]
    metrics: list[Annotated[str, AfterValidator(_known_metric)]]
    tables: list[Annotated[str, AfterValidator(_known_table)]] | None = Field(default=None, exclude=True)
    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        """Where the suite's file is: its generators' paths start there. No part of what the suite is."""
        return self._folder

    @property
    def everyone(self) -> list[str]:
        """The compared GANs and those of controls, each once."""
        return list(dict.fromkeys([*self.gans, *(gan for pair in self.controls for gan in pair)]))

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if not data.get("zoo") and not data.get("generators"):
            raise ValueError("say where the generators are: zoo: and gans:, or generators:, one of them")
        if isinstance(data.get("generators"), dict):
            data.setdefault("gans", list(data["generators"]))
        gans, k = data.get("gans"), data.get("n_directions", 16)
        if isinstance(gans, list) and gans:
            data.setdefault("reference", gans[0])
            if len(gans) == 1 and not data.get("controls"):
                data.setdefault("pairs", "none")
        if isinstance(k, int) and not isinstance(k, bool):
            data.setdefault("n_common", max(1, 3 * k // 4))
        data.setdefault("metrics", [name for name, metric in METRICS.load_all()[0].items()
                                    if metric.needs == "single"
                                    or (metric.needs == "pair" and data.get("pairs") != "none")])
        return data

    @field_validator("suite")
    @classmethod
    def _named(cls, name: str) -> str:
        return check_name(name, "suite")

    @field_validator("generators", mode="before")
    @classmethod
    def _generators_named(cls, given: Any) -> Any:
        if isinstance(given, dict):
            check_names(list(given), "GAN")
            for name, entry in given.items():
                if not isinstance(entry, str | dict):
                    raise ValueError(f"{name}: {entry!r}, expected a checkpoint's path, or keys and values")
        return given

    @field_validator("gans")
    @classmethod
    def _gans_named(cls, gans: list[str]) -> list[str]:
        check_names(gans, "GAN")
        return gans

    @field_validator("controls")
    @classmethod
    def _two_each(cls, controls: list[list[str]]) -> list[list[str]]:
        for control in controls:
            if len(control) != 2:
                raise ValueError(f"{control}, expected pairs of GANs, such as [[full, full_b]]")
            check_names(control, "control's GAN")
        return controls

    @field_validator("metrics")
    @classmethod
    def _each_once(cls, metrics: list[str]) -> list[str]:
        check_names(metrics, "metric")
        return metrics

    @model_validator(mode="after")
    def _common_fit(self) -> Suite:
        if self.n_common > self.n_directions:
            raise ValueError(f"n_common: {self.n_common} of n_directions: {self.n_directions} cannot be common; "
                             f"expected at most {self.n_directions}")
        return self

    @model_validator(mode="after")
    def _generators_fit(self) -> Suite:
        if (self.zoo is None) == (not self.generators):
            raise ValueError("say where the generators are: zoo: and gans:, or generators:, one of them")
        absent = [g for g in self.gans if self.generators and g not in self.generators]
        if absent:
            raise ValueError(f"gans: {did_you_mean('generator', absent[0], list(self.generators))}")
        if self.reference not in self.gans:
            raise ValueError(f"reference: {did_you_mean('GAN', self.reference, self.gans)}")
        check_names(self.everyone, "GAN")
        check_pairs(self.everyone)
        return self

    @field_validator("methods")
    @classmethod
    def _distinct(cls, methods: list[Entry]) -> list[Entry]:
        labels = [entry.label for entry in methods]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f'{labels.count(label)} entries are called "{label}"; give each a variant of its own, '
                                 "as {name: ..., variant: ..., params: {...}}")
        check_names(labels, "method")
        return methods

    @model_validator(mode="after")
    def _pairs_fit(self) -> Suite:
        self.check_pairs_fit()
        return self

    def check_pairs_fit(self) -> None:
        """ValueError if there are no pairs and a metric or method needs them."""
        if self.pairs == "none":
            wrong = [m for m in self.metrics if METRICS.get(m).needs == "pair"]
            wrong += [e.label for e in self.methods if METHODS.get(e.name).paired]
            if wrong:
                why = "pairs: none" if len(self.gans) > 1 else "one GAN (pairs: none)"
                raise ValueError(f"{why} leaves nothing to do for {', '.join(wrong)}, which need pairs of GANs")


def load_suite(name: str) -> Suite:
    """The suite of that name, or of that YAML file, without its disabled entries. Raises ConfigError."""
    path = _find(name, SUITES, "suite")
    suite = _load(Suite, path)
    found = {key: _beside(path, value) for key in ("zoo", "oracle", "teacher") if (value := getattr(suite, key))}
    enabled = [entry for entry in suite.methods if entry.enabled]
    if not enabled:
        raise ConfigError(f"{path}: methods: none is enabled; set enabled: true for one of "
                          f"{', '.join(entry.label for entry in suite.methods)}")
    suite = suite.model_copy(update={"methods": enabled, **found})
    suite._folder = path.parent
    return suite


def _beside(path: Path, value: str) -> str:
    """A path in a suite's file: it starts there if that exists, else where the command is run; names stay."""
    value = str(at_home(value))
    there = path.parent / value
    return str(there) if Path(value).name not in SHIPPED and there.exists() else value


def load_profile(name: str) -> Profile:
    """The profile of that name, or of that YAML file. Raises ConfigError."""
    return _load(Profile, _find(name, PROFILES, "profile"))


def names(folder: Path) -> list[str]:
    """Names of the YAML files in ``folder``."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def _find(name: str, folder: Path, what: str) -> Path:
    path, known = Path(name), names(folder)
    if path.suffix.lower() in (".yaml", ".yml"):
        if path.is_dir():
            raise ConfigError(f"{what} file {path} is a folder; name the YAML file itself")
        if not path.is_file():
            hint = f'; the one that comes with the project is called by its name alone, "{path.stem}"'
            raise ConfigError(f"{what} file {path} does not exist{hint if path.stem in known else ''}")
        return path
    if name in known:
        return folder / f"{name}.yaml"
    if path.exists() and (path.is_file() or path.parent != Path()):
        raise ConfigError(f"{what} {name}: expected a name ({', '.join(known)}) or a YAML file, whose name ends with "
                          f".yaml; this is a {'folder' if path.is_dir() else 'file of another name'}")
    raise ConfigError(f"{did_you_mean(what, name, known)} A file of your own ends with .yaml")


def _load(model: type[Strict], path: Path) -> Any:
    try:
        document = read_yaml(path)
        data = document.mapping("suite, title, generators, methods, ..." if model is Suite
                                else "profile, title, seeds, latents, ...")
    except YamlError as error:
        raise ConfigError(str(error)) from error
    for key in _NEVER_EMPTY:
        if key in data and not data[key] and not isinstance(data[key], int):
            raise ConfigError(f"{path}:{document.line((key,))}: {key}: is empty; {_way_out(model, key)}")
    if "methods" in data and model is Suite:
        written = data["methods"]
        data["methods"] = expand_methods(written)
        if isinstance(written, list):
            many = [len(expand_methods([item])) for item in written]
            document = replace(document, written={"methods": [i for i, n in enumerate(many) for _ in range(n)]})
    return _validated(model, document, data)


def _way_out(model: type[Strict], key: str) -> str:
    optional = not model.model_fields[key].is_required() if key in model.model_fields else False
    optional = optional or (model is Suite and key in ("metrics", "gans"))
    return "name at least one" + (", or leave the key out for the default" if optional else "")


def _validated(model: type[Strict], document: Document, data: dict[str, Any]) -> Any:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        other = Profile if model is Suite else Suite
        raise ConfigError(sentences(model, Entry, other, document, data, error)) from error


def expand_methods(methods: Any) -> Any:
    """``core`` and ``all`` stand for those groups, alone or in a list; its items may be short forms of an Entry."""
    if methods in ("core", "all"):
        methods = [methods]
    if not isinstance(methods, list):
        return methods
    return [_entry(name) for item in methods for name in (method_group(item) if item in ("core", "all") else [item])]


def _entry(item: Any) -> Any:
    """``sefa``, ``sefa: {layers: [0]}`` and ``{name: sefa, variant: early, params: {...}}`` mean an Entry."""
    if isinstance(item, str):
        return {"name": item}
    if isinstance(item, dict) and len(item) == 1 and "name" not in item:
        (name, params), = item.items()
        return {"name": name, "params": params or {}}
    return item

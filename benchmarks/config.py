"""Suites and profiles: YAML files, checked whole before the first minute of compute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from benchmarks.places import at_home
from methods import registry
from methods.registry import did_you_mean
from metrics import registry as metric_registry
from oracles import registry as extractors

SUITES = Path(__file__).parent / "suites"
PROFILES = Path(__file__).parent / "profiles"
SHIPPED = ("mini", *extractors.ORACLES)  # names of the zoo and the oracles that come with the project
Count = Annotated[int, Field(gt=0)]


class ConfigError(ValueError):
    """A suite or profile is wrong; the message says file, line, key, value and what was expected."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def _known_metric(name: str) -> str:
    metric_registry.get(name)
    return name


class Extractor(_Strict):
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
        extractors.check(self.name, self.params)
        return self

    @property
    def key(self) -> str:
        """What tells two of them apart, as text."""
        return json.dumps([self.name, self.params], sort_keys=True)


class Entry(_Strict):
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
        method = registry.build(self.name, self.params)
        if self.extractor and "extractor" not in method.needs:
            raise ValueError(f"{self.label} has an extractor of its own, but {self.name} uses none")
        return self

    @property
    def label(self) -> str:
        """``name`` or ``name[variant]``."""
        return f"{self.name}[{self.variant}]" if self.variant else self.name


class Suite(_Strict):
    """What is compared: generators, pairs, judges, methods and metrics. Sizes are the profile's.

    ``pairs`` is the profile's word where a suite says nothing. ``reference`` restricts a suite, scores included, to the
    reference against each other GAN; ``none`` is for scores of single GANs.

    Generators are those of a ``zoo`` (a name, a folder, or a YAML file) that ``gans`` names; or ``generators`` lists
    them: a checkpoint's path, or what a zoo's manifest or ``external_spec`` says of one. Without an ``oracle``
    directions are found and pictured, and nothing is scored. Defaults: all metrics that there are pairs for, but
    those that train an evaluator; the first GAN as ``reference``; three in four directions common.
    """

    suite: str
    version: Count = 1
    title: str
    zoo: str | None = None
    generators: dict[str, str | dict[str, Any]] = {}
    oracle: str | None = None
    teacher: str | None = None
    extractor: Extractor = Extractor(name="efficientnet_lite0")
    gans: list[str] = Field(min_length=1)
    controls: list[Annotated[list[str], Field(min_length=2, max_length=2)]] = []
    reference: str
    pairs: Literal["reference", "all", "none"] | None = None
    alpha: Annotated[float, Field(gt=0)] = 3.0
    n_directions: Count = 16
    n_common: Count
    methods: list[Entry]
    metrics: list[Annotated[str, AfterValidator(_known_metric)]]
    _folder: Path = PrivateAttr(default=Path())

    @property
    def folder(self) -> Path:
        """Where the suite's file is: its generators' paths start there. No part of what the suite is."""
        return self._folder

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        data = dict(data)
        if isinstance(data.get("generators"), dict):
            data.setdefault("gans", list(data["generators"]))
        gans, k = data.get("gans"), data.get("n_directions", 16)
        if isinstance(gans, list) and gans:
            data.setdefault("reference", gans[0])
            if len(gans) == 1 and not data.get("controls"):
                data.setdefault("pairs", "none")
        if isinstance(k, int):
            data.setdefault("n_common", max(1, 3 * k // 4))
        data.setdefault("metrics", [name for name, metric in metric_registry.load_all()[0].items()
                                    if metric.needs == "single"
                                    or (metric.needs == "pair" and data.get("pairs") != "none")])
        return data

    @model_validator(mode="after")
    def _generators_fit(self) -> Suite:
        if (self.zoo is None) == (not self.generators):
            raise ValueError("say where the generators are: zoo: and gans:, or generators:, one of them")
        absent = [g for g in self.gans if self.generators and g not in self.generators]
        if absent:
            raise ValueError(f"gans: {did_you_mean('generator', absent[0], list(self.generators))}")
        if self.reference not in self.gans:
            raise ValueError(f"reference: {did_you_mean('GAN', self.reference, self.gans)}")
        return self

    @field_validator("methods")
    @classmethod
    def _distinct(cls, methods: list[Entry]) -> list[Entry]:
        labels = [entry.label for entry in methods]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f'{labels.count(label)} entries are called "{label}"; give each a variant of its own, '
                                 "as {name: ..., variant: ..., params: {...}}")
        return methods

    @model_validator(mode="after")
    def _pairs_fit(self) -> Suite:
        if self.pairs == "none":
            wrong = [m for m in self.metrics if metric_registry.get(m).needs == "pair"]
            wrong += [e.label for e in self.methods if registry.get(e.name).paired]
            if wrong:
                raise ValueError(f"pairs: none leaves nothing to do for {', '.join(wrong)}, which need pairs of GANs")
        return self


class Sizes(_Strict):
    """The side of the extractor's input in pixels, for extractors that can choose; its own for None."""

    input_size: Count | None = None


class Latents(_Strict):
    """How many latents directions are matched on, and how many others they are scored on."""

    match: Count
    score: Count


class Chance(_Strict):
    """How many runs of the random method per GAN, each on latents of its own, chance levels are made from.

    ``reference``: of the suite's reference GAN, where not as many as of the others. It is in every pair of most tables,
    so their bands hang on its runs most of all.
    """

    runs: Annotated[int, Field(strict=True, ge=2)]
    reference: Annotated[int, Field(strict=True, ge=2)] | None = None


class Ratio(_Strict):
    """Images per GAN that density ratios are trained on, and the training's length."""

    pool: Count
    steps: Count
    batch: Count


class Profile(_Strict):
    """How much is spent: sizes and iteration counts, never the mathematics."""

    profile: str
    title: str
    gans: list[str] | None = None
    pairs: Literal["reference", "all"]
    seeds: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    latents: Latents
    chunk: Count
    chance: Chance
    ratio: Ratio
    bootstrap: Count
    extractor: Sizes = Sizes()
    methods: dict[str, dict[str, Any]] = Field(default_factory=dict)
    metrics: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("methods", "metrics")
    @classmethod
    def _exist(cls, sizes: dict[str, dict[str, Any]], info: ValidationInfo) -> dict[str, dict[str, Any]]:
        for name, params in sizes.items():
            (registry if info.field_name == "methods" else metric_registry).build(name, params)
        return sizes


def load_suite(name: str) -> Suite:
    """The suite of that name, or of that YAML file, without its disabled entries. Raises ConfigError."""
    path = _find(name, SUITES, "suite")
    suite = _load(Suite, path)
    found = {key: _beside(path, value) for key in ("zoo", "oracle", "teacher") if (value := getattr(suite, key))}
    suite = suite.model_copy(update={"methods": [entry for entry in suite.methods if entry.enabled], **found})
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
    path = Path(name) if name.endswith((".yaml", ".yml")) else folder / f"{name}.yaml"
    if not path.is_file():
        raise ConfigError(did_you_mean(what, name, names(folder)) if path.parent == folder
                          else f"{what} file {path} does not exist")
    return path


def _load(model: type[_Strict], path: Path):
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ConfigError(f"{path}:{mark.line + 1 if mark else 1}: not valid YAML "
                          f"({getattr(error, 'problem', error)})") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}:1: expected keys and values, got {type(data).__name__}")
    if model is Suite:
        data["methods"] = expand_methods(data.get("methods"))
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError("\n".join(_sentence(model, path, node, data, e) for e in error.errors())) from error


def expand_methods(methods: Any) -> Any:
    """``core`` and ``all`` stand for those groups; a list's items may be short forms of an Entry."""
    if methods in ("core", "all"):
        methods = registry.group(methods)
    return [_entry(item) for item in methods] if isinstance(methods, list) else methods


def _entry(item: Any) -> Any:
    """``sefa``, ``sefa: {layers: [0]}`` and ``{name: sefa, variant: early, params: {...}}`` mean an Entry."""
    if isinstance(item, str):
        return {"name": item}
    if isinstance(item, dict) and len(item) == 1 and "name" not in item:
        (name, params), = item.items()
        return {"name": name, "params": params or {}}
    return item


def _sentence(model: type[_Strict], path: Path, node: yaml.Node, data: Any, error: dict) -> str:
    loc = error["loc"]
    where = f"{path}:{_line(node, loc)}: {'.'.join(str(part) for part in loc)}"
    if error["type"] == "extra_forbidden":
        known = _known_keys(model, loc[:-1])
        return f"{path}:{_line(node, loc)}: {did_you_mean('key', str(loc[-1]), known)}"
    if error["type"] == "missing":
        return f"{where}: this key is missing"
    if error["type"] == "value_error":  # our own validators' sentences need nothing added
        return f"{where}: {error['ctx']['error']}"
    return f"{where}: {error['msg']}; got {error['input']!r}"


def _known_keys(model: type[BaseModel], loc: tuple) -> list[str]:
    for part in loc:
        if isinstance(part, int):
            model = Entry
            continue
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return list(model.model_fields)


def _line(node: yaml.Node, loc: tuple) -> int:
    """Line of the deepest key of ``loc`` that the file has."""
    line = node.start_mark.line
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            hit = [(k, v) for k, v in node.value if k.value == str(part)]
            if not hit:
                break
            line, node = hit[0][0].start_mark.line, hit[0][1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return line + 1

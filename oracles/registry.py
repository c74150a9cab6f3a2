"""The judges by name, as suites write them. Extractors are found by being there: a class in a module of this folder."""

from __future__ import annotations

import inspect
from functools import cache
from typing import get_type_hints

import torch
from pydantic import TypeAdapter, ValidationError

import oracles
from methods._checks import abstract_faults, name_faults, one_line
from methods.registry import UnknownName, did_you_mean, find_classes, pick
from oracles.base import FeatureExtractor
from oracles.classifier import ARCHITECTURES, AttributeClassifier, load_oracle

NOT_EXTRACTORS = frozenset({"base", "classifier", "density_ratio", "registry", "training"})
ORACLES: tuple[str, ...] = tuple(ARCHITECTURES)


def load_all() -> tuple[dict[str, type[FeatureExtractor]], dict[str, str]]:
    """Every feature extractor and every file that could not be loaded; see ``find_classes``."""
    return find_classes(oracles, (FeatureExtractor,), "extractor", NOT_EXTRACTORS, faults_of)


@cache
def faults_of(cls: type[FeatureExtractor]) -> list[str]:
    """What keeps an extractor class with a name from being registered, in sentences."""
    return name_faults(cls.name, "extractor") or abstract_faults(cls, "FeatureExtractor") or _constructor_faults(cls)


def _constructor_faults(cls: type[FeatureExtractor]) -> list[str]:
    try:
        types, parameters = get_type_hints(cls.__init__), inspect.signature(cls).parameters
    except Exception as error:  # a stranger's annotations are evaluated
        return [f"the types of its constructor's parameters cannot be read: {one_line(error)}"]
    if any(parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) for parameter in parameters.values()):
        return ["its constructor must name its parameters, for suites are checked against them: write "
                "def __init__(self, input_size: int = 32)"]
    return [f"the parameter {key} of its constructor needs a type: suites are checked against it"
            for key in parameters if key not in types]


def check(name: str, params: dict[str, object] | None = None) -> type[FeatureExtractor]:
    """The class of that name, once ``params`` are known to be parameters of it and of the right types.

    Raises:
        UnknownName: no such extractor, or no such parameter; the message names the nearest.
        ValueError: a parameter is missing or of another type.
    """
    cls, params = pick(name, "extractor", *load_all()), params or {}
    known, types = inspect.signature(cls).parameters, get_type_hints(cls.__init__)
    for key, value in params.items():
        if key not in known:
            raise UnknownName(f"{name}: " + did_you_mean("parameter", key, list(known)))
        try:
            TypeAdapter(types[key]).validate_python(value, strict=True)
        except ValidationError as error:
            raise ValueError(f"{name}: {key}: {error.errors()[0]['msg']}; got {value!r}") from error
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in params:
            raise ValueError(f"{name}: the parameter {key} is missing; a suite gives it as "
                             f"extractor: {{name: {name}, {key}: ...}}")
    return cls


def extractor(name: str, **params: object) -> FeatureExtractor:
    """The feature extractor of that name, on the CPU.

    Raises:
        UnknownName: no such extractor, or no such parameter; the message names the nearest.
        ValueError: its package or weights are missing (the message says what to install or fetch) or altered, or a
            parameter is missing, of another type or out of range.
    """
    return check(name, params)(**params)


def oracle(name: str, device: torch.device | str = "cpu") -> AttributeClassifier:
    """The attribute oracle of that name, on ``device``.

    Raises:
        UnknownName: no such oracle; the message names the nearest. ValueError: its weights are missing or altered.

    >>> oracle("teacher").names[-1]
    'Young'
    """
    return load_oracle(name, device)

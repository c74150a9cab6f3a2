"""Finds metrics: named metric classes of the modules in this folder, and of plugins (group ``dirbench.metrics``)."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import cache

from pydantic import ValidationError

import metrics
from methods.registry import UnknownName, as_written, check_sizes, did_you_mean, find_classes, pick
from metrics._checks import metric_faults
from metrics.base import Metric

NOT_METRICS = frozenset({"base", "change_matrix", "generator", "pair", "profiles", "registry", "single"})


def load_all() -> tuple[dict[str, type[Metric]], dict[str, str]]:
    """Every metric and every file that could not be loaded; see ``methods.registry.find_classes``."""
    return find_classes(metrics, (Metric,), "metric", NOT_METRICS, faults_of)


@cache
def faults_of(cls: type[Metric]) -> list[str]:
    """What keeps a metric class with a name from being registered, in sentences; nothing where all is well."""
    return metric_faults(cls)


def get(name: str) -> type[Metric]:
    """The metric class of that name. Raises UnknownName with the nearest known one.

    >>> get("aligment")
    Traceback (most recent call last):
    methods.registry.UnknownName: unknown metric "aligment". Did you mean "alignment"?
    """
    return pick(name, "metric", *load_all())


def build(name: str, params: dict | None = None) -> Metric:
    """An instance of the metric of that name with ``params`` over the published defaults of its settings, if any.

    Raises UnknownName for a metric or setting that nothing has, ValueError for a value of the wrong type.

    >>> build("alignment").bounds
    (-1.0, 1.0)
    """
    cls, params = get(name), params or {}
    known = [f.name for f in fields(cls)] if is_dataclass(cls) else []
    for key in params:
        if key not in known:
            raise UnknownName(f"{name}: " + (did_you_mean("setting", key, known) if known
                                             else f'unknown setting "{key}"; it has none'))
    if not params:
        return cls()
    try:
        return check_sizes(name, as_written(cls, params))
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:  # the class's own sentence about several of its settings together
            sentence = first["msg"].removeprefix("Value error, ")
            raise ValueError(sentence if sentence.startswith(f"{name}:") else f"{name}: {sentence}") from error
        key = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{name}: {key}: {first['msg']}; got {first['input']!r}") from error

"""Finds metrics: modules in this folder are imported, and their named metric classes are registered."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import metrics
from methods.registry import UnknownName, did_you_mean
from metrics.base import Metric


def load_all() -> tuple[dict[str, type[Metric]], dict[str, str]]:
    """({name: class}, {file: why it could not be loaded}), both sorted by name.

    A broken file never takes the others down. A name used twice raises ValueError naming both files.
    """
    found: dict[str, type[Metric]] = {}
    broken: dict[str, str] = {}
    for info in pkgutil.iter_modules(metrics.__path__):
        if info.name.startswith("_"):
            continue
        try:
            module = importlib.import_module(f"metrics.{info.name}")
        except Exception as error:  # whatever a user's file does, it is his file that is listed with it
            broken[f"metrics/{info.name}.py"] = f"{type(error).__name__}: {error}"
            continue
        for value in vars(module).values():
            if not (isinstance(value, type) and issubclass(value, Metric)):
                continue
            if value.__module__ != module.__name__ or not value.name:
                continue
            if value.name in found:
                raise ValueError(f'two metrics are named "{value.name}": {_file(found[value.name])} and '
                                 f"{_file(value)}")
            found[value.name] = value
    return dict(sorted(found.items())), dict(sorted(broken.items()))


def get(name: str) -> type[Metric]:
    """The metric class of that name. Raises UnknownName with the nearest known one."""
    found, broken = load_all()
    if name in found:
        return found[name]
    reasons = "".join(f" ({file} could not be loaded: {why})" for file, why in broken.items() if name in file)
    raise UnknownName(did_you_mean("metric", name, list(found)) + reasons)


def build(name: str) -> Metric:
    """An instance of the metric of that name. Raises UnknownName."""
    return get(name)()


def _file(cls: type) -> str:
    return Path(*cls.__module__.split(".")).with_suffix(".py").as_posix()

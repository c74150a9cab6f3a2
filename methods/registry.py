"""Finds methods: every module in this folder is imported, and every named method class in it is registered."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from dataclasses import fields
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

import methods
from methods.base import DirectionMethod, PairedMethod

NOT_METHODS = {"base", "directions", "registry"}
Method = DirectionMethod | PairedMethod


class UnknownName(ValueError):
    """A name that nothing has; the message names the nearest known one."""


def did_you_mean(what: str, name: str, known: list[str]) -> str:
    """'unknown method "sefaa". Did you mean "sefa"?', or the list of known names where nothing is near."""
    near = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f'Did you mean "{near[0]}"?' if near else f"Known: {', '.join(known)}."
    return f'unknown {what} "{name}". {hint}'


def load_all() -> tuple[dict[str, type[Method]], dict[str, str]]:
    """({name: class}, {file: why it could not be loaded}), both sorted by name.

    A broken or incomplete file never takes the others down. A name used twice raises ValueError naming both files.
    """
    found: dict[str, type[Method]] = {}
    broken: dict[str, str] = {}
    for info in pkgutil.iter_modules(methods.__path__):
        if info.name in NOT_METHODS or info.name.startswith("_"):
            continue
        try:
            module = importlib.import_module(f"methods.{info.name}")
        except Exception as error:  # whatever a user's file does, it is his file that is listed with it
            broken[f"methods/{info.name}.py"] = f"{type(error).__name__}: {error}"
            continue
        for value in vars(module).values():
            if not (isinstance(value, type) and issubclass(value, (DirectionMethod, PairedMethod))):
                continue
            if value.__module__ != module.__name__ or not value.name:
                continue
            if value.name in found:
                raise ValueError(f'two methods are named "{value.name}": {_file(found[value.name])} and {_file(value)}')
            found[value.name] = value
    return dict(sorted(found.items())), dict(sorted(broken.items()))


def get(name: str) -> type[Method]:
    """The method class of that name. Raises UnknownName with the nearest known one."""
    found, broken = load_all()
    if name in found:
        return found[name]
    reasons = "".join(f" ({file} could not be loaded: {why})" for file, why in broken.items() if name in file)
    raise UnknownName(did_you_mean("method", name, list(found)) + reasons)


def group(name: str) -> list[str]:
    """Names of a group of methods: ``core`` or ``all``, in the order that tables have (floor first, ceiling last)."""
    found, _ = load_all()
    chosen = [n for n, cls in found.items() if name == "all" or cls.core]
    return sorted(chosen, key=lambda n: ("teacher" in found[n].needs, n != "random", n))


def build(name: str, params: dict | None = None) -> Method:
    """An instance with ``params`` over the published defaults.

    Raises UnknownName for a method or hyperparameter that nothing has, ValueError for a value of the wrong type.
    """
    cls = get(name)
    known = [f.name for f in fields(cls)]
    for key in params or {}:
        if key not in known:
            raise UnknownName(f"{name}: " + did_you_mean("hyperparameter", key, known))
    try:
        return TypeAdapter(cls).validate_python(params or {})
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{name}: {key}: {first['msg']}; got {first['input']!r}") from error


def _file(cls: type) -> str:
    return Path(*cls.__module__.split(".")).with_suffix(".py").as_posix()

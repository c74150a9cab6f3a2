"""Finds methods: every module in this folder is imported, and every named method class in it is registered."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from dataclasses import fields
from pathlib import Path
from types import ModuleType

from pydantic import TypeAdapter, ValidationError

import methods
from methods.base import DirectionMethod, PairedMethod

NOT_METHODS = frozenset({"base", "directions", "registry"})
Method = DirectionMethod | PairedMethod


class UnknownName(ValueError):
    """A name that nothing has; the message names the nearest known one."""


def did_you_mean(what: str, name: str, known: list[str]) -> str:
    """'unknown method "sefaa". Did you mean "sefa"?', or the list of known names where nothing is near."""
    near = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f'Did you mean "{near[0]}"?' if near else f"Known: {', '.join(known)}."
    return f'unknown {what} "{name}". {hint}'


def find_classes(package: ModuleType, bases: tuple[type, ...], what: str,
                 skip: frozenset[str] = frozenset()) -> tuple[dict[str, type], dict[str, str]]:
    """({name: class}, {file: why it could not be loaded}) of the named subclasses of ``bases`` in a package's modules.

    A broken or incomplete file never takes the others down. A name used twice raises ValueError naming both files.
    Modules in ``skip`` and those that start with an underscore are passed over.
    """
    found: dict[str, type] = {}
    broken: dict[str, str] = {}
    for info in pkgutil.iter_modules(package.__path__):
        if info.name in skip or info.name.startswith("_"):
            continue
        try:
            module = importlib.import_module(f"{package.__name__}.{info.name}")
        except Exception as error:  # whatever a user's file does, it is his file that is listed with it
            broken[f"{package.__name__}/{info.name}.py"] = f"{type(error).__name__}: {error}"
            continue
        for value in vars(module).values():
            if not (isinstance(value, type) and issubclass(value, bases)):
                continue
            if value.__module__ != module.__name__ or not value.name:
                continue
            if value.name in found:
                raise ValueError(f'two {what}s are named "{value.name}": {_file(found[value.name])} and {_file(value)}')
            found[value.name] = value
    return dict(sorted(found.items())), dict(sorted(broken.items()))


def pick(name: str, what: str, found: dict[str, type], broken: dict[str, str]) -> type:
    """The class of that name. Raises UnknownName with the nearest known one, and why its file failed if it did."""
    if name in found:
        return found[name]
    reasons = "".join(f" ({file} could not be loaded: {why})" for file, why in broken.items() if name in file)
    raise UnknownName(did_you_mean(what, name, list(found)) + reasons)


def load_all() -> tuple[dict[str, type[Method]], dict[str, str]]:
    """Every method and every file that could not be loaded; see ``find_classes``."""
    return find_classes(methods, (DirectionMethod, PairedMethod), "method", NOT_METHODS)


def get(name: str) -> type[Method]:
    """The method class of that name. Raises UnknownName with the nearest known one."""
    return pick(name, "method", *load_all())


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

"""Finds methods: every module in this folder is imported, and every named method class in it is registered.

So are the classes of installed packages that say so: an entry point in the group ``dirbench.methods`` (and
``dirbench.metrics``, ``dirbench.oracles``, ``dirbench.generators``) names a class, or a module with such classes in it.
"""

from __future__ import annotations

import difflib
import importlib
import math
import pkgutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

import methods
from methods._checks import import_fault, is_text, method_faults, name_faults, place
from methods.base import DirectionMethod, PairedMethod

NOT_METHODS = frozenset({"base", "directions", "registry"})
SIZES = ("n_directions", "n_steps", "n_samples", "batch")  # hyperparameters that mean nothing below 1
Method = DirectionMethod | PairedMethod
Made = TypeVar("Made")
Faults = Callable[[Any], list[str]]


class UnknownName(ValueError):
    """A name that nothing has; the message names the nearest known one."""


def name_only(cls: Any) -> list[str]:
    """What is wrong with the name, of classes that nothing else is asked of here (generator families)."""
    return [] if is_text(cls.name) else name_faults(cls.name, "generator")


def did_you_mean(what: str, name: str, known: list[str]) -> str:
    """'unknown method "sefaa". Did you mean "sefa"?', or the list of known names where nothing is near.

    >>> did_you_mean("method", "sefaa", ["random", "sefa"])
    'unknown method "sefaa". Did you mean "sefa"?'
    """
    folded = {other.casefold(): other for other in known}
    near = [folded[other] for other in difflib.get_close_matches(name.casefold(), folded, 1, 0.5)]
    hint = f'Did you mean "{near[0]}"?' if near else f"Known: {', '.join(known)}."
    return f'unknown {what} "{name}". {hint}'


def find_classes(package: ModuleType, bases: tuple[type, ...], what: str, skip: frozenset[str] = frozenset(),
                 faults: Faults = name_only) -> tuple[dict[str, type[Any]], dict[str, str]]:
    """({name: class}, {file, or file and class: why it is not there}) of the subclasses of ``bases`` in a package.

    Plugins of the group ``dirbench.<last part of the package's name>`` are found too. A broken or incomplete file,
    class or plugin never takes the others down. A name used twice in the package raises ValueError naming both files; a
    plugin whose name is taken is listed as broken. Modules in ``skip`` and those that start with an underscore are
    passed over.

    Args:
        faults: sentences for what is wrong with a class that has a name; such a class is listed, not found.
    """
    found: dict[str, type[Any]] = {}
    broken: dict[str, str] = {}
    for info in pkgutil.iter_modules(package.__path__):
        if info.name in skip or info.name.startswith("_"):
            continue
        label = f"{package.__name__}/{info.name}.py"
        try:
            module = importlib.import_module(f"{package.__name__}.{info.name}")
        except (Exception, SystemExit) as error:  # whatever a user's file does, it is his file that is listed with it
            broken[label] = import_fault(error, label)
            continue
        good, wrong = sort_classes(module, bases, faults)
        broken |= {f"{place(cls)} ({cls.__name__})": why for cls, why in wrong.items()}
        for value in good:
            if value.name in found:
                raise ValueError(f'two {what}s are named "{value.name}": {_file(found[value.name])} and {_file(value)}')
            found[value.name] = value
    for point in plugins(f"dirbench.{package.__name__.rpartition('.')[2]}"):
        _add_plugin(point, bases, what, faults, found, broken)
    return dict(sorted(found.items())), dict(sorted(broken.items()))


def sort_classes(module: ModuleType, bases: tuple[type, ...], faults: Faults
                 ) -> tuple[list[type[Any]], dict[type, str]]:
    """(usable classes, {class: why not}) of the subclasses of ``bases`` made in ``module`` (not imported there).

    A class without a name is ignored, and said to be where nothing else in the module builds on it.
    """
    made: list[type[Any]] = [
        value for value in vars(module).values() if isinstance(value, type) and issubclass(value, bases)
        and value.__module__ == module.__name__]
    good: list[type[Any]] = []
    wrong: dict[type, str] = {}
    for cls in dict.fromkeys(made):
        if isinstance(cls.name, str) and not cls.name:
            if faults is not name_only and not any(other is not cls and issubclass(other, cls) for other in made):
                wrong[cls] = 'ignored: it has no name (write `name: ClassVar[str] = "..."`)'
        elif found := faults(cls):
            said = f'"{cls.name}": ' if isinstance(cls.name, str) else ""
            wrong[cls] = said + "; ".join(found)
        else:
            good.append(cls)
    return good, wrong


def plugins(group: str) -> tuple[EntryPoint, ...]:
    """Entry points of ``group`` of the packages that can be imported."""
    return _plugins(group, tuple(sys.path))


@lru_cache
def _plugins(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Entry points of ``group`` along ``path``, once for each: it takes milliseconds and is asked for often."""
    return tuple(sorted(entry_points(group=group), key=lambda point: (point.name, point.value)))


def _add_plugin(point: EntryPoint, bases: tuple[type, ...], what: str, faults: Faults,
                found: dict[str, type[Any]], broken: dict[str, str]) -> None:
    """Puts the classes of ``point`` into ``found``, or the reason why not into ``broken``."""
    label = f"{point.dist.name if point.dist else 'plugin'}: {point.name} = {point.value}"
    try:
        loaded = point.load()
    except (Exception, SystemExit) as error:  # a package that cannot be imported here is listed with its error
        broken[label] = import_fault(error, point.module.split(".")[-1] + ".py")
        return
    if isinstance(loaded, ModuleType):
        classes, wrong = sort_classes(loaded, bases, faults)
        broken |= {f"{label} ({cls.__name__})": why for cls, why in wrong.items()}
        if not (classes or wrong):
            broken[label] = f"the module has no {what} with a name"
    elif not (isinstance(loaded, type) and issubclass(loaded, bases)):
        broken[label] = f"{loaded!r} is no {what}: expected a subclass of {' or '.join(b.__name__ for b in bases)}"
        return
    else:
        named: type[Any] = loaded  # by its bases it has a name
        classes = [named]
        if found_wrong := [f"{named.__qualname__} has no name"] if named.name == "" else faults(named):
            broken[label] = "; ".join(found_wrong)
            return
    for cls in classes:
        if found.get(cls.name, cls) is not cls:
            broken[label] = f'the name "{cls.name}" is taken by {_file(found[cls.name])}'
        else:
            found[cls.name] = cls


def pick(name: str, what: str, found: dict[str, type[Made]], broken: dict[str, str]) -> type[Made]:
    """The class of that name. Raises UnknownName with the nearest known one, and why its file failed if it did."""
    if name in found:
        return found[name]
    reasons = "".join(f" ({file} could not be loaded: {why})" for file, why in broken.items()
                      if name in file or f'"{name}"' in why)
    raise UnknownName(did_you_mean(what, name, list(found)) + reasons)


def load_all() -> tuple[dict[str, type[Method]], dict[str, str]]:
    """Every method and every file that could not be loaded; see ``find_classes``."""
    return find_classes(methods, (DirectionMethod, PairedMethod), "method", NOT_METHODS, faults_of)


@cache
def faults_of(cls: type[Method]) -> list[str]:
    """What keeps a method class with a name from being registered, in sentences; nothing where all is well."""
    return method_faults(cls)


def get(name: str) -> type[Method]:
    """The method class of that name. Raises UnknownName with the nearest known one.

    >>> get("sefa").__name__
    'SeFa'
    """
    return pick(name, "method", *load_all())


def group(name: str) -> list[str]:
    """Names of a group of methods: ``core`` or ``all``, in the order that tables have (floor first, ceiling last)."""
    found, _ = load_all()
    chosen = [n for n, cls in found.items() if name == "all" or cls.core]
    return sorted(chosen, key=lambda n: ("teacher" in found[n].needs, n != "random", n))


def check_sizes(name: str, made: Made) -> Made:
    """``made``; ValueError where one of its sizes is below 1, or a number is NaN or infinite."""
    for field in fields(cast(Any, made)):  # what has settings is a dataclass
        value = getattr(made, field.name)
        if field.name in SIZES and isinstance(value, int) and value < 1:
            raise ValueError(f"{name}: {field.name}: {value}, expected a whole number from 1")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name}: {field.name}: {value}, expected a finite number")
    return made


def as_written(cls: type[Made], params: Mapping[str, Any]) -> Made:
    """An instance of a dataclass with ``params`` of the types that its fields say: "16", 16.0 or true are no 16.

    A list may stand for a tuple and a whole number for a float, since YAML has no other way to write them.

    Raises:
        ValidationError: another type.
    """
    return TypeAdapter(cls).validate_json(to_json(dict(params), inf_nan_mode="constants"), strict=True)


def build(name: str, params: dict | None = None) -> Method:
    """An instance with ``params`` over the published defaults.

    Raises UnknownName for a method or hyperparameter that nothing has, ValueError for a value of the wrong type.

    >>> build("sefa", {"n_directions": 4}).params()["n_directions"]
    4
    """
    cls = get(name)
    known = [f.name for f in fields(cls)]
    for key in params or {}:
        if key not in known:
            raise UnknownName(f"{name}: " + did_you_mean("hyperparameter", key, known))
    return made_of(cls, name, params or {})


def made_of(cls: type[Made], name: str, params: Mapping[str, Any]) -> Made:
    """An instance of the dataclass ``cls``. Raises ValueError for a value of the wrong type, or for sizes below 1."""
    try:
        return check_sizes(name, as_written(cls, params))
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:  # the class's own sentence about several of its settings together
            sentence = first["msg"].removeprefix("Value error, ")
            raise ValueError(sentence if sentence.startswith(f"{name}:") else f"{name}: {sentence}") from error
        key = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{name}: {key}: {first['msg']}; got {first['input']!r}") from error


def _file(cls: type) -> str:
    return Path(*cls.__module__.split(".")).with_suffix(".py").as_posix()

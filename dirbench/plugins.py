"""Plug-ins, found by being there: one registry class for methods, metrics, feature extractors and generator families.

Every module of a kind's folder whose name does not begin with an underscore is imported, and each class with a name in
it is registered. So are the classes of installed packages that say so: an entry point in the group
``dirbench.methods``, ``dirbench.metrics``, ``dirbench.oracles`` or ``dirbench.generators`` names a class, or a module
with such classes in it.
"""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache, lru_cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, Generic, TypeVar, cast, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from dirbench.checks import ROLES, extractor_faults, file_of, is_text, method_faults, name_faults, place
from dirbench.errors import import_fault
from dirbench.generator import Generator
from dirbench.method import DirectionMethod, PairedMethod
from dirbench.metric import Metric
from dirbench.metric_checks import metric_faults
from dirbench.names import UnknownName, did_you_mean
from dirbench.oracle import FeatureExtractor

SIZES = ("n_directions", "n_steps", "n_samples", "batch")  # hyperparameters that mean nothing below 1
Method = DirectionMethod | PairedMethod
Made = TypeVar("Made")
Faults = Callable[[Any], list[str]]


def name_only(cls: Any) -> list[str]:
    """What is wrong with the name, of classes that nothing else is asked of here (generator families)."""
    return [] if is_text(cls.name) else name_faults(cls.name, "generator")


class Registry(Generic[Made]):
    """The plug-ins of one kind.

    A broken or incomplete file, class or package never takes the others down: it is listed with the reason.

    Args:
        package: the folder as a package, such as ``dirbench.methods``.
        what: the kind in words, for messages.
        bases: classes that a plug-in of this kind is a subclass of.
        faults: sentences for what is wrong with a class that has a name; such a class is listed, not found.
        setting: what the kind calls its settings.
        group: of entry points; by default the package's name.

    >>> METHODS.get("sefa").__name__, METRICS.build("alignment").bounds
    ('SeFa', (-1.0, 1.0))
    """

    def __init__(self, package: str, what: str, bases: tuple[type, ...], faults: Faults, setting: str,
                 group: str = "") -> None:
        self.package, self.what, self.bases, self.setting = package, what, bases, setting
        self.faults = faults if faults is name_only else cache(faults)
        self.group = group or package

    def load_all(self) -> tuple[dict[str, type[Made]], dict[str, str]]:
        """({name: class}, {file, or file and class: why it is not there}), both sorted.

        Raises:
            ValueError: a name is used twice in the folder; it names both files. (An installed package's plug-in whose
                name is taken is listed as broken.)
        """
        return find_classes(importlib.import_module(self.package), self.bases, self.what, self.faults, self.group)

    def get(self, name: str) -> type[Made]:
        """The class of that name. Raises UnknownName with the nearest known one, and why its file failed if it did.

        >>> METRICS.get("aligment")
        Traceback (most recent call last):
        dirbench.names.UnknownName: unknown metric "aligment". Did you mean "alignment"?
        """
        found, broken = self.load_all()
        if name in found:
            return found[name]
        reasons = "".join(f" ({file} could not be loaded: {why})" for file, why in broken.items()
                          if name in file or f'"{name}"' in why)
        raise UnknownName(did_you_mean(self.what, name, list(found)) + reasons)

    def check(self, name: str, params: Mapping[str, Any] | None = None) -> type[Made]:
        """The class of that name, once ``params`` are known to be settings of it and of the right types.

        Raises:
            UnknownName: nothing has that name, or that setting; the message names the nearest.
            ValueError: a setting is missing, of another type or out of range.
        """
        cls, params = self.get(name), params or {}
        known = inspect.signature(cls).parameters
        for key in params:
            if key not in known:
                raise UnknownName(f"{name}: " + (did_you_mean(self.setting, key, list(known)) if known else
                                                 f'unknown {self.setting} "{key}"; it has none'))
        if is_dataclass(cls):
            made_of(cls, name, params)
            return cls
        types = get_type_hints(cls.__init__)
        for key, value in params.items():
            try:
                TypeAdapter(types[key]).validate_python(value, strict=True)
            except ValidationError as error:
                raise ValueError(f"{name}: {key}: {error.errors()[0]['msg']}; got {value!r}") from error
        for key, parameter in known.items():
            if parameter.default is parameter.empty and key not in params:
                raise ValueError(f"{name}: the parameter {key} is missing; a suite gives it as "
                                 f"{self.what}: {{name: {name}, {key}: ...}}")
        return cls

    def build(self, name: str, params: Mapping[str, Any] | None = None, /, **more: Any) -> Made:
        """An instance with ``params`` and ``more`` over the defaults, which are the published values.

        Raises:
            UnknownName, ValueError: see ``check``. ValueError: it cannot be made (weights are missing, say).

        >>> METHODS.build("sefa", n_directions=4).params()["n_directions"]
        4
        """
        chosen = {**(params or {}), **more}
        cls = self.check(name, chosen)
        return made_of(cls, name, chosen) if is_dataclass(cls) else cls(**chosen)


def find_classes(package: ModuleType, bases: tuple[type, ...], what: str, faults: Faults = name_only,
                 group: str = "") -> tuple[dict[str, type[Any]], dict[str, str]]:
    """What ``Registry.load_all`` says of a package; entry points of ``group`` are found too."""
    found: dict[str, type[Any]] = {}
    broken: dict[str, str] = {}
    for info in pkgutil.iter_modules(package.__path__):
        if info.name.startswith("_") or info.ispkg:
            continue
        label = file_of(f"{package.__name__}.{info.name}")
        try:
            module = importlib.import_module(f"{package.__name__}.{info.name}")
        except (Exception, SystemExit) as error:  # whatever a user's file does, it is his file that is listed with it
            broken[label] = import_fault(error, label)
            continue
        good, wrong = sort_classes(module, bases, faults)
        broken |= {f"{place(cls)} ({cls.__name__})": why for cls, why in wrong.items()}
        for value in good:
            if value.name in found:
                raise ValueError(f'two {what}s are named "{value.name}": {file_of(found[value.name].__module__)} and '
                                 f"{file_of(value.__module__)}")
            found[value.name] = value
    for point in plugins(group) if group else ():
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
            broken[label], classes = "; ".join(found_wrong), []
    for cls in classes:
        if cls.name in found:
            broken[label] = f'the name "{cls.name}" is taken by {file_of(found[cls.name].__module__)}'
        else:
            found[cls.name] = cls


# -- settings ----------------------------------------------------------------------------------------------
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


def as_written(cls: type[Made], params: Mapping[str, Any]) -> Made:
    """An instance of a dataclass with ``params`` of the types that its fields say: "16", 16.0 or true are no 16.

    A list may stand for a tuple and a whole number for a float, since YAML has no other way to write them.

    Raises:
        ValidationError: another type.
    """
    return TypeAdapter(cls).validate_json(to_json(dict(params), inf_nan_mode="constants"), strict=True)


def check_sizes(name: str, made: Made) -> Made:
    """``made``; ValueError where one of its sizes is below 1, or a number is NaN or infinite."""
    for field in fields(cast(Any, made)):  # what has settings is a dataclass
        value = getattr(made, field.name)
        if field.name in SIZES and isinstance(value, int) and value < 1:
            raise ValueError(f"{name}: {field.name}: {value}, expected a whole number from 1")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name}: {field.name}: {value}, expected a finite number")
    return made


# -- the four kinds ------------------------------------------------------------------------------------------
METHODS: Registry[Method] = Registry("dirbench.methods", "method", (DirectionMethod, PairedMethod), method_faults,
                                     "hyperparameter")
METRICS: Registry[Metric] = Registry("dirbench.metrics", "metric", (Metric,), metric_faults, "setting")
EXTRACTORS: Registry[FeatureExtractor] = Registry("dirbench.oracles", "extractor", (FeatureExtractor,),
                                                  extractor_faults, "parameter")
FAMILIES: Registry[Generator] = Registry("dirbench.benchmarks.generators", "generator family", (Generator,), name_only,
                                         "setting", "dirbench.generators")


def method_group(name: str) -> list[str]:
    """Names of a group of methods: ``core`` or ``all``, in the order that tables have (baseline first, ceiling last).

    >>> method_group("core")[0]
    'random'
    """
    found, _ = METHODS.load_all()
    chosen = [n for n, cls in found.items() if name == "all" or cls.core]
    return sorted(chosen, key=lambda n: (ROLES.index(found[n].role), n))

"""What a class must say of itself to be registered: sentences for what is wrong with it, before anything is run.

At the end: how a class, its file and its line are called in messages.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, get_origin, get_type_hints

from dirbench.errors import at, one_line
from dirbench.names import PLAIN, check_name

CONTEXT_NEEDS = ("extractor", "teacher", "density_ratio")
ROLES = ("baseline", "method", "ceiling")  # in the order of their lines in tables


def name_faults(name: object, what: str, reserved: Iterable[str] = ()) -> list[str]:
    """What is wrong with the name of a method, metric, extractor or protocol."""
    if not isinstance(name, str):
        return [f"name is {name!r}, expected a text"]
    try:
        check_name(name, what, PLAIN)
    except ValueError as error:
        return [str(error)]
    return [f'the name "{name}" means a group; choose another'] if name in reserved else []


def abstract_faults(cls: type, base: str) -> list[str]:
    """What an abstract class still lacks."""
    lacking = sorted(getattr(cls, "__abstractmethods__", ()))
    return [f"it does not define {', '.join(lacking)}, which every {base} has"] if lacking else []


def field_faults(cls: type, shared: Iterable[str]) -> list[str]:
    """What is wrong with a class's fields, its hyperparameters.

    Args:
        shared: names of the class attributes that say what it is; they are no fields.
    """
    own = inspect.get_annotations(cls)
    plain = [name for name, kind in own.items() if not _is_class_var(kind) and not name.startswith("_")]
    mixed = [name for name in plain if name in set(shared)]
    if mixed:
        return [f"{name} says what the class is and is no hyperparameter: write `{name}: ClassVar[...] = ...`"
                for name in mixed]
    if plain and "__dataclass_params__" not in vars(cls):
        return [f"{', '.join(plain)} would be no hyperparameters: decorate the class with @dataclass(frozen=True)"]
    if not dataclasses.is_dataclass(cls):
        return []
    bare = [f.name for f in dataclasses.fields(cls) if f.init and f.default is dataclasses.MISSING
            and f.default_factory is dataclasses.MISSING]
    return [f"the field {name} needs a default: the published value" for name in bare]


def build_faults(cls: type) -> list[str]:
    """Why no instance can be made with the defaults, if so."""
    try:
        made = cls()
    except Exception as error:  # a stranger's constructor may raise anything
        return [f"{cls.__name__}() with its defaults fails: {one_line(error)}{at(error)}"]
    for field in dataclasses.fields(made) if dataclasses.is_dataclass(made) else ():
        try:
            json.dumps(getattr(made, field.name))
        except (TypeError, ValueError):
            return [f"the default of {field.name} is {getattr(made, field.name)!r}, expected a plain value that a YAML "
                    "file can hold: it is part of cache keys and tables"]
    return []


def call_faults(cls: type, function: str, *arguments: str) -> list[str]:
    """Whether an instance's ``function`` takes ``arguments`` by position."""
    found = inspect.getattr_static(cls, function, None)
    if found is None or not callable(getattr(cls, function)):
        return [f"it does not define {function}({', '.join(arguments)})"]
    mine = () if isinstance(found, staticmethod | classmethod) else (None,)
    try:
        inspect.signature(getattr(cls, function)).bind(*mine, *arguments)
    except TypeError as error:
        return [f"{function} cannot be called as {function}({', '.join(arguments)}): {error}"]
    except ValueError:  # built without a signature: it is called, and then seen
        pass
    return []


def type_faults(cls: type, **expected: tuple[Callable[[Any], bool], str]) -> list[str]:
    """Class attributes that are not what they should be; ``expected`` is (test, words) by name."""
    return [f"{name} is {getattr(cls, name)!r}, expected {words}" for name, (test, words) in expected.items()
            if not test(getattr(cls, name))]


def is_flag(value: object) -> bool:
    """Whether ``value`` is True or False, and not just as good as."""
    return isinstance(value, bool)


def is_text(value: object) -> bool:
    """Whether ``value`` is a text, perhaps an empty one."""
    return isinstance(value, str)


def is_texts(value: object) -> bool:
    """Whether ``value`` is a tuple of texts (and not one text)."""
    return isinstance(value, tuple) and all(isinstance(x, str) for x in value)


def method_faults(cls: Any) -> list[str]:
    """What is wrong with a method class; the first kind of fault found, in sentences without the class's name."""
    shared = ("name", "source", "needs", "deterministic", "core", "beats_random_by", "why_not", "objective_why_not",
              "role", "test_params", "paired")
    arguments = ("discover_pair", "reference", "client", "context") if cls.paired else ("discover", "generator",
                                                                                        "context")
    for faults in (
            lambda: name_faults(cls.name, "method", ("core", "all")),
            lambda: abstract_faults(cls, "PairedMethod" if cls.paired else "DirectionMethod"),
            lambda: field_faults(cls, shared),
            lambda: type_faults(
                cls, source=(is_text, "a text"), needs=(is_texts, 'a tuple of texts, such as ("extractor",)'),
                deterministic=(is_flag, "True or False"), core=(is_flag, "True or False"),
                beats_random_by=(_is_share, "a number from 0 to 1, or None"), why_not=(is_text, "a text"),
                objective_why_not=(is_text, "a text"),
                role=(lambda value: is_text(value) and value in ROLES, f"one of {', '.join(map(repr, ROLES))}"),
                test_params=(_is_settings, "a dict of hyperparameters")),
            lambda: [f'needs has "{need}", expected some of {", ".join(CONTEXT_NEEDS)}' for need in cls.needs
                     if need not in CONTEXT_NEEDS],
            lambda: call_faults(cls, *arguments),
            lambda: build_faults(cls),
            lambda: _plan_faults(cls())):
        if found := faults():
            return found
    return []


def extractor_faults(cls: Any) -> list[str]:
    """What keeps an extractor class with a name from being registered, in sentences."""
    return name_faults(cls.name, "extractor") or abstract_faults(cls, "FeatureExtractor") or _constructor_faults(cls)


def _constructor_faults(cls: Any) -> list[str]:
    try:
        types, parameters = get_type_hints(cls.__init__), inspect.signature(cls).parameters
    except Exception as error:  # a stranger's annotations are evaluated
        return [f"the types of its constructor's parameters cannot be read: {one_line(error)}"]
    if any(parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD) for parameter in parameters.values()):
        return ["its constructor must name its parameters, for suites are checked against them: write "
                "def __init__(self, input_size: int = 32)"]
    return [f"the parameter {key} of its constructor needs a type: suites are checked against it"
            for key in parameters if key not in types]


def _plan_faults(method: Any) -> list[str]:
    """What a plan asks of a method before anything is run."""
    for what in ("steps", "images()", "effort"):
        try:
            value = method.images() if what == "images()" else getattr(method, what)
            good = isinstance(value, int | float) and value >= 0 and (what == "effort" or int(value) == value)
        except Exception as error:  # a stranger's code may raise anything
            return [f"{what} fails: {one_line(error)}{at(error)}"]
        if not good:
            return [f"{what} is {value!r}, expected a {'' if what == 'effort' else 'whole '}number from 0"]
    return []


def _is_share(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1)


def _is_settings(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _is_class_var(annotation: object) -> bool:
    if isinstance(annotation, str):
        return annotation.split("[")[0].rpartition(".")[2] == "ClassVar"
    return annotation is ClassVar or get_origin(annotation) is ClassVar


# -- words ---------------------------------------------------------------------------------------------
def first_line(cls: type) -> str:
    """The first line of a class's own docstring; what stands in its place where there is none."""
    text = (vars(cls).get("__doc__") or "").strip()
    made = dataclasses.is_dataclass(cls) and text.startswith(f"{cls.__name__}(")  # by @dataclass, from the fields
    return text.splitlines()[0] if text and not made else "(no docstring)"


def file_of(module: str) -> str:
    """"methods/mine.py": a module's file as the project's user sees it, from the repository's root.

    >>> file_of("dirbench.methods.sefa"), file_of("theirs.net")
    ('methods/sefa.py', 'theirs/net.py')
    """
    parts = module.split(".")
    if len(parts) > 2 and parts[0] == "dirbench":
        del parts[0]
    return Path(*parts).with_suffix(".py").as_posix()


def place(cls: type) -> str:
    """"methods/mine.py:12": where a class is written, as far as it is known."""
    file = file_of(cls.__module__)
    try:
        return f"{file}:{inspect.getsourcelines(cls)[1]}"
    except (OSError, TypeError):
        return file

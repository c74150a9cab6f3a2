"""What is wrong with a suite or a profile, in sentences: file, line, key, value, what was expected, what to do."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from pydantic import BaseModel, ValidationError

from dirbench.benchmarks.config.reading import Document
from dirbench.names import did_you_mean
from dirbench.plugins import METHODS

_EXPECTED = {"list_type": "a list, such as [one, two]", "dict_type": "keys and values",
             "string_type": "a text (in quotes, if it looks like a number)", "model_type": "keys and values",
             "model_attributes_type": "a name, or keys and values", "bool_type": "true or false"}
_DERIVED = ("gans", "reference", "n_common", "metrics")  # where a file does not say them they follow from the rest


class ConfigError(ValueError):
    """A suite or profile is wrong; the message says file, line, key, value and what was expected."""


def sentences(model: type[BaseModel], entry: type[BaseModel], other: type[BaseModel], document: Document,
              data: dict[str, Any], error: ValidationError) -> str:
    """One line for each thing that is wrong.

    Args:
        model: of the whole document; ``entry``: of one of its methods; ``other``: of the files that hold the rest of
            what a run is told, for keys that were put into the wrong one.
        data: what was validated.
    """
    wrong = error.errors()
    strange = {one["loc"][:-1] for one in wrong if one["type"] == "extra_forbidden" and len(one["loc"]) > 1}
    follow = [one for one in wrong if one["loc"] and (
        (one["loc"][0] in _DERIVED and one["loc"][0] not in document.data)
        or (one["type"] == "missing" and one["loc"][:-1] in strange))]  # it is there, in another form
    return "\n".join(_sentence(model, entry, other, document, data, one)
                     for one in wrong if one not in follow or follow == wrong)


def _sentence(model: type[BaseModel], entry: type[BaseModel], other: type[BaseModel], document: Document,
              data: dict[str, Any], error: Any) -> str:
    loc = error["loc"]
    line = f"{document.where}:{document.line(loc)}: "
    where = line + ".".join(str(part) for part in loc)
    if error["type"] == "extra_forbidden":
        return line + (_misplaced(loc, model, other, data)
                       or did_you_mean("key", str(loc[-1]), _known_keys(model, entry, loc[:-1])))
    if error["type"] == "missing":
        return f"{where}: this key is missing"
    if error["type"] == "value_error":  # our own validators' sentences need nothing added
        sentence = str(error["ctx"]["error"])
        if loc:
            return f"{where}: {sentence}"
        return f"{document.where}:{document.line((sentence.partition(':')[0],))}: {sentence}"
    expected = _EXPECTED.get(error["type"])
    return f"{where}: {f'expected {expected}' if expected else error['msg']}; got {error['input']!r:.200}"


def _misplaced(loc: tuple[str | int, ...], model: type[BaseModel], other: type[BaseModel], data: dict[str, Any]) -> str:
    """Where an unknown key belongs, if it is known elsewhere; else ""."""
    key = str(loc[-1])
    if len(loc) == 1 and key in other.model_fields:
        kind, own = other.__name__.lower(), model.__name__.lower()
        way = {"seeds": " (or say --seeds)", "pairs": " (or say --pairs)"}.get(key, "")
        return f'"{key}" belongs to the {kind}, not to the {own}: write it into the YAML file for --{kind}{way}'
    found = METHODS.load_all()[0]
    if len(loc) == 1 and (having := [n for n, cls in found.items() if key in {f.name for f in fields(cls)}]):
        return f'"{key}" is a setting of methods: write it where the method is, as - {having[0]}: {{{key}: ...}}'
    if len(loc) == 3 and loc[0] == "methods" and isinstance(loc[1], int):
        item = data["methods"][loc[1]]
        if key in found:
            return f'"{key}" is a method\'s name: write {{name: {key}, params: {{...}}, ...}}'
        name = item.get("name")
        if name in found and key in {f.name for f in fields(found[name])}:
            return (f'"{key}" is a setting of {name}: write {{name: {name}, params: {{{key}: ...}}}}, or '
                    f"- {name}: {{{key}: ...}}")
    return ""


def _known_keys(model: type[BaseModel], entry: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    for part in loc:
        if isinstance(part, int):
            model = entry
            continue
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    return list(model.model_fields)

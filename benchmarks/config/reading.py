"""The one reader of YAML that users write: suites, profiles, zoos and specifications of generators.

Strict where YAML is lenient, so that nothing is lost without a word: a key that is there twice is refused, as are
aliases that multiply. Plain words mean what YAML 1.2 says: ``1e-3`` is a number; ``no``, ``on``, ``1:30`` and
``2020-01-01`` are texts. Keys are always texts, as written.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, cast

import yaml

MAX_BYTES = 16_000_000  # no manifest is larger; a checkpoint named .yaml is not read into memory
MAX_NODES = 200_000  # after aliases are followed
MAX_DEPTH = 100


class YamlError(ValueError):
    """A YAML file, or a text of that form, cannot be used; the message begins with ``file:line``."""


@dataclass(frozen=True)
class Document:
    """What a YAML text says, and where it says it.

    Attributes:
        where: the file, or a word for the text.
        data: plain values: mappings, lists, texts, numbers, booleans and None.
        node: the same with line numbers.
        written: {key: for each item of its list as it is used, which item of the text that was}, where they differ.
    """

    where: str
    data: Any
    node: yaml.Node
    written: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def line(self, place: tuple[str | int, ...] = ()) -> int:
        """The line, from 1, of the deepest key of ``place`` that the text has."""
        if len(place) > 1 and isinstance(item := place[1], int) and place[0] in self.written:
            place = (place[0], self.written[str(place[0])][item], *place[2:])
        node, line = self.node, self.node.start_mark.line
        for part in place:
            if isinstance(node, yaml.MappingNode):
                hit = [(key, value) for key, value in node.value if key.value == str(part)]
                if not hit:
                    break
                line, node = hit[-1][0].start_mark.line, hit[-1][1]  # the last: merged keys come first
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line
            else:
                break
        return line + 1

    def mapping(self, expected: str) -> dict[str, Any]:
        """``data``, if it is keys and values. Raises YamlError, which names the ``expected`` keys."""
        if isinstance(self.data, dict):
            return self.data
        found = "a list" if isinstance(self.data, list) else repr(self.data)[:100]
        raise YamlError(f"{self.where}:{self.line()}: expected keys and values ({expected}), got {found}")


class _Refused(yaml.MarkedYAMLError):
    """Valid YAML that is not taken."""


class _Loader(yaml.SafeLoader):
    """YAML 1.2's plain words, keys as texts, and each key once."""

    # the stubs take it for an instance's, but a loader class has it
    yaml_implicit_resolvers: ClassVar[dict[str, list[tuple[str, re.Pattern[str]]]]] = {}  # type: ignore[misc]

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Hashable, Any]:
        if not isinstance(node, yaml.MappingNode):
            return super().construct_mapping(cast(yaml.MappingNode, node), deep)  # which refuses it
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _Refused(None, None, "a key must be a plain word, not a list or a mapping (a text with braces "
                               "needs quotes)", key.start_mark)
            if key.value in lines:
                raise _Refused(None, None, f'"{key.value}" is there twice, first in line {lines[key.value]}; say it '
                               "once", key.start_mark)
            lines[key.value] = key.start_mark.line + 1
        self.flatten_mapping(node)
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}

    def construct_int(self, node: yaml.ScalarNode) -> int:
        """Decimal, 0o17 or 0xff; 1_000 is a thousand, and 010 is ten."""
        text = node.value.replace("_", "")
        return int(text, 8 if "o" in text else 16 if "x" in text else 10)


_TAG = "tag:yaml.org,2002:"
for _kind, _pattern, _first in (
        ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"), ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
        ("int", r"[-+]?[0-9][0-9_]*|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
        ("float", r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)"
                  r"|\.(?:nan|NaN|NAN)", "-+.0123456789"), ("merge", r"<<", "<")):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"(?:{_pattern})\\Z"), list(_first))
_Loader.add_constructor(_TAG + "int", _Loader.construct_int)


def read_yaml(path: Path) -> Document:
    """The document in a file. Raises YamlError with file and line."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise YamlError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(raw) > MAX_BYTES:
        raise YamlError(f"{path}:1: larger than {MAX_BYTES // 10**6} MB; expected YAML, which people write")
    wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # how some editors save "Unicode"
    try:
        text = raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise YamlError(f"{path}:{line}: not UTF-8 (byte 0x{raw[error.start]:02x}); save the file as UTF-8") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> Document:
    """The document in ``text``; ``where`` is what messages call it. Raises YamlError with ``where`` and line."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise YamlError(f"{where}:1: is empty; expected keys and values")
        _weigh(node, {}, 0)
        return Document(where, loader.construct_document(node), node)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(f"{where}:{line}: not valid YAML (the character {chr(error.character)!r}, which no text may "
                        "have)") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        what = error.problem if isinstance(error, _Refused) else f"not valid YAML ({error.problem}{_hint(error)})"
        raise YamlError(f"{where}:{line}: {what}") from error
    except (RecursionError, OverflowError) as error:
        raise YamlError(f"{where}:1: nested too deeply to be read") from error
    except ValueError as error:
        if isinstance(error, YamlError):
            raise
        raise YamlError(f"{where}:1: not valid YAML ({error})") from error


def _hint(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or ""
    if "'\\t'" in problem:
        return ": indent with spaces, not with tabs"
    if "mapping values are not allowed" in problem:
        return ': check the indentation, and write a text with ": " in it in quotes'
    if "another document" in problem:
        return ": take out the line ---"
    return ""


def _weigh(node: yaml.Node, known: dict[int, int | None], depth: int) -> int:
    """How many nodes there are below ``node`` once aliases are followed; YamlError for too many, or endless ones."""
    if id(node) in known:
        weight = known[id(node)]
        if weight is None:
            raise _Refused(None, None, "an alias inside of what it stands for has no end", node.start_mark)
        return weight
    if depth > MAX_DEPTH:
        raise _Refused(None, None, f"nested more than {MAX_DEPTH} deep", node.start_mark)
    known[id(node)] = None
    parts = node.value if isinstance(node, yaml.CollectionNode) else ()
    weight = 1 + sum(_weigh(one, known, depth + 1) for part in parts
                     for one in (part if isinstance(part, tuple) else (part,)))
    if weight > MAX_NODES:
        raise _Refused(None, None, f"more than {MAX_NODES:,} values, once aliases are followed", node.start_mark)
    known[id(node)] = weight
    return weight

"""What code a step runs: a hash over a module and the definitions of this project that it uses, directly or not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from typing import NamedTuple

from dirbench.results.artifacts.code_parts import Module, Part, parsed
from dirbench.results.artifacts.source_files import companions, source_file

Place = tuple[str, str]  # (module, what of it)

PACKAGES = ("dirbench",)
WHOLE, ALWAYS = "*", ""  # beside names of definitions: all of a module, and what it does when it is imported


def code_hash(*modules: str) -> str:
    """sha256 (hex) over the syntax of ``modules`` and of what they use of the project's other modules.

    Of another module count the definitions (functions, classes, assignments) that are named, those that they name in
    turn, and the statements that it runs for their effect when it is imported. What only explains does not count:
    comments, docstrings, layout, imports under ``if TYPE_CHECKING``, names in annotations of functions. Nor does a
    class attribute declared as ``ClassVar`` whose name none of that code mentions, as a name or as a text: a new word
    that tables need of methods throws nobody's directions away. Where a use cannot be seen in the syntax (``import *``,
    ``globals()``, a module handed around) the whole module counts. A name put together at run time is not seen.

    A module from elsewhere (a plugin) counts with the modules of its own package, or beside its file, too. A name that
    a package's ``__init__.py`` only passes on is followed to the module that defines it.

    Args:
        modules: each counts whole; ``"module:name"`` for one definition and what it uses.

    Raises:
        ValueError: one of ``modules`` has no Python source.
    """
    return _code_hash(tuple(sorted(set(modules))))


def forget() -> None:
    """Reads every file anew the next time; for who has changed one in this very process."""
    for cached in (_code_hash, _seen, parsed, companions):
        cached.cache_clear()


@cache
def _code_hash(modules: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for (module, name), part in sorted(_closure(modules).items(), key=lambda item: item[0]):
        digest.update(f"{module}:{name}:{part.digest}\n".encode())
    return digest.hexdigest()


def _closure(modules: Iterable[str]) -> dict[Place, Part]:
    """All that counts for entry modules, by place."""
    parts: dict[Place, Part] = {}
    unread: dict[Place, Part] = {}  # class attributes that nobody mentions so far
    mentioned: set[str] = set()
    entered: set[Place] = set()
    waiting: list[Place] = []
    for entry in modules:
        module, _, name = entry.partition(":")
        waiting.extend(_places(module, [name], parsed(module)) if name else [(parsed(module).name, WHOLE)])
    while waiting:
        place = waiting.pop()
        if place not in entered:
            entered.add(place)
            seen = _seen(*place)
            unread |= seen.unread
            parts |= seen.parts
            mentioned.update(*(part.mentions for part in seen.parts.values()))
            waiting.extend(seen.leads)
        if not waiting:
            for read in [key for key in unread if key[1].rpartition(".")[2] in mentioned]:
                parts[read] = unread.pop(read)
                mentioned |= parts[read].mentions
                waiting.extend(_uses(parsed(read[0]), parts[read]))
    return parts


class _Seen(NamedTuple):
    """What a place has and where it leads."""

    parts: dict[Place, Part]
    unread: dict[Place, Part]
    leads: set[Place]


@cache
def _seen(name: str, what: str) -> _Seen:
    module, seen = parsed(name), _Seen({}, {}, set())
    if what == ALWAYS:
        seen.leads.update((run, ALWAYS) for run in module.runs if _is_ours(run, module) and source_file(run))
        seen.leads.update((name, kept) for kept in module.registered)
        seen.leads.update((name, kept) for kept in module.classes if _is_told(module, kept))
        if module.does:
            seen.parts[name, what] = module.effects
    else:
        seen.leads.add((name, ALWAYS))
        if what == WHOLE:
            seen.leads.update((name, definition) for definition in module.definitions)
            seen.leads.update(_unused_imports(module))
            seen.parts[name, what] = module.left_out
        else:
            seen.parts[name, what] = module.part(what)
            for attribute, (part, declared) in module.attributes(what).items():
                of = seen.unread if declared or _is_declared(module, what, attribute) else seen.parts
                of[name, f"{what}.{attribute}"] = part
    for part in seen.parts.values():
        seen.leads.update(_uses(module, part))
    return seen


# -- bases ---------------------------------------------------------------------------------------------
def _is_told(module: Module, name: str) -> bool:
    """Whether a base of the class is told of it (``__init_subclass__``, a metaclass), and may keep it somewhere."""
    return any(base.is_told(inner) for base, inner in _bases(module, name))


def _is_declared(module: Module, name: str, attribute: str) -> bool:
    """Whether a base of the class declares the attribute as ClassVar."""
    return any(base.declares(inner, attribute) for base, inner in _bases(module, name))


def _bases(module: Module, name: str) -> list[tuple[Module, str]]:
    """Classes of ours that a class inherits from, directly or not."""
    found: dict[tuple[str, str], Module] = {}
    waiting = [(module, name)]
    while waiting:
        user, inner = waiting.pop()
        for chain in user.bases(inner):
            for place in _places(user.name, list(chain), user):
                base = parsed(place[0])
                if place[1] in base.definitions and place not in found:
                    found[place] = base
                    waiting.append((base, place[1]))
    return [(base, inner) for (_, inner), base in found.items()]


# -- from names to places ------------------------------------------------------------------------------
def _uses(module: Module, part: Part) -> Iterator[Place]:
    """The places that the names in a part lead to."""
    for first, *rest in part.chains:
        if first in part.imports:
            for imported in part.imports[first]:
                yield from _places(*_passed(imported, rest), module)
        elif first in module.imports or first in module.definitions:
            yield from _places(module.name, [first, *rest], module)
    for local in part.imports.keys() - part.names:
        for imported in part.imports[local]:
            yield from _places(*_passed(imported, []), module)


def _unused_imports(module: Module) -> Iterator[Place]:
    """What a module imports and names nowhere: to hand it on, or for what importing it does."""
    for found in module.unused_imports.values():
        for imported in found:
            yield from _places(*_passed(imported, []), module)
    if module.passes_on:
        for local in module.passes_on:
            yield from _places(module.name, [local], module)


def _places(name: str, path: list[str], user: Module) -> Iterator[Place]:
    """Where ``name.path[0].path[1]...`` leads, seen from ``user``."""
    if not _is_ours(name, user):
        return
    if source_file(name) is None:
        if path:  # a folder without an __init__.py
            yield from _places(f"{name}.{path[0]}", path[1:], user)
        return
    module = parsed(name)
    if not path:
        yield name, WHOLE
        return
    yield name, ALWAYS
    first, *rest = path
    if module.passes_on and first in module.passes_on:
        yield from _places(*_passed(module.passes_on[first], rest), user)
    elif first not in module.definitions and source_file(f"{name}.{first}") and (
            (name, first) in module.imports.get(first, [(name, first)])):
        yield from _places(f"{name}.{first}", rest, user)
    elif module.is_opaque or first == "*":
        yield name, WHOLE
    else:
        if first in module.definitions:
            yield name, first
        for imported in module.imports.get(first, ()):
            yield from _places(*_passed(imported, rest), module)
        if first not in {*module.definitions, *module.imports, *module.bound}:
            yield name, WHOLE


def _passed(imported: tuple[str, str | None], rest: list[str]) -> tuple[str, list[str]]:
    """(module, path in it) of attributes of what an import gives."""
    source, name = imported
    return source, [name, *rest] if name else rest


def _is_ours(name: str, user: Module) -> bool:
    return name.split(".")[0] in {*PACKAGES, *companions(user.name.split(".")[0])}

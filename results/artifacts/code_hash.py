"""What code a step runs: a hash over a module and everything of this project that it imports."""

from __future__ import annotations

import ast
import hashlib
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PACKAGES = ("dirbench",)


def code_hash(*modules: str) -> str:
    """sha256 (hex) over the syntax of ``modules`` and all project modules that they import, directly or not.

    A module from elsewhere (a plugin) counts with the modules of its own package, or beside its file, too. A name that
    a package's ``__init__.py`` only passes on counts as an import of the module that defines it: ``from dirbench
    import DirectionMethod`` depends on ``dirbench.method`` and not on the metrics that ``dirbench`` also has (``import
    dirbench`` depends on all).

    Comments, docstrings and layout do not enter: explaining code better must not recompute a day's work. Imports under
    ``if TYPE_CHECKING`` do not enter either, since nothing of them runs.

    Raises:
        ValueError: one of ``modules`` has no Python source.
    """
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(_parse(name)[1])
    digest = hashlib.sha256()
    for name in sorted(seen):
        digest.update(f"{name}:{_parse(name)[0]}\n".encode())
    return digest.hexdigest()


@cache
def _parse(module: str) -> tuple[str, tuple[str, ...]]:
    """(hash of the module's syntax, modules of ours that it imports)."""
    tree, ours = _tree(module), {*PACKAGES, *_companions(module.split(".")[0])}
    imports: set[str] = set()
    for source, name in _imports(module, tree):
        if source.split(".")[0] in ours:
            imports |= {source} if name is None else _named(source, name, ours)
    found = tuple(sorted(name for name in imports if _file(name)))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), found


def _tree(module: str) -> ast.Module:
    """The module's syntax, without documentation."""
    file = _file(module)
    if file is None:
        raise ValueError(f"no Python source of a module named {module}, so its code cannot be part of a key")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    _drop_documentation(tree)
    return tree


def _imports(module: str, tree: ast.AST) -> Iterator[tuple[str, str | None]]:
    """(module, name) of every ``from module import name``, dots resolved; the name is None for ``import module``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (source := _source(module, node)):
            yield from ((source, alias.name) for alias in node.names)


def _source(module: str, node: ast.ImportFrom) -> str:
    """The module that ``from ... import`` in ``module`` means."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    if not _is_package(module):
        parts.pop()
    parts = parts[:len(parts) - node.level + 1]
    return ".".join([*parts, node.module] if node.module else parts)


def _named(source: str, name: str, ours: set[str]) -> set[str]:
    """The modules that ``from source import name`` depends on; those outside ``ours`` do not count."""
    if source.split(".")[0] not in ours:
        return set()
    passed_on = _passed_on(source)
    if passed_on and name in passed_on:
        return _named(*passed_on[name], ours)
    inner = f"{source}.{name}"
    if not _file(inner):
        return {source}
    return {inner} if passed_on is not None else {source, inner}


@cache
def _passed_on(package: str) -> dict[str, tuple[str, str]] | None:
    """{name: (module, name there)} of a package whose ``__init__.py`` only hands names on; None for any other module.

    It may do so when a name is asked for (``__getattr__``); then the imports under ``if TYPE_CHECKING`` say from where.
    """
    file = _file(package)
    if file is None or file.name != "__init__.py":
        return None
    found: dict[str, tuple[str, str]] = {}
    body = [node for node in ast.parse(file.read_text(encoding="utf-8")).body if not _is_text(node)]
    lazy = any(isinstance(node, ast.FunctionDef) and node.name == "__getattr__" for node in body)
    inner = [node for outer in body for node in (outer.body if lazy and isinstance(outer, ast.If) else [outer])]
    for node in inner:
        if isinstance(node, ast.ImportFrom):
            source = _source(package, node)
            found |= {alias.asname or alias.name: (source, alias.name) for alias in node.names if source != package}
        elif not (isinstance(node, ast.Import) or _is_dunder(node) or _is_type_checking(node) or lazy):
            return None
    return found if body else None


def _is_dunder(node: ast.stmt) -> bool:
    """Whether it is ``__all__ = ...``, ``__version__ = ...`` or the like."""
    return isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) and target.id.startswith("__")
                                                for target in node.targets)


# -- files ---------------------------------------------------------------------------------------------
def _file(name: str) -> Path | None:
    """The source of a module, found without importing it; None for what is no module (a name inside one, say)."""
    top, *rest = name.split(".")
    alone, folders = _place(top)
    if not rest and alone is not None:
        return alone
    package, _, last = name.rpartition(".")
    if "." in package and (inner := getattr(sys.modules.get(package), "__path__", None)):  # it may have been given more
        folders, rest = list(inner), [last]
    for folder in folders:
        path = Path(folder, *rest)
        for file in (path.with_suffix(".py"), path / "__init__.py") if rest else (path / "__init__.py",):
            if file.is_file():
                return file
    return None


def _place(top: str) -> tuple[Path | None, list[str]]:
    """(the file of a module outside packages, the folders of a package): one of them is empty."""
    module = sys.modules.get(top)
    if module is not None:
        folders, origin = list(getattr(module, "__path__", [])), getattr(module, "__file__", None)
    elif (spec := find_spec(top)) is not None:
        folders, origin = list(spec.submodule_search_locations or []), spec.origin
    else:
        folders, origin = [], None
    alone = Path(origin) if not folders and origin and origin.endswith(".py") else None
    return alone if alone is not None and alone.is_file() else None, folders


def _is_package(module: str) -> bool:
    file = _file(module)
    return file is not None and file.name == "__init__.py"


@cache
def _companions(top: str) -> frozenset[str]:
    """Top-level names that belong to one work with ``top``: itself, and for a file its siblings.

    Where packages are installed side by side, siblings are those that were installed by the same distribution.
    """
    alone, _ = _place(top)
    if alone is None:
        return frozenset({top})
    folder = alone.resolve().parent
    installed = {Path(path).resolve() for name, path in sysconfig.get_paths().items() if name.endswith("lib")}
    if any(folder == place or place in folder.parents for place in installed) or "site-packages" in folder.parts:
        owners = packages_distributions()
        mine = set(owners.get(top, ()))
        return frozenset({top, *(name for name, theirs in owners.items() if mine & set(theirs))})
    return frozenset({top, *(path.stem for path in folder.glob("*.py")),
                      *(path.parent.name for path in folder.glob("*/__init__.py"))})


# -- documentation -------------------------------------------------------------------------------------
def _drop_documentation(tree: ast.AST) -> None:
    node: Any  # many classes of node have a body, and nothing in ast's types is all of them
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        node.body = [n for n in body if not (_is_text(n) or _is_type_checking(n))]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"

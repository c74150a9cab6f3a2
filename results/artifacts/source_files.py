"""Where the source of a module lies, found without importing it, and which packages belong to one work."""

from __future__ import annotations

import ast
import sys
import sysconfig
from functools import cache
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path


def source_of(module: str, node: ast.ImportFrom) -> str:
    """The module that ``from ... import`` in ``module`` means."""
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    if not is_package(module):
        parts.pop()
    parts = parts[:len(parts) - node.level + 1]
    return ".".join([*parts, node.module] if node.module else parts)


def source_file(name: str) -> Path | None:
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


def is_package(module: str) -> bool:
    file = source_file(module)
    return file is not None and file.name == "__init__.py"


@cache
def companions(top: str) -> frozenset[str]:
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

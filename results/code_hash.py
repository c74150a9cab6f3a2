"""What code a step runs: a hash over a module and everything of this project that it imports."""

from __future__ import annotations

import ast
import hashlib
import importlib
from functools import cache
from pathlib import Path

PACKAGES = ("benchmarks", "methods", "metrics", "oracles", "results", "dirbench")


def code_hash(*modules: str) -> str:
    """sha256 (hex) over the syntax of ``modules`` and all project modules that they import, directly or not.

    Comments, docstrings and layout do not enter: explaining code better must not recompute a day's work. Imports under
    ``if TYPE_CHECKING`` do not enter either, since nothing of them runs.
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
    """(hash of the module's syntax, project modules it imports)."""
    file = _file(module)
    if file is None:
        raise ValueError(f"no module named {module}, so its code cannot be part of a key")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    _drop_documentation(tree)
    imports = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            imports.update({node.module, *(f"{node.module}.{alias.name}" for alias in node.names)})
    ours = tuple(sorted(name for name in imports if name.split(".")[0] in PACKAGES and _file(name)))
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), ours


def _file(name: str) -> Path | None:
    """The source of a module, found without importing it; None for what is no module (a name inside one, say)."""
    top, *rest = name.split(".")
    for folder in importlib.import_module(top).__path__:
        path = Path(folder, *rest)
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


def _drop_documentation(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        node.body = [n for n in body if not (_is_text(n) or _is_type_checking(n))]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"

"""The house's rules that neither import-linter nor ruff can say: no underscored name is used from another folder."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.tiny import ROOT

FOLDERS = ("dirbench", "benchmarks", "methods", "metrics", "oracles", "results")
FILES = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]


def package_of(file: Path) -> str:
    """dirbench/errors.py -> dirbench; benchmarks/stages/lab.py -> dirbench.benchmarks.stages."""
    parts = file.relative_to(ROOT).parent.parts
    return ".".join(parts if parts[0] == "dirbench" else ("dirbench", *parts))


def borrowed(package: str, text: str) -> Iterator[str]:
    """Underscored names of other folders that a file of ``package`` imports, or reads off a module that it imports."""
    modules: dict[str, str] = {}  # local name -> what it was imported as
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                modules[alias.asname or alias.name.split(".")[0]] = alias.name
                yield from private(package, alias.name)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            for alias in node.names:
                modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                yield from private(package, f"{node.module}.{alias.name}")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield from private(package, f"{modules[node.value.id]}.{node.attr}")


def private(package: str, name: str) -> Iterator[str]:
    """``name`` itself, if it is ours, underscored (at any of its dots) and not of the folder ``package``."""
    parts = name.split(".")
    for place, part in enumerate(parts):
        if parts[0] == "dirbench" and part.startswith("_") and not part.startswith("__") \
                and not f"{package}.".startswith(".".join([*parts[:place], ""])):
            yield name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_no_underscored_name_crosses_a_folder(file):
    assert not list(borrowed(package_of(file), file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("text, found", [
    ("from dirbench.methods._linalg import top", ["dirbench.methods._linalg.top"]),
    ("from dirbench.methods import _linalg as x", ["dirbench.methods._linalg"]),
    ("import dirbench.methods._linalg", ["dirbench.methods._linalg"]),
    ("from dirbench.results import rows\nrows._wrong()", ["dirbench.results.rows._wrong"]),
    ("from dirbench.results.rows import _wrong", ["dirbench.results.rows._wrong"]),
    ("from dirbench.benchmarks.stages._rows import facts", []),  # its own folder
    ("from dirbench.benchmarks import _shared", []),  # the folder that it lies in
    ("from torch import _C\nimport dirbench\ndirbench.__version__", []),
])
def test_what_crosses_is_seen(text, found):
    assert list(borrowed("dirbench.benchmarks.stages", text)) == found

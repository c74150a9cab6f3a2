"""The house's rules that neither import-linter nor ruff can say.

No underscored name is used from another folder; a file of a plug-in folder is a plug-in or underscored; imports inside
functions are for commands and ``dirbench/api.py`` only; and what ``dirbench`` hands on lazily is what editors see.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.tiny import ROOT

import dirbench
from dirbench.plugins import EXTRACTORS, METHODS, METRICS

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


@pytest.mark.parametrize("kind, folder", [(METHODS, "methods"), (METRICS, "metrics"), (EXTRACTORS, "oracles")])
def test_a_file_without_an_underscore_is_a_plug_in(kind, folder):
    plugged = {cls.__module__.rpartition(".")[2] for cls in kind.load_all()[0].values()}
    assert {file.stem for file in (ROOT / "dirbench" / folder).glob("*.py") if not file.stem.startswith("_")} <= plugged


def imports_of_ours(tree: ast.AST) -> list[str]:
    """What ``tree`` imports of this project, as written."""
    named = [(node, node.module or "") for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    named += [(node, alias.name) for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    return [ast.unparse(node) for node, name in named if name.split(".")[0] == "dirbench"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_imports_inside_functions_are_for_commands_and_the_api(file):
    tree, place = ast.parse(file.read_text(encoding="utf-8")), file.relative_to(ROOT).as_posix()
    inside = [found for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for found in imports_of_ours(node)]
    if place == "dirbench/api.py":  # which reaches up, there and nowhere else
        outside = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        assert inside and not [found for node in outside for found in imports_of_ours(node)]
    elif package_of(file) != "dirbench.benchmarks.commands":
        assert not inside


def test_what_is_handed_on_lazily_is_what_editors_and_stars_see():
    tree = ast.parse(Path(dirbench.__file__).read_text(encoding="utf-8"))
    typed = next(node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {alias.name: node.module for node in typed.body for alias in node.names}
    assert {name: getattr(dirbench, name).__module__ for name in seen if name != "Layers"} == {
        name: module for name, module in seen.items() if name != "Layers"}  # an alias of typing's
    assert {*seen, "__version__"} == set(dirbench.__all__) and dir(dirbench) == sorted(dirbench.__all__)
    assert {name: f"dirbench.{module}" for name, module in dirbench._PLACE.items()} == seen

"""Examples in docstrings: all of them run and say what comes out; each name that ``dirbench`` exports has one."""

import doctest
import importlib
import inspect

import pytest
from helpers.tiny import ROOT

import dirbench

PACKAGES = ("benchmarks", "dirbench", "methods", "metrics", "oracles", "results")
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FILES = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))
         if ">>> " in file.read_text(encoding="utf-8")]
NOT_CLASSES = {"Layers", "__version__"}  # an alias and a string have no docstring of their own


def module_name(file) -> str:
    """benchmarks/stages/latents.py -> dirbench.benchmarks.stages.latents."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(("dirbench", *parts[parts[0] == "dirbench":])).removesuffix(".__init__")


@pytest.mark.parametrize("name", [module_name(file) for file in FILES])
def test_examples_are_true(name):
    failed, tried = doctest.testmod(importlib.import_module(name), optionflags=OPTIONS)
    assert tried and not failed, f"{failed} of {tried} examples in {name} fail; see above"


def test_examples_are_looked_for_everywhere():
    folders = {init.parent.name for init in (ROOT / "dirbench").glob("*/__init__.py")}
    assert set(PACKAGES) == {"dirbench", *folders}
    assert {module_name(file).split(".")[1] for file in FILES} >= folders - {"methods"}  # those are examples


@pytest.mark.parametrize("name", sorted(set(dirbench.__all__) - NOT_CLASSES))
def test_every_exported_name_has_an_example(name):
    thing = getattr(dirbench, name)
    assert inspect.isclass(thing) or inspect.isfunction(thing)
    assert ">>> " in (vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__), name

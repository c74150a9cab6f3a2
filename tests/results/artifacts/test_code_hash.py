"""The hash of a step's code: it moves with what the step runs, and with nothing else."""

import sys

import pytest

from dirbench.results.artifacts import code_hash as code


def forget():
    for cached in (code._parse, code._passed_on, code._companions):
        cached.cache_clear()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one package, toyproject, that a facade of another name passes on in part; and a user's plugins."""
    files = {
        "toyproject/__init__.py": "",
        "toyproject/helper.py": "def value():\n    return 1\n",
        "toyproject/entry.py": "from toyproject.helper import value\n",
        "toyproject/other.py": "class Other:\n    x = 1\n",
        "toyproject/deep/__init__.py": "from .inner import Inner as Renamed\nfrom . import more\n",
        "toyproject/deep/inner.py": "class Inner:\n    pass\n",
        "toyproject/deep/more.py": "z = 1\n",
        "toyfacade/__init__.py": '"""Public names."""\nfrom toyproject.entry import value\n'
                                 'from toyproject.other import Other\nfrom toyproject.deep import Renamed\n'
                                 '__all__ = ["value", "Other"]\n',
        "toybusy/__init__.py": "from toyproject.entry import value\nregistered = [value]\n",
        "user/alone.py": "import json\nfrom toyfacade import value\nfrom beside import y\nimport family.near\n",
        "user/beside.py": "y = 1\n",
        "user/unused.py": "y = 1\n",
        "user/family/__init__.py": "",
        "user/family/near.py": "from .far import x\nfrom ..family import far\n",
        "user/family/far.py": "x = 1\n",
        "user/family/unused.py": "x = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "user")
    monkeypatch.setattr(code, "PACKAGES", ("toyproject", "toyfacade", "toybusy"))
    forget()
    yield tmp_path
    forget()
    for name in ("toyproject", "alone", "beside", "family"):  # the next test's are others
        assert name not in sys.modules, "a module is read, never imported"


def moves(project, module, file, text):
    """Whether another text of ``file`` moves the hash of ``module``."""
    before = code.code_hash(module)
    (project / file).write_text(text)
    forget()
    return code.code_hash(module) != before


@pytest.mark.parametrize("file, text, moved", [
    ("entry.py", "from toyproject.helper import value\ny = 2\n", True),
    ("helper.py", "def value():\n    return 2\n", True),
    ("helper.py", '"""Now explained."""\n\n\ndef value():\n    return 1  # one\n', False),
    ("other.py", "x = 2\n", False),
])
def test_it_follows_the_code_that_a_step_imports(project, file, text, moved):
    assert moves(project, "toyproject.entry", f"toyproject/{file}", text) == moved


@pytest.mark.parametrize("statement, file, moved", [
    ("from toyfacade import value", "toyproject/helper.py", True),
    ("from toyfacade import value", "toyproject/other.py", False),
    ("from toyfacade import value, Other", "toyproject/other.py", True),
    ("from toyfacade import Renamed", "toyproject/deep/inner.py", True),  # passed on twice, once by another name
    ("from toyfacade import Renamed", "toyproject/other.py", False),
    ("from toyproject.deep import more", "toyproject/deep/more.py", True),
    ("from toyproject.deep import more", "toyproject/deep/inner.py", False),
    ("import toyfacade", "toyproject/other.py", True),
    ("from toyfacade import *", "toyproject/other.py", True),
    ("from toybusy import value", "toybusy/__init__.py", True),  # it does more than pass names on
    ("from toyproject import helper", "toyproject/helper.py", True),
])
def test_a_name_that_is_passed_on_is_followed_to_where_it_is_made(project, statement, file, moved):
    (project / "user/alone.py").write_text(statement + "\n")
    text = (project / file).read_text() + "\nchanged = True\n"
    assert moves(project, "alone", file, text) == moved


@pytest.mark.parametrize("module, file, moved", [
    ("alone", "user/alone.py", True), ("alone", "user/beside.py", True), ("alone", "user/unused.py", False),
    ("alone", "user/family/far.py", True), ("alone", "user/family/unused.py", False),
    ("alone", "toyproject/helper.py", True), ("alone", "toyproject/other.py", False),
    ("family.near", "user/family/far.py", True), ("family.near", "user/beside.py", False),
])
def test_plugins_are_followed_into_their_own_code(project, module, file, moved):
    assert moves(project, module, file, (project / file).read_text() + "changed = True\n") == moved


def test_a_file_among_installed_packages_has_no_siblings_but_its_own(project, monkeypatch):
    monkeypatch.setattr(code.sysconfig, "get_paths", lambda: {"purelib": str(project / "user")})
    monkeypatch.setattr(code, "packages_distributions", lambda: {"alone": ["a"], "family": ["a"], "beside": ["b"]})
    assert code._companions("alone") == {"alone", "family"}
    assert not moves(project, "alone", "user/beside.py", "y = 2\n")
    assert moves(project, "alone", "user/family/far.py", "x = 2\n")


def test_a_module_without_source_is_explained(project):
    for name in ("toyproject.nowhere", "nowhere", "math"):
        with pytest.raises(ValueError, match=f"no Python source of a module named {name}"):
            code.code_hash(name)


def test_a_users_method_does_not_depend_on_metrics(tmp_path, monkeypatch):
    (tmp_path / "own_method.py").write_text(
        "from dirbench import Context, DirectionMethod, Directions, Generator, Vectors\n")
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    found, waiting = set(), ["own_method"]
    while waiting:
        found.add(name := waiting.pop())
        waiting += set(code._parse(name)[1]) - found
    assert {"dirbench.method", "dirbench.directions", "dirbench.generator"} < found
    assert not {name for name in found if name.split(".")[0] in ("metrics", "oracles", "dirbench")}
    forget()

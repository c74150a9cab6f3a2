"""Every page is in the site's navigation, every link leads somewhere, and the build fetches nothing."""

import importlib.util
import re
import sys
from posixpath import normpath
from types import ModuleType

import pytest
import yaml
from helpers.pages import DOCS, PAGES, anchors, in_project, name_of, without_blocks
from helpers.tiny import ROOT

SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
OUTSIDE = {"index.md", "contributing.md", "changelog.md"}


def listed(nav) -> list[str]:
    """The files of a navigation."""
    if isinstance(nav, str):
        return [nav]
    return [file for part in (nav.values() if isinstance(nav, dict) else nav) for file in listed(part)]


def test_every_page_is_in_the_navigation_once():
    files = listed(SITE["nav"])
    assert len(files) == len(set(files))
    assert set(files) == {path.name for path in DOCS.glob("*.md")} | OUTSIDE


@pytest.mark.parametrize("page", [*PAGES, ROOT / "tests/golden/README.md"], ids=name_of)
def test_every_link_leads_somewhere(page):
    text = without_blocks(page.read_text(encoding="utf-8"))
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text):
        if not target.startswith("http"):
            file = in_project(normpath(f"{name_of(page.parent)}/{target}")) if target else page
            assert file.exists(), target
            if anchor:
                assert anchor in anchors(file.read_text(encoding="utf-8")), f"{target}#{anchor}"


def test_the_build_asks_no_other_host():
    assert SITE["theme"]["font"] is False
    assert {name for part in SITE["plugins"] for name in ([part] if isinstance(part, str) else part)} \
        == {"search", "mkdocstrings"}
    assert not any(key in SITE for key in ("extra_css", "extra_javascript"))


@pytest.fixture(scope="module")
def hook():
    """The site's hook; it needs of MkDocs one name, which is not there without the extra `docs`."""
    stand_in = ModuleType("mkdocs.structure.files")
    stand_in.File = None
    names = ("mkdocs", "mkdocs.structure", "mkdocs.structure.files")
    before = {name: sys.modules.get(name) for name in names}
    sys.modules.update({name: ModuleType(name) for name in names[:2]} | {names[2]: stand_in})
    spec = importlib.util.spec_from_file_location("site_hook", DOCS / "site_hook.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, module_before in before.items():
        if module_before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = module_before
    return module


@pytest.mark.parametrize("text, source, fits", [
    ("[a](docs/methods.md#sefa)", "README.md", "[a](methods.md#sefa)"),
    ("![a](docs/images/summary.png)", "README.md", "![a](images/summary.png)"),
    ("[a](../README.md)", "docs/methods.md", "[a](index.md)"),
    ("[the list](../tests/golden/README.md)", "docs/methods.md", "the list (`tests/golden/README.md`)"),
    ("[LICENSE](LICENSE)", "README.md", "`LICENSE`"),
    ("[a](https://example.org/x.md)", "README.md", "[a](https://example.org/x.md)"),
    ("[a](#here)", "README.md", "[a](#here)")])
def test_links_are_made_to_fit_the_site(hook, text, source, fits):
    assert hook.fitted(text, source) == fits

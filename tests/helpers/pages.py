"""Reading the project's Markdown pages: sections, tables, fenced blocks, anchors."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from helpers import ROOT

DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")))


def name_of(page: Path) -> str:
    """A page's path in the repository."""
    return page.relative_to(ROOT).as_posix()


def in_project(path: str) -> Path:
    """What a page calls ``path``; the folders of an unpacked source archive lie in ``dirbench/``."""
    return ROOT / path if (ROOT / path).exists() else ROOT / "dirbench" / path


def text_of(name: str) -> str:
    """The text of a page of ``docs/``."""
    return (DOCS / name).read_text(encoding="utf-8")


def sections(page: str, level: int = 2) -> dict[str, str]:
    """Heading of that level -> text below it."""
    parts = re.split(rf"^{'#' * level} (.+)$", without_blocks(page), flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def table(text: str) -> list[dict[str, str]]:
    """Rows of the first table in a text."""
    lines = []
    for line in text.splitlines():
        if line.startswith("|"):
            lines.append(line)
        elif lines:
            break
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


def code(cell: str) -> str:
    """What stands in the first backticks of a cell."""
    return re.search(r"`([^`]+)`", cell).group(1)


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


def without_blocks(text: str) -> str:
    """``text`` without its fenced blocks: a comment in one is no heading."""
    return re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)


def anchors(text: str) -> set[str]:
    """The addresses of a page's headings, as the site has them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", without_blocks(text), re.M):
        plain = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
        found.add(re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower()))
    return found

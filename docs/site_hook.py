"""The site's own part of the build: README, CONTRIBUTING and CHANGELOG become pages, and links are made to fit.

Pages link as files of the repository do, so that they work there, too. On the site a link to a file that is no page
becomes that file's path, as text.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parent.parent
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files, config):
    """Adds the pages that lie outside of docs/."""
    for source, page in PAGES.items():
        text = fitted((ROOT / source).read_text(encoding="utf-8"), source)
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """Makes the links of a page in docs/ fit the site."""
    return markdown if page.file.src_uri in PAGES.values() else fitted(markdown, f"docs/{page.file.src_uri}")


def fitted(markdown: str, source: str) -> str:
    """``markdown`` with the links of the file ``source`` (its path in the repository) as the site has them."""
    folder = PurePosixPath(source).parent.as_posix()

    def link(found: re.Match[str]) -> str:
        picture, text, target, anchor = found[1], found[2], found[3], found[4] or ""
        if "://" in target or target.startswith("mailto:"):
            return found[0]
        path = normpath(f"{folder}/{target}")
        if path in PAGES:
            return f"{picture}[{text}]({PAGES[path]}{anchor})"
        if path.startswith("docs/"):
            return f"{picture}[{text}]({relpath(path, 'docs')}{anchor})"
        return f"`{path}`" if text.strip("`") == path else f"{text} (`{path}`)"

    return LINK.sub(link, markdown)

#!/usr/bin/env python3
"""Are the built archives whole? ``check_wheel.py dist`` compares them with what git tracks; exit code 1 if not.

The wheel must hold each tracked file of each package, byte for byte, and nothing else; the source archive every tracked
file. In both a package lies where ``dirbench/`` has a link to it: ``methods/sefa.py`` is ``dirbench/methods/sefa.py``.
So a new suite, table or weight file cannot be forgotten, whatever its kind, and what runs leave behind cannot slip in.
"""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def archived(tracked: Iterable[str]) -> dict[str, str]:
    """{place in an archive: file of the checkout} of the files ``tracked`` (paths from the root).

    A file of a package, which is a top folder with ``__init__.py``, lies in ``dirbench/``; the link there is no file.
    """
    files = set(tracked)
    packages = {file.split("/")[0] for file in files if file.count("/") == 1 and file.endswith("/__init__.py")}
    links = {f"dirbench/{package}" for package in packages}
    return {f"dirbench/{file}" if f"dirbench/{file.split('/')[0]}" in files & links else file: file
            for file in files - links}


def installed(archive: Iterable[str]) -> set[str]:
    """Those of an archive's files that the wheel has."""
    return {file for file in archive if file.startswith("dirbench/")}


def differences(expected: set[str], found: set[str], archive: str) -> list[str]:
    """A sentence for each file that one side lacks."""
    return [f"{file} is not in {archive}: does .gitignore hide it?" for file in sorted(expected - found)] + \
        [f"{file} is in {archive}, and git does not know it" for file in sorted(found - expected)]


def check_wheel(wheel: Path, expected: dict[str, str]) -> list[str]:
    """What is wrong with the wheel; ``expected`` is what ``archived`` says."""
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
        wrong = differences(installed(expected), found, wheel.name)
        wrong += [f"{name} in {wheel.name} is not the file {expected[name]} of the checkout"
                  for name in sorted(found & set(expected))
                  if archive.read(name) != (ROOT / expected[name]).read_bytes()]
    return wrong


def check_source(source: Path, expected: dict[str, str]) -> list[str]:
    """What is wrong with the source archive; metadata that building adds may be there."""
    with tarfile.open(source) as archive:
        found = {member.name.partition("/")[2] for member in archive.getmembers() if not member.isdir()}
    return differences(set(expected), found - {"PKG-INFO"}, source.name)


def main(folder: Path) -> int:
    """Prints what is wrong with the one wheel and the one source archive in ``folder``."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    expected = archived(name for name in listed.split("\0") if name)
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    wrong = check_wheel(wheel, expected) + check_source(source, expected)
    print("\n".join(wrong) or f"{wheel.name}: all {len(installed(expected))} files of the packages; "
                              f"{source.name}: all {len(expected)} files")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

#!/usr/bin/env python3
"""Are the built archives whole? ``check_wheel.py dist`` compares them with what git tracks; exit code 1 if not.

The wheel must hold each tracked file of each package, byte for byte, and nothing else; the source archive every tracked
file. So a new suite, table or weight file cannot be forgotten, whatever its kind, and what runs leave behind cannot
slip in.
"""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def installed(tracked: Iterable[str]) -> set[str]:
    """Those of the files ``tracked`` (paths from the root) that lie in a package: a top folder with ``__init__.py``."""
    files = set(tracked)
    return {file for file in files if "/" in file and f"{file.split('/')[0]}/__init__.py" in files}


def differences(expected: set[str], found: set[str], archive: str) -> list[str]:
    """A sentence for each file that one side lacks."""
    return [f"{file} is not in {archive}: does .gitignore hide it?" for file in sorted(expected - found)] + \
        [f"{file} is in {archive}, and git does not know it" for file in sorted(found - expected)]


def check_wheel(wheel: Path, tracked: set[str]) -> list[str]:
    """What is wrong with the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
        wrong = differences(installed(tracked), found, wheel.name)
        wrong += [f"{name} in {wheel.name} is not the file of the checkout" for name in sorted(found & tracked)
                  if archive.read(name) != (ROOT / name).read_bytes()]
    return wrong


def check_source(source: Path, tracked: set[str]) -> list[str]:
    """What is wrong with the source archive; metadata that building adds may be there."""
    with tarfile.open(source) as archive:
        found = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    made = {name for name in found if name == "PKG-INFO"}
    return differences(tracked, found - made, source.name)


def main(folder: Path) -> int:
    """Prints what is wrong with the one wheel and the one source archive in ``folder``."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    tracked = {name for name in listed.split("\0") if name}
    (wheel,), (source,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    wrong = check_wheel(wheel, tracked) + check_source(source, tracked)
    print("\n".join(wrong) or f"{wheel.name}: all {len(installed(tracked))} files of the packages; "
                              f"{source.name}: all {len(tracked)} files")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

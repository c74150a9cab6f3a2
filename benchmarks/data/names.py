"""Which image a list means by a name: the same one first, then the same one written otherwise; never a guess."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from dirbench.benchmarks.data.sources import DataError, Source, note, some

Key = Callable[[str], str]


def _as_written(name: str) -> str:
    return name


def _plain(name: str) -> str:
    """One way to write it: composed letters (Unicode's NFC), ``/`` between folders, no ``./`` before it."""
    name = name.strip().replace("\\", "/")
    while name.startswith("./"):
        name = name[2:]
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _caseless(name: str) -> str:
    name = _plain(name).casefold()
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _bare(name: str) -> str:
    """Without its ending; the number of "face.12" is none."""
    name = _plain(name)
    stem, dot, ending = name.rpartition(".")
    return stem if dot and stem and stem[-1] != "/" and "/" not in ending and not ending.isdigit() else name


_WRITINGS: tuple[tuple[str, Key], ...] = (
    ("", _as_written), ("", _plain), ("in upper and lower case", _caseless), ("in their endings", _bare),
    ("in their endings, and in upper and lower case", lambda name: _caseless(_bare(name))))
"""How names may differ (nothing need be said where it is empty), and what is then the same of both."""


def _places(source: Source, files: Sequence[str]) -> list[tuple[Key, Key]]:
    """(of a listed name, of a file's name): what is left of each when it begins at another folder."""
    first = {name.partition("/")[0] if "/" in name else "" for name in source.names}
    root = f"/{source.where.resolve().stem if source.where.is_file() else source.where.resolve().name}/"
    of_files: list[Key] = [_as_written]
    if len(first) == 1 and (lead := first.pop()):
        of_files.append(lambda name: name.removeprefix(f"{lead}/"))
    if any("/" in name for name in source.names):
        of_files.append(lambda name: name.rpartition("/")[2])

    def below_root(name: str) -> str:
        return _plain("/" + name).rpartition(root)[2].removeprefix("/")

    of_listed: list[Key] = [_as_written]
    if any(root in "/" + name.replace("\\", "/") for name in files):
        of_listed.append(below_root)
    return [(listed, file) for listed in of_listed for file in of_files]


def matched(source: Source, files: Sequence[str], listed: Path | str) -> Source:
    """``source`` with its images in the order of ``files``, the names in the list ``listed``.

    The names may begin at another folder (below the one given, or with its name), and differ in Unicode's composed
    and decomposed letters, ``\\`` for ``/``, upper case and endings, as long as each name has exactly one image and
    each image one name; differences of the last two kinds are said (``DataNote``). An image that would be left out
    is used where the list names it.

    Raises:
        DataError: names without an image, images without a name, or names that cannot be told apart.
    """
    wanted = set(files)
    have = [*source.names, *(name for name in source.aside if name in wanted and name in source.marks)]
    nearest = sorted(wanted.difference(have)), sorted(set(have) - wanted)  # (without an image, without a name)
    alike: list[str] = []
    places = _places(source, files)
    for how, writing in _WRITINGS:
        for of_listed, of_file in places:
            want, held = [writing(of_listed(name)) for name in files], [writing(of_file(name)) for name in have]
            image = dict(zip(held, have, strict=True))
            keys = set(want)
            if len(image) < len(held) or len(keys) < len(want):
                if keys == image.keys():
                    alike = alike or _alike(want, files) or _alike(held, have)
                continue
            if keys == image.keys():
                names = [image[key] for key in want]
                _say(how, listed, files, names)
                return source.ordered(names)
            absent = [name for name, key in zip(files, want, strict=True) if key not in image]
            extra = [name for name, key in zip(have, held, strict=True) if key not in keys]
            if len(absent) + len(extra) < len(nearest[0]) + len(nearest[1]):
                nearest = absent, extra
    raise DataError(f"{source.where} and {Path(listed).name} are not of the same images: "
                    + _difference(source, *nearest, [] if wanted <= set(have) else alike))


def _say(how: str, listed: Path | str, files: Sequence[str], names: list[str]) -> None:
    if how:
        pairs = list(zip(files, names, strict=True))
        one, other = next((pair for pair in pairs if not pair[1].endswith(pair[0])), pairs[0])
        note(f"{listed}: its names and the images' differ {how}; {one} is taken to be {other}, and so on")


def _alike(keys: Sequence[str], names: Sequence[str]) -> list[str]:
    """Names that are the same by their keys."""
    count = Counter(keys)
    return [name for key, name in zip(keys, names, strict=True) if count[key] > 1]


def _difference(source: Source, absent: Sequence[str], extra: Sequence[str], alike: list[str]) -> str:
    told = [f"{some(sorted(names))} {what}" for names, what in ((absent, "listed but not there"),
                                                                (extra, "there but not listed")) if names]
    if alike:
        told = [f"{some(alike)} cannot be told apart without the folders, case or endings that the other side lacks; "
                "write the names in the list as the files have them"]
    aside = {_caseless(name).rpartition("/")[2]: name for name in source.aside}
    left = [aside[key] for name in absent if (key := _caseless(name).rpartition("/")[2]) in aside]
    if left:
        told.append(f"{some(left)} is there, but left out: a file {source.aside[left[0]]}")
    last = {name.rpartition("/")[2] for name in extra}
    if not alike and any(name.rpartition("/")[2] in last for name in map(_plain, absent)):
        told.append("some differ in their folders only: give the folder at which the list's names begin, or correct "
                    "them")
    odd = next((name for name in sorted([*absent, *extra]) if not name.isascii()), None)
    if odd and absent and extra:
        told.append(f"letters beyond ASCII differ, some of which look like others or like nothing ({ascii(odd)[:80]}); "
                    "the list must be UTF-8, and an archive's names too (Unicode)")
    return "; ".join(told)

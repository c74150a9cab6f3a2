"""Names that become paths: one rule for GANs, zoos, suites, profiles, methods with their variants, and metrics.

Names are parts of file names and of ids such as ``score/sefa/full-no_hats/seed0``, on file systems of every kind, and
columns of tables.
"""

from __future__ import annotations

import difflib
import itertools
import os
import unicodedata
from collections.abc import Iterable, Sequence

MAX_BYTES = 100  # two of them, joined, and what is put around them stay under the 255 bytes of a file name
MAX_SHOWN = 8
PUNCTUATION = "_ .,+=@~()[]-"  # no #, which begins a comment for whoever reads a table with comment="#"
PLAIN = "_.+-"  # of classes and their protocols, which stand in lists with commas and with a variant in brackets
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
_VALUES = {"na", "nan", "null", "none", "true", "false"}  # what readers of tables take for something else than a text
_JOINTS = ("-", "-with-")  # in ids, and in the file names of sheets


def check_name(name: object, what: str, punctuation: str = PUNCTUATION) -> str:
    """``name``, if it can be part of a path. Raises ValueError with the rule.

    Args:
        what: for the message: "GAN", "suite", ...
        punctuation: what it may have beside letters and digits.

    >>> check_name("no_hats", "GAN")
    'no_hats'
    """
    if not isinstance(name, str):
        raise ValueError(f"{what} {name!r}: expected a name; write it in quotes")
    why = _wrong(name, punctuation)
    if why:
        raise ValueError(f"the {what}'s name {_shown(name)} {why}; {_rule(punctuation)}")
    return name


def _rule(punctuation: str) -> str:
    spaces = ", spaces" if " " in punctuation else ""
    return (f"names become files: they have letters, digits{spaces} and any of {punctuation.replace(' ', '')}, begin "
            "with a letter, a digit or _, do not end with a dot or a space, do not read as another value (NA, None, "
            f"007), and have at most {MAX_BYTES} bytes")


def _wrong(name: str, punctuation: str) -> str:
    if not name:
        return "is empty"
    strange = [c for c in name if c not in punctuation and unicodedata.category(c)[0] not in "LMN"]
    if strange:
        return f"has {_shown(strange[0])}"
    if not (name[0] == "_" or unicodedata.category(name[0])[0] in "LN"):
        return f"begins with {name[0]!r}"
    if name[-1] in ". ":
        return f"ends with {name[-1]!r}"
    if name.split(".")[0].strip().casefold() in _DEVICES:
        return "is a device's name on Windows"
    if name.casefold() in _VALUES or not _survives_as_number(name):
        return "is no text to programs that read tables, but a missing value, a truth value or another number"
    if len(name.encode()) > MAX_BYTES:
        return f"is {len(name.encode())} bytes long"
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return "cannot be a file's name here, where names are not in UTF-8 (set PYTHONUTF8=1)"
    return ""


def _survives_as_number(name: str) -> bool:
    """Whether ``name``, read as a number where it is one, is written the same again: 2023 and 0.5 are, 007 is not."""
    try:
        number = float(name)
    except ValueError:
        return True
    return name in (repr(number), repr(number).removesuffix(".0"))


def _shown(name: str) -> str:
    """The name in quotes, shortened, with what cannot be seen spelled out."""
    short = name if len(name) <= 60 else name[:57] + "..."
    return '"' + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in short) + '"'


def check_names(names: Sequence[object], what: str) -> None:
    """ValueError unless all ``names`` can be used together: each by itself, and no two of them alike.

    Alike are names that some file systems take for one: the same but for capitals, or for the Unicode form.
    """
    wrong = [f"{_shown(name)} {why}" for name in names if isinstance(name, str) and (why := _wrong(name, PUNCTUATION))]
    if len(wrong) > 1:
        more = ", ..." * (len(wrong) > MAX_SHOWN)
        raise ValueError(f"the {what}s' names {', '.join(wrong[:MAX_SHOWN])}{more}; {_rule(PUNCTUATION)}")
    seen: dict[str, str] = {}
    for name in names:
        known = seen.setdefault(_folded(check_name(name, what)), str(name))
        if known != name:
            raise ValueError(f'the {what}s "{known}" and "{name}" differ only in capitals or in the form of a letter, '
                             "and some file systems take them for one: rename one of them")
    doubled = [name for name in seen.values() if list(names).count(name) > 1]
    if doubled:
        raise ValueError(f'the {what} "{doubled[0]}" is there twice; name it once')


def check_pairs(names: Iterable[str]) -> None:
    """ValueError where two different pairs of GANs, or a pair and a GAN, would have the same id or file name."""
    names = list(names)
    for joint in _JOINTS:
        joined: dict[str, tuple[str, ...]] = {_folded(name): (name,) for name in names}
        for pair in itertools.permutations(names, 2):
            known = joined.setdefault(_folded(joint.join(pair)), pair)
            if known != pair:
                raise ValueError(f'gans: {_group(pair)} would be called "{joint.join(pair)}" in ids and file names, '
                                 f"and so would {_group(known)}: rename one of these GANs")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _group(gans: Sequence[str]) -> str:
    return f"the pair {gans[0]}, {gans[1]}" if len(gans) == 2 else f"the GAN {gans[0]}"


class UnknownName(ValueError):
    """A name that nothing has; the message names the nearest known one."""


def did_you_mean(what: str, name: str, known: list[str]) -> str:
    """'unknown method "sefaa". Did you mean "sefa"?', or the list of known names where nothing is near.

    >>> did_you_mean("method", "sefaa", ["random", "sefa"])
    'unknown method "sefaa". Did you mean "sefa"?'
    """
    folded = {other.casefold(): other for other in known}
    near = [folded[other] for other in difflib.get_close_matches(name.casefold(), folded, 1, 0.5)]
    hint = f'Did you mean "{near[0]}"?' if near else f"Known: {', '.join(known)}."
    return f'unknown {what} "{name}". {hint}'

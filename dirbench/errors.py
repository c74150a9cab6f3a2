"""Errors that plug-ins raise on purpose, and errors told in one line."""

from __future__ import annotations

import traceback
from pathlib import Path

HINTS = {"cannot inherit non-frozen dataclass": "write @dataclass(frozen=True)",
         "non-default argument": "every field needs a default: the published value"}


class DiscoveryError(RuntimeError):
    """A method could not finish on this generator (a NaN, say); the message says why, for the cell's reason.

    >>> try:
    ...     raise NotApplicable("this generator has no layer-wise latents")
    ... except DiscoveryError as error:  # of either kind
    ...     print(error)
    this generator has no layer-wise latents
    """


class NotApplicable(DiscoveryError):
    """The method cannot exist for this generator; the cell is marked so, with this one-sentence reason.

    >>> issubclass(NotApplicable, DiscoveryError)
    True
    """


class Inapplicable(Exception):
    """The score does not exist for these inputs (nothing is missing, say); the message says why.

    >>> try:
    ...     raise Inapplicable("nothing is missing from the client's data")
    ... except Inapplicable as why:
    ...     print(why)
    nothing is missing from the client's data
    """


def one_line(error: BaseException) -> str:
    """An error's type and message in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")


def at(error: BaseException) -> str:
    """" (file.py:12)": where ``error`` was raised; empty where that is not known."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({Path(error.filename).name}:{error.lineno})"
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


def import_fault(error: BaseException, file: str) -> str:
    """Why a module cannot be imported, with the line of ``file`` (its last part), and where else it was raised."""
    hint = next((f"; {words}" for sign, words in HINTS.items() if sign in str(error)), "")
    if isinstance(error, SyntaxError) and error.filename:
        return f"SyntaxError: {error.msg}{at(error)}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).name == Path(file).name]
    if not own:
        return one_line(error) + hint
    mine, last = own[-1], frames[-1]
    elsewhere = "" if last.filename == mine.filename or "importlib" in last.filename \
        else f", raised at {Path(last.filename).name}:{last.lineno}"
    return f"{one_line(error)} ({Path(mine.filename).name}:{mine.lineno}{elsewhere}){hint}"

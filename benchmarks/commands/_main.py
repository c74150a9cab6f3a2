"""One command line, from its words to an exit code. Bad input gives a sentence and code 2, never a traceback."""

from __future__ import annotations

import argparse
import errno
import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError

from dirbench.benchmarks.commands._found import DEFAULT
from dirbench.benchmarks.commands._parser import BAD_INPUT, parser
from dirbench.benchmarks.commands._program import program
from dirbench.files import at_home

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0 done, 1 something failed, 2 bad input, 130 interrupted.

    Args:
        argv: what follows the program's name. By default what this process was called with, which then has one
            thread a worker: cells run side by side, and the same sums in the same order give the same numbers.
            Libraries read these variables when they are loaded, so nothing that loads one is imported before.
    """
    if argv is None:
        os.environ.update({variable: "1" for variable in THREAD_VARIABLES})
        argv = sys.argv[1:]
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help", "--version")):
        argv = [DEFAULT, *argv]
    _show_what_can_be_shown()
    if empty := _given_nothing(argv):
        sys.stderr.write(f"{program()}: {empty} is given nothing (an empty text); leave it out, or say what\n")
        return BAD_INPUT
    args = parser().parse_args(argv)
    try:
        return args.function(_at_home(args))
    except KeyboardInterrupt:
        sys.stderr.write("\ninterrupted; finished cells are kept and the same command goes on from there\n")
        return INTERRUPTED
    except BrokenPipeError:  # the reader (head, less) has seen enough
        sys.stdout = None
        return 0
    except Exception as error:
        if os.environ.get("DIRBENCH_TRACEBACK"):
            traceback.print_exc()
        sys.stderr.write(f"{program()}: {_sentence(error)}\n")
        return BAD_INPUT


def _given_nothing(argv: Sequence[str]) -> str:
    """What stands before an empty word, or the option of ``--option=``: a shell makes those of variables not set."""
    for word, before in zip(argv, ["", *argv]):
        if not word.strip():
            return before or "the command"
        if word.startswith("--") and word.endswith("="):
            return word[:-1]
    return ""


def _show_what_can_be_shown() -> None:
    """A terminal that lacks a character (Latin-1, ASCII) gets another in its place, not an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def _sentence(error: Exception) -> str:
    """What the user is told: an error's own sentence, and for the system's errors the file and what to do."""
    if isinstance(error, OSError) and error.errno is not None:
        file = error.filename2 or error.filename
        where = f"{file}: " if file else ""
        way = "choose another place, or mend this one"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            way = ("free some space (`store clean` drops what was not used for longest), or choose another place; "
                   "finished work is kept")
        return f"{where}{error.strerror}; {way}"
    if isinstance(error, SafetensorError):  # safetensors writes and reads by itself, and says so in its own way
        return f"a file could not be read or written ({error}); choose another place, or mend this one"
    return str(error) if isinstance(error, (ValueError, OSError, RuntimeError)) else repr(error)


def _at_home(args: argparse.Namespace) -> argparse.Namespace:
    """``args`` with the user's home folder for each leading ``~/``, which a shell leaves alone in ``--out=~/x``."""
    def expanded(value: object) -> object:
        if isinstance(value, list):
            return [expanded(item) for item in value]
        if isinstance(value, Path):
            return at_home(value)
        return str(at_home(value)) if isinstance(value, str) and value.startswith("~/") else value

    return argparse.Namespace(**{name: expanded(value) for name, value in vars(args).items()})

"""The command line: one function a command. Bad input gives a sentence and exit code 2, never a traceback."""

from __future__ import annotations

import argparse
import errno
import io
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from safetensors import SafetensorError

from dirbench.benchmarks.commands import (
    audit as cli_audit,
)
from dirbench.benchmarks.commands import (
    check_plugin as cli_check,
)
from dirbench.benchmarks.commands import (
    checkpoint as cli_checkpoints,
)
from dirbench.benchmarks.commands import (
    new as cli_new,
)
from dirbench.benchmarks.commands import program
from dirbench.benchmarks.commands import (
    run as cli_run,
)
from dirbench.benchmarks.commands import (
    store as cli_store,
)
from dirbench.benchmarks.commands import (
    zoo as cli_zoo,
)
from dirbench.benchmarks.commands._arguments import words
from dirbench.benchmarks.commands._examples import epilog
from dirbench.files import at_home
from dirbench.names import did_you_mean
from dirbench.version import version_line

COMMANDS: dict[str, Callable[[argparse._SubParsersAction], None]] = {
    "run": cli_run.add_run, "list": cli_run.add_list, "show": cli_run.add_show, "check": cli_run.add_check,
    "store": cli_store.add_store,
    "check-generator": cli_check.add_check_generator, "check-method": cli_check.add_check_method,
    "check-metric": cli_check.add_check_metric, "new": cli_new.add_new,
    "zoo": cli_zoo.add_zoo, "train-zoo": cli_zoo.add_train_zoo, "train-oracle": cli_zoo.add_train_oracle,
    "inspect-checkpoint": cli_checkpoints.add_inspect, "convert": cli_checkpoints.add_convert,
    "synthesize": cli_checkpoints.add_synthesize, "audit": cli_audit.add_audit,
}
FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130
LISTS = "; a list is one word with commas, such as 0,1,2 or sefa,random"


class _Once(argparse.Action):
    """Stores an option's value. A list given a second time is refused: both may be meant, and one would not count.

    Of other options the last one counts, so that a script's command can be changed by what is put behind it.
    """

    given = False

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object,
                 option_string: str | None = None) -> None:
        if self.given and self.type is words:
            parser.error(f"{option_string} is there twice{LISTS}")
        self.given = True
        setattr(namespace, self.dest, values)


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are sentences: what is known, what may be meant."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.register("action", None, _Once)
        self.register("action", "store", _Once)

    def error(self, message: str) -> NoReturn:
        """Ends with code 2 and one sentence, in which argparse's own words are replaced by clearer ones."""
        chosen = re.fullmatch(r"argument (\S+): invalid choice: '(.*)' \(choose from (.*)\)", message, re.DOTALL)
        if chosen:
            known = [word.strip("' ") for word in chosen[3].split(",")]
            message = did_you_mean(chosen[1].lower(), chosen[2], known).rstrip(".")
        message = re.sub("invalid int value: '(.*)'", r'"\1" is no whole number', message)
        message = re.sub("invalid float value: '(.*)'", r'"\1" is no number', message)
        sys.stderr.write(f"{self.prog}: {message}{'' if message.endswith('?') else '.'} See {self.prog} --help\n")
        raise SystemExit(BAD_INPUT)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse has it, but what a command cannot use is refused by that command, with what may be meant."""
        found, rest = super().parse_known_args(args, namespace)
        if rest and rest[0].startswith("-"):
            known = [option for action in self._actions for option in action.option_strings]
            self.error(did_you_mean("option", rest[0].partition("=")[0], known).rstrip("."))
        if rest:
            lists = any(action.type is words for action in self._actions)
            self.error(f'"{" ".join(rest)}" is too much here{LISTS if lists else ""}')
        return found, rest


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(version_line())
        parser.exit()


def parser() -> argparse.ArgumentParser:
    """The parser of every command; ``run`` is meant where none is named."""
    top = _Parser(prog=program(), formatter_class=argparse.RawDescriptionHelpFormatter, epilog=epilog("run"),
                  description="dirbench: compare methods that discover directions in the latent space of generative\n"
                  "models. Without a command name, `run` is meant.")
    top.add_argument("--version", action=_Version, nargs=0, help="print the version, and a checkout's commit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    for name, add in COMMANDS.items():
        add(commands)
        commands.choices[name].epilog = epilog(name)
        commands.choices[name].formatter_class = argparse.RawDescriptionHelpFormatter
    return top


def _show_what_can_be_shown() -> None:
    """A terminal that lacks a character (Latin-1, ASCII) gets another in its place, not an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def main(argv: list[str]) -> int:
    """Runs one command and returns its exit code: 0 done, 1 something failed, 2 bad input, 130 interrupted."""
    if not argv or (argv[0].startswith("-") and argv[0] not in ("-h", "--help", "--version")):
        argv = ["run", *argv]
    _show_what_can_be_shown()
    for word, before in zip(argv, ["", *argv]):  # what a shell makes of a variable that is not set
        if not word.strip() or (word.startswith("--") and word.endswith("=")):
            sys.stderr.write(f"{program()}: {before if not word.strip() else word[:-1]} is given nothing (an empty "
                             "text); leave it out, or say what\n")
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

"""The command line: one function a command. Bad input gives a sentence and exit code 2, never a traceback."""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from benchmarks import cli_audit, cli_check, cli_checkpoints, cli_new, cli_run, cli_store, cli_zoo
from benchmarks.arguments import at_home
from benchmarks.cli_examples import epilog
from benchmarks.command import program
from benchmarks.version import version_line

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


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {message}. See {self.prog} --help\n")
        raise SystemExit(BAD_INPUT)


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
        sentence = str(error) if isinstance(error, (ValueError, OSError, RuntimeError)) else repr(error)
        sys.stderr.write(f"{program()}: {sentence}\n")
        return BAD_INPUT


def _at_home(args: argparse.Namespace) -> argparse.Namespace:
    """``args`` with the user's home folder for each leading ``~/``, which a shell leaves alone in ``--out=~/x``."""
    def expanded(value: object) -> object:
        if isinstance(value, list):
            return [expanded(item) for item in value]
        if isinstance(value, Path):
            return at_home(value)
        return str(at_home(value)) if isinstance(value, str) and value.startswith("~/") else value

    return argparse.Namespace(**{name: expanded(value) for name, value in vars(args).items()})

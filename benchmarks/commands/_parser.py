"""The parser of every command line: what is wrong with one is told in a sentence, with what may be meant."""

from __future__ import annotations

import argparse
import itertools
import re
import shutil
import sys
import textwrap
from typing import Any, NoReturn

from dirbench.benchmarks.commands._found import DEFAULT, Command, find_commands
from dirbench.benchmarks.commands._options import words
from dirbench.benchmarks.commands._program import program
from dirbench.names import did_you_mean
from dirbench.version import version_line

BAD_INPUT = 2  # the exit code
LISTS = "; a list is one word with commas, such as 0,1,2 or sefa,random"
NAMES_WIDTH = 20  # of the column of names in --help


def parser() -> argparse.ArgumentParser:
    """The parser of all commands. What it returns has the command's ``run`` as ``function``, beside its arguments."""
    found, broken = find_commands()
    top = _Parser(prog=program(), formatter_class=argparse.RawDescriptionHelpFormatter,
                  description="dirbench: compare methods that discover directions in the latent space of generative\n"
                  "models. Without a command name, `run` is meant.",
                  epilog=f"{_listing(found, broken)}\n\n{examples(found[DEFAULT])}")
    top.add_argument("--version", action=_Version, nargs=0, help="print the version, and a checkout's commit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser,
                                  help="one of those below; COMMAND --help says more")
    for name, command in found.items():
        own = commands.add_parser(name, description=command.HELP, epilog=examples(command),
                                  formatter_class=argparse.RawDescriptionHelpFormatter)
        command.arguments(own)
        own.set_defaults(function=command.run)
    return top


def examples(command: Command) -> str:
    """The end of a command's help, for argparse: its examples, a line each, after the program's own name."""
    lines = [f"  %(prog)s {line.replace('%', '%%')}".rstrip() for line in command.EXAMPLES]
    return "\n".join([f"example{'s' * (len(lines) > 1)}:", *lines])


def _listing(found: dict[str, Command], broken: dict[str, str]) -> str:
    """Every command with its line, under the headings of their groups."""
    width, indent = max(shutil.get_terminal_size().columns - 2, 60), " " * (NAMES_WIDTH + 2)
    blocks = []
    for group, names in itertools.groupby(found, key=lambda name: found[name].GROUP):
        lines = [line for name in names for line in textwrap.wrap(
            found[name].HELP, width, initial_indent=f"  {name:<{NAMES_WIDTH - 1}} ", subsequent_indent=indent)]
        blocks.append("\n".join([f"{group}:", *lines]))
    blocks += [f"not loaded: {file}: {why}" for file, why in broken.items()]
    return "\n\n".join(blocks).replace("%", "%%")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        print(version_line())
        parser.exit()


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

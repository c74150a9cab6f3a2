"""The commands that there are: each module here without an underscore, once it has what a command needs."""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from typing import Protocol

from dirbench.errors import import_fault

DEFAULT = "run"
GROUPS = ("runs", "plug-ins of your own", "checkpoints", "zoos and oracles")  # in this order; others follow


class Command(Protocol):
    """What a command's module has."""

    GROUP: str
    HELP: str
    EXAMPLES: tuple[str, ...]

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Adds what the command takes."""

    def run(self, args: argparse.Namespace) -> int:
        """Checks, works, and returns the exit code."""


def find_commands() -> tuple[dict[str, Command], dict[str, str]]:
    """({name: command}, {file: why it is no command}); groups in their order, the default one first in its group.

    >>> commands, broken = find_commands()
    >>> list(commands)[:2], broken
    (['run', 'check'], {})
    """
    package = sys.modules[__package__]
    found: dict[str, Command] = {}
    broken: dict[str, str] = {}
    for info in pkgutil.iter_modules(package.__path__):
        if info.name.startswith("_"):
            continue
        file = f"benchmarks/commands/{info.name}.py"
        try:
            module = importlib.import_module(f"{__package__}.{info.name}")
        except (Exception, SystemExit) as error:  # one file's mistake takes no other command away
            broken[file] = import_fault(error, file)
            continue
        if absent := _absent(module):
            broken[file] = f"it has no {' and no '.join(absent)}, which every command has"
        else:
            found[info.name.replace("_", "-")] = module
    return dict(sorted(found.items(), key=lambda item: _place(*item))), broken


def _absent(module: object) -> list[str]:
    texts = [name for name in ("GROUP", "HELP") if not isinstance(getattr(module, name, None), str)]
    examples = getattr(module, "EXAMPLES", None)
    texts += [] if isinstance(examples, tuple) and examples else ["EXAMPLES (a tuple of texts)"]
    return texts + [name for name in ("arguments", "run") if not callable(getattr(module, name, None))]


def _place(name: str, command: Command) -> tuple[int, str, bool, str]:
    group = command.GROUP
    return GROUPS.index(group) if group in GROUPS else len(GROUPS), group, name != DEFAULT, name

"""What the commands that try other people's code share: which classes are meant, and what is said of each."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dirbench.benchmarks.contract.report import Finding


def add_long(p: argparse.ArgumentParser, where: str) -> None:
    """The option ``--long``."""
    p.add_argument("--long", action="store_true", help=f"also what takes minutes or more on {where}")


def check_all(subject: str, bases: tuple[type, ...], what: str, registry: Any, where: str,
              check: Callable[[Any], list[Finding]]) -> int:
    """Checks the classes that ``subject`` means: those in a Python file, or the one of that name.

    Returns 1 if something is wrong with one of them. ``where`` says what they are tried on.
    """
    from dirbench.benchmarks.contract.files import classes_of
    from dirbench.benchmarks.contract.report import Fault

    wrong: list[str] = []
    if subject.endswith(".py") or "/" in subject or Path(subject).exists():
        try:
            found, wrong = classes_of(Path(subject), bases, what, registry.faults)
        except Fault as fault:
            raise ValueError(str(fault)) from fault
    else:
        found = [registry.get(subject)]
    for sentence in wrong:
        print(f"not a {what} that can be used: {sentence}")
    codes = [1] if wrong else []
    for cls in found:
        print(f"{cls.name} ({cls.__name__}) {where}:")
        codes.append(show(check(cls)))
    return max(codes)


def show(findings: list[Finding]) -> int:
    """Prints the findings; returns 1 if one of them is wrong."""
    for finding in findings:
        print(finding)
    wrong, unsaid = (sum(finding.status == status for finding in findings) for status in ("wrong", "left out"))
    verdict = f"{wrong} of {len(findings)} checks found something wrong" if wrong else "nothing is wrong"
    print(verdict + f", {unsaid} {'thing is' if unsaid == 1 else 'things are'} left out" * bool(unsaid))
    return 1 if wrong else 0

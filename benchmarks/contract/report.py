"""How checks speak: a check raises a Fault with a sentence for people; a report is a list of findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

OK, WRONG, ABSENT, UNTRIED = "ok", "wrong", "not applicable", "not tried"


class Fault(Exception):
    """Something breaks the contract; the message says what, and what to do."""


@dataclass(frozen=True)
class Finding:
    """One check's outcome.

    Attributes:
        check: what was checked, in words.
        status: ``ok``, ``wrong``, ``not applicable`` where the thing cannot exist for this subject, or ``not tried``.
        sentence: why, where it is not ok.
    """

    check: str
    status: str
    sentence: str = ""

    @classmethod
    def untried(cls, check: Callable) -> Finding:
        """Of a check that was not run because it takes minutes."""
        return cls(in_words(check), UNTRIED, "it takes minutes on a generator of this size; ask for it with --long")

    def __str__(self) -> str:
        return f"{self.status:>14}  {self.check}" + f": {self.sentence}" * bool(self.sentence)


def demand(condition: object, sentence: str) -> None:
    """Raises Fault with ``sentence`` unless ``condition`` holds."""
    if not condition:
        raise Fault(sentence)


def in_words(check: Callable) -> str:
    """``gives_images`` -> "gives images"."""
    return check.__name__.replace("_", " ")


def run_checks(checks: Iterable[Callable[[Any], None]], make: Callable[[], Any],
               absent: type[Exception] | tuple[type[Exception], ...] = ()) -> list[Finding]:
    """One finding for each check, run on a fresh ``make()``; an unexpected exception is a fault too.

    Args:
        absent: exceptions that mean "not applicable".
    """
    findings = []
    for check in checks:
        try:
            check(make())
        except absent as reason:
            findings.append(Finding(in_words(check), ABSENT, str(reason)))
        except Fault as fault:
            findings.append(Finding(in_words(check), WRONG, str(fault)))
        except Exception as error:  # a stranger's code may raise anything; it is reported, and the next check runs
            line = str(error).strip().splitlines()
            findings.append(Finding(in_words(check), WRONG, f"{type(error).__name__}: {line[0] if line else ''}"))
        else:
            findings.append(Finding(in_words(check), OK))
    return findings

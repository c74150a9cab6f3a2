"""How checks speak: a check raises a Fault with a sentence for people; a report is a list of findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from dirbench.benchmarks.running.failures import where
from dirbench.errors import one_line

OK, WRONG, ABSENT, UNTRIED, UNSAID = "ok", "wrong", "not applicable", "not tried", "left out"


class Fault(Exception):
    """Something breaks the contract; the message says what, and what to do."""


class Unusable(Fault):
    """What a check needs cannot be had; the message says what fails. Said once, for others need the same."""


class LeftOut(Exception):
    """Something that a class may say of itself is not said; nothing is wrong, and nothing is known to be right."""


@dataclass(frozen=True)
class Finding:
    """One check's outcome.

    Attributes:
        check: what was checked, in words.
        status: ``ok``, ``wrong``, ``not applicable`` where the thing cannot exist for this subject, ``not tried``, or
            ``left out`` where the class does not say what it could be held to.
        sentence: why, where it is not ok; else what was measured, if anything was.
        follows: whether it may follow from what another check found: an exception that no clause looks for, or
            something that cannot be used.
    """

    check: str
    status: str
    sentence: str = ""
    follows: bool = False

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


def run_checks(checks: Iterable[Callable[[Any], str | None]], make: Callable[[], Any],
               absent: type[Exception] | tuple[type[Exception], ...] = (),
               basic: Iterable[Callable[[Any], str | None]] = ()) -> list[Finding]:
    """One finding for each check, run on a fresh ``make()``; an unexpected exception is a fault too, with its line.

    Args:
        absent: exceptions that mean "not applicable".
        basic: those of ``checks`` that others build on: where one of them is wrong, an unexpected exception of a later
            one is most likely its consequence, and the check counts as not tried.
    """
    findings: list[Finding] = []
    lame: list[str] = []  # what is wrong and others build on
    for check in checks:
        finding = _finding(check, make, absent)  # where the same is told again, or others fail of it, once is enough
        told = [earlier.check for earlier in findings if finding.follows and finding.sentence in earlier.sentence]
        if told:
            finding = Finding(finding.check, UNTRIED, f"first mend what is said of: {told[0]}")
        elif finding.follows and lame:
            finding = Finding(finding.check, UNTRIED, f"first mend what others build on ({', '.join(lame)}); here it "
                              f"led to: {finding.sentence}")
        findings.append(finding)
        if finding.status == WRONG and check in tuple(basic):
            lame.append(finding.check)
    return findings


def _finding(check: Callable[[Any], str | None], make: Callable[[], Any],
             absent: type[Exception] | tuple[type[Exception], ...]) -> Finding:
    name = in_words(check)
    try:
        return Finding(name, OK, check(make()) or "")
    except absent as reason:
        return Finding(name, ABSENT, str(reason))
    except LeftOut as reason:
        return Finding(name, UNSAID, str(reason))
    except Fault as fault:
        return Finding(name, WRONG, str(fault), follows=isinstance(fault, Unusable))
    except (Exception, SystemExit) as error:  # a stranger's code may raise anything; it is reported, and the next runs
        return Finding(name, WRONG, f"{one_line(error)}{where(error)}", follows=True)

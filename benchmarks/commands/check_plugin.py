"""The commands that try other people's code: ``check-generator``, ``check-method`` and ``check-metric``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dirbench.benchmarks.contract.report import Finding


def add_check_generator(commands) -> None:
    """``check-generator``: the contract of generators."""
    p = commands.add_parser("check-generator", help="try a generator of yours and say what is wrong with it")
    p.add_argument("spec", metavar="SPEC", help="a checkpoint file, a YAML file with `generator:`, or module:Class "
                   "of a Generator (code of the last two runs: they are yours)")
    p.add_argument("--label", type=int, metavar="N", help="the class to use, for generators with classes (default: 0)")
    _add_long(p, "a generator of more than 64 pixels")
    p.set_defaults(function=check_generator)


def check_generator(args: argparse.Namespace) -> int:
    """Prints a finding for each check; returns 1 if something is wrong."""
    from dirbench.benchmarks.contract.generators import check_generator as check
    from dirbench.benchmarks.contract.reading import source_of
    from dirbench.benchmarks.generators.external_spec import load_any

    generator = load_any(args.spec)
    if generator.n_classes and getattr(generator, "label", None) is None:
        generator.label = args.label or 0
    spaces = f"z of {generator.latent_dim}" + f", w of {generator.w_dim}" * bool(generator.w_dim)
    print(f"{type(generator).__name__}: {spaces}; images of {generator.resolution} pixels; activations "
          f"{', '.join(map(str, generator.layer_names))}")
    for note in generator.notes:
        print(f"note: {note}")
    return _show(check(generator, source_of(args.spec, generator), args.long))


def add_check_method(commands) -> None:
    """``check-method``: the contract of direction methods."""
    p = commands.add_parser("check-method", help="try a method of yours on a tiny generator, and say what is wrong")
    p.add_argument("subject", metavar="FILE|NAME", help="a Python file with a DirectionMethod or PairedMethod in it, "
                   "or a method's name")
    _add_long(p, "a training whose test_params say no n_steps")
    p.set_defaults(function=check_method)


def check_method(args: argparse.Namespace) -> int:
    """Prints a finding for each check of each method in the file; returns 1 if something is wrong."""
    from dirbench.benchmarks.contract import methods
    from dirbench.method import DirectionMethod, PairedMethod
    from dirbench.plugins import METHODS

    return _check_all(args.subject, (DirectionMethod, PairedMethod), "method", METHODS,
                      "on a generator with known directions", lambda cls: methods.check_method(cls, args.long))


def add_check_metric(commands) -> None:
    """``check-metric``: the contract of metrics."""
    p = commands.add_parser("check-metric", help="try a metric of yours on answers whose worth is known")
    p.add_argument("subject", metavar="FILE|NAME", help="a Python file with a Metric in it, or a metric's name")
    p.set_defaults(function=check_metric)


def check_metric(args: argparse.Namespace) -> int:
    """Prints a finding for each check of each metric in the file; returns 1 if something is wrong."""
    from dirbench.benchmarks.contract import metrics
    from dirbench.metric import Metric
    from dirbench.plugins import METRICS

    return _check_all(args.subject, (Metric,), "metric", METRICS, "on answers whose worth is known",
                      metrics.check_metric)


def _check_all(subject: str, bases: tuple[type, ...], what: str, registry: Any, where: str,
               check: Callable[[Any], list[Finding]]) -> int:
    """Checks the classes that ``subject`` means: those in a Python file, or the one of that name."""
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
        codes.append(_show(check(cls)))
    return max(codes)


def _add_long(p: argparse.ArgumentParser, where: str) -> None:
    p.add_argument("--long", action="store_true", help=f"also what takes minutes or more on {where}")


def _show(findings: list[Finding]) -> int:
    for finding in findings:
        print(finding)
    wrong, unsaid = (sum(finding.status == status for finding in findings) for status in ("wrong", "left out"))
    verdict = f"{wrong} of {len(findings)} checks found something wrong" if wrong else "nothing is wrong"
    print(verdict + f", {unsaid} {'thing is' if unsaid == 1 else 'things are'} left out" * bool(unsaid))
    return 1 if wrong else 0

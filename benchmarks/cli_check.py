"""The commands that try other people's code: ``check-generator`` and ``check-method``."""

from __future__ import annotations

import argparse
from pathlib import Path


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
    from benchmarks.contract.generators import check_generator as check
    from benchmarks.contract.reading import source_of
    from benchmarks.generators.external_spec import load_any

    generator = load_any(args.spec)
    if generator.n_classes and getattr(generator, "label", None) is None:
        generator.label = args.label or 0
    spaces = f"z of {generator.latent_dim}" + f", w of {generator.w_dim}" * bool(generator.w_dim)
    print(f"{type(generator).__name__}: {spaces}; images of {generator.resolution} pixels; activations "
          f"{', '.join(generator.layer_names)}")
    for note in generator.notes:
        print(f"note: {note}")
    return _show(check(generator, source_of(args.spec, generator), args.long))


def add_check_method(commands) -> None:
    """``check-method``: the contract of direction methods."""
    p = commands.add_parser("check-method", help="try a method of yours on a tiny generator, and say what is wrong")
    p.add_argument("file", type=Path, metavar="FILE", help="a Python file with a DirectionMethod or PairedMethod in it")
    _add_long(p, "a training whose test_params say no n_steps")
    p.set_defaults(function=check_method)


def check_method(args: argparse.Namespace) -> int:
    """Prints a finding for each check of each method in the file; returns 1 if something is wrong."""
    from benchmarks.contract import methods
    from benchmarks.contract.case import classes_of
    from benchmarks.contract.report import Fault

    try:
        found = classes_of(args.file)
    except Fault as fault:
        raise ValueError(str(fault)) from fault
    codes = []
    for cls in found:
        print(f"{cls.name} ({cls.__name__}) on a generator with known directions:")
        codes.append(_show(methods.check_method(cls, args.long)))
    return max(codes)


def _add_long(p: argparse.ArgumentParser, where: str) -> None:
    p.add_argument("--long", action="store_true", help=f"also what takes minutes or more on {where}")


def _show(findings) -> int:
    for finding in findings:
        print(finding)
    wrong = sum(finding.status == "wrong" for finding in findings)
    print(f"{wrong} of {len(findings)} checks found something wrong" if wrong else "nothing is wrong")
    return 1 if wrong else 0

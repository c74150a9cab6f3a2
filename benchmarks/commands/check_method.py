"""``check-method``: the contract of direction methods, tried on a file's."""

from __future__ import annotations

import argparse

from dirbench.benchmarks.commands._plugin_checks import add_long, check_all

GROUP = "plug-ins of your own"
HELP = "try a method of yours on a tiny generator, and say what is wrong"
EXAMPLES = ("methods/mine.py",)


def arguments(p: argparse.ArgumentParser) -> None:
    """A method's file, or its name."""
    p.add_argument("subject", metavar="FILE|NAME", help="a Python file with a DirectionMethod or PairedMethod in it, "
                   "or a method's name")
    add_long(p, "a training whose test_params say no n_steps")


def run(args: argparse.Namespace) -> int:
    """Prints a finding for each check of each method in the file; returns 1 if something is wrong."""
    from dirbench.benchmarks.contract.methods import check_method
    from dirbench.method import DirectionMethod, PairedMethod
    from dirbench.plugins import METHODS

    return check_all(args.subject, (DirectionMethod, PairedMethod), "method", METHODS,
                     "on a generator with known directions", lambda cls: check_method(cls, args.long))

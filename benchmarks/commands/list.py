"""``list``: every name that other commands take."""

from __future__ import annotations

import argparse

GROUP = "runs"
HELP = "list suites, profiles, methods, metrics and extractors"
EXAMPLES = ("",)


def arguments(p: argparse.ArgumentParser) -> None:
    """None."""


def run(args: argparse.Namespace) -> int:
    """Prints every name, and files that could not be loaded with the reason."""
    from dirbench.benchmarks.config.suite import PROFILES, SUITES, names
    from dirbench.checks import first_line
    from dirbench.plugins import EXTRACTORS, METHODS, METRICS

    print("suites:   " + ", ".join(names(SUITES)))
    print("profiles: " + ", ".join(names(PROFILES)))
    for what, (found, broken) in (("methods", METHODS.load_all()), ("metrics", METRICS.load_all()),
                                  ("extractors", EXTRACTORS.load_all())):
        print(f"{what}:")
        for name, cls in found.items():
            print(f"  {name:20} {first_line(cls)}")
        for file, why in broken.items():
            print(f"  not loaded: {file}: {why}")
    return 0

"""``check-metric``: the contract of metrics, tried on a file's."""

from __future__ import annotations

import argparse

from dirbench.benchmarks.commands._plugin_checks import check_all

GROUP = "plug-ins of your own"
HELP = "try a metric of yours on answers whose worth is known"
EXAMPLES = ("metrics/mine.py", "alignment")


def arguments(p: argparse.ArgumentParser) -> None:
    """A metric's file, or its name."""
    p.add_argument("subject", metavar="FILE|NAME", help="a Python file with a Metric in it, or a metric's name")


def run(args: argparse.Namespace) -> int:
    """Prints a finding for each check of each metric in the file; returns 1 if something is wrong."""
    from dirbench.benchmarks.contract.metrics import check_metric
    from dirbench.metric import Metric
    from dirbench.plugins import METRICS

    return check_all(args.subject, (Metric,), "metric", METRICS, "on answers whose worth is known", check_metric)

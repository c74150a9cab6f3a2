"""``show``: a run's tables and figures again, and what ``run`` ends with."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

GROUP = "runs"
HELP = "write and print a run's tables again, from its stored rows"
EXAMPLES = ("results/runs/mine",)
FIRST = {"summary.md": "every table, with what it says", "summary.png": "the headline as a picture",
         "rows.csv": "every score, a row each"}


def arguments(p: argparse.ArgumentParser) -> None:
    """A run's folder."""
    p.add_argument("run", type=Path, metavar="RUN", help="a run's folder")


def run(args: argparse.Namespace) -> int:
    """Makes every table and figure of a run again."""
    from dirbench.results.artifacts.locks import lock
    from dirbench.results.stored_run import read_run

    rows, cells, made_by = read_run(args.run)
    with lock(args.run / ".tables.lock"):
        write_tables(args.run, rows, cells, made_by)
    print(open_first(args.run))
    return 0


def write_tables(out: Path, rows: pd.DataFrame, cells: pd.DataFrame, made_by: dict) -> None:
    """Writes every table and figure of a run, and prints the headline."""
    from dirbench.benchmarks.running.provenance import caption_facts
    from dirbench.plugins import METHODS, METRICS
    from dirbench.results.report import console_summary, make_all
    from dirbench.results.stored_run import read_random_runs

    metrics, methods = METRICS.load_all()[0], METHODS.load_all()[0]
    facts = caption_facts(made_by) | {"chance": read_random_runs(out)}
    written = make_all(out, rows, cells, facts, metrics, methods)
    print(console_summary(rows, cells, facts, metrics, methods))
    print(f"{len(written)} tables and figures in {out}, beside rows.csv, cells.csv and run.json")


def open_first(out: Path) -> str:
    """What to open first of a run's folder: its summaries, or the sheets where nothing was scored."""
    chosen = FIRST if (out / "summary.md").is_file() else {"sheets": "each direction, from one end to the other",
                                                           "cells.csv": "what was done, and how long it took"}
    there = {out / name: what for name, what in chosen.items() if (out / name).exists()}
    width = max((len(str(path)) for path in there), default=0)
    return "\n".join(["open first:", *(f"  {path!s:<{width}}  {what}" for path, what in there.items())])

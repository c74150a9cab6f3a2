"""``show``: a run's tables and figures again, and what ``run`` ends with."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dirbench.benchmarks.running.whole import Tables

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
    from dirbench.benchmarks.running.whole import write_tables
    from dirbench.results.artifacts.locks import lock
    from dirbench.results.stored_run import read_run

    rows, cells, made_by = read_run(args.run)
    with lock(args.run / ".tables.lock"):
        tables = write_tables(args.run, rows, cells, made_by)
    print_tables(tables, args.run)
    print(open_first(args.run))
    return 0


def print_tables(tables: Tables, out: Path) -> None:
    """Prints the headline, and how many tables there are beside it."""
    print(tables.shown)
    print(f"{len(tables.files)} tables and figures in {out}, beside rows.csv, cells.csv and run.json")


def open_first(out: Path) -> str:
    """What to open first of a run's folder: its summaries, or the sheets where nothing was scored."""
    chosen = FIRST if (out / "summary.md").is_file() else {"sheets": "each direction, from one end to the other",
                                                           "cells.csv": "what was done, and how long it took"}
    there = {out / name: what for name, what in chosen.items() if (out / name).exists()}
    width = max((len(str(path)) for path in there), default=0)
    return "\n".join(["open first:", *(f"  {path!s:<{width}}  {what}" for path, what in there.items())])

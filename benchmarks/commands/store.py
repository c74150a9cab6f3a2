"""``store list`` and ``store clean``: what the artifact store holds, and its garbage collector."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from tabulate import tabulate

from dirbench import places
from dirbench.results.artifacts import garbage
from dirbench.results.artifacts.store import PRIVATE, Store

GROUP = "runs"
HELP = "show what the artifact store holds, or remove what was not used for longest"
EXAMPLES = ("list", "clean --unused-for 30 --limit 20G")
NO_PARTS = "it has no locks/ and work/"
NOT_THERE = "there is no such folder"
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def arguments(p: argparse.ArgumentParser) -> None:
    """A store, and what goes."""
    p.add_argument("action", choices=("list", "clean"))
    p.add_argument("--store", type=Path, metavar="DIR", help="default: $DIRBENCH_STORE, or results/store")
    p.add_argument("--unused-for", type=float, metavar="DAYS", help="clean: remove what was not used for so long")
    p.add_argument("--limit", type=_bytes, metavar="SIZE",
                   help="clean: then the longest unused, until the store has at most this size (500M, 20G)")
    p.add_argument("--dry-run", action="store_true", help="clean: only say what would be removed")


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?", text)
    if not found or not (found[2] or text == "0"):  # 20 for 20G would empty the store
        raise argparse.ArgumentTypeError(f"{text!r} is no size; expected a number and a unit, such as 500M or 20G")
    return round(float(found[1]) * _UNITS[found[2]])


def run(args: argparse.Namespace) -> int:
    """Prints the table, or what was removed."""
    if args.action == "clean" and args.unused_for is None and args.limit is None:
        raise ValueError("store clean: say what to keep: --unused-for DAYS, --limit SIZE, or both")
    if args.unused_for is not None and not args.unused_for >= 0:
        raise ValueError(f"store clean: --unused-for {args.unused_for:g}: expected a number of days from 0")
    root = places.store(args.store)
    if not root.exists() and args.store is None:
        print(f"store: {root} is not there yet; the first run makes it")
        return 0
    if not all((root / name).is_dir() for name in PRIVATE):
        raise ValueError(f"{root} is no artifact store: {NO_PARTS if root.is_dir() else NOT_THERE}; give "
                         f"the folder that runs were given as --store or {places.STORE_VARIABLE}")
    where = Store(root)
    if args.action == "list":
        rows = garbage.summary(garbage.artifacts(where))
        rows.append(("all", sum(r[1] for r in rows), sum(r[2] for r in rows)))
        print(f"store: {where.root}")
        print(tabulate([(kind, count, f"{size / 1e6:,.1f}") for kind, count, size in rows],
                       headers=("kind", "artifacts", "MB"), colalign=("left", "right", "right")))
        return 0
    removed, leftovers = garbage.collect(where, args.unused_for, args.limit, args.dry_run)
    print(f"{'would remove' if args.dry_run else 'removed'} {len(removed)} artifacts of "
          f"{sum(a.size for a in removed) / 1e6:,.1f} MB, and {leftovers / 1e6:,.1f} MB that stopped processes left")
    return 0

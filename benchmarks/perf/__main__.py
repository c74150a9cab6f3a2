"""``python -m dirbench.benchmarks.perf``: the speed goals, measured."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from dirbench.benchmarks.perf import closed_forms, density_ratios, generators, losses, steps
from dirbench.benchmarks.perf.report import Row, table
from dirbench.benchmarks.perf.setup import Setup, Sizes
from dirbench.benchmarks.running.process import use_one_thread
from dirbench.names import did_you_mean

GROUPS: dict[str, Callable[[Setup], Iterator[Row]]] = {
    "generator": generators.measure, "steps": steps.measure, "losses": losses.measure, "sefa": closed_forms.sefa,
    "ganspace": closed_forms.ganspace, "ratios": density_ratios.measure}


def main(argv: Sequence[str] | None = None, sizes: Sizes | None = None) -> int:
    """Measures and prints; 2 for an unknown name."""
    known = [*GROUPS, *steps.trained()]
    parser = argparse.ArgumentParser(prog="python -m dirbench.benchmarks.perf", description=__doc__)
    parser.add_argument("--only", metavar="NAME", help="one group (" + ", ".join(GROUPS) + ") or one method's step")
    parser.add_argument("--repeats", type=int, default=7, help="how often each ratio is taken (default: 7)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="where to write the table as well")
    args = parser.parse_args(argv)
    if args.only not in (None, *known):
        print("dirbench.benchmarks.perf: " + did_you_mean("name", args.only, known), file=sys.stderr)
        return 2
    if args.repeats < 1:
        parser.error(f"--repeats {args.repeats}: expected 1 or more")
    use_one_thread()
    setup = Setup(sizes or Sizes(), args.repeats)
    rows, remarks = [], []
    for name, measure in GROUPS.items():
        if args.only not in (None, name) and not (name == "steps" and args.only not in GROUPS):
            continue
        found = steps.measure(setup, args.only) if args.only in steps.trained() else measure(setup)
        for row in found:
            rows.append(row)
            print(f"{row.what}: {row.ratio.median:.3g}", file=sys.stderr, flush=True)
        if name == "steps" and (left := steps.without_floor(setup)):
            remarks.append(f"No floor is stated for {', '.join(left)}.")
    text = table(rows, args.repeats, remarks)
    print(text, end="")
    if args.out:
        args.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

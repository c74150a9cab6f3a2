"""``check``: a run against a reference, to find regressions; or a reference from a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dirbench import places

if TYPE_CHECKING:
    import pandas as pd

GROUP = "runs"
HELP = "compare a run with a reference; exit code 1 on a regression, 2 if the two cannot be compared"
EXAMPLES = ("results/runs/mine --against celeba_subsets-smoke", "results/runs/mine --against mine.csv --write")


def arguments(p: argparse.ArgumentParser) -> None:
    """A run's folder and a reference."""
    p.add_argument("run", type=Path, metavar="RUN", help="a run's folder")
    p.add_argument("--against", type=Path, required=True, metavar="FILE",
                   help="a reference file, or the name of a shipped one, such as celeba_subsets-smoke")
    p.add_argument("--write", action="store_true", help="write the reference from this run instead of checking")


def run(args: argparse.Namespace) -> int:
    """Prints findings; returns 1 if any of them is a regression, 2 if the two cannot be compared."""
    if args.write and args.against.suffix != ".csv":
        raise ValueError(f"--against {args.against}: a reference is written to a file NAME.csv (its settings to "
                         "NAME.json beside it)")
    from dirbench.results.stored_run import read_run

    rows, _, made_by = read_run(args.run)
    return _write(args.against, rows, made_by) if args.write else _check(args.run, args.against, rows, made_by)


def _check(run: Path, against: Path, rows: pd.DataFrame, made_by: dict) -> int:
    from dirbench.plugins import METRICS
    from dirbench.results import check as checks
    from dirbench.results.settings import read_settings, settings_of

    against = places.reference(against)
    reference = checks.read_reference(against)
    findings = checks.check(rows, reference, METRICS.load_all()[0], made_by["controls"],
                            settings=settings_of(made_by), reference_settings=read_settings(against))
    for finding in findings:
        print(f"{finding.kind}: {finding.sentence}")
    bad, apart = sum(f.fails for f in findings), sum(f.kind == "context" for f in findings)
    verdict = "no regression" if not bad else "these cannot be compared" if bad == apart else f"{bad} of these fail"
    print(f"{run} against {against} ({checks.made_by(reference)}): {verdict}")
    return 0 if not bad else 2 if bad == apart else 1


def _write(target: Path, rows: pd.DataFrame, made_by: dict) -> int:
    from dirbench.benchmarks.running.provenance import caption_facts
    from dirbench.plugins import METHODS
    from dirbench.results import check as checks
    from dirbench.results.settings import settings_of, write_settings

    if target.exists():
        checks.read_reference(target)  # a file that is none is not replaced
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--against {target} cannot be written to ({error.strerror})") from error
    closed = [name for name, cls in METHODS.load_all()[0].items() if cls.deterministic]
    reference = checks.reference_from_rows(rows, closed, made_by["controls"], caption_facts(made_by))
    print(f"wrote {checks.write_reference(reference, target)}")
    print(f"wrote {write_settings(settings_of(made_by), target)}, the settings that it is compared under")
    return 0

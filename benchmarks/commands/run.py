"""``run``: a suite from its plan to its tables."""

from __future__ import annotations

import argparse
import fnmatch
import json
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dirbench import places
from dirbench.benchmarks.commands._options import SEEDS_BELOW, add_common, check_whole, go_offline, words
from dirbench.benchmarks.commands._program import program

if TYPE_CHECKING:
    from dirbench.benchmarks.config.job import Job
    from dirbench.benchmarks.running.plan import Plan

GROUP = "runs"
HELP = "run a suite and write its tables (the default command)"
EXAMPLES = ("--suite celeba_subsets --profile smoke",
            "--suite celeba_subsets --methods sefa,ganspace --seeds 0,1,2 --out results/runs/mine")


def arguments(p: argparse.ArgumentParser) -> None:
    """The suite, what is chosen in place of its own, and where all of it goes."""
    p.add_argument("--suite", required=True, metavar="NAME", help="a suite's name (see `list`) or a YAML file")
    p.add_argument("--methods", type=words, metavar="A,B",
                   help="these methods instead of the suite's; or `core`, or `all`")
    p.add_argument("--metrics", type=words, metavar="A,B", help="these metrics instead of the suite's")
    p.add_argument("--pairs", choices=("reference", "all"), help="pairs that paired methods are trained on")
    p.add_argument("--seeds", type=words, metavar="0,1,2", help="seeds instead of the profile's")
    p.add_argument("--zoo", metavar="ZOO", help="other generators of the same names: a zoo's name, folder or YAML file")
    p.add_argument("--oracle", metavar="FILE", help="score with this oracle (a file of `train-oracle`, or a shipped "
                   "one's name); none: find and draw directions only")
    p.add_argument("--teacher", metavar="FILE", help="supervised methods learn from this oracle")
    p.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core; one on a GPU)")
    p.add_argument("--out", type=Path, metavar="DIR", help="the run's folder (default: results/runs/<suite>-<time>)")
    p.add_argument("--only", metavar="GLOB", help="only the cells whose id matches, and what they need")
    p.add_argument("--cell", metavar="I/N", help="the I-th of N shares (0 to N-1), for array jobs; needs --out")
    p.add_argument("--dry-run", action="store_true",
                   help="print the plan, what is cached, and the images to synthesise")
    add_common(p)


def run(args: argparse.Namespace) -> int:
    """Checks, plans, runs and writes the tables; returns 1 if a cell failed."""
    _check_names(args)
    check_whole("--workers", args.workers, 1)
    seeds, share = _seeds(args.seeds), _share(args)
    if args.offline:
        go_offline()
    from dirbench.benchmarks.commands._plan_shown import note_on_gans, print_plan
    from dirbench.benchmarks.config.job import make_job

    job = make_job(args.suite, args.profile, methods=args.methods or (), metrics=args.metrics or (), seeds=seeds,
                   pairs=args.pairs, zoo=args.zoo, oracle=args.oracle, teacher=args.teacher, device=args.device,
                   store=args.store)
    note_on_gans(job, args.profile)
    plan = plan_of(job, other_zoo=args.zoo is not None)
    ids = _chosen(plan, args.only)
    print_plan(job, plan, ids)
    if args.dry_run:
        return 0
    out = args.out or places.runs() / f"{job.suite.suite}-{time.strftime('%Y%m%d-%H%M%S')}"
    return work_on(job, plan, ids, out, share, args.workers)


# -- checks: before anything is loaded -------------------------------------------------------------------------
def _check_names(args: argparse.Namespace) -> None:
    for option in ("methods", "metrics", "seeds"):
        if getattr(args, option) == []:
            raise ValueError(f"--{option} names nothing; leave it out for the suite's own")
    for what, names in (("method", args.methods), ("metric", args.metrics)):
        for name in names or ():
            if name.endswith(".py"):
                raise ValueError(
                    f"--{what}s {name}: expected a name, as `list` has them. A file is found where it lies in "
                    f"{what}s/ of a checkout, or where a package's entry point in dirbench.{what}s names it "
                    f"(docs/plugins.md); `check-{what} {name}` tries it")


def _seeds(texts: list[str] | None) -> list[int]:
    if not all(re.fullmatch("[0-9]{1,10}", s) and int(s) < SEEDS_BELOW for s in texts or ()):
        raise ValueError(f"--seeds takes whole numbers from 0 (below {SEEDS_BELOW}), such as 0,1,2; got "
                         f"{' '.join(texts or ())}")
    return list(dict.fromkeys(map(int, texts or ())))


def _share(args: argparse.Namespace) -> tuple[int, int] | None:
    if not args.cell:
        return None
    found = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", args.cell)
    if not found or int(found[1]) >= int(found[2]):
        raise ValueError(f'--cell takes I/N with I from 0 to N-1, such as 0/8; got "{args.cell}"')
    if not args.out:
        raise ValueError("--cell needs --out: all shares of a run write into one folder")
    return int(found[1]), int(found[2])


# -- the plan, and its work ----------------------------------------------------------------------------------------
def plan_of(job: Job, other_zoo: bool) -> Plan:
    """The plan of a job whose GANs are all there and whole: damaged weights stop the run now, not after an hour."""
    from dirbench.benchmarks.config.zoo_and_oracles import check_gans
    from dirbench.benchmarks.running.plan import Plan
    from dirbench.benchmarks.stages.work import Work

    work = Work.of(job)
    check_gans(job.suite, job.all_gans if other_zoo else job.suite.everyone, work.zoo)
    for gan in job.all_gans:
        for note in work.zoo.check(gan):
            print(f"note: {gan}: {note}", file=sys.stderr)
    plan = Plan(work)
    plan.check_sizes()
    return plan


def _chosen(plan: Plan, only: str | None) -> list[str]:
    """Ids of the cells that ``--only`` means, and of what they need."""
    ids = list(plan.cells)
    if not only:
        return ids
    chosen = fnmatch.filter(ids, only.replace("[", "[[]"))  # brackets are around variants
    if not chosen:
        wider = f"*{only.strip('*')}*"
        hint = f' (did you mean "{wider}"?)' if fnmatch.filter(ids, wider.replace("[", "[[]")) else ""
        raise ValueError(f'--only "{only}" matches no cell{hint}; ids look like {ids[-1]}')
    return plan.closure(chosen)


def work_on(job: Job, plan: Plan, ids: list[str], out: Path, share: tuple[int, int] | None, workers: int | None) -> int:
    """Runs the cells ``ids`` and writes the run's folder; returns 1 if one failed; ``share``: (I, N) of ``--cell``."""
    from dirbench.benchmarks.commands.show import open_first, write_tables
    from dirbench.benchmarks.running import failures, folder
    from dirbench.benchmarks.running.local import run as run_cells
    from dirbench.benchmarks.running.process import usable_workers
    from dirbench.benchmarks.running.provenance import provenance
    from dirbench.files import write_atomically
    from dirbench.results.artifacts.locks import lock

    folder.open_folder(out, job)
    made_by = provenance(plan.work, [program(), *sys.argv[1:]])
    records = run_cells(job, plan, ids[share[0]::share[1]] if share else ids, out,
                        workers or usable_workers(job.device))
    with lock(out / ".tables.lock"):
        gathered = folder.gather(out, plan)
        write_atomically(out / "run.json", json.dumps(made_by, indent=1))
        unfinished = bool(share and gathered.absent)
        if not unfinished:
            write_tables(out, gathered.rows, gathered.cells, made_by)
            print("\n".join(gathered.lines))
    failed = [r for r in records if r["status"] == "failed"]
    for line in failures.write(records, out):
        print(line, file=sys.stderr)
    if failed:
        print(f"{len(failed)} of {len(records)} cells failed; the same command tries them again", file=sys.stderr)
    done = len(plan.cells) - len(gathered.absent)
    print(f"{done} of {len(plan.cells)} cells are done; tables come with the last share, or by `{program()} show {out}`"
          if unfinished else open_first(out))
    return 1 if failed else 0

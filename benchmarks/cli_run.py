"""The commands around a run: ``run``, ``list``, ``show`` and ``check``."""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import sys
import time
from pathlib import Path

import pandas as pd
from filelock import FileLock
from tabulate import tabulate

from benchmarks import config, run_folder
from benchmarks.config import ConfigError, Entry
from benchmarks.job import Job
from methods import registry
from metrics import registry as metric_registry
from oracles import registry as extractors

RUNS = Path(__file__).parent.parent / "results" / "runs"


def _words(text: str) -> list[str]:
    return [word for word in text.replace(",", " ").split() if word]


# -- run ------------------------------------------------------------------------------------------------------
def add_run(commands) -> None:
    """``run``: the main job."""
    p = commands.add_parser("run", help="run a suite and write its tables (the default command)")
    p.add_argument("--suite", required=True, metavar="NAME", help="a suite's name (see `list`) or a YAML file")
    p.add_argument("--profile", metavar="NAME", help="sizes: smoke, mini or paper, or a YAML file (default: mini)",
                   default="mini")
    p.add_argument("--methods", type=_words, metavar="A,B", 
                   help="these methods instead of the suite's; or `core`, or `all`")
    p.add_argument("--metrics", type=_words, metavar="A,B", help="these metrics instead of the suite's")
    p.add_argument("--pairs", choices=("reference", "all"), help="pairs that paired methods are trained on")
    p.add_argument("--seeds", type=_words, metavar="0,1,2", help="seeds instead of the profile's")
    p.add_argument("--zoo", metavar="ZOO", help="other generators of the same names: a zoo's name, folder or YAML file")
    p.add_argument("--oracle", metavar="FILE", help="score with this oracle (a file of `train-oracle`, or a shipped "
                   "one's name); none: find and draw directions only")
    p.add_argument("--teacher", metavar="FILE", help="supervised methods learn from this oracle")
    p.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, ... (default: a GPU if there is one)")
    p.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core; one on a GPU)")
    p.add_argument("--out", type=Path, metavar="DIR", help="the run's folder (default: results/runs/<suite>-<time>)")
    p.add_argument("--store", metavar="DIR", help="the artifact store (default: $DIRBENCH_STORE or results/store)")
    p.add_argument("--only", metavar="GLOB", help="only the cells whose id matches, and what they need")
    p.add_argument("--cell", metavar="I/N", help="the I-th of N shares (0 to N-1), for array jobs; needs --out")
    p.add_argument("--dry-run", action="store_true",
                   help="print the plan, what is cached, and the images to synthesise")
    p.add_argument("--offline", action="store_true", help="never ask a network for weights")
    p.set_defaults(function=run)


def run(args: argparse.Namespace) -> int:
    """Runs a suite; returns 1 if a cell failed."""
    if args.offline:
        os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    from benchmarks.judging import check_gans
    from benchmarks.plan import Plan  # torch is imported only by the commands that need it
    from benchmarks.runner import run as run_cells
    from benchmarks.scoring import Scorer
    from benchmarks.workbench import Workbench

    job = make_job(args)
    share = _share(args)
    bench = Workbench(job)
    check_gans(job.suite, job.all_gans, bench.zoo)
    for gan in job.all_gans:
        for note in bench.zoo.check(gan):  # damaged weights stop the run now, not after an hour
            print(f"note: {gan}: {note}", file=sys.stderr)
    plan = Plan(bench, Scorer(bench))
    ids = list(plan.cells)
    if args.only:
        chosen = fnmatch.filter(ids, args.only)
        if not chosen:
            raise ConfigError(f'--only "{args.only}" matches no cell; ids look like {ids[-1]}')
        ids = plan.closure(chosen)
    _print_plan(job, plan, ids)
    if args.dry_run:
        return 0
    out = args.out or RUNS / f"{job.suite.suite}-{time.strftime('%Y%m%d-%H%M%S')}"
    run_folder.open_folder(out, job)
    made_by = run_folder.provenance(job, plan, ["run_bench.py", *sys.argv[1:]])
    if share:
        ids = ids[share[0]::share[1]]
    records = run_cells(job, plan, ids, out, args.workers or _default_workers(job.device))
    with FileLock(out / ".tables.lock"):
        rows, cells, absent = run_folder.gather(out, job, plan)
        run_folder.write_atomically(out / "run.json", json.dumps(made_by, indent=1))
        if share and absent:
            print(f"{len(plan.cells) - len(absent)} of {len(plan.cells)} cells are done; tables come with the last "
                  f"share, or by `run_bench.py show {out}`")
        else:
            sheets = run_folder.copy_sheets(out, plan)
            _tables(out, rows, cells, made_by)
            print(f"{sheets} traversal sheets in {out / 'sheets'}")
    failed = [r for r in records if r["status"] == "failed"]
    for record in failed:
        print(f"failed: {record['cell']}: {record['reason']}", file=sys.stderr)
    if failed:
        print(f"{len(failed)} of {len(records)} cells failed; the same command tries them again", file=sys.stderr)
    return 1 if failed else 0


def make_job(args: argparse.Namespace) -> Job:
    """The job that the arguments mean. Raises ConfigError, UnknownName, ZooError or ValueError with a sentence."""
    from benchmarks.judging import on_zoo
    suite, profile = config.load_suite(args.suite), config.load_profile(args.profile)
    if args.methods:
        names = registry.group(args.methods[0]) if args.methods in (["core"], ["all"]) else args.methods
        own = {name: [e for e in suite.methods if e.name == name] for name in names}
        entries = [e for name in names for e in own[name] or [Entry(name=_known_method(name))]]
        suite = suite.model_copy(update={"methods": entries})
    if args.metrics:
        for name in args.metrics:
            metric_registry.get(name)
        suite = suite.model_copy(update={"metrics": args.metrics})
    suite = on_zoo(suite, args.zoo, args.oracle, args.teacher)
    if args.pairs:
        profile = profile.model_copy(update={"pairs": args.pairs})
        suite = suite.model_copy(update={"pairs": suite.pairs and args.pairs})
    if args.seeds:
        if not all(s.isdigit() for s in args.seeds):
            raise ConfigError(f"--seeds takes whole numbers from 0, such as 0,1,2; got {' '.join(args.seeds)}")
        profile = profile.model_copy(update={"seeds": list(dict.fromkeys(map(int, args.seeds)))})
    store = args.store or os.environ.get("DIRBENCH_STORE") or str(RUNS.parent / "store")
    from benchmarks.places import usable_device  # which imports torch
    return Job(suite, profile, usable_device(args.device), store)


def _known_method(name: str) -> str:
    registry.get(name)
    return name


def _share(args: argparse.Namespace) -> tuple[int, int] | None:
    if not args.cell:
        return None
    index, _, total = args.cell.partition("/")
    if not (index.isdigit() and total.isdigit() and int(index) < int(total)):
        raise ConfigError(f'--cell takes I/N with I from 0 to N-1, such as 0/8; got "{args.cell}"')
    if not args.out:
        raise ConfigError("--cell needs --out: all shares of a run write into one folder")
    return int(index), int(total)


def _default_workers(device: str) -> int:
    return 1 if device.startswith("cuda") else len(os.sched_getaffinity(0))


def _print_plan(job: Job, plan, ids: list[str]) -> None:
    sizes = job.profile
    print(f"suite {job.suite.suite} v{job.suite.version} on {plan.bench.zoo.title}, profile {sizes.profile} "
          f"({sizes.title}), device {job.device}")
    print(f"  {len(job.gans)} GANs, controls {', '.join('/'.join(c) for c in job.controls) or 'none'}; seeds "
          f"{', '.join(map(str, sizes.seeds))}; {sizes.latents.match} latents to match on, {sizes.latents.score} to "
          f"score on; alpha {job.suite.alpha:g}; {_attributes(plan.bench.oracle)}")
    methods = [(e.label, job.method(e)) for e in job.suite.methods]
    print("  " + ", ".join(f"{label} ({m.steps:,} of {m.published_steps():,} steps)" if m.published_steps() else label
                           for label, m in methods))
    kinds: dict[str, list[int]] = {}
    for i in ids:
        cell = plan.cells[i]
        counts = kinds.setdefault(cell.kind, [0, 0, 0])
        counts[0] += 1
        counts[1] += plan.is_cached(cell)
        counts[2] += plan.images([i])[0]
    print(tabulate([[k, *c] for k, c in kinds.items()], ("cells", "planned", "cached", "images to synthesise"),
                   intfmt=","))
    to_make, whole = plan.images(ids)
    print(f"images: {to_make:,} to synthesise of {whole:,}")
    for file, why in registry.load_all()[1].items():
        print(f"not loaded: {file}: {why}")


def _attributes(oracle) -> str:
    if oracle is None:
        return "no oracle, so directions are found and drawn, and nothing is scored"
    return f"{sum(oracle.readable)} of {len(oracle.names)} attributes readable"


# -- show, check, list ------------------------------------------------------------------------------------------
def _metrics() -> dict:
    return metric_registry.load_all()[0]


def _tables(out: Path, rows: pd.DataFrame, cells: pd.DataFrame, made_by: dict) -> None:
    from results.console import console_summary
    from results.nulls import read_nulls
    from results.report import make_all
    facts = run_folder.caption_facts(made_by) | {"chance": read_nulls(out)}
    written = make_all(out, rows, cells, facts, _metrics())
    print(console_summary(rows, cells, facts, _metrics()))
    print(f"{len(written)} tables and figures in {out}, beside rows.csv, cells.csv and run.json")


def add_show(commands) -> None:
    """``show``: tables again, from the stored rows."""
    p = commands.add_parser("show", help="write and print a run's tables again, from its stored rows")
    p.add_argument("run", type=Path, metavar="RUN", help="a run's folder")
    p.set_defaults(function=show)


def show(args: argparse.Namespace) -> int:
    """Makes every table and figure of a run again."""
    rows, made_by = _stored(args.run)
    with FileLock(args.run / ".tables.lock"):
        _tables(args.run, rows, pd.read_csv(args.run / "cells.csv", keep_default_na=False), made_by)
    return 0


def _stored(run: Path) -> tuple[pd.DataFrame, dict]:
    from results.rows import read_rows
    for name in ("rows.csv", "cells.csv", "run.json"):
        if not (run / name).is_file():
            raise ConfigError(f"{run} is not a run's folder: it has no {name}")
    return read_rows(run / "rows.csv"), json.loads((run / "run.json").read_text(encoding="utf-8"))


def add_check(commands) -> None:
    """``check``: a regression check against a reference file."""
    p = commands.add_parser("check", help="compare a run with a reference; exit code 1 on a regression")
    p.add_argument("run", type=Path, metavar="RUN", help="a run's folder")
    p.add_argument("--against", type=Path, required=True, metavar="FILE", help="results/reference/NAME.csv")
    p.add_argument("--write", action="store_true", help="write the reference from this run instead of checking")
    p.set_defaults(function=check)


def check(args: argparse.Namespace) -> int:
    """Prints findings; returns 1 if any of them is a regression."""
    from results import check as checks
    rows, made_by = _stored(args.run)
    if args.write:
        args.against.parent.mkdir(parents=True, exist_ok=True)
        closed = [name for name, cls in registry.load_all()[0].items() if cls.deterministic]
        facts = run_folder.caption_facts(made_by)
        checks.write_reference(checks.reference_from_rows(rows, closed, provenance=facts), args.against)
        print(f"wrote {args.against}")
        return 0
    reference = checks.read_reference(args.against)
    findings = checks.check(rows, reference, _metrics())
    for finding in findings:
        print(f"{finding.kind}: {finding.sentence}")
    bad = sum(f.fails for f in findings)
    verdict = f"{bad} findings fail" if bad else "no regression"
    print(f"{args.run} against {args.against} ({checks.made_by(reference)}): {verdict}")
    return 1 if bad else 0


def add_list(commands) -> None:
    """``list``: what there is."""
    p = commands.add_parser("list", help="list suites, profiles, methods, metrics and extractors")
    p.set_defaults(function=list_all)


def list_all(args: argparse.Namespace) -> int:
    """Prints every name that the other commands take, and files that could not be loaded with the reason."""
    print("suites:   " + ", ".join(config.names(config.SUITES)))
    print("profiles: " + ", ".join(config.names(config.PROFILES)))
    for what, (found, broken) in (("methods", registry.load_all()), ("metrics", metric_registry.load_all()),
                                  ("extractors", extractors.load_all())):
        print(f"{what}:")
        for name, cls in found.items():
            print(f"  {name:20} {(cls.__doc__ or '').strip().splitlines()[0]}")
        for file, why in broken.items():
            print(f"  not loaded: {file}: {why}")
    return 0

"""The commands around a run: ``run``, ``list``, ``show`` and ``check``."""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from dirbench import places
from dirbench.benchmarks.commands import program
from dirbench.benchmarks.commands._arguments import words
from dirbench.benchmarks.config import suite as config
from dirbench.benchmarks.config.errors import ConfigError
from dirbench.benchmarks.config.job import Job
from dirbench.benchmarks.config.suite import Entry
from dirbench.benchmarks.running import folder as run_folder
from dirbench.checks import first_line
from dirbench.plugins import EXTRACTORS, METHODS, METRICS, method_group
from dirbench.results.artifacts.locks import lock
from dirbench.results.stored_run import read_run


# -- run ------------------------------------------------------------------------------------------------------
def add_run(commands) -> None:
    """``run``: the main job."""
    p = commands.add_parser("run", help="run a suite and write its tables (the default command)")
    p.add_argument("--suite", required=True, metavar="NAME", help="a suite's name (see `list`) or a YAML file")
    p.add_argument("--profile", metavar="NAME", help="sizes: smoke, mini or paper, or a YAML file (default: mini)",
                   default="mini")
    p.add_argument("--methods", type=words, metavar="A,B",
                   help="these methods instead of the suite's; or `core`, or `all`")
    p.add_argument("--metrics", type=words, metavar="A,B", help="these metrics instead of the suite's")
    p.add_argument("--pairs", choices=("reference", "all"), help="pairs that paired methods are trained on")
    p.add_argument("--seeds", type=words, metavar="0,1,2", help="seeds instead of the profile's")
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
    from dirbench.benchmarks.config.zoo_and_oracles import check_gans
    from dirbench.benchmarks.running import failures
    from dirbench.benchmarks.running.local import run as run_cells
    from dirbench.benchmarks.running.plan import Plan  # torch is imported only by the commands that need it
    from dirbench.benchmarks.stages.lab import Workbench
    from dirbench.benchmarks.stages.score import Scorer

    job = make_job(args)
    share = _share(args)
    bench = Workbench(job)
    check_gans(job.suite, job.all_gans if args.zoo else job.suite.everyone, bench.zoo)
    for gan in job.all_gans:
        for note in bench.zoo.check(gan):  # damaged weights stop the run now, not after an hour
            print(f"note: {gan}: {note}", file=sys.stderr)
    plan = Plan(bench, Scorer(bench))
    plan.check_sizes()
    ids = list(plan.cells)
    if args.only:
        chosen = fnmatch.filter(ids, args.only.replace("[", "[[]"))  # brackets are around variants
        if not chosen:
            wider = f"*{args.only.strip('*')}*"
            hint = f' (did you mean "{wider}"?)' if fnmatch.filter(ids, wider.replace("[", "[[]")) else ""
            raise ConfigError(f'--only "{args.only}" matches no cell{hint}; ids look like {ids[-1]}')
        ids = plan.closure(chosen)
    _print_plan(job, plan, ids)
    if args.dry_run:
        return 0
    out = args.out or places.runs() / f"{job.suite.suite}-{time.strftime('%Y%m%d-%H%M%S')}"
    run_folder.open_folder(out, job)
    made_by = run_folder.provenance(job, plan.bench, [program(), *sys.argv[1:]])
    if share:
        ids = ids[share[0]::share[1]]
    records = run_cells(job, plan, ids, out, args.workers or _default_workers(job.device))
    with lock(out / ".tables.lock"):
        rows, cells, absent = run_folder.gather(out, job, plan)
        run_folder.write_atomically(out / "run.json", json.dumps(made_by, indent=1))
        if share and absent:
            print(f"{len(plan.cells) - len(absent)} of {len(plan.cells)} cells are done; tables come with the last "
                  f"share, or by `{program()} show {out}`")
        else:
            sheets = run_folder.copy_sheets(out, plan)
            _tables(out, rows, cells, made_by)
            print(f"{sheets} traversal sheets in {out / 'sheets'}")
    failed = [r for r in records if r["status"] == "failed"]
    for line in failures.write(records, out):
        print(line, file=sys.stderr)
    if failed:
        print(f"{len(failed)} of {len(records)} cells failed; the same command tries them again", file=sys.stderr)
    return 1 if failed else 0


def make_job(args: argparse.Namespace) -> Job:
    """The job that the arguments mean. Raises ConfigError, UnknownName, ZooError or ValueError with a sentence."""
    from dirbench.benchmarks.config.zoo_and_oracles import fit_profile, on_zoo
    suite, loaded = config.load_suite(args.suite), config.load_profile(args.profile)
    profile = fit_profile(loaded, suite)
    if loaded.gans is not None and profile.gans != loaded.gans:
        print(f"profile {loaded.profile} chooses {' and '.join(loaded.gans)} of zoo {loaded.zoo}; here all GANs of the "
              "suite are compared")
    for option, listed in (("methods", args.methods), ("metrics", args.metrics), ("seeds", args.seeds)):
        if listed == []:
            raise ConfigError(f"--{option} names nothing; leave it out for the suite's own")
    if args.workers is not None and args.workers < 1:
        raise ConfigError(f"--workers {args.workers}: expected a whole number from 1")
    if args.methods:
        names = list(dict.fromkeys(name for word in args.methods for name in
                                   (method_group(word) if word in ("core", "all") else [word])))
        own = {name: [e for e in suite.methods if e.name == name] for name in names}
        entries = [e for name in names for e in own[name] or [Entry(name=_known(name, "method", METHODS))]]
        suite = suite.model_copy(update={"methods": entries})
    if args.metrics:
        metrics = [_known(name, "metric", METRICS) for name in args.metrics]
        suite = suite.model_copy(update={"metrics": metrics})
    suite = on_zoo(suite, args.zoo, args.oracle, args.teacher)
    if args.pairs:
        if suite.pairs == "none":
            raise ConfigError(f"--pairs {args.pairs}: suite {suite.suite} has no pairs of GANs (it compares "
                              f"{', '.join(suite.gans)}; pairs: none)")
        profile = profile.model_copy(update={"pairs": args.pairs})
        suite = suite.model_copy(update={"pairs": suite.pairs and args.pairs})
    suite.check_pairs_fit()
    if args.seeds:
        profile = profile.model_copy(update={"seeds": _seeds(args.seeds)})
    from dirbench.benchmarks.commands._arguments import usable_device  # which imports torch
    return Job(suite, profile, usable_device(args.device), str(places.store(args.store)))


def _seeds(texts: list[str]) -> list[int]:
    if not all(re.fullmatch("[0-9]{1,10}", s) and int(s) < 2**32 for s in texts):
        raise ConfigError("--seeds takes whole numbers from 0 (below 4294967296), such as 0,1,2; got "
                          f"{' '.join(texts)}")
    return list(dict.fromkeys(map(int, texts)))


def _known(name: str, what: str, registered: Any) -> str:
    if name.endswith(".py"):
        raise ConfigError(f"--{what}s {name}: expected a name, as `list` has them. A file is found where it lies in "
                          f"{what}s/ of a checkout, or where a package's entry point in dirbench.{what}s names it "
                          f"(docs/plugins.md); `check-{what} {name}` tries it")
    registered.get(name)
    return name


def _share(args: argparse.Namespace) -> tuple[int, int] | None:
    if not args.cell:
        return None
    found = re.fullmatch("([0-9]{1,9})/([0-9]{1,9})", args.cell)
    if not found or int(found[1]) >= int(found[2]):
        raise ConfigError(f'--cell takes I/N with I from 0 to N-1, such as 0/8; got "{args.cell}"')
    if not args.out:
        raise ConfigError("--cell needs --out: all shares of a run write into one folder")
    return int(found[1]), int(found[2])


def _default_workers(device: str) -> int:
    if device.startswith("cuda"):
        return 1
    # Not every system says which cores a process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _print_plan(job: Job, plan, ids: list[str]) -> None:
    sizes = job.profile
    print(f"suite {job.suite.suite} v{job.suite.version} on {plan.bench.zoo.title}, profile {sizes.profile} "
          f"({sizes.title}), device {job.device}")
    print(f"  {len(job.gans)} GANs, controls {', '.join('/'.join(c) for c in job.controls) or 'none'}; seeds "
          f"{', '.join(map(str, sizes.seeds))}; {sizes.latents.match} latents to match on, {sizes.latents.score} to "
          f"score on; alpha {job.suite.alpha:g}; {_attributes(plan.bench.oracle)}")
    if job.left_out and sizes.gans is not None:
        print(f"  left out by profile {sizes.profile}, which compares {' and '.join(sizes.gans)}: "
              f"{', '.join(job.left_out)}")
    for names in plan.bench.alike():
        print(f"  {' and '.join(names)} are the same generator")
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
    for file, why in (METHODS.load_all()[1] | METRICS.load_all()[1] | EXTRACTORS.load_all()[1]).items():
        print(f"not loaded: {file}: {why}")


def _attributes(oracle) -> str:
    if oracle is None:
        return "no oracle, so directions are found and drawn, and nothing is scored"
    return f"{sum(oracle.readable)} of {len(oracle.names)} attributes readable"


# -- show, check, list ------------------------------------------------------------------------------------------
def _metrics() -> dict:
    return METRICS.load_all()[0]


def _tables(out: Path, rows: pd.DataFrame, cells: pd.DataFrame, made_by: dict) -> None:
    from dirbench.results.report import console_summary, make_all
    from dirbench.results.stored_run import read_random_runs
    facts = run_folder.caption_facts(made_by) | {"chance": read_random_runs(out)}
    methods = METHODS.load_all()[0]
    written = make_all(out, rows, cells, facts, _metrics(), methods)
    print(console_summary(rows, cells, facts, _metrics(), methods))
    print(f"{len(written)} tables and figures in {out}, beside rows.csv, cells.csv and run.json")


def add_show(commands) -> None:
    """``show``: tables again, from the stored rows."""
    p = commands.add_parser("show", help="write and print a run's tables again, from its stored rows")
    p.add_argument("run", type=Path, metavar="RUN", help="a run's folder")
    p.set_defaults(function=show)


def show(args: argparse.Namespace) -> int:
    """Makes every table and figure of a run again."""
    rows, cells, made_by = read_run(args.run)
    with lock(args.run / ".tables.lock"):
        _tables(args.run, rows, cells, made_by)
    return 0


def add_check(commands) -> None:
    """``check``: a regression check against a reference file."""
    p = commands.add_parser("check", help="compare a run with a reference; exit code 1 on a regression, "
                            "2 if the two cannot be compared")
    p.add_argument("run", type=Path, metavar="RUN", help="a run's folder")
    p.add_argument("--against", type=Path, required=True, metavar="FILE",
                   help="a reference file, or the name of a shipped one, such as celeba_subsets-smoke")
    p.add_argument("--write", action="store_true", help="write the reference from this run instead of checking")
    p.set_defaults(function=check)


def check(args: argparse.Namespace) -> int:
    """Prints findings; returns 1 if any of them is a regression, 2 if the two cannot be compared."""
    from dirbench.results import check as checks
    from dirbench.results.settings import read_settings, settings_of
    rows, _, made_by = read_run(args.run)
    if args.write:
        return _write_reference(args, rows, made_by)
    against = places.reference(args.against)
    reference = checks.read_reference(against)
    findings = checks.check(rows, reference, _metrics(), made_by["controls"], settings=settings_of(made_by),
                            reference_settings=read_settings(against))
    for finding in findings:
        print(f"{finding.kind}: {finding.sentence}")
    bad, apart = sum(f.fails for f in findings), sum(f.kind == "context" for f in findings)
    verdict = "no regression" if not bad else "these cannot be compared" if bad == apart else f"{bad} of these fail"
    print(f"{args.run} against {against} ({checks.made_by(reference)}): {verdict}")
    return 0 if not bad else 2 if bad == apart else 1


def _write_reference(args: argparse.Namespace, rows: pd.DataFrame, made_by: dict) -> int:
    from dirbench.results import check as checks
    from dirbench.results.settings import settings_of, write_settings
    if args.against.suffix != ".csv":
        raise ConfigError(f"--against {args.against}: a reference is written to a file NAME.csv (its settings to "
                          "NAME.json beside it)")
    if args.against.exists():
        checks.read_reference(args.against)  # a file that is none is not replaced
    try:
        args.against.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"--against {args.against} cannot be written to ({error.strerror})") from error
    closed = [name for name, cls in METHODS.load_all()[0].items() if cls.deterministic]
    facts = run_folder.caption_facts(made_by)
    reference = checks.reference_from_rows(rows, closed, made_by["controls"], facts)
    print(f"wrote {checks.write_reference(reference, args.against)}")
    print(f"wrote {write_settings(settings_of(made_by), args.against)}, the settings that it is compared under")
    return 0


def add_list(commands) -> None:
    """``list``: what there is."""
    p = commands.add_parser("list", help="list suites, profiles, methods, metrics and extractors")
    p.set_defaults(function=list_all)


def list_all(args: argparse.Namespace) -> int:
    """Prints every name that the other commands take, and files that could not be loaded with the reason."""
    print("suites:   " + ", ".join(config.names(config.SUITES)))
    print("profiles: " + ", ".join(config.names(config.PROFILES)))
    for what, (found, broken) in (("methods", METHODS.load_all()), ("metrics", METRICS.load_all()),
                                  ("extractors", EXTRACTORS.load_all())):
        print(f"{what}:")
        for name, cls in found.items():
            print(f"  {name:20} {first_line(cls)}")
        for file, why in broken.items():
            print(f"  not loaded: {file}: {why}")
    return 0

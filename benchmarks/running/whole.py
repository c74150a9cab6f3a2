"""A whole run, from a job to the tables in its folder: what the command and ``dirbench.run`` both do.

Nothing is printed here but the bar and the failures of ``local``: what there is to say is handed back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from dirbench import places
from dirbench.benchmarks.config.job import Job
from dirbench.benchmarks.config.zoo_and_oracles import check_gans
from dirbench.benchmarks.running import failures, folder, local
from dirbench.benchmarks.running.plan import Plan
from dirbench.benchmarks.running.process import usable_workers
from dirbench.benchmarks.running.provenance import caption_facts, provenance
from dirbench.benchmarks.stages.work import Work
from dirbench.files import write_atomically
from dirbench.plugins import METHODS, METRICS
from dirbench.results.artifacts.locks import lock
from dirbench.results.report import console_summary, make_all
from dirbench.results.stored_run import read_random_runs


@dataclass(frozen=True)
class Tables:
    """What a run's tables came to: the files, and the first tables as text."""

    files: list[Path] = field(default_factory=list)
    shown: str = ""


@dataclass(frozen=True)
class Finished:
    """What one call did of a run.

    Attributes:
        records: of its own cells.
        gathered: of the whole run so far, other shares' cells too.
        failures: a line for each error, naming the file that its traceback is in.
        tables: None where other shares have cells to do; the last share makes them.
    """

    records: list[local.Record]
    gathered: folder.Gathered
    failures: list[str]
    tables: Tables | None

    @property
    def failed(self) -> int:
        """How many of the records are of cells that failed."""
        return sum(record["status"] == "failed" for record in self.records)


def plan_of(job: Job, other_zoo: bool, note: Callable[[str], None]) -> Plan:
    """The plan of a job whose GANs are all there and whole: damaged weights stop the run now, not after an hour.

    Args:
        other_zoo: whether the GANs are another zoo's, which need not have those that the job leaves out.
        note: called with what a file lacks and its reader put in place, a sentence each.
    Raises:
        ValueError: a GAN, an oracle or the store cannot be used; more directions are asked for than there are.
    """
    work = Work.of(job)
    check_gans(job.suite, job.all_gans if other_zoo else job.suite.everyone, work.zoo)
    for gan in job.all_gans:
        for said in work.zoo.check(gan):
            note(f"{gan}: {said}")
    plan = Plan(work)
    plan.check_sizes()
    return plan


def new_folder(job: Job) -> Path:
    """Where a run goes that is told no place: ``results/runs/<suite>-<time>``."""
    return places.runs() / f"{job.suite.suite}-{time.strftime('%Y%m%d-%H%M%S')}"


def run_plan(plan: Plan, ids: list[str], out: Path, command: list[str], workers: int | None = None,
             share: tuple[int, int] | None = None) -> Finished:
    """Runs the cells ``ids`` and writes the run's folder with all its tables.

    Args:
        command: what the run was called with, for ``run.json``.
        workers: processes; by default one a core, and one on a GPU.
        share: (I, N) runs the I-th of N shares of ``ids`` only; all shares write into one folder.
    Raises:
        FolderError: ``out`` is another run's, or cannot be written.
    """
    job = plan.job
    folder.open_folder(out, job)
    made_by = provenance(plan.work, command)
    records = local.run(job, plan, ids[share[0]::share[1]] if share else ids, out,
                        workers or usable_workers(job.device))
    with lock(out / ".tables.lock"):
        gathered = folder.gather(out, plan)
        write_atomically(out / "run.json", json.dumps(made_by, indent=1))
        unfinished = bool(share and gathered.absent)
        tables = None if unfinished else write_tables(out, gathered.rows, gathered.cells, made_by)
    return Finished(records, gathered, failures.write(records, out), tables)


def write_tables(out: Path, rows: pd.DataFrame, cells: pd.DataFrame, made_by: dict[str, Any]) -> Tables:
    """Writes every table and figure of a run; arguments as ``read_run`` gives them."""
    metrics, methods = METRICS.load_all()[0], METHODS.load_all()[0]
    facts = caption_facts(made_by) | {"chance": read_random_runs(out)}
    return Tables(make_all(out, rows, cells, facts, metrics, methods),
                  console_summary(rows, cells, facts, metrics, methods))

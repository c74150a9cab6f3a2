"""Runs a plan's cells, in this process or in several, and records each the moment it is finished."""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import signal
import sys
import time
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, cast

import torch
from tqdm import tqdm

from dirbench.benchmarks.config.job import Job
from dirbench.benchmarks.running.failures import mark, trace_of
from dirbench.benchmarks.running.plan import Plan
from dirbench.benchmarks.running.process import use_one_thread
from dirbench.benchmarks.stages.stage import Cell, PartlyFailed, Progress
from dirbench.benchmarks.stages.work import Work
from dirbench.errors import NotApplicable, one_line
from dirbench.files import write_atomically

Record = dict

_plan: Plan | None = None  # what this process works on; a forked worker has it from its parent
_shares: Any = None  # shared array: how much of each cell is done


def run_cell(plan: Plan, cell: Cell, failed: dict[str, Record],
             progress: Progress = lambda done, total: None) -> Record:
    """Does one cell and returns its record; whatever goes wrong is in the record, never raised.

    ``failed``: records of cells that this one needs and that did not succeed; then it is not tried.
    """
    start, images, stage = time.perf_counter(), plan.images([cell.id])[0], plan.stages[cell.kind]
    cached, rows, status, reason = plan.is_cached(cell), [], "ok", ""
    errors: list[BaseException] = []
    because, partial = "", False
    try:
        if failed:
            first = next(iter(failed.values()))
            status, reason, because = first["status"], first["reason"], first["cell"]
        else:
            rows = stage.make(plan.work, cell, progress)
    except NotApplicable as error:
        status, reason = "not_applicable", str(error)
    except PartlyFailed as error:  # the others' rows are there
        status, reason, partial, errors, rows = "failed", str(error), True, [*error.errors], error.rows
    except (Exception, SystemExit) as error:  # a failing cell must not take the run down
        status, reason, errors = "failed", one_line(error), [error]
    if status != "ok" and not partial:
        rows = stage.empty_rows(plan.work, cell, status, reason)
    return {"cell": cell.id, "kind": cell.kind, "method": cell.entry.name if cell.entry else "",
            "variant": cell.entry.variant if cell.entry else "", "reference": cell.gans[0],
            "client": cell.gans[1] if len(cell.gans) == 2 else "", "seed": cell.seed, "status": status,
            "reason": reason, "cached": cached, "images": images if status == "ok" else 0,
            "seconds": _seconds(plan, cell) if status == "ok" else round(time.perf_counter() - start, 3),
            "artifact": "; ".join(f"{s.kind}/{s.key}" for s in cell.steps), "rows": rows, "because": because,
            "partial": partial, "errors": [trace_of(error) for error in errors]}


def _seconds(plan: Plan, cell: Cell) -> float:
    """Seconds that making the cell's artifacts took, whenever that was; waiting for others' work is not in it.

    What has left the store meanwhile (somebody cleaned it) counts as nothing.
    """
    store = plan.work.lab.store
    return round(sum(store.record(step)["seconds"] for step in cell.steps if store.has(step)), 3)


def run(job: Job, plan: Plan, ids: list[str], out: Path, workers: int) -> list[Record]:
    """Runs the cells ``ids`` and writes ``out/cells/<id>.json`` as each is finished; returns their records.

    Cells start when what they need is done. KeyboardInterrupt ends the workers and is raised again.
    """
    runner = _run_here if workers == 1 else _run_apart
    records: dict[str, Record] = {}
    told: set[str] = set()
    for record in runner(job, plan, ids, workers):
        records[record["cell"]] = record
        write_atomically(out / "cells" / f"{record['cell']}.json", json.dumps(record))
        for trace in record["errors"]:
            if mark(trace) not in told:  # once; how often it came is said at the end
                told.add(mark(trace))
                tqdm.write(f"failed: {record['cell']}: {trace['line']}")
    return [records[i] for i in ids]


def _bar(plan: Plan, ids: list[str]) -> tqdm:
    # In a log file a bar is a line each time it is drawn.
    every = 0.5 if sys.stderr.isatty() else 30.0
    return tqdm(total=round(sum(plan.cells[i].weight for i in ids)), unit="img", unit_scale=True, smoothing=0.05,
                mininterval=every, maxinterval=2 * every,
                bar_format="{percentage:3.0f}% {bar:20} {elapsed} elapsed, {remaining} left {postfix}",
                dynamic_ncols=True)


def _failed(plan: Plan, cell: Cell, done: dict[str, Record]) -> dict[str, Record]:
    # Where only parts of a cell failed, the others are there, and what needs a part that is not will say so.
    return {n: done[n] for n in cell.needs if n in done and done[n]["status"] != "ok"
            and not plan.stages[plan.cells[n].kind].spares and not done[n]["partial"]}


def _run_here(job: Job, plan: Plan, ids: list[str], workers: int) -> Iterable[Record]:
    use_one_thread()
    done: dict[str, Record] = {}
    with _bar(plan, ids) as bar:
        for i in ids:
            cell, shown = plan.cells[i], 0.0
            bar.set_postfix_str(i, refresh=False)

            def progress(part: int, total: int, cell: Cell = cell) -> None:
                nonlocal shown
                now = cell.weight * part / max(total, 1)
                bar.update(max(0.0, now - shown))
                shown = max(now, shown)

            done[i] = run_cell(plan, cell, _failed(plan, cell, done), progress)
            bar.update(min(cell.weight - shown, cast(float, bar.total) - bar.n))
            yield done[i]


def _run_apart(job: Job, plan: Plan, ids: list[str], workers: int) -> Iterable[Record]:
    # A forked worker shares what the parent has loaded, but CUDA does not survive a fork.
    context = multiprocessing.get_context("fork" if torch.device(job.device).type == "cpu" else "spawn")
    global _plan
    _plan = plan
    shares = context.Array("d", len(ids), lock=False)
    index = {i: n for n, i in enumerate(ids)}
    waiting = dict.fromkeys(ids)
    running: dict[Future[Record], str] = {}
    done: dict[str, Record] = {}
    pool = ProcessPoolExecutor(workers, context, _start, (job, shares))
    try:
        with _bar(plan, ids) as bar:
            while waiting or running:
                ready = [i for i in waiting if all(n in done or n not in index for n in plan.cells[i].needs)]
                for i in ready[:2 * workers - len(running)]:
                    del waiting[i]
                    running[pool.submit(_work, i, index[i], _failed(plan, plan.cells[i], done))] = i
                finished, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in finished:
                    i = running.pop(future)
                    done[i] = future.result()
                    shares[index[i]] = 1.0
                    yield done[i]
                bar.set_postfix_str(f"{len(done)} of {len(ids)} cells", refresh=False)
                now = round(sum(plan.cells[i].weight * shares[n] for i, n in index.items()))
                bar.update(min(now, bar.total) - bar.n)
        pool.shutdown()
    except BrokenProcessPool as error:
        raise RuntimeError("a worker process died (out of memory, or killed); finished cells are kept: "
                           "run the same command again, perhaps with fewer --workers") from error
    finally:
        for process in (getattr(pool, "_processes", None) or {}).values():
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)


def _start(job: Job, shares) -> None:
    global _plan, _shares
    use_one_thread()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and ends the workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":  # a worker must not outlive a parent that is killed (PR_SET_PDEATHSIG)
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    _shares = shares
    if _plan is None:
        _plan = Plan(Work.of(job))


def _work(cell: str, index: int, failed: dict[str, Record]) -> Record:
    def progress(part: int, total: int) -> None:
        _shares[index] = 0.99 * part / max(total, 1)

    plan = cast(Plan, _plan)  # since _start
    return run_cell(plan, plan.cells[cell], failed, progress)

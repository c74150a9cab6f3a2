"""A run's folder: whose plan it belongs to, its cells' records, and the rows gathered from them."""

from __future__ import annotations

import hashlib
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dirbench.benchmarks.config.job import Job
from dirbench.benchmarks.running.plan import Plan
from dirbench.files import write_atomically
from dirbench.results.rows import COLUMNS, make_rows, write_rows
from dirbench.results.stored_run import CELL_COLUMNS


@dataclass(frozen=True)
class Gathered:
    """What a run has come to so far.

    Attributes:
        rows, cells: of all records.
        absent: ids of the plan's cells without a record.
        lines: what stages say of what they put into the folder.
    """

    rows: pd.DataFrame
    cells: pd.DataFrame
    absent: list[str]
    lines: list[str]


class FolderError(ValueError):
    """The run's folder cannot be used; the message says why and what to do."""


def open_folder(out: Path, job: Job) -> None:
    """Makes ``out`` for ``job``, or checks that it is the same job's from before. Raises FolderError."""
    plan = out / "plan.json"
    if out.exists() and not out.is_dir():
        raise FolderError(f"{out} is a file, expected a folder; choose another with --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not plan.exists():
            if any(not path.name.startswith(".") for path in out.iterdir()):  # hidden: another share's, just starting
                raise FolderError(f"{out} has files in it but is not a run's folder; choose an empty or a new one")
            write_atomically(plan, json.dumps({"digest": job.digest(), **job.describe()}, indent=1))
            return
    except OSError as error:
        raise FolderError(f"{out} cannot be written to ({error.strerror}); choose another folder with --out") from error
    try:
        theirs = json.loads(plan.read_text(encoding="utf-8"))
        if not isinstance(theirs, dict):
            raise ValueError(f"a {type(theirs).__name__}, expected keys and values")
    except ValueError as error:
        raise FolderError(f"{plan} is not readable JSON ({error}); choose another folder with --out") from error
    if theirs.get("digest") != job.digest():
        raise FolderError(f"{out} belongs to another plan: {_difference(theirs, job.describe())}. Choose another "
                          "folder with --out; what both plans share is in the store and is not computed again")


def _difference(theirs: dict, ours: dict, path: str = "") -> str:
    for key in ours:
        a, b = theirs.get(key), ours[key]
        if a != b:
            name = f"{path}{key}"
            if isinstance(a, dict) and isinstance(b, dict):
                return _difference(a, b, f"{name}.")
            return f"{name} is {json.dumps(a)[:200]} there and {json.dumps(b)[:200]} here"
    return "it was made by another version of the plan"


def gather(out: Path, plan: Plan) -> Gathered:
    """What the records in ``out`` come to; writes rows.csv, cells.csv, configs.json and what stages put beside them."""
    job = plan.job
    records, absent = [], []
    for cell in plan.cells:
        record = _record(out / "cells" / f"{cell}.json", cell)
        records.append(record) if record else absent.append(cell)
    configs, rows = {}, []
    for record in records:
        for row in record["rows"]:
            config = plan.stages[record["kind"]].settings_of(plan.work, row)
            row["config_id"] = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:12]
            configs[row["config_id"]] = config
            rows.append({column: row.get(column, math.nan) for column in COLUMNS})
    frame = make_rows(rows)
    of_run = {"suite": job.suite.suite, "profile": job.profile.profile}
    cells = pd.DataFrame([of_run | record for record in records], columns=CELL_COLUMNS)
    write_rows(frame, out / "rows.csv")
    write_atomically(out / "cells.csv", cells.to_csv(index=False))
    write_atomically(out / "configs.json", json.dumps(configs, indent=1, sort_keys=True))
    done = [plan.cells[r["cell"]] for r in records if r["status"] == "ok" or r.get("partial")]
    lines = [stage.gather(plan.work, [cell for cell in done if cell.kind == kind], out)
             for kind, stage in plan.stages.items()]
    return Gathered(frame, cells, absent, [line for line in lines if line])


def _record(path: Path, cell: str) -> dict | None:
    """A cell's record; None where there is none, or one that cannot be read (a full disk, a machine that died)."""
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["cell"] == cell and isinstance(record["rows"], list):
            return record
        why = "it is another cell's"
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = f"{type(error).__name__}: {error}"
    print(f"{path} cannot be read ({why}): the same command makes it again", file=sys.stderr)
    return None

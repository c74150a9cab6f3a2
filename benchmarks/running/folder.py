"""A run's folder: whose plan it belongs to, what made it, its cells' records, and the rows gathered from them."""

from __future__ import annotations

import hashlib
import json
import math
import platform
import shutil
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from dirbench.benchmarks.config.zoo_and_oracles import judge_name
from dirbench.files import write_atomically
from dirbench.pair_metric import PairMetric
from dirbench.results.rows import COLUMNS, make_rows, write_rows
from dirbench.results.stored_run import CELL_COLUMNS, write_random_runs
from dirbench.single_metric import SingleMetric
from dirbench.version import __version__, commit

if TYPE_CHECKING:
    from dirbench.benchmarks.config.job import Job
    from dirbench.benchmarks.running.plan import Plan
    from dirbench.benchmarks.stages.lab import Workbench


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


def provenance(job: Job, bench: Workbench, command: list[str]) -> dict:
    """What made the numbers: commit, versions, hardware, hashes of everything that was loaded, and the command."""
    import torch
    libraries = ("torch", "numpy", "scipy", "pandas", "scikit-learn", "safetensors", "efficientnet-lite-pytorch")
    made_of = dict(zip(("commit", "dirty"), commit()))
    return {
        "suite": job.suite.suite, "version": job.suite.version, "profile": job.profile.profile,
        "profile_title": job.profile.title, "pairs": job.pairs, "seeds": list(job.profile.seeds),
        "zoo": bench.zoo.title, "oracle": judge_name(job.suite.oracle), "extractor": job.suite.extractor.name,
        "readable_attributes": sum(bench.oracle.readable) if bench.oracle else 0, "command": command, **made_of,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "python": platform.python_version(),
        "versions": {"dirbench": __version__, **{name: metadata.version(name) for name in libraries}},
        "hardware": {"device": job.device, "processor": _processor(), "system": platform.platform(terse=True),
                     **({"gpu": torch.cuda.get_device_name(job.device)} if job.device.startswith("cuda") else {})},
        "hashes": {"gans": {g: bench.zoo.hash(g) for g in job.all_gans}, **bench._marks},
        "gans": job.all_gans, "methods": {e.label: job.method(e).params() for e in job.suite.methods},
        "metrics": job.suite.metrics, "tables": job.suite.tables,
        "profile_settings": job.profile.model_dump(), "alpha": job.suite.alpha,
        "reference": job.suite.reference, "controls": job.controls, "plan": job.digest()}


def caption_facts(made_by: dict) -> dict:
    """What captions say of the provenance, and what tables need to know of the suite."""
    shown = made_by["commit"][:12] + ("+" if made_by["dirty"] else "")
    if shown == "unknown" and "dirbench" in made_by["versions"]:  # an installed copy
        shown = f"unknown (dirbench {made_by['versions']['dirbench']})"
    return {"pairs": made_by["pairs"], "attributes": made_by["readable_attributes"],
            "alpha": made_by["alpha"], "torch": made_by["versions"]["torch"], "device": made_by["hardware"]["device"],
            "commit": shown, "reference": made_by["reference"], "controls": made_by["controls"],
            "zoo": made_by.get("zoo", ""), "tables": made_by.get("tables"),  # older runs do not say all of it
            "order": {"gans": made_by.get("gans", []), "methods": list(made_by["methods"]),
                      "metrics": made_by.get("metrics", [])}}


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def gather(out: Path, job: Job, plan: Plan) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """(rows, cells, ids without a record) from the records in ``out``.

    Writes rows.csv, cells.csv, configs.json and chance.json.
    """
    records, absent = [], []
    for cell in plan.cells:
        record = _record(out / "cells" / f"{cell}.json", cell)
        records.append(record) if record else absent.append(cell)
    configs, rows = {}, []
    for record in records:
        for row in record["rows"]:
            config = _config(job, plan, row, record)
            row["config_id"] = hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:12]
            configs[row["config_id"]] = config
            rows.append({column: row.get(column, math.nan) for column in COLUMNS})
    frame = make_rows(rows)
    of_run = {"suite": job.suite.suite, "profile": job.profile.profile}
    cells = pd.DataFrame([of_run | record for record in records], columns=CELL_COLUMNS)
    write_rows(frame, out / "rows.csv")
    write_atomically(out / "cells.csv", cells.to_csv(index=False))
    write_atomically(out / "configs.json", json.dumps(configs, indent=1, sort_keys=True))
    done = {record["cell"] for record in records if record["status"] == "ok" or record.get("partial")}
    write_random_runs({cell.gans: {name: null["scores"] for name, null in plan.scorer.stored_chance(cell.gans).items()}
                 for cell in plan.cells.values() if cell.kind == "chance" and cell.id in done}, out)
    return frame, cells, absent


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


def copy_sheets(out: Path, plan: Plan) -> int:
    """Copies the traversal sheets that are in the store to ``out/sheets``; returns how many."""
    copied = 0
    for cell in plan.cells.values():
        for side, step in enumerate(cell.steps if cell.kind == "sheet" else ()):
            if plan.bench.store.has(step):
                other = f"-with-{cell.gans[1 - side]}" if len(cell.gans) == 2 else ""
                target = out / "sheets" / cell.entry.label / f"{cell.gans[side]}{other}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(plan.bench.store.path(step) / "sheet.png", target)
                copied += 1
    return copied


def _config(job: Job, plan: Plan, row: dict, record: dict) -> dict:
    """Everything about a row that has no column: strength, split, sign handling, sizes and hashes."""
    entry = next(e for e in job.suite.methods if (e.name, e.variant) == (row["method"], row["variant"]))
    published = row["protocol"].startswith("published")
    own: dict = {}
    if not isinstance(plan.scorer.metrics.get(row["metric"]), SingleMetric | PairMetric):
        own = {"split": "the metric's own", "sign": "the metric's own", "changes": "the metric's own"}
    if row["metric"] in plan.evaluator.metrics:
        own = {"split": "none", "sign": "both", "changes": "images", "metric": plan.evaluator.settings(row["metric"])}
    return {"alpha": job.suite.alpha, "split": "none" if published else job.profile.latents.model_dump(),
            "sign": "signed" if published else "sign-free", "changes": "probabilities" if published
            else "logits in units of each attribute's spread", "bootstrap": job.profile.bootstrap,
            "chance": job.profile.chance.model_dump(exclude_none=True), "params": job.method(entry).params(),
            "oracle": plan.bench._marks["oracle"],
            "extractor": plan.bench.extractor_mark(job.extractor(entry)) if "extractor" in job.method(entry).needs
            else "none", **own}

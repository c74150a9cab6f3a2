"""What a run's folder holds of a finished run, read again: rows, cells, what made them, scores of random runs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from dirbench.files import write_atomically
from dirbench.results.csv_files import converted, read_text
from dirbench.results.rows import REMAKE, read_rows

RANDOM_RUNS = "chance.json"
FILES = ("rows.csv", "cells.csv", "run.json")
CELL_COLUMNS = ("suite", "profile", "cell", "kind", "method", "variant", "reference", "client", "seed", "status",
                "reason", "cached", "seconds", "images", "artifact")
_NAMES: dict[str, type | tuple[type, ...]] = {
    "suite": str, "profile": str, "pairs": str, "commit": str, "reference": str, "dirty": bool,
    "alpha": (int, float), "readable_attributes": int, "controls": list, "versions": dict, "hardware": dict,
    "methods": dict, "profile_settings": dict, "hashes": dict}


class NoRun(ValueError):
    """A folder is not a run's, or one of its files is not what a run writes; the message says which and why."""


def read_run(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """(rows, cells, what made them) of a run's folder.

    Raises:
        NoRun: it is none, or its run.json is damaged. RowsError, CsvError: rows.csv or cells.csv is.
    """
    if not folder.is_dir():
        is_what = "a file" if folder.exists() else "not there"
        raise NoRun(f"{folder} is not a run's folder: it is {is_what}; give the folder that `run --out` wrote to "
                    "(without --out it is in results/runs)")
    absent = [name for name in FILES if not (folder / name).is_file()]
    if absent:
        inside = [str(path.parent) for path in sorted(folder.glob("*/run.json"))[:4]]
        hint = f"; runs in it: {', '.join(inside)}" if inside else "; its first finished share writes them" \
            if (folder / "plan.json").is_file() else ""
        raise NoRun(f"{folder} is not a run's folder: it has no {' and no '.join(absent)}{hint}")
    made_by = read_made_by(folder / "run.json")
    rows = read_rows(folder / "rows.csv")
    if rows.empty:
        raise NoRun(f"{folder / 'rows.csv'} has no rows: no cell that scores has finished; {REMAKE}")
    return rows, read_cells(folder / "cells.csv"), made_by


def read_cells(path: Path) -> pd.DataFrame:
    """A cells.csv: seconds and images as numbers, everything else as text. Raises CsvError."""
    frame, lines = read_text(path, "a cells file", CELL_COLUMNS, repair=REMAKE)
    for column in ("seconds", "images"):
        frame[column] = converted(path, frame[column], lines, _amount, "a number")
    return frame


def read_made_by(path: Path) -> dict[str, Any]:
    """A run.json with all that tables and checks ask of it. Raises NoRun."""
    try:
        made_by = json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise NoRun(f"{path} is not readable: byte {error.start} is no UTF-8 text; {REMAKE}") from error
    except json.JSONDecodeError as error:
        raise NoRun(f"{path}:{error.lineno}: not readable as JSON ({error.msg}); {REMAKE}") from error
    if not isinstance(made_by, dict):
        raise NoRun(f"{path}: expected names with values, got {type(made_by).__name__}; {REMAKE}")
    absent = [name for name in _NAMES if name not in made_by]
    if absent:
        raise NoRun(f"{path} lacks {', '.join(absent)}: it is foreign, or of an older version; {REMAKE}")
    for name, kind in _NAMES.items():
        if not isinstance(made_by[name], kind):
            raise NoRun(f"{path}: {name} is {made_by[name]!r}, which a run does not write; {REMAKE}")
    if not all(isinstance(pair, list) and len(pair) == 2 for pair in made_by["controls"]):
        raise NoRun(f"{path}: controls is {made_by['controls']!r}, expected pairs of GANs; {REMAKE}")
    for name, inner in (("versions", "torch"), ("hardware", "device")):
        if inner not in made_by[name]:
            raise NoRun(f"{path}: {name} lacks {inner}; {REMAKE}")
    return made_by


# -- random runs: the band of a mean over cells is not the mean of the cells' bands, so their scores are kept ---
def write_random_runs(scores: Mapping[tuple[str, ...], Mapping[str, list]], folder: Path) -> None:
    """Writes {GANs: {"metric/protocol": scores of random runs}} (see ``dirbench.results.statistics.chance``) to
    ``folder``/chance.json."""
    text = json.dumps([{"gans": list(gans), "scores": dict(own)} for gans, own in scores.items()])
    write_atomically(folder / RANDOM_RUNS, text)


def read_random_runs(folder: Path) -> dict[tuple[str, ...], dict[str, list]]:
    """What ``write_random_runs`` wrote; empty where there is none. Raises ValueError for a file that is no such thing.
    """
    path = folder / RANDOM_RUNS
    if not path.exists():
        return {}
    try:
        return {tuple(entry["gans"]): dict(entry["scores"]) for entry in json.loads(path.read_text(encoding="utf-8"))}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} holds no scores of random runs ({error!r}); delete it to do without, or run the "
                         "suite again with the same --out to have it made again") from error


def _amount(text: str) -> float:
    value = float(text or 0)
    if not math.isfinite(value):
        raise ValueError
    return value

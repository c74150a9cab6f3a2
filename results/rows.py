"""Rows: every number that the suite reports, one a row. Tables and figures are views of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dirbench.checks import name_faults
from dirbench.files import write_atomically
from dirbench.results.csv_files import CsvError, read_text

TEXT = ("suite", "profile", "zoo", "oracle", "extractor", "metric", "protocol", "method", "variant", "reference",
        "client", "status", "reason", "config_id")
INTEGER = ("version", "seed")
COUNT = ("n", "steps", "published_steps")
NUMBER = ("value", "ci_low", "ci_high", "chance", "chance_low", "chance_high", "effect")

COLUMNS: tuple[str, ...] = (
    "suite", "version", "profile", "zoo", "oracle", "extractor", "metric", "protocol", "method", "variant",
    "reference", "client", "seed", "value", "ci_low", "ci_high", "n", "chance", "chance_low", "chance_high", "effect",
    "steps", "published_steps", "status", "reason", "config_id")
"""Columns of a rows file, in order. A metric of one GAN has the GAN as ``reference`` and ``client`` empty."""

CONTEXT = ("suite", "version", "profile", "zoo", "oracle")
"""What may never differ within one table."""

KEY = (*CONTEXT, "extractor", "metric", "protocol", "method", "variant", "reference", "client", "seed")
"""What makes a row the only one of its kind."""

REQUIRED = ("suite", "version", "profile", "zoo", "metric", "protocol", "method", "reference", "seed", "status")
STATUSES = ("ok", "failed", "not_applicable")
REMAKE = "the command that made the run, with the same --out, writes it again: finished cells are kept"


class RowsError(ValueError):
    """A rows file or table of rows that cannot be what it says; the message names the first offending row.

    Attributes:
        row: its number from 0, where the fault is a row's.
    """

    row: int | None = None


def make_rows(rows: Iterable[dict]) -> pd.DataFrame:
    """A checked frame of rows with all ``COLUMNS``; what a dict leaves out is empty (text), missing, or 0 steps.

    Raises:
        RowsError: see ``validate``; also a key that is no column.

    >>> row = {"suite": "mine", "version": 1, "profile": "smoke", "zoo": "mini", "metric": "effect", "seed": 0,
    ...        "protocol": "headline", "method": "sefa", "reference": "full", "value": 0.4}
    >>> make_rows([row])[["method", "reference", "value", "status"]].values.tolist()
    [['sefa', 'full', 0.4, 'ok']]
    >>> make_rows([row | {"value": float("inf")}])
    Traceback (most recent call last):
    dirbench.results.rows.RowsError: ... an ok row has a finite value ...
    """
    rows = list(rows)
    unknown = sorted({key for row in rows for key in row} - set(COLUMNS))
    if unknown:
        raise RowsError(f"rows have no column {', '.join(map(repr, unknown))}; the columns are {', '.join(COLUMNS)}")
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    if "steps" not in {key for row in rows for key in row}:
        frame["steps"] = frame["published_steps"] = 0
    frame["status"] = ["ok" if pd.isna(status) else status for status in frame["status"]]
    return validate(_typed(frame))


def read_rows(path: Path | str) -> pd.DataFrame:
    """The rows of a CSV file, typed and checked.

    Raises:
        FileNotFoundError: there is none. RowsError: other columns, or what ``validate`` finds; names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no rows file there; a run writes one as its cells finish")
    try:
        frame, lines = read_text(path, "a rows file", COLUMNS, repair=REMAKE)
    except CsvError as error:
        raise RowsError(str(error)) from error
    try:
        return validate(_typed(frame[list(COLUMNS)]))
    except RowsError as error:
        where = path if error.row is None else f"{path}:{lines[error.row]}"
        raise RowsError(f"{where}: {error}") from error


def write_rows(frame: pd.DataFrame, path: Path | str) -> Path:
    """Writes checked rows as CSV, whole or not at all; floats keep every digit. Returns the path."""
    path = Path(path)
    write_atomically(path, validate(frame).to_csv(index=False, lineterminator="\n"))
    return path


def validate(frame: pd.DataFrame) -> pd.DataFrame:
    """``frame`` itself if every row can be true.

    Raises:
        RowsError: a required field is empty; an unknown status, a protocol that is no name; an ok row without a finite
            value, or another with one; a failed or not applicable row without a reason; an interval or chance band
            upside down; two rows with the same key.
    """
    if tuple(frame.columns) != COLUMNS:
        raise RowsError(f"rows need the columns {', '.join(COLUMNS)}, in that order; got {', '.join(frame.columns)}")
    ok = frame["status"] == "ok"
    value = frame["value"].astype(float)
    for column in REQUIRED:
        empty = frame[column].isna() | (frame[column].astype(str) == "")
        _refuse(frame, empty, f"column {column!r} is empty, and every row needs it")
    _refuse(frame, ~frame["status"].isin(STATUSES), f"status is {{status!r}}; it is one of {', '.join(STATUSES)}")
    wrong = [name for name in frame["protocol"].unique() if name_faults(name, "protocol")]
    _refuse(frame, frame["protocol"].isin(wrong), "protocol is {protocol!r}, which cannot be part of a file name; "
                                                  "expected letters, digits, _, -, . and +")
    _refuse(frame, ok & ~np.isfinite(value), "status is ok, but value is {value}; an ok row has a finite value "
                                             "(a cell that gave none is failed or not_applicable, with a reason)")
    _refuse(frame, ~ok & value.notna(), "status is {status}, but there is a value ({value}); leave it empty")
    _refuse(frame, ~ok & (frame["reason"] == ""), "status is {status} without a reason; say why in one sentence")
    for low, high in (("ci_low", "ci_high"), ("chance_low", "chance_high")):
        _refuse(frame, frame[low] > frame[high], f"{low} {{{low}}} is above {high} {{{high}}}")
    _refuse(frame, frame.duplicated(list(KEY)), "there is another row with the same " + ", ".join(KEY[len(CONTEXT):]))
    return frame


def contexts(frame: pd.DataFrame) -> list[tuple[dict, pd.DataFrame]]:
    """The rows split by ``CONTEXT``: [({suite, version, profile, zoo, oracle}, rows)], in order of appearance."""
    return [(dict(zip(CONTEXT, key)), part) for key, part in frame.groupby(list(CONTEXT), sort=False)]


def each(frame: pd.DataFrame) -> Iterable[Any]:
    """The rows with their columns as attributes; what is in a column its reader knows, and pandas' types do not."""
    return frame.itertuples()


def _refuse(frame: pd.DataFrame, told: pd.Series, sentence: str) -> None:
    bad = told.fillna(False).to_numpy(bool)
    if bad.any():
        row = frame.iloc[int(bad.argmax())]
        where = f"{row['method']}, {row['metric']} ({row['protocol']}), {row['reference']}/{row['client']}"
        more = f" (and {bad.sum() - 1} more rows)" if bad.sum() > 1 else ""
        error = RowsError(f"row {int(bad.argmax())} ({where}, seed {row['seed']}): {sentence.format(**row)}{more}")
        error.row = int(bad.argmax())
        raise error


def _typed(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.copy()
    for columns, convert in ((TEXT, _text), (INTEGER, _integer), (COUNT, _integer), (NUMBER, _number)):
        for column in columns:
            try:
                frame[column] = convert(frame[column])
            except (ValueError, TypeError, OverflowError) as error:
                raise _no_number(frame[column], convert is _integer) from error
    return frame


def _no_number(column: pd.Series, whole: bool) -> RowsError:
    """The error that names the first field of ``column`` that is no number."""
    for row, field in enumerate(column):
        try:
            (_integer if whole else _number)(pd.Series([field]))
        except (ValueError, TypeError, OverflowError):
            error = RowsError(f"column {column.name!r} holds something that is no {'whole ' * whole}number ({field!r})")
            error.row = row
            return error
    return RowsError(f"column {column.name!r} holds something that is no number")


def _text(column: pd.Series) -> pd.Series:
    return pd.Series(["" if pd.isna(x) else str(x) for x in column], column.index, object)


def _number(column: pd.Series) -> pd.Series:
    # Python's own float: exact for what repr wrote, where some fast parsers miss the last bit.
    return pd.Series([np.nan if x is None or x is pd.NA or x == "" else float(x) for x in column], column.index, float)


def _integer(column: pd.Series) -> pd.Series:
    return _number(column).astype("Int64")

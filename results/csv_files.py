"""Reads the CSV files that this project writes; whatever else a file may be is said with its line."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection
from pathlib import Path

import pandas as pd

SHOWN = 6  # columns that a message names


class CsvError(ValueError):
    """A file that is not what it should be; the message names the file and, where there is one, the line."""


def read_text(path: Path, what: str, required: Collection[str], optional: Collection[str] = (),
              repair: str = "") -> tuple[pd.DataFrame, list[int]]:
    """(every field as text, the line in the file that each row begins on).

    Args:
        what: what the file should be, for the messages. required, optional: its columns, in any order.
        repair: what to do about a damaged file, for the messages.
    Raises:
        CsvError: it cannot be read, has other columns, or a row has not as many fields as there are columns.
    """
    repair = f"; {repair}" if repair else ""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CsvError(f"{path}: not {what}: byte {error.start} is no UTF-8 text{repair}") from error
    except OSError as error:
        raise CsvError(f"{path}: cannot be read ({error.strerror}){repair}") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)  # a page break or U+2028 in a field ends no line
    rows: list[list[str]] = []
    lines: list[int] = []
    begin = 1
    try:
        header = next(reader, [])
        _columns(path, what, header, required, optional, repair)
        begin = reader.line_num + 1
        for row in reader:
            if row and len(row) != len(header):
                raise CsvError(f"{path}:{begin}: {len(row)} fields, expected {len(header)}: the line is cut or "
                               f"damaged{repair}")
            if row:
                rows.append(row)
                lines.append(begin)
            begin = reader.line_num + 1
    except csv.Error as error:
        raise CsvError(f"{path}:{begin}: not readable as CSV ({error}){repair}") from error
    return pd.DataFrame(rows, columns=header, dtype=object), lines


def converted(path: Path, column: pd.Series, lines: list[int], convert: Callable[[str], object],
              expected: str) -> list:
    """``column``'s fields, each through ``convert``. Raises CsvError with the first line where that fails."""
    out = []
    for field, line in zip(column, lines, strict=True):
        try:
            out.append(convert(field))
        except (ValueError, OverflowError) as error:
            raise CsvError(f"{path}:{line}: column {column.name!r} holds {field!r}, expected {expected}") from error
    return out


def _columns(path: Path, what: str, header: list[str], required: Collection[str], optional: Collection[str],
             repair: str) -> None:
    if not header:
        raise CsvError(f"{path}: not {what}: the file is empty{repair}")
    twice = sorted({c for c in header if header.count(c) > 1})
    missing, extra = [c for c in required if c not in header], [c for c in header if c not in {*required, *optional}]
    if missing or extra or twice:
        said = [f"{words} {_some(found)}" for words, found in
                (("lacks", missing), ("has also", extra), ("has twice", twice)) if found]
        spread = " (a spreadsheet program has written it with semicolons)" if ";" in header[0] else ""
        raise CsvError(f"{path}: not {what} of this version: {'; '.join(said)}{spread}{repair}")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more

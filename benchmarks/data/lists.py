"""Attribute lists as people have them: comma, semicolon or tab; 1/0, 1/-1 or true/false; which image is for testing."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from dirbench.benchmarks.data.image_set import TEST, TRAIN, VALIDATION
from dirbench.benchmarks.data.sources import SUFFIXES, DataError, note, some

HELD_OUT = 10  # every tenth image is held out where the list does not say which

_WORDS = {"true": "1", "t": "1", "yes": "1", "y": "1", "false": "0", "f": "0", "no": "0", "n": "0"}
_FILE_COLUMNS = frozenset(("file", "files", "file_name", "filename", "image", "image_file", "image_id", "image_name",
                           "image_path", "img", "img_path", "path", "filepath", "file_path", "name"))
_PART_COLUMNS = frozenset(("partition", "split", "set", "part", "subset", "data_split", "data_set", "dataset_split",
                           "partitions", "splits", "sets", "subsets", "usage", "tvt", "train_val_test",
                           "train_valid_test", "train_val_test_split",
                           "eval_partition", "evaluation_partition", "evaluation_status", "phase"))
_HALF_PARTS = frozenset(("fold", "is_train", "is_training", "is_val", "is_valid", "is_validation", "is_test",
                         "is_testing", "istrain", "isval", "istest", "in_train", "in_test", "train_test", "holdout",
                         "held_out", "train_mask", "val_mask", "test_mask"))
"""Columns about the parts of the data that do not say which of three."""
_HALF_PART = re.compile(r"(.*_)?(partition|split|fold)s?|(train|val|test)_?(train|val|test)(_flag)?")
_PART_WORDS = {"0": TRAIN, "train": TRAIN, "training": TRAIN, "trn": TRAIN, "1": VALIDATION, "val": VALIDATION,
               "valid": VALIDATION, "validation": VALIDATION, "dev": VALIDATION, "2": TEST, "test": TEST,
               "testing": TEST}


@dataclass(frozen=True)
class AttributeList:
    """What a list says.

    Attributes:
        names: the M attributes.
        files: the n images, as the list calls them.
        labels: bool [n, M].
        parts: int64 [n], ``TRAIN``, ``VALIDATION`` or ``TEST``; every tenth is ``TEST`` where the list does not say.
    """

    names: tuple[str, ...]
    files: list[str]
    labels: np.ndarray
    parts: np.ndarray


@dataclass(frozen=True)
class Table:
    """A list's header and rows, with the line that each row is on; every row is at least as long as the header."""

    where: str
    header: list[str]
    rows: list[list[str]]
    lines: list[int]

    def column(self, index: int) -> list[str]:
        """The values of one column, without the spaces about them."""
        values = [row[index] for row in self.rows]
        stripped = {value: value.strip() for value in set(values)}  # few different ones, in up to millions
        return [stripped[value] for value in values]


def every_tenth(n: int) -> np.ndarray:
    """int64 [n]: each tenth image for testing, the others for training."""
    return np.where(np.arange(n) % HELD_OUT == HELD_OUT - 1, TEST, TRAIN).astype(np.int64)


def read_attribute_list(raw: bytes, where: str) -> AttributeList:
    """The attributes of a list with a header, a column of file names, and a column for each attribute.

    Values are 1 and 0, 1 and -1, or true and false. A column that says which images are for training, validation and
    testing (``partition``, ``split``, ``set``; 0, 1, 2 or in words) is no attribute.

    Raises:
        DataError: with the list and the line; what cannot be read, is there twice, is neither, or could mean two
            things.
    """
    table = read_table(raw, where)
    file_column = _file_column(table)
    files = unique(table.column(file_column), table)
    part_column = _part_column(table, file_column)
    chosen = [i for i in range(len(table.header)) if i not in (file_column, part_column)]
    if not chosen or not table.rows:
        raise DataError(f"{where}: expected a header, a column of file names and a column for each attribute; got "
                        f"{len(table.rows)} rows and the columns {', '.join(table.header) or 'none'}")
    labels = np.empty((len(files), len(chosen)), dtype=bool)
    for place, column in enumerate(chosen):
        labels[:, place] = _truths(table, column)
    parts = every_tenth(len(files)) if part_column is None else _parts(table, part_column)
    return AttributeList(tuple(table.header[i] for i in chosen), files, labels, parts)


def read_part_list(raw: bytes, where: str) -> dict[str, int]:
    """File -> part, of a list with a header that has the files and their parts. Raises DataError by line."""
    table = read_table(raw, where)
    file_column = _file_column(table)
    part_column = _part_column(table, file_column)
    if part_column is None:
        raise DataError(f"{where}:1: no column is called partition; got {', '.join(table.header)}")
    files = unique(table.column(file_column), table)
    return dict(zip(files, _parts(table, part_column).tolist(), strict=True))


def unique(files: list[str], table: Table) -> list[str]:
    """``files``, if each has a name and none is there twice; DataError naming the first that is, and its lines."""
    first: dict[str, int] = {}
    for line, file in zip(table.lines, files, strict=True):
        if not file:
            raise DataError(f"{table.where}:{line}: the row names no file")
        if file in first:
            raise DataError(f"{table.where}:{line}: {file} is listed twice, first in line {first[file]}; keep one row")
        first[file] = line
    return files


# -- text to a table ---------------------------------------------------------------------------------------
def as_text(raw: bytes, where: str) -> str:
    """``raw`` as text: UTF-8, or UTF-16 that says so at its beginning. Raises DataError."""
    if raw[:4] == b"PK\x03\x04" or raw[:2] == b"\x1f\x8b":
        raise DataError(f"{where} cannot be read as text: it is a workbook or an archive; save it as CSV (UTF-8), "
                        "unpacked")
    encoding = "utf-16" if raw[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(f"{where}:{line} cannot be read as text ({error.reason}, byte {error.start}); save it as "
                        "UTF-8") from error
    if "\0" in text:
        raise DataError(f"{where} cannot be read as text: it has zero bytes; save it as UTF-8")
    return text


def read_table(raw: bytes, where: str) -> Table:
    """Header and rows of a list whose separator is the one that its header has most of. Raises DataError by line."""
    text = as_text(raw, where)
    lines = [line for line in text.splitlines() if line.strip()]
    while lines and _is_remark(lines[0]):
        text = text.replace(lines.pop(0), "", 1)  # an empty line is left: lines keep their numbers
    first, second = (*lines, "", "")[:2]
    stated = re.fullmatch(r"sep=(.)", first.strip())  # Excel's own first line
    if stated:
        text = text.replace(first, "", 1)
    rows, numbers = _split(text, stated[1] if stated else _separator(first, second), where)
    if not rows:
        raise DataError(f"{where}: is empty; expected a header, a column of file names and a column for each attribute")
    header, *rows = rows
    header = [name.strip() for name in header]
    while header and not header[-1] and not any(field.strip() for row in rows for field in row[len(header) - 1:]):
        header = header[:-1]  # every row ends in a separator
    width = len(header)
    for line, row in zip(numbers[1:], rows, strict=True):
        if len(row) < width or (len(row) > width and any(field.strip() for field in row[width:])):
            raise DataError(f"{where}:{line}: the row has {len(row)} fields, the header {width}: "
                            f"{', '.join(row)[:80]!r}; put quotes about a field that has a separator in it")
    table = Table(where, header, rows, numbers[1:])
    _check_header(table, numbers[0])
    return table


def _is_remark(line: str) -> bool:
    """A header may begin with # too."""
    return line.startswith("#") and _word(re.split(r"[,;\t| ]", line.lstrip("# "))[0]) not in _FILE_COLUMNS


def _separator(header: str, row: str) -> str:
    """The one that header and first row have equally often, else the header's most frequent; empty: white space."""
    count = {mark: [len(next(csv.reader([line], delimiter=mark), [])) for line in (header, row)] for mark in ",;\t|"}
    best = max(count, key=lambda mark: (count[mark][0] == count[mark][1] > 1, count[mark][0]))
    return best if count[best][0] > 1 or len(header.split()) < 2 else ""


def _split(text: str, separator: str, where: str) -> tuple[list[list[str]], list[int]]:
    """(rows, the line of each); rows of nothing but separators, as spreadsheets leave them, are none."""
    rows: list[list[str]] = []
    lines: list[int] = []
    stream = io.StringIO(text, newline="")
    if not separator:
        numbered = ((number, line.split()) for number, line in enumerate(stream, 1))
    else:
        reader = csv.reader(stream, delimiter=separator, skipinitialspace=True, strict=True)
        numbered = ((reader.line_num, row) for row in reader)
    try:
        for number, row in numbered:
            if any(field.strip() for field in row):
                rows.append(row)
                lines.append(number)
    except csv.Error as error:
        raise DataError(f"{where}:{reader.line_num}: cannot be read as CSV ({error}); are all quotes "
                        "closed?") from error
    return rows, lines


def _check_header(table: Table, line: int) -> None:
    place = f"{table.where}:{line}"
    if PurePosixPath(table.header[0]).suffix.lower() in SUFFIXES:
        raise DataError(f"{place}: the first line is {', '.join(table.header)[:80]!r}; expected a header, the names of "
                        "the columns: file, then the attributes")
    twice = [name for name, count in Counter(table.header).items() if count > 1 and name]
    if twice:
        raise DataError(f"{place}: the column {some(twice)} is there twice; keep one")
    if "" in table.header[1:]:
        raise DataError(f"{place}: column {table.header.index('', 1) + 1} has no name; name it or remove it")


# -- columns -----------------------------------------------------------------------------------------------
def _word(name: str) -> str:
    return re.sub(r"[\W_]+", "_", name.strip().lower()).strip("_")


def _file_column(table: Table) -> int:
    """The first, or the one that is called so; a first one without a name that counts the rows is pandas' own."""
    named = [i for i, name in enumerate(table.header) if _word(name) in _FILE_COLUMNS]
    if _word(table.header[0]) in ("", "unnamed_0") and len(table.header) > 1 and _counts(table.column(0)):
        note(f"{table.where}: the first column counts the rows and has no name; passed over")
        del table.header[0], named[:]
        for row in table.rows:
            del row[0]
        return _file_column(table)
    return named[0] if len(named) == 1 else 0


def _counts(values: list[str]) -> bool:
    return all(value.isdigit() for value in values) and len(set(values)) == len(values)


def _is_part_word(value: str) -> bool:
    value = value.strip().lower()
    return value in _PART_WORDS and not value.isdigit()


def _part_column(table: Table, file_column: int) -> int | None:
    words = [_word(name) for name in table.header]
    found = [i for i, word in enumerate(words) if i != file_column and (
        word in _PART_COLUMNS or (table.rows and all(_is_part_word(row[i]) for row in table.rows)))]
    other = [table.header[i] for i, word in enumerate(words) if i not in (*found, file_column)
             and (word in _HALF_PARTS or _HALF_PART.fullmatch(word))]
    one_each = [name for name, word in zip(table.header, words, strict=True)
                if word in ("train", "training", "val", "valid", "validation", "test", "testing")]
    other += one_each if len(one_each) > 1 else []
    if other or len(found) > 1:
        names = other or [table.header[i] for i in found]
        raise DataError(f"{table.where}:1: {', '.join(names)}: about the parts of the data, not attributes; expected "
                        "one column called partition, with 0 for training, 1 for validation, 2 for testing. Rename "
                        "or remove it")
    if found and words[found[0]] != "partition":
        note(f"{table.where}: column {table.header[found[0]]} is read as the partition (training, validation, "
             "testing), not as an attribute")
    return found[0] if found else None


def _number(text: str) -> str:
    """``1.0``, ``+1`` and ``1,0`` are 1; what is no whole number stays as it is."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return text
    return str(int(value)) if value.is_integer() else text


def _truths(table: Table, column: int) -> list[bool]:
    name, values = table.header[column], table.column(column)
    plain = {value: _number(_WORDS.get(value.lower(), value)) for value in set(values)}
    if not set(plain.values()) <= {"1", "0", "-1"}:
        line, value = next((line, value) for line, value in zip(table.lines, values, strict=True)
                           if plain[value] not in ("1", "0", "-1"))
        what = f"has {value!r}" if value else "is empty"
        if "2" in plain.values() and set(plain.values()) <= {"0", "1", "2"}:
            what += " (if it says the parts of the data, call it partition)"
        raise DataError(f"{table.where}:{line}: column {name} {what}, expected 1 or 0 (or -1, true, false); correct "
                        "it, or remove the row or the column")
    if {"0", "-1"} <= set(plain.values()):
        zero, minus = (next(line for line, value in zip(table.lines, values, strict=True) if plain[value] == sign)
                       for sign in ("0", "-1"))
        raise DataError(f"{table.where}: column {name} has both 0 and -1 (lines {zero} and {minus}); 0 often "
                        "means unknown then. Write 1 and 0 only: remove the rows that are unknown, or say no for them")
    truth = {value: number == "1" for value, number in plain.items()}
    return [truth[value] for value in values]


def _parts(table: Table, column: int) -> np.ndarray:
    """int64 [n] of the column that says them."""
    values = [_number(value.lower()) for value in table.column(column)]
    for line, value, given in zip(table.lines, values, table.column(column), strict=True):
        if value not in _PART_WORDS:
            raise DataError(f"{table.where}:{line}: column {table.header[column]} has {given!r}, expected 0, 1 or 2 "
                            "(training, validation, testing), or these words")
    return np.array([_PART_WORDS[value] for value in values], dtype=np.int64)

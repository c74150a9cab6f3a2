"""Any folder of images (or zip archive), with or without a CSV file of attributes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.data.celeba import match_names, unique
from benchmarks.data.decoding import CACHE, DataError, Source, folder_source, images_of, zip_source
from benchmarks.data.image_set import TEST, TRAIN, ImageSet

PART_COLUMN = "partition"
HELD_OUT = 10  # every tenth image is held out where the CSV does not say which
_VALUES = {"1": True, "1.0": True, "true": True, "yes": True, "0": False, "0.0": False, "-1": False, "-1.0": False,
           "false": False, "no": False}


def folder(data: Path, resolution: int, attributes: Path | None = None, cache: Path = CACHE,
           workers: int | None = None) -> ImageSet:
    """The images of ``data`` (a folder with subfolders, or a zip), centre-cropped to a square and resized.

    Args:
        attributes: CSV with a header; first column the file name (relative to ``data``), a column of 1 and 0 (or
            -1, true and false) for each attribute, and if wanted a column ``partition`` (0 training, 1 validation,
            2 test; without it every tenth image is for testing). Default: ``attributes.csv`` in ``data`` if it is
            there; without one the set has no labels.
    Raises:
        DataError: no images; a CSV that is malformed or not of these images; an image that cannot be read, by name.
    """
    data = Path(data)
    if not data.exists():
        raise DataError(f"{data} does not exist; expected a folder of images or a zip archive")
    source = folder_source(data, recursive=True) if data.is_dir() else zip_source(data)
    if attributes is None and (data / "attributes.csv").is_file():
        attributes = data / "attributes.csv"
    names, labels, parts = (), np.zeros((len(source.names), 0), dtype=bool), _every_tenth(len(source.names))
    if attributes is not None:
        names, files, labels, parts = read_csv(Path(attributes))
        match_names(source, files, Path(attributes))
        order = {name: row for row, name in enumerate(source.names)}
        source = Source(source.where, tuple(files), tuple(source.marks[order[file]] for file in files), source.read)
    images, digest = images_of(source, resolution, cache=cache, workers=workers)
    return ImageSet(images, torch.from_numpy(labels), names, torch.from_numpy(parts),
                    f"{data.stem}, {resolution}x{resolution}", digest)


def _every_tenth(n: int) -> np.ndarray:
    return np.where(np.arange(n) % HELD_OUT == HELD_OUT - 1, TEST, TRAIN).astype(np.int64)


def read_csv(path: Path) -> tuple[tuple[str, ...], list[str], np.ndarray, np.ndarray]:
    """(attribute names, file names, bool labels [n, M], parts int64 [n]) of an attribute CSV. Raises DataError."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, UnicodeDecodeError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DataError(f"{path} cannot be read as CSV ({error})") from error
    columns = [name for name in table.columns[1:] if name != PART_COLUMN]
    if not columns or not len(table):
        raise DataError(f"{path}: expected a header, a column of file names and a column for each attribute; got "
                        f"{len(table)} rows and the columns {', '.join(map(str, table.columns)) or 'none'}")
    files = unique(table.iloc[:, 0].tolist(), path)
    labels = np.empty((len(table), len(columns)), dtype=bool)
    for i, name in enumerate(columns):
        values = table[name].str.strip().str.lower().map(_VALUES)
        if values.isna().any():
            row = int(values.isna().to_numpy().argmax())
            raise DataError(f"{path}:{row + 2}: column {name} has {table[name].iloc[row]!r}, expected 1 or 0 (or -1, "
                            "true, false)")
        labels[:, i] = values.to_numpy(dtype=bool)
    if PART_COLUMN not in table.columns:
        return tuple(columns), files, labels, _every_tenth(len(table))
    wrong = ~table[PART_COLUMN].isin(("0", "1", "2"))
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise DataError(f"{path}:{row + 2}: column {PART_COLUMN} has {table[PART_COLUMN].iloc[row]!r}, expected 0, 1 "
                        "or 2")
    return tuple(columns), files, labels, table[PART_COLUMN].to_numpy().astype(np.int64)

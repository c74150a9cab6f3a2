"""CelebA as it is distributed (Liu et al., ICCV 2015): aligned images, 40 attributes, evaluation partition.

Expected in one folder, or in the ``Img``, ``Anno`` and ``Eval`` folders of the distribution::

    img_align_celeba/ or img_align_celeba.zip    000001.jpg ..., 178x218 pixels
    list_attr_celeba.txt                         number of images; attribute names; "000001.jpg -1 1 ..." a line
    list_eval_partition.txt                      "000001.jpg 0" a line; 0 training, 1 validation, 2 test

As Kaggle has it, the lists are ``.csv`` with a header (``image_id,...``) and the images one folder deeper; as
torchvision has it, all is in a folder ``celeba`` of the one given. Both are read as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dirbench.benchmarks.data.decoding import CACHE, centre_crop, images_of
from dirbench.benchmarks.data.image_set import ImageSet
from dirbench.benchmarks.data.lists import Table, as_text, read_attribute_list, read_part_list, unique
from dirbench.benchmarks.data.names import matched
from dirbench.benchmarks.data.sources import DataError, Source, folder_source, note, some, zip_source

IMAGES, ATTRIBUTES, PARTITION = "img_align_celeba", "list_attr_celeba", "list_eval_partition"
_IMAGES = (IMAGES, f"{IMAGES}_png")  # the distribution's other form; its lists name .jpg all the same
SIZE = (178, 218)
_WHERE = ("", "Img", "Anno", "Eval")
_LISTS = (".txt", ".csv")
_ALL = f"{IMAGES}/ (or {IMAGES}.zip), {ATTRIBUTES}.txt and {PARTITION}.txt"


def face_crop(image: Image.Image) -> Image.Image:
    """The 128x128 pixels about (89, 121): the crop of Progressive GAN's CelebA (Karras et al., ICLR 2018)."""
    if image.size != SIZE:
        raise OSError(f"it has {image.width}x{image.height} pixels, aligned CelebA images have {SIZE[0]}x{SIZE[1]}")
    return image.crop((89 - 64, 121 - 64, 89 + 64, 121 + 64))


CROPS: dict[str, Callable[[Image.Image], Image.Image]] = {"centre": centre_crop, "face": face_crop}
"""``centre``: 178x178, the whole width, as the 64- to 256-pixel CelebA of most GAN papers; ``face``: 128x128."""


def celeba(data: Path, resolution: int = 64, crop: str = "centre", cache: Path = CACHE,
           workers: int | None = None) -> ImageSet:
    """The data set in ``data``: images [n, 3, R, R] in the order of the attribute list, labels [n, 40], parts.

    The first call decodes and crops (minutes for the 202,599 images) into ``cache``; later ones read that. 256 pixels
    are more than the crop has: the images are then enlarged, as everyone's 256-pixel aligned CelebA is.

    Raises:
        DataError: a missing or malformed file; images, attribute list and partition that are not of the same files;
            an image that cannot be read, by name; an unknown crop.
    """
    if crop not in CROPS:
        raise DataError(f"CelebA: unknown crop {crop!r}, expected {' or '.join(CROPS)}")
    data = _top(Path(data))
    listed, partition = _list(data, ATTRIBUTES), _list(data, PARTITION)
    names, files, labels = read_attributes(listed)
    parts = read_partition(partition, files)
    source = matched(_outermost(_source(data)), files, listed)
    source.say_what_is_left_out()
    images, digest = images_of(source, resolution, CROPS[crop], cache, workers)
    return ImageSet(images, torch.from_numpy(labels), names, torch.from_numpy(parts),
                    f"CelebA, {resolution}x{resolution}", digest)


def _top(data: Path) -> Path:
    """``data``, or the one folder in it that has the attribute list (torchvision's ``celeba``)."""
    if not data.is_dir():
        what = "is a file; unpack it, and" if data.is_file() else "is no folder;"
        raise DataError(f"CelebA: {data} {what} give the one with {_ALL}")
    inside = sorted(path for path in data.iterdir() if path.is_dir() and path.name != IMAGES)
    holding = [path for path in (data, *inside) if _found(path, ATTRIBUTES, _LISTS)]
    if data in holding or not holding:
        return data
    if len(holding) > 1:
        raise DataError(f"CelebA: {data} has several folders with {ATTRIBUTES}: {some([p.name for p in holding])}; "
                        "give one of them")
    return holding[0]


def _found(data: Path, name: str, endings: tuple[str, ...]) -> list[Path]:
    """Where ``name`` is with any of ``endings``; a folder called like a file (archive programs make them) has it."""
    found = [data / folder / f"{name}{ending}" for ending in endings for folder in _WHERE]
    found = [path / path.name if path.is_dir() else path for path in found]
    return [path for path in found if path.is_file()]


def _list(data: Path, name: str) -> Path:
    found = _found(data, name, _LISTS)
    if not found:
        raise DataError(f"CelebA: {data / name}.txt is missing (looked in {_looked()}; for {name}.csv, too); expected "
                        f"{_ALL}")
    if len(found) > 1:
        note(f"CelebA: {found[0]} is read, not {some([str(path) for path in found[1:]])}")
    return found[0]


def _looked() -> str:
    return ", ".join(place or "the folder itself" for place in _WHERE)


def _source(data: Path) -> Source:
    for images in _IMAGES:
        for folder in _WHERE:
            if (data / folder / images).is_dir():
                return folder_source(data / folder / images)
    found = _found(data, IMAGES, (".zip",))
    if not found:
        raise DataError(f"CelebA: {data / IMAGES}.zip is missing, and the folder {IMAGES} too (looked in {_looked()}); "
                        f"expected {_ALL}")
    return zip_source(found[0])


def _outermost(source: Source) -> Source:
    """Unpacked twice, once into a folder of its own, the images are those that lie less deep."""
    least = min(name.count("/") for name in source.names)
    deeper = {name: "that lies deeper than the others" for name in source.names if name.count("/") > least}
    return replace(source, names=tuple(name for name in source.names if name not in deeper),
                   aside={**source.aside, **deeper})


def _raw(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read as text ({error})") from error


def read_attributes(path: Path, raw: bytes | None = None) -> tuple[tuple[str, ...], list[str], np.ndarray]:
    """(attribute names, file names, bool labels [n, M]) of ``list_attr_celeba.txt``, or of the same as CSV.

    ``raw``: what is in ``path``, where that is in an archive. Raises DataError by line.
    """
    raw = _raw(path) if raw is None else raw
    lines = as_text(raw, str(path)).splitlines()
    if lines and any(mark in lines[0] for mark in ",;|\t"):
        table = read_attribute_list(raw, str(path))
        return table.names, table.files, table.labels
    if len(lines) < 3 or not lines[0].strip().isdigit():
        raise DataError(f"{path}:1: expected the number of images, then a line of attribute names, then a line for "
                        f"each image; got {lines[0][:60] if lines else 'an empty file'!r}")
    names = tuple(lines[1].split())
    numbered = [(number, line.split()) for number, line in enumerate(lines[2:], 3) if line.strip()]
    rows = [row for _, row in numbered]
    if len(set(names)) != len(names) or not names:
        raise DataError(f"{path}:2: expected attribute names, each once; got {lines[1][:60]!r}")
    if len(rows) != int(lines[0]):
        raise DataError(f"{path}: line 1 says {int(lines[0])} images, {len(rows)} follow; the file is not whole")
    values = {"1": True, "-1": False}
    labels = np.empty((len(rows), len(names)), dtype=bool)
    for i, (number, row) in enumerate(numbered):
        try:
            labels[i] = [values[text] for text in row[1:]]
        except (KeyError, ValueError) as error:
            raise DataError(f"{path}:{number}: expected a file name and {len(names)} values, each 1 or -1; got "
                            f"{len(row) - 1} values ({' '.join(row)[:60]!r})") from error
    files = unique([row[0] for row in rows], Table(str(path), [], rows, [number for number, _ in numbered]))
    return names, files, labels


def read_partition(path: Path, files: list[str]) -> np.ndarray:
    """int64 [n], the part (0, 1, 2) of each of ``files``. Raises DataError: a malformed line, or a file without one."""
    raw = _raw(path)
    lines = as_text(raw, str(path)).splitlines()
    is_table = bool(lines) and any(mark in lines[0] for mark in ",;|")
    parts = read_part_list(raw, str(path)) if is_table else _parts_by_line(path, lines)
    absent = [file for file in files if file not in parts]
    if absent:
        raise DataError(f"{path}: has no line for {some(absent)} of the attribute list; the two are of different data")
    return np.array([parts[file] for file in files], dtype=np.int64)


def _parts_by_line(path: Path, lines: list[str]) -> dict[str, int]:
    parts: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        row = line.split()
        if not row:
            continue
        if len(row) != 2 or row[1] not in ("0", "1", "2"):
            raise DataError(f"{path}:{number}: expected a file name and 0, 1 or 2; got {line[:60]!r}")
        if parts.setdefault(row[0], int(row[1])) != int(row[1]):
            raise DataError(f"{path}:{number}: {row[0]} is in part {row[1]}, in a line before in part {parts[row[0]]}")
    return parts

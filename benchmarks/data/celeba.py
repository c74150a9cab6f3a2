"""CelebA as it is distributed (Liu et al., ICCV 2015): aligned images, 40 attributes, evaluation partition.

Expected in one folder, or in the ``Img``, ``Anno`` and ``Eval`` folders of the distribution::

    img_align_celeba/ or img_align_celeba.zip    000001.jpg ..., 178x218 pixels
    list_attr_celeba.txt                         number of images; attribute names; "000001.jpg -1 1 ..." a line
    list_eval_partition.txt                      "000001.jpg 0" a line; 0 training, 1 validation, 2 test
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.data.decoding import CACHE, DataError, Source, centre_crop, folder_source, images_of, zip_source
from benchmarks.data.image_set import ImageSet

IMAGES, ATTRIBUTES, PARTITION = "img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt"
SIZE = (178, 218)
_WHERE = ("", "Img", "Anno", "Eval")


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
    data = Path(data)
    listed = _find(data, ATTRIBUTES)
    names, files, labels = read_attributes(listed)
    partition = _find(data, PARTITION)
    parts = read_partition(partition, files)
    source = _source(data)
    match_names(source, files, listed)
    order = {name: row for row, name in enumerate(source.names)}
    rows = [order[file] for file in files]
    source = Source(source.where, tuple(files), tuple(source.marks[row] for row in rows), source.read)
    images, digest = images_of(source, resolution, CROPS[crop], cache, workers)
    return ImageSet(images, torch.from_numpy(labels), names, torch.from_numpy(parts),
                    f"CelebA, {resolution}x{resolution}", digest)


def _find(data: Path, name: str) -> Path:
    if not data.is_dir():
        raise DataError(f"CelebA: {data} is no folder; give the one with {IMAGES}/ (or {IMAGES}.zip), {ATTRIBUTES} and "
                        f"{PARTITION}")
    for folder in _WHERE:
        if (data / folder / name).exists():
            return data / folder / name
    raise DataError(f"CelebA: {data / name} is missing (looked in {', '.join(w or 'the folder itself' for w in _WHERE)}"
                    f"); the distribution has {IMAGES}.zip, {ATTRIBUTES} and {PARTITION}")


def _source(data: Path) -> Source:
    for folder in _WHERE:
        if (data / folder / IMAGES).is_dir():
            return folder_source(data / folder / IMAGES)
    return zip_source(_find(data, f"{IMAGES}.zip"))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as text ({error})") from error


def read_attributes(path: Path) -> tuple[tuple[str, ...], list[str], np.ndarray]:
    """(attribute names, file names, bool labels [n, M]) of ``list_attr_celeba.txt``. Raises DataError by line."""
    lines = _lines(path)
    if len(lines) < 3 or not lines[0].strip().isdigit():
        raise DataError(f"{path}:1: expected the number of images, then a line of attribute names, then a line for "
                        f"each image; got {lines[0][:60] if lines else 'an empty file'!r}")
    names = tuple(lines[1].split())
    rows = [line.split() for line in lines[2:] if line.strip()]
    if len(set(names)) != len(names) or not names:
        raise DataError(f"{path}:2: expected attribute names, each once; got {lines[1][:60]!r}")
    if len(rows) != int(lines[0]):
        raise DataError(f"{path}: line 1 says {int(lines[0])} images, {len(rows)} follow; the file is not whole")
    values = {"1": True, "-1": False}
    labels = np.empty((len(rows), len(names)), dtype=bool)
    for i, row in enumerate(rows):
        try:
            labels[i] = [values[text] for text in row[1:]]
        except (KeyError, ValueError) as error:
            raise DataError(f"{path}:{i + 3}: expected a file name and {len(names)} values, each 1 or -1; got "
                            f"{len(row) - 1} values ({' '.join(row)[:60]!r})") from error
    return names, unique([row[0] for row in rows], path), labels


def read_partition(path: Path, files: list[str]) -> np.ndarray:
    """int64 [n], the part (0, 1, 2) of each of ``files``. Raises DataError: a malformed line, or a file without one."""
    parts = {}
    for number, line in enumerate(_lines(path), 1):
        row = line.split()
        if not row:
            continue
        if len(row) != 2 or row[1] not in ("0", "1", "2"):
            raise DataError(f"{path}:{number}: expected a file name and 0, 1 or 2; got {line[:60]!r}")
        parts[row[0]] = int(row[1])
    absent = [file for file in files if file not in parts]
    if absent:
        raise DataError(f"{path}: has no line for {_some(absent)} of the attribute list; the two are of different data")
    return np.array([parts[file] for file in files], dtype=np.int64)


def unique(files: list[str], path: Path) -> list[str]:
    """``files``, if none is there twice; DataError naming the first that is."""
    seen: set[str] = set()
    for file in files:
        if file in seen:
            raise DataError(f"{path}: {file} is listed twice")
        seen.add(file)
    return files


def match_names(source: Source, files: list[str], listed: Path) -> None:
    """DataError unless the images of ``source`` are the ``files`` of the list ``listed``, whatever their order."""
    have, want = set(source.names), set(files)
    if have != want:
        absent, extra = sorted(want - have), sorted(have - want)
        told = [f"{_some(names)} {what}" for names, what in ((absent, "listed but not there"),
                                                             (extra, "there but not listed")) if names]
        raise DataError(f"{source.where} and {listed.name} are not of the same images: {'; '.join(told)}")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

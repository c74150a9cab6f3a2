"""MNIST and its kin as distributed: IDX files, gzipped or not (LeCun et al., 1998, http://yann.lecun.com/exdb/mnist).

Fashion-MNIST and KMNIST have MNIST's file names, EMNIST (Cohen et al., 2017, arXiv:1702.05373) names of its own, as
``emnist-letters-train-images-idx3-ubyte``; its images are stored with rows and columns exchanged, and are turned back.

An IDX file is a magic number (two zero bytes, a type code, the number of dimensions), the dimensions as big-endian
32-bit integers, and the values; images and labels are bytes (type code 8).
"""

from __future__ import annotations

import gzip
import hashlib
import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dirbench.benchmarks.data.decoding import CACHE, cached
from dirbench.benchmarks.data.image_set import TEST, TRAIN, ImageSet
from dirbench.benchmarks.data.sources import DataError, note, some

LARGEST = 2**30  # bytes; MNIST's training images are 47 MB
_BYTES = 0x08
_PARTS = {"train": TRAIN, "t10k": TEST, "test": TEST}
_NAME = re.compile(r"(?P<set>.*?)[-_.]?(?P<part>train|t10k|test)[-_.](?P<kind>images|labels)[-_.]idx[13][-_.]ubyte"
                   r"(\.gz)?")
_DEEPEST = 3  # folders below the one given: torchvision's MNIST/raw, and a folder called like the file in it


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array of an IDX file of bytes, gzipped where its first bytes say so.

    Raises:
        DataError: missing, truncated, longer than its header says, of another type, or too large.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with (gzip.open if packed else open)(path, "rb") as file:
            raw = file.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error})") from error
    if len(raw) > LARGEST:
        raise DataError(f"{path} holds more than {LARGEST} bytes, too many for an IDX file")
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != _BYTES or not 1 <= raw[3] <= 4:
        raise DataError(f"{path} is no IDX file of bytes: it begins with {raw[:4].hex(' ') or 'nothing'}, expected "
                        "00 00 08 and the number of dimensions")
    start = 4 + 4 * raw[3]
    shape = tuple(int.from_bytes(raw[i:i + 4], "big") for i in range(4, min(start, len(raw)), 4))
    if len(raw) < start or len(raw) - start != math.prod(shape):
        raise DataError(f"{path}: its header says {' x '.join(map(str, shape))} bytes, {max(0, len(raw) - start)} "
                        "follow; download it again")
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def is_idx(data: Path) -> bool:
    """Whether ``data`` is an IDX file of images, or a folder that has one under MNIST's or EMNIST's names."""
    data = Path(data)
    if data.is_file():
        return "idx3-ubyte" in data.name or _parsed(data) is not None
    return data.is_dir() and bool(_images_below(data))


@dataclass(frozen=True)
class _File:
    """An IDX file by its name: of which data set (empty: MNIST's own names), which part, in which folder."""

    path: Path
    folder: Path
    set: str
    part: str
    kind: str

    @property
    def title(self) -> str:
        """The data set, for messages."""
        return f"{self.folder}: {self.set}" if self.set else str(self.folder)


def _parsed(path: Path) -> _File | None:
    found = _NAME.fullmatch(path.name.lower())
    if not found:
        return None
    # Archive programs put each file into a folder called like it.
    folder = path.parent.parent if _NAME.fullmatch(path.parent.name.lower()) else path.parent
    return _File(path, folder, found["set"], found["part"], found["kind"])


def _images_below(data: Path) -> list[_File]:
    """The files of images in ``data`` and its folders, those nearest first; hidden ones are none."""
    found, folders, seen = [], [data], {data.resolve()}
    for _ in range(_DEEPEST + 1):
        entries = sorted(path for folder in folders for path in folder.iterdir() if not path.name.startswith("."))
        for path in entries:
            file = _parsed(path)
            if file and not path.exists():
                raise DataError(f"{path} is a link to what is not there; restore it, or remove the link")
            if file and file.kind == "images" and path.is_file():
                found.append(file)
        inside = {path.resolve(): path for path in reversed(entries) if path.is_dir()}
        folders = sorted(path for place, path in inside.items() if place not in seen)
        seen |= inside.keys()
    return found


def idx(data: Path, resolution: int = 32, cache: Path = CACHE) -> ImageSet:
    """Grey images as three equal channels, resized (Lanczos) from 28 pixels; attributes ``class_0`` to ``class_9``.

    EMNIST's letters, whose labels begin at 1, have ``class_1`` to ``class_26``.

    Args:
        data: a folder with ``train-images-idx3-ubyte`` and its labels (``.gz`` too; ``t10k-...`` beside it becomes the
            test part), or with folders in which they are (``MNIST/raw``), or one such file of images.
    Raises:
        DataError: no such file, a malformed one, images and labels of different number, or several data sets.
    """
    data = Path(data)
    if not is_idx(data):
        raise DataError(f"{data}: no IDX images there; expected a folder with train-images-idx3-ubyte (or .gz), or one "
                        "such file")
    files = _chosen(data)
    pairs = [_pair(file) for file in files]
    if len({images.shape[1:] for images, _ in pairs}) > 1:
        raise DataError(f"{data}: training and test images have different sizes, {[i.shape[1:] for i, _ in pairs]}")
    images, classes = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
    if not len(images):
        raise DataError(f"{some([str(file.path) for file in files])}: no images in it")
    parts = np.concatenate([np.full(len(one), _PARTS[file.part], np.int64)
                            for file, (one, _) in zip(files, pairs, strict=True)])
    stored, digest = _resized(images, resolution, Path(cache), str(data))
    values = np.arange(1 if "letters" in files[0].set else 0, int(classes.max()) + 1)
    return ImageSet(stored, torch.from_numpy(classes[:, None] == values), tuple(f"class_{value}" for value in values),
                    torch.from_numpy(parts),
                    f"{(data if data.is_dir() else data.parent).resolve().name}, {resolution}x{resolution}", digest)


def _chosen(data: Path) -> list[_File]:
    """The files of images of the one data set in ``data``, training before test."""
    if data.is_file():
        return [_parsed(data) or _File(data, data.parent, "", "train", "images")]
    found = _images_below(data)
    near = min(len(file.folder.parts) for file in found)
    chosen = [file for file in found if len(file.folder.parts) == near]
    sets = sorted({file.title for file in chosen})
    if len(sets) > 1:
        raise DataError(f"{data}: has several data sets ({some(sets)}); give the folder of one, or one of its files of "
                        "images")
    deeper = sorted({file.title for file in found if file not in chosen})
    if deeper:
        note(f"{data}: {sets[0]} is read, what lies deeper is not: {some(deeper)}")
    by_part: dict[int, _File] = {}
    for file in chosen:
        first = by_part.setdefault(_PARTS[file.part], file)
        if first is not file and not np.array_equal(read_idx(first.path), read_idx(file.path)):
            raise DataError(f"{data}: {first.path.relative_to(data)} and {file.path.relative_to(data)} are not the "
                            "same; which one is meant is not known: remove one")
    if TRAIN not in by_part:
        note(f"{data}: has no training images (train-images-idx3-ubyte), only {by_part[TEST].path.name}")
    return [by_part[part] for part in sorted(by_part)]


def _pair(file: _File) -> tuple[np.ndarray, np.ndarray]:
    """Images [n, H, W] of a file, upright, and their classes [n]."""
    images = read_idx(file.path)
    if images.ndim != 3:
        raise DataError(f"{file.path}: expected images, three dimensions, got {images.shape}")
    path = _labels_of(file)
    classes = read_idx(path)
    if classes.shape != images.shape[:1]:
        raise DataError(f"{file.path.name} has {len(images)} images, {path.name} {len(classes)} labels; they are not "
                        "of the same data")
    return images.transpose(0, 2, 1) if file.set.startswith("emnist") else images, classes


def _labels_of(file: _File) -> Path:
    """The file of labels beside one of images: in the same form if there, else dotted, packed or in its own folder."""
    usual = file.path.with_name(file.path.name.replace("images", "labels").replace("idx3", "idx1"))
    folders = {file.path.parent: None, file.folder: None}  # a set that keeps its order
    folders |= {path: None for path in sorted(file.folder.iterdir()) if path.is_dir()}
    beside = [path for folder in folders for path in sorted(folder.iterdir())
              if path.is_file() and (other := _parsed(path)) and other.kind == "labels"
              and (other.folder, other.set, _PARTS[other.part]) == (file.folder, file.set, _PARTS[file.part])]
    if usual != file.path and usual.is_file():
        return usual
    if not beside:
        raise DataError(f"{usual} is missing; it has the classes of {file.path.name}")
    return beside[0]


def _resized(images: np.ndarray, resolution: int, cache: Path, source: str) -> tuple[torch.Tensor, str]:
    key = hashlib.sha256(f"{images.shape} {resolution}".encode() + images.tobytes()).hexdigest()

    def fill(out: np.ndarray) -> list[str]:
        for row, image in enumerate(images):
            out[row] = np.asarray(Image.fromarray(image).resize((resolution, resolution), Image.Resampling.LANCZOS))
        return []

    return cached(key, (len(images), 3, resolution, resolution), cache, fill,
                  {"source": source, "resolution": resolution})

"""MNIST and Fashion-MNIST as distributed: IDX files, gzipped or not (LeCun et al., 1998, http://yann.lecun.com/exdb/mnist).

An IDX file is a magic number (two zero bytes, a type code, the number of dimensions), the dimensions as big-endian
32-bit integers, and the values; images and labels are bytes (type code 8).
"""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.data.decoding import CACHE, DataError, cached
from benchmarks.data.image_set import TEST, TRAIN, ImageSet

LARGEST = 2**30  # bytes; MNIST's training images are 47 MB
_BYTES = 0x08
_FILES = {"train": TRAIN, "t10k": TEST}


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
    """Whether ``data`` is an IDX file of images, or a folder with one under MNIST's names."""
    data = Path(data)
    return "idx3-ubyte" in data.name if data.is_file() else data.is_dir() and any(data.glob("*idx3-ubyte*"))


def idx(data: Path, resolution: int = 32, cache: Path = CACHE) -> ImageSet:
    """Grey images as three equal channels, resized (Lanczos) from 28 pixels; attributes ``class_0`` to ``class_9``.

    Args:
        data: a folder with ``train-images-idx3-ubyte`` and its labels (``.gz`` too; ``t10k-...`` beside it becomes the
            test part), or one such file of images.
    Raises:
        DataError: no such file, a malformed one, or images and labels of different number.
    """
    data = Path(data)
    if not is_idx(data):
        raise DataError(f"{data}: no IDX images there; expected a folder with train-images-idx3-ubyte (or .gz), or one "
                        "such file")
    paths = [data] if data.is_file() else [found[0] for prefix in _FILES
                                           if (found := sorted(data.glob(f"{prefix}-images*idx3-ubyte*")))]
    arrays, labels, parts = [], [], []
    for path in paths:
        images = read_idx(path)
        if images.ndim != 3:
            raise DataError(f"{path}: expected images, three dimensions, got {images.shape}")
        label_path = path.with_name(path.name.replace("images", "labels").replace("idx3", "idx1"))
        classes = read_idx(label_path) if label_path.is_file() and label_path != path else None
        if classes is None:
            raise DataError(f"{label_path} is missing; it has the classes of {path.name}")
        if classes.shape != images.shape[:1]:
            raise DataError(f"{path.name} has {len(images)} images, {label_path.name} {len(classes)} labels; they are "
                            "not of the same data")
        arrays.append(images)
        labels.append(classes)
        parts.append(np.full(len(images), _FILES.get(path.name.split("-")[0], TRAIN), dtype=np.int64))
    if len({a.shape[1:] for a in arrays}) > 1:
        raise DataError(f"{data}: training and test images have different sizes, {[a.shape[1:] for a in arrays]}")
    images, classes = np.concatenate(arrays), np.concatenate(labels)
    stored, digest = _resized(images, resolution, Path(cache), str(data))
    count = int(classes.max()) + 1
    return ImageSet(stored, torch.from_numpy(classes[:, None] == np.arange(count)),
                    tuple(f"class_{i}" for i in range(count)), torch.from_numpy(np.concatenate(parts)),
                    f"{(data if data.is_dir() else data.parent).resolve().name}, {resolution}x{resolution}", digest)


def _resized(images: np.ndarray, resolution: int, cache: Path, source: str) -> tuple[torch.Tensor, str]:
    key = hashlib.sha256(f"{images.shape} {resolution}".encode() + images.tobytes()).hexdigest()

    def fill(out: np.ndarray) -> None:
        for row, image in enumerate(images):
            out[row] = np.asarray(Image.fromarray(image).resize((resolution, resolution), Image.Resampling.LANCZOS))

    return cached(key, (len(images), 3, resolution, resolution), cache, fill,
                  {"source": source, "resolution": resolution})

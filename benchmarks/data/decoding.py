"""Image files into one memory-mapped uint8 array: decoded in parallel, cropped, resized, cached.

A cache is a folder named by the source's listing (names, sizes, times or checksums) and the settings. It is made under
another name and renamed when it is whole, so that a half-made one is never taken for a cache.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
import torch
from filelock import FileLock
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

FORMAT = 1  # raise it when the same files and settings would give other pixels
CACHE = Path(".training/images")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
LARGEST_FILE = 64 * 2**20  # bytes of one image file; what an archive declares is not believed
_CHUNK = 64  # files a task: fewer, larger tasks than one a file
_AHEAD = 4  # tasks in flight for each worker


class DataError(ValueError):
    """Image data cannot be used: what, where, what was expected, what to do."""


@dataclass(frozen=True)
class Source:
    """Image files, in a folder or in a zip archive that is read in place.

    Attributes:
        where: the folder or the archive, for messages.
        names: the files, relative to ``where``, in the order of the array's rows.
        marks: what tells a changed file: size and time of a file, size and checksum of an archive's member.
        read: bytes of the file of that name.
    """

    where: Path
    names: tuple[str, ...]
    marks: tuple[tuple[int, int], ...]
    read: Callable[[str], bytes]


def folder_source(folder: Path, recursive: bool = False) -> Source:
    """The image files of ``folder`` in the order of their names. Raises DataError where there are none."""
    folder = Path(folder)
    found = folder.rglob("*") if recursive else folder.iterdir()
    paths = sorted(path for path in found if path.suffix.lower() in SUFFIXES and path.is_file())
    if not paths:
        raise DataError(f"{folder}: no images in it (looked for {', '.join(SUFFIXES)})")
    stats = [path.stat() for path in paths]
    return Source(folder, tuple(path.relative_to(folder).as_posix() for path in paths),
                  tuple((s.st_size, s.st_mtime_ns) for s in stats), lambda name: _read_file(folder / name))


def _read_file(path: Path) -> bytes:
    if path.stat().st_size > LARGEST_FILE:
        raise OSError(f"it has {path.stat().st_size} bytes, more than an image file should ({LARGEST_FILE})")
    return path.read_bytes()


def zip_source(path: Path) -> Source:
    """The image files of a zip archive, named by their last part. Raises DataError: no archive, or no images in it."""
    path = Path(path)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path} is no readable zip archive ({error}); download it again") from error
    members = {Path(info.filename).name: info for info in archive.infolist()
               if info.filename.lower().endswith(SUFFIXES) and not Path(info.filename).name.startswith(".")}
    if not members:
        raise DataError(f"{path}: no images in it (looked for {', '.join(SUFFIXES)})")
    names = tuple(sorted(members))

    def read(name: str) -> bytes:
        with archive.open(members[name]) as file:
            raw = file.read(LARGEST_FILE + 1)
        if len(raw) > LARGEST_FILE:
            raise OSError(f"it unpacks to more than an image file should ({LARGEST_FILE} bytes)")
        return raw

    return Source(path, names, tuple((members[name].file_size, members[name].CRC) for name in names), read)


def centre_crop(image: Image.Image) -> Image.Image:
    """The largest centred square."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def decode(raw: bytes, resolution: int, crop: Callable[[Image.Image], Image.Image] = centre_crop) -> np.ndarray:
    """uint8 [3, R, R] of an image file: turned as its EXIF says, to RGB, cropped, resized by antialiased Lanczos.

    Lanczos is what NVIDIA's dataset_tool resizes with (StyleGAN2-ADA and StyleGAN3 repositories).
    """
    with Image.open(io.BytesIO(raw)) as image:
        image = crop(ImageOps.exif_transpose(image).convert("RGB"))
    if image.size != (resolution, resolution):
        image = image.resize((resolution, resolution), Image.Resampling.LANCZOS)
    return np.asarray(image).transpose(2, 0, 1)


def images_of(source: Source, resolution: int, crop: Callable[[Image.Image], Image.Image] = centre_crop,
              cache: Path = CACHE, workers: int | None = None) -> tuple[Tensor, str]:
    """(uint8 images [n, 3, R, R], memory-mapped; their sha256): decoded once, then read from ``cache``.

    Args:
        crop: a named function; its name is part of what identifies the cache.
        workers: threads that decode (Pillow decodes without Python's lock); default: one a core. The result does
            not depend on it.
    Raises:
        DataError: a file that is no whole image, by name; a resolution below 8.
    """
    if resolution < 8:
        raise DataError(f"resolution is {resolution}, expected at least 8")
    settings = {"format": FORMAT, "pillow": PIL.__version__, "resolution": resolution, "crop": crop.__name__}
    listing = json.dumps([settings, source.names, source.marks]).encode()
    shape = (len(source.names), 3, resolution, resolution)
    return cached(hashlib.sha256(listing).hexdigest(), shape, Path(cache),
                  lambda out: _decode_all(source, out, resolution, crop, workers or os.cpu_count() or 1),
                  {"source": str(source.where), **settings})


def cached(key: str, shape: tuple[int, ...], cache: Path, fill: Callable[[np.ndarray], None],
           about: dict) -> tuple[Tensor, str]:
    """(uint8 array of ``shape``, memory-mapped; its sha256), kept in ``cache``; ``fill`` makes it the first time."""
    folder = cache / key[:32]
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / f"{key[:32]}.lock"):
        if not folder.is_dir():
            part = cache / f"{key[:32]}.part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            out = np.lib.format.open_memmap(part / "images.npy", "w+", np.uint8, shape)
            try:
                fill(out)
                out.flush()
                digest = hashlib.sha256(str(shape).encode())
                for rows in range(0, len(out), 1024):
                    digest.update(out[rows:rows + 1024].tobytes())
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise
            card = {"key": key, "sha256": digest.hexdigest(), "shape": shape, **about}
            (part / "card.json").write_text(json.dumps(card, indent=1) + "\n")
            os.replace(part, folder)
    # Copy-on-write pages: torch wants a writable array, and the file stays as it is.
    array = np.load(folder / "images.npy", mmap_mode="c")
    return torch.from_numpy(array), json.loads((folder / "card.json").read_text())["sha256"]


def _decode_all(source: Source, out: np.ndarray, resolution: int, crop: Callable, workers: int) -> None:
    def task(first: int) -> None:
        for row in range(first, min(first + _CHUNK, len(source.names))):
            try:
                out[row] = decode(source.read(source.names[row]), resolution, crop)
            except Exception as error:  # Pillow and zipfile raise many kinds for damaged files
                raise DataError(f"{source.where}: {source.names[row]} is not a whole, readable image ({error}); "
                                "restore the file, or remove it and its line in the attribute list") from error

    starts: Sequence[int] = range(0, len(source.names), _CHUNK)
    bar = tqdm(total=len(source.names), unit="img", desc=f"decoding {source.where.name}", disable=None)
    with ThreadPoolExecutor(workers) as pool:
        # Rounds, so that a damaged file stops the work soon and not after every other file.
        for begin in range(0, len(starts), workers * _AHEAD):
            for future in [pool.submit(task, s) for s in starts[begin:begin + workers * _AHEAD]]:
                future.result()
            bar.update(min(len(source.names) - bar.n, workers * _AHEAD * _CHUNK))
    bar.close()

"""Image files into one memory-mapped uint8 array: decoded in parallel, cropped, resized, cached.

A cache is a folder named by the source's listing (names, sizes, times or checksums) and the settings. It is made under
another name and renamed when it is whole, so that a half-made one is never taken for a cache.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from dirbench.benchmarks.data.pixels import ENLARGED, rgb
from dirbench.benchmarks.data.sources import DataError, Source, note, some
from dirbench.results.artifacts.locks import lock

FORMAT = 2  # raise it when the same files and settings would give other pixels
CACHE = Path(".training/images")
_CHUNK = 64  # files a task: fewer, larger tasks than one a file
_AHEAD = 4  # tasks in flight for each worker
_COPIES = "are copies, byte for byte, of others among them"


def centre_crop(image: Image.Image) -> Image.Image:
    """The largest centred square."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def decode(raw: bytes, resolution: int, crop: Callable[[Image.Image], Image.Image] = centre_crop,
           remark: Callable[[str], None] = lambda what: None) -> np.ndarray:
    """uint8 [3, R, R] of an image file: upright, RGB (see ``rgb``), cropped, resized by antialiased Lanczos.

    Lanczos is what NVIDIA's dataset_tool resizes with (StyleGAN2-ADA and StyleGAN3 repositories). ``remark`` is called
    with what is done to the pixels besides ("have transparent pixels, ...").
    """
    image = crop(rgb(raw, remark))
    if image.size != (resolution, resolution):
        if min(image.size) < resolution:
            remark(ENLARGED)
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
    marks = [source.marks[name] for name in source.names]
    listing = json.dumps([settings, source.names, marks]).encode()
    shape = (len(source.names), 3, resolution, resolution)
    return cached(hashlib.sha256(listing).hexdigest(), shape, Path(cache),
                  lambda out: _decode_all(source, out, resolution, crop, workers or os.cpu_count() or 1),
                  {"source": str(source.where), **settings})


def cached(key: str, shape: tuple[int, ...], cache: Path, fill: Callable[[np.ndarray], list[str]],
           about: Mapping[str, object]) -> tuple[Tensor, str]:
    """(uint8 array of ``shape``, memory-mapped; its sha256), kept in ``cache``; ``fill`` makes it the first time.

    ``fill`` returns what is to be said of the data; it is said each time (``DataNote``).

    Raises:
        DataError: ``cache`` cannot be written or locked, or the disk has no room.
    """
    folder = cache / key[:32]
    try:
        cache.mkdir(parents=True, exist_ok=True)
        held = lock(cache / f"{key[:32]}.lock")
        held.acquire()
    except (OSError, NotImplementedError) as error:
        raise DataError(f"{cache}: decoded images cannot be kept there ({error}); name a folder that can be written "
                        "and locked with --cache") from error
    try:
        if not folder.is_dir():
            _make(folder, key, shape, fill, about)
    finally:
        held.release()
    card = json.loads((folder / "card.json").read_text())
    for sentence in card.get("notes", ()):
        note(sentence)
    # Copy-on-write pages: torch wants a writable array, and the file stays as it is.
    return torch.from_numpy(np.load(folder / "images.npy", mmap_mode="c")), card["sha256"]


def _make(folder: Path, key: str, shape: tuple[int, ...], fill: Callable[[np.ndarray], list[str]],
          about: Mapping[str, object]) -> None:
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    needed, free = math.prod(shape), shutil.disk_usage(folder.parent).free
    if needed > free:  # a full disk under a memory-mapped file kills the process
        raise DataError(f"{folder.parent}: the decoded images take {needed:,} bytes, {free:,} are free; make room, or "
                        "name another folder with --cache")
    part.mkdir()
    out = np.lib.format.open_memmap(part / "images.npy", "w+", np.uint8, shape)
    try:
        notes = fill(out)
        out.flush()
        digest = hashlib.sha256(str(shape).encode())
        for rows in range(0, len(out), 1024):
            digest.update(out[rows:rows + 1024].tobytes())
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    card = {"key": key, "sha256": digest.hexdigest(), "shape": shape, "notes": notes, **about}
    (part / "card.json").write_text(json.dumps(card, indent=1) + "\n")
    os.replace(part, folder)


def _decode_all(source: Source, out: np.ndarray, resolution: int, crop: Callable[[Image.Image], Image.Image],
                workers: int) -> list[str]:
    """Fills ``out``; returns what is to be said of the files."""
    contents: dict[bytes, str] = {}  # hash -> the first file with it

    def task(first: int) -> list[tuple[str, str, bytes]]:
        remarks: list[tuple[str, str, bytes]] = []
        for row in range(first, min(first + _CHUNK, len(source.names))):
            name, said = source.names[row], list[str]()
            try:
                raw = source.read(name)
                out[row] = decode(raw, resolution, crop, said.append)
            except Exception as error:  # Pillow and zipfile raise many kinds for damaged files
                raise DataError(f"{source.where}: {name} is not a whole, readable image ({error}); "
                                "restore the file, or remove it and its line in the attribute list") from error
            content = hashlib.sha256(raw).digest()
            remarks += [(what, name, content) for what in (*said, _COPIES)]
        return remarks

    starts: Sequence[int] = range(0, len(source.names), _CHUNK)
    bar = tqdm(total=len(source.names), unit="img", desc=f"decoding {source.where.name}", disable=None)
    found: dict[str, list[str]] = {}
    with ThreadPoolExecutor(workers) as pool:
        # Rounds, so that a damaged file stops the work soon and not after every other file.
        for begin in range(0, len(starts), workers * _AHEAD):
            for future in [pool.submit(task, s) for s in starts[begin:begin + workers * _AHEAD]]:
                for what, name, content in future.result():
                    if what != _COPIES or contents.setdefault(content, name) != name:
                        found.setdefault(what, []).append(name)
            bar.update(min(len(source.names) - bar.n, workers * _AHEAD * _CHUNK))
    bar.close()
    return [f"{source.where}: {len(names):,} of {len(source.names):,} images {what} ({some(names)})"
            for what, names in found.items()]

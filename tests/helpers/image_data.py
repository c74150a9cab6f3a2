"""Small data sets on disk, drawn by the renderer and laid out as the real ones are."""

from __future__ import annotations

import io
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from dirbench.benchmarks.data.attributes import CELEBA_ATTRIBUTES, DRAWN
from dirbench.benchmarks.data.faces import faces
from dirbench.benchmarks.data.folder import folder
from dirbench.benchmarks.data.image_set import ImageSet
from dirbench.benchmarks.data.sources import DataNote

GREEN = np.zeros((16, 16, 4), np.uint8)
GREEN[:, :8], GREEN[:, 8:] = (255, 0, 0, 255), (0, 255, 0, 0)
"""RGBA: the left half is red, the right half green and not to be seen."""


def write_celeba(folder: Path, n: int = 30, seed: int = 1, mix: str = "natural", zipped: bool = False) -> Path:
    """A folder in exactly CelebA's layout: 178x218 JPEGs of rendered faces, both lists; 8 in 10 for training."""
    images, labels = faces(n, seed, mix, resolution=32)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "img_align_celeba").mkdir()
    lines, parts = [str(n), " ".join(CELEBA_ATTRIBUTES) + " "], []
    for i in range(n):
        name = f"{i + 1:06d}.jpg"
        picture = Image.fromarray(images[i].permute(1, 2, 0).numpy()).resize((178, 178), Image.Resampling.BICUBIC)
        whole = Image.new("RGB", (178, 218), (90, 120, 90))  # the centred crop is the render
        whole.paste(picture, (0, 20))
        whole.save(folder / "img_align_celeba" / name, quality=92)
        row = dict(zip(DRAWN, labels[i].tolist(), strict=True)) | {"Attractive": i % 2 == 0}
        lines.append(f"{name} " + " ".join(f"{1 if row[a] else -1:2d}" for a in CELEBA_ATTRIBUTES))
        parts.append(f"{name} {0 if i % 10 < 8 else i % 10 - 7}")
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    (folder / "list_eval_partition.txt").write_text("\n".join(parts) + "\n")
    if zipped:
        zip_images(folder)
    return folder


def zip_images(folder: Path) -> None:
    """Turn ``img_align_celeba/`` into the archive of that name."""
    source = folder / "img_align_celeba"
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        archive.mkdir("img_align_celeba")
        for path in sorted(source.iterdir(), reverse=True):
            archive.write(path, f"img_align_celeba/{path.name}")
            path.unlink()
    source.rmdir()


def idx_bytes(array: np.ndarray) -> bytes:
    """An IDX file of a uint8 array."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + sizes + array.astype(np.uint8).tobytes()


def ramp(seed: int = 0, side: int = 16) -> np.ndarray:
    """uint8 [side, side, 3]: from one colour to another, two others for each seed."""
    low, high = np.random.default_rng(seed).integers(0, 256, (2, 3))
    return np.linspace(low, high, side).round().astype(np.uint8)[:, None].repeat(side, 1)


def encoded(image: np.ndarray | Image.Image, kind: str = "PNG", **settings) -> bytes:
    """An image file's bytes."""
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, kind, **settings)
    return out.getvalue()


def deep_png(values: np.ndarray, colour: int, more: bytes = b"") -> bytes:
    """A PNG of 16 bits: ``values`` [H, W] or [H, W, channels], PNG's number of the kind of colour, further chunks."""
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + more + png_chunk(b"IDAT", zlib.compress(rows))
            + png_chunk(b"IEND", b""))


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG, with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def put(path: Path, raw: bytes | str) -> Path:
    """Writes a file, and the folders that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw if isinstance(raw, bytes) else raw.encode())
    return path


def put_ramps(folder: Path, names: Iterable[str]) -> None:
    """A PNG of ``ramp(i)`` under the i-th name."""
    for seed, name in enumerate(names):
        put(folder / name, encoded(ramp(seed)))


def ramps(n: int) -> torch.Tensor:
    """What is decoded from ``put_ramps`` at 16 pixels: uint8 [n, 3, 16, 16]."""
    return torch.from_numpy(np.stack([ramp(seed).transpose(2, 0, 1) for seed in range(n)]))


def zipped(path: Path, members: Sequence[tuple[str | zipfile.ZipInfo, bytes]], utf8: bool = True) -> Path:
    """An archive of these members; not ``utf8``: without the flag that says so of their names."""
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile's own, of a name that is there twice
        for name, raw in members:
            archive.writestr(name, raw)
    return path if utf8 else flagged(path, lambda flags: flags & ~0x800)


def flagged(path: Path, change: Callable[[int], int]) -> Path:
    """Changes the flag bits of all members, at both places where they are."""
    raw = bytearray(path.read_bytes())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = raw.find(signature)
        while at >= 0:
            flags, = struct.unpack_from("<H", raw, at + place)
            struct.pack_into("<H", raw, at + place, change(flags))
            at = raw.find(signature, at + 4)
    path.write_bytes(bytes(raw))
    return path


def read_folder(path: Path, attributes: Path | None = None) -> tuple[ImageSet, str]:
    """(what is read at 16 pixels, what is said about it)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = folder(path, 16, attributes, path.parent / "cache")
    return found, "\n".join(str(one.message) for one in caught if issubclass(one.category, DataNote))

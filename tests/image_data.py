"""Small data sets on disk, drawn by the renderer and laid out as the real ones are."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.data.attributes import CELEBA_ATTRIBUTES, DRAWN
from benchmarks.data.faces import faces


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

"""Any folder of images (or zip archive), with or without a list of attributes."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from dirbench.benchmarks.data.celeba import read_attributes
from dirbench.benchmarks.data.decoding import CACHE, images_of
from dirbench.benchmarks.data.image_set import ImageSet
from dirbench.benchmarks.data.lists import AttributeList, every_tenth, read_attribute_list
from dirbench.benchmarks.data.names import matched
from dirbench.benchmarks.data.sources import DataError, Source, folder_source, some, zip_source

LIST = "attributes.csv"


def folder(data: Path, resolution: int, attributes: Path | None = None, cache: Path = CACHE,
           workers: int | None = None) -> ImageSet:
    """The images of ``data`` (a folder with subfolders, or a zip), centre-cropped to a square and resized.

    Args:
        attributes: list with a header; a column of file names (relative to ``data``; the first, or the one called
            ``file`` or the like), a column of 1 and 0 (or -1, true and false) for each attribute, and if wanted a
            column ``partition`` (0 training, 1 validation, 2 test; without it every tenth image is for testing).
            Default: ``attributes.csv`` at the top of ``data`` if it is there; without one the set has no labels.
    Raises:
        DataError: no images; a list that is malformed or not of these images; an image that cannot be read, by name.
    """
    data = Path(data)
    if not data.exists():
        raise DataError(f"{data} does not exist; expected a folder of images or a zip archive")
    source = folder_source(data) if data.is_dir() else zip_source(data)
    own = _own_list(source) if attributes is None else None
    names: tuple[str, ...] = ()
    labels, parts = np.zeros((len(source.names), 0), dtype=bool), every_tenth(len(source.names))
    if attributes is not None or own is not None:
        where = str(attributes) if own is None else f"{data}/{own}"
        listed = _read(source, Path(where), own)
        names, labels, parts = listed.names, listed.labels, listed.parts
        source = matched(source, listed.files, where)
    source.say_what_is_left_out(_used(source, attributes, own))
    images, digest = images_of(source, resolution, cache=cache, workers=workers)
    place = data.resolve()
    return ImageSet(images, torch.from_numpy(labels), names, torch.from_numpy(parts),
                    f"{place.name if place.is_dir() else place.stem}, {resolution}x{resolution}", digest)


def _own_list(source: Source) -> str | None:
    """The name of the attribute list at the top of ``source``, or of the one folder in which all images are."""
    first = {name.partition("/")[0] if "/" in name else "" for name in source.names}
    top = ["", f"{first.pop()}/"] if len(first) == 1 else [""]
    found = [name for name in source.aside if name.lower() in [place.lower() + LIST for place in top]]
    if len(found) > 1:
        raise DataError(f"{source.where}: has {some(sorted(found))}; say with --attributes which one is meant")
    return found[0] if found else None


def _read(source: Source, path: Path, own: str | None) -> AttributeList:
    try:
        raw = path.read_bytes() if own is None else source.read(own)
    except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:  # an archive's: four kinds
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise DataError(f"{path} cannot be read as a list of attributes ({why})") from error
    if raw[:256].lstrip(b"\xef\xbb\xbf").split(b"\n")[0].strip().isdigit():  # CelebA's own form
        names, files, labels = read_attributes(path, raw)
        return AttributeList(names, files, labels, every_tenth(len(files)))
    return read_attribute_list(raw, str(path))


def _used(source: Source, attributes: Path | None, own: str | None) -> Sequence[str]:
    """What is no image of ``source``, but used: its attribute list."""
    if own is not None:
        return [own]
    if attributes is None or not Path(attributes).resolve().is_relative_to(source.where.resolve()):
        return []
    return [Path(attributes).resolve().relative_to(source.where.resolve()).as_posix()]

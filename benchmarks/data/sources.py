"""Where image files lie: a folder with what it links to, or a zip archive read in place; what is left out is said."""

from __future__ import annotations

import contextlib
import os
import stat
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".bmp", ".dib", ".webp", ".avif", ".tif", ".tiff",
            ".gif", ".ppm", ".pgm", ".pbm", ".pnm")
LARGEST_FILE = 64 * 2**20  # bytes of one image file; what an archive declares is not believed

HIDDEN = "hidden by a name that begins with a dot"
SYSTEM = "that an operating system or a storage made (thumbnails, companions, recycled files)"
COPY = "that a notebook copied from the image beside it"
ENDING = "whose ending is not one that is read"
READ_ALREADY = "linked to a folder that is read already, or to one around it"
TWICE = "that the archive has twice, the same both times"
NO_FILE = "that is neither a file nor a folder"

_SYSTEM_NAMES = frozenset(("__macosx", "@eadir", "@recycle", "#recycle", "$recycle.bin", "system volume information",
                           "lost+found", "thumbs.db", "ehthumbs.db", "desktop.ini"))
_CHECKPOINT = "-checkpoint"
_ENCRYPTED, _UTF8 = 0x1, 0x800  # flag bits of a zip archive's member
_UNPACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_OTHER_ARCHIVES = (".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar", ".zst", ".lmdb", ".tfrecord", ".tfrecords",
                   ".h5", ".hdf5", ".npz", ".npy", ".parquet")

Mark = tuple[int, int]


class DataError(ValueError):
    """Image data cannot be used: what, where, what was expected, what to do."""


class DataNote(UserWarning):
    """Image data are used, but not all of them, or not as they stand: a sentence for whoever gave them."""


def note(sentence: str) -> None:
    """Says ``sentence`` as a warning of the kind ``DataNote``; Python says the same one only once."""
    warnings.warn(sentence, DataNote, stacklevel=2)


@contextlib.contextmanager
def notes_as_sentences() -> Iterator[None]:
    """Notes on image data are printed as a sentence, by one process of several; other warnings as Python does."""
    usual = warnings.formatwarning

    def sentence(message: Warning | str, category: type[Warning], filename: str, lineno: int,
                 line: str | None = None) -> str:
        if not issubclass(category, DataNote):
            return usual(message, category, filename, lineno, line)
        return f"note: {message}\n" if os.environ.get("RANK", "0") == "0" else ""

    warnings.formatwarning = sentence
    try:
        yield
    finally:
        warnings.formatwarning = usual


@dataclass(frozen=True)
class Source:
    """Image files, in a folder or in a zip archive that is read in place.

    Attributes:
        where: the folder or the archive, for messages.
        names: the files, relative to ``where`` and with ``/`` between folders, in the order of the array's rows.
        marks: what tells a changed file, also of images left out: size and time, or a member's size and checksum.
        read: bytes of the file of that name.
        aside: the files and folders that are left out -> why.
    """

    where: Path
    names: tuple[str, ...]
    marks: Mapping[str, Mark]
    read: Callable[[str], bytes]
    aside: Mapping[str, str] = field(default_factory=dict)

    def ordered(self, names: Sequence[str]) -> Source:
        """The files ``names``, in that order; some of them may have been left out before."""
        chosen = set(names)
        return replace(self, names=tuple(names),
                       aside={name: why for name, why in self.aside.items() if name not in chosen})

    def say_what_is_left_out(self, known: Iterable[str] = ()) -> None:
        """One ``DataNote`` for each reason; ``known``: files that are used otherwise, as the attribute list."""
        told = self.left_out(known)
        if told:
            note(f"{self.where}: left out {told}")

    def left_out(self, known: Iterable[str] = ()) -> str:
        """What is left out, counted by reason: "2 hidden by ...: .a.png, .b.png; 1 ..."; empty where nothing is."""
        known, by_reason = set(known), dict[str, list[str]]()
        for name, why in self.aside.items():
            if name not in known:
                by_reason.setdefault(why, []).append(name)
        return "; ".join(f"{len(names)} {why}: {some(sorted(names))}" for why, names in by_reason.items())


def some(names: Sequence[str]) -> str:
    """The first three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def folder_source(folder: Path) -> Source:
    """The image files of ``folder`` and all folders in it, in the order of their names; links are followed.

    Left out are hidden files and folders, those of operating systems, a notebook's copies, other endings, and links
    to folders that are read already. All are in ``aside``.

    Raises:
        DataError: no images; a link to what is not there; a folder that cannot be listed.
    """
    folder = Path(folder)
    aside: dict[str, str] = {}
    marks = {name: (status.st_size, status.st_mtime_ns) for name, status in _files(folder, aside)}
    source = _sorted_out(folder, marks, lambda name: _read_file(folder / name), aside)
    return replace(source, names=tuple(sorted(source.names, key=lambda name: name.split("/"))))


def _files(top: Path, aside: dict[str, str]) -> Iterator[tuple[str, os.stat_result]]:
    """(name, status) of each file below ``top``. Links to folders come last: where they lead may be read by then."""
    folders, links = [("", os.path.realpath(top))], list[tuple[str, str]]()
    seen: set[str] = set()
    while folders or links:
        prefix, real = folders.pop() if folders else links.pop(0)
        if real in seen:
            aside[prefix] = READ_ALREADY
            continue
        seen.add(real)
        for entry in _entries(top / prefix):
            name = prefix + entry.name
            status = _status(entry, name, top)
            if status is None:
                aside[name] = HIDDEN if _litter(name) else ENDING
            elif stat.S_ISDIR(status.st_mode):
                target = os.path.join(real, entry.name)
                if entry.is_symlink():
                    target = os.path.realpath(entry.path)
                    if any(f"{place}/".startswith(f"{target}/") for place in (real, os.path.realpath(top))):
                        aside[f"{name}/"] = READ_ALREADY  # followed, it would lead here again
                        continue
                (links if entry.is_symlink() else folders).append((f"{name}/", target))
            elif stat.S_ISREG(status.st_mode):
                yield name, status
            else:
                aside[name] = NO_FILE


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder} cannot be listed ({error.strerror}); make it readable, or take it out of the "
                        "images") from error


def _status(entry: os.DirEntry[str], name: str, top: Path) -> os.stat_result | None:
    """Where links lead counts. None for one to nothing that can hardly have been an image or a folder of them."""
    try:
        return entry.stat()
    except OSError as error:
        if not _may_be_images(name):
            return None
        what = f"is a link to {os.readlink(entry.path)}, which is not there" if entry.is_symlink() else str(error)
        raise DataError(f"{top}: {name} {what}; restore what it leads to, or remove it") from error


def _read_file(path: Path) -> bytes:
    if path.stat().st_size > LARGEST_FILE:
        raise OSError(f"it has {path.stat().st_size} bytes, more than an image file should ({LARGEST_FILE})")
    return path.read_bytes()


def _litter(name: str) -> str | None:
    """Why a file of that name is left out, whatever its ending."""
    parts = name.lower().split("/")
    if not _SYSTEM_NAMES.isdisjoint(parts):
        return SYSTEM
    return HIDDEN if any(part.startswith(".") for part in parts) else None


def _may_be_images(name: str) -> bool:
    """Whether a link of that name may have led to an image, or to a folder of them."""
    return _litter(name) is None and PurePosixPath(name).suffix.lower() in ("", *SUFFIXES)


def _sorted_out(where: Path, marks: Mapping[str, Mark], read: Callable[[str], bytes], aside: dict[str, str]) -> Source:
    """The source of the files with those marks, its names in any order. Raises DataError: no images among them."""
    names = []
    for name in marks:
        path = PurePosixPath(name)
        why = _litter(name) or (None if path.suffix.lower() in SUFFIXES else ENDING)
        if why is None and path.stem.endswith(_CHECKPOINT):
            original = path.with_name(path.stem.removesuffix(_CHECKPOINT) + path.suffix).as_posix()
            why = COPY if original in marks else None
        if why is None:
            names.append(name)
        else:
            aside[name] = why
    source = Source(where, tuple(names), marks, read, aside)
    if not names:
        raise DataError(f"{where}: no images in it (looked for {', '.join(SUFFIXES)}){_instead(source)}")
    return source


def _instead(source: Source) -> str:
    if not source.aside:
        return "; there are no files at all"
    if any("ubyte" in name.lower() for name in source.aside):
        return ("; it has IDX files, which train-zoo sngan reads from a folder where they are called "
                "train-images-idx3-ubyte and train-labels-idx1-ubyte (.gz too; EMNIST: "
                "emnist-letters-train-images-idx3-ubyte): unpack or rename them")
    endings = Counter(PurePosixPath(name).suffix.lower() or "no ending" for name in source.aside)
    return (f"; there are {', '.join(f'{count} of {ending}' for ending, count in endings.most_common(5))}. Left out: "
            f"{source.left_out()}")


# -- zip archives ------------------------------------------------------------------------------------------
def zip_source(path: Path) -> Source:
    """The image files of a zip archive, read in place; nothing is unpacked to disk.

    In the order of the names' last parts where each is there once, else of the whole names. Left out is what is in a
    folder too; see ``folder_source``.

    Raises:
        DataError: no archive; no images in it; one that is encrypted, packed by an unknown method, or there twice.
    """
    path = Path(path)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise DataError(f"{path} {_no_zip(path, error)}") from error
    aside: dict[str, str] = {}
    members = _members(archive, path, aside)

    def read(name: str) -> bytes:
        with archive.open(members[name]) as file:
            raw = file.read(LARGEST_FILE + 1)
        if len(raw) > LARGEST_FILE:
            raise OSError(f"it unpacks to more than an image file should ({LARGEST_FILE} bytes)")
        return raw

    marks = {name: (info.file_size, info.CRC) for name, info in members.items()}
    source = _sorted_out(path, marks, read, aside)
    for name in source.names:
        _check_member(members[name], f"{path}: {name}")
    last = {name: name.rpartition("/")[2] for name in source.names}
    once = len(set(last.values())) == len(last)
    return replace(source, names=tuple(sorted(source.names, key=lambda n: [last[n]] if once else n.split("/"))))


def _no_zip(path: Path, error: Exception) -> str:
    suffix = path.suffix.lower()
    with open(path, "rb") as file:
        is_idx = file.read(4) == b"\0\0\x08\x03"
    if is_idx:
        return ("is no zip archive, but IDX by its first bytes; call it train-images-idx3-ubyte, and the labels beside "
                "it train-labels-idx1-ubyte")
    if suffix in SUFFIXES:
        return "is one image; expected a folder of images, or a zip archive of them"
    if suffix in _OTHER_ARCHIVES:
        return f"is no zip archive; expected one, or a folder of images: unpack the {suffix} and give the folder"
    return f"is no readable zip archive ({error}); expected one, or a folder of images. Download it again, or unpack it"


def _members(archive: zipfile.ZipFile, path: Path, aside: dict[str, str]) -> dict[str, zipfile.ZipInfo]:
    """Name -> member; a name that is there twice must be of the same bytes."""
    members: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = _member_name(info)
        if info.is_dir() or info.filename.endswith("\\") or not name:
            continue
        if stat.S_ISLNK(info.external_attr >> 16) and _may_be_images(name):
            raise DataError(f"{path}: {name} is a link, which is not followed in an archive; unpack it and give the "
                            "folder")
        other = members.setdefault(name, info)
        if other is not info:
            if (other.file_size, other.CRC) != (info.file_size, info.CRC):
                raise DataError(f"{path}: {name} is in it twice, two different files; which one is meant is not "
                                "known: unpack it and give the folder")
            aside[f"{name} (again)"] = TWICE
    return members


def _member_name(info: zipfile.ZipInfo) -> str:
    """The member's name with ``/`` between folders, without parts that lead out of the archive.

    Some programs write ``\\`` (Windows), or UTF-8 without saying so, which zipfile reads as code page 437.
    """
    name = info.filename
    if not info.flag_bits & _UTF8:
        with contextlib.suppress(UnicodeError):  # code page 437 after all, or another one that nothing tells
            name = name.encode("cp437").decode("utf-8")
    return "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", ".", ".."))


def _check_member(info: zipfile.ZipInfo, what: str) -> None:
    if info.flag_bits & _ENCRYPTED:
        raise DataError(f"{what} is encrypted; unpack the archive with its password and give the folder")
    if info.compress_type not in _UNPACKED:
        raise DataError(f"{what} is packed by method {info.compress_type}, which Python does not unpack; unpack the "
                        "archive with the program that made it and give the folder")

"""Folders, archives and images as people have them: whole, once each, nothing left out or altered without a word."""

from __future__ import annotations

import io
import os
import struct
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.image_data import deep_png, encoded, png_chunk, put, put_ramps, ramp, ramps
from PIL import Image, ImageOps

from dirbench.benchmarks.commands._main import main
from dirbench.benchmarks.data import decoding, sources
from dirbench.benchmarks.data.decoding import decode
from dirbench.benchmarks.data.folder import folder
from dirbench.benchmarks.data.image_set import ImageSet
from dirbench.benchmarks.data.pixels import rgb
from dirbench.benchmarks.data.sources import DataError, DataNote, notes_as_sentences
from dirbench.results.artifacts import locks

FOUR = [f"{i}.png" for i in range(4)]


def read(path: Path, attributes: Path | None = None) -> tuple[ImageSet, str]:
    """(what is read at 16 pixels, what is said about it)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = folder(path, 16, attributes, path.parent / "cache")
    return found, "\n".join(str(one.message) for one in caught if issubclass(one.category, DataNote))


@pytest.fixture
def images(tmp_path):
    put_ramps(tmp_path / "images", FOUR)
    return tmp_path / "images"


def zipped(path: Path, members: Sequence[tuple[str | zipfile.ZipInfo, bytes]], utf8: bool = True) -> Path:
    """An archive of these members; not ``utf8``: without the flag that says so of their names."""
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile's own, of a name that is there twice
        for name, raw in members:
            archive.writestr(name, raw)
    return path if utf8 else flagged(path, lambda flags: flags & ~0x800)


def flagged(path: Path, change) -> Path:
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


# -- folders -----------------------------------------------------------------------------------------------
LITTER = ("Thumbs.db", ".DS_Store", "._0.png", "__MACOSX/._0.png", ".thumbnails/normal/a.png", "@eaDir/0.png/T_M.png",
          ".ipynb_checkpoints/0-checkpoint.png", "0-checkpoint.png", "#recycle/0.png", "$RECYCLE.BIN/0.png",
          ".git/annex/0.png", "readme.txt", "0.heic", "scan", "desktop.ini")


@pytest.mark.parametrize("name", LITTER)
def test_litter_is_left_out_and_said(images, name):
    put(images / name, encoded(ramp(9)))
    found, said = read(images)
    assert torch.equal(found.images, ramps(4))
    assert "left out 1 " in said and name in said
    members = [(path.relative_to(images).as_posix(), path.read_bytes()) for path in images.rglob("*") if path.is_file()]
    found, said = read(zipped(images.parent / "images.zip", members))
    assert torch.equal(found.images, ramps(4)) and name in said


def test_what_only_looks_like_litter_is_kept(tmp_path):
    names = ["a.b/0.png", "border-checkpoint.png", "thumbs/1.png", "z..png"]
    put_ramps(tmp_path / ".cache/images.v2", names)
    found, said = read(tmp_path / ".cache/images.v2")
    assert torch.equal(found.images, ramps(4)) and not said
    assert found.title == "images.v2, 16x16"


def test_a_name_that_is_no_text_is_read(images):
    put(Path(os.fsdecode(bytes(images) + b"/\xe9.png")), encoded(GREEN))
    found, said = read(images)
    assert len(found) == 5 and "1 of 5 images have transparent pixels" in said


def test_a_listed_image_is_never_litter(images):
    put(images / ".more/9.png", encoded(ramp(9)))
    rows = [f"{name},1" for name in (".more/9.png", *FOUR)]
    found, said = read(images, put(images.parent / "list.csv", "\n".join(["file,Smiling", *rows])))
    assert torch.equal(found.images, torch.cat([ramps(10)[9:], ramps(4)])) and not said


@pytest.mark.parametrize("ending", [".PNG", ".JPG", ".Jpeg", ".jpe", ".jfif", ".TIF", ".tiff", ".bmp", ".gif", ".webp",
                                    ".ppm"])
def test_endings_of_images(tmp_path, ending):
    kind = Image.registered_extensions()[ending.lower()]
    put(tmp_path / "images" / f"a{ending}", encoded(ramp(1, 32), kind))
    found, said = read(tmp_path / "images")
    assert np.abs(found.images[0].numpy().astype(int) - decode(encoded(ramp(1, 32)), 16)).mean() < 6
    assert not said


def test_links_are_followed_but_no_image_is_taken_twice(tmp_path):
    put_ramps(tmp_path, ["images/a/0.png", "else/1.png", "else/deep/2.png", "one/3.png"])
    top = tmp_path / "images"
    os.symlink("../else", top / "b")
    os.symlink("../one/3.png", top / "c.png")
    os.symlink("../../images", tmp_path / "else/back")  # leads nowhere: there is no such folder above
    with pytest.raises(DataError, match=r"images: b/back is a link to ../../images, which is not there"):
        read(top)
    (tmp_path / "else/back").unlink()
    os.symlink("../images", tmp_path / "else/back")
    os.symlink("..", top / "up")
    os.symlink("a", top / "again")
    found, said = read(top)
    assert torch.equal(found.images, ramps(4))
    assert "left out 3 linked to a folder that is read already" in said
    assert all(f"{name}/" in said for name in ("again", "b/back", "up"))


@pytest.mark.parametrize("name, refused", [("4.png", True), ("more", True), (".#lock", False), ("notes.txt", False)])
def test_a_link_to_nothing(images, name, refused):
    os.symlink("../gone", images / name)
    if refused:
        with pytest.raises(DataError, match=rf"images: {name} is a link to ../gone, which is not there; restore"):
            read(images)
    else:
        assert name in read(images)[1]


def test_a_folder_that_cannot_be_listed_is_named(images, monkeypatch):
    (images / "locked").mkdir()
    usual = os.scandir

    def scandir(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return usual(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=r"locked cannot be listed \(Permission denied\)"):
        read(images)


@pytest.mark.parametrize("files, sentence", [
    ({"a.txt": "x", "b.txt": "x", "c": "x"}, "there are 2 of .txt, 1 of no ending"),
    ({".a.png": "x"}, "Left out: 1 hidden by a name"), ({}, "no files at all"),
    ({"train-labels-idx1-ubyte": "x"}, "it has IDX files, which train-zoo sngan reads")])
def test_a_folder_without_images_says_what_it_has(tmp_path, files, sentence):
    (tmp_path / "images").mkdir()
    for name, raw in files.items():
        put(tmp_path / "images" / name, raw)
    with pytest.raises(DataError, match=f"no images in it.*{sentence}"):
        read(tmp_path / "images")


@pytest.mark.parametrize("name, raw, sentence", [
    ("a.png", encoded(ramp()), "is one image; expected a folder"), ("a.tar.gz", b"\x1f\x8b", "unpack the .gz"),
    ("a.idx", b"\0\0\x08\x03", "IDX by its first bytes"), ("a.zip", b"PK", "no readable zip archive")])
def test_a_file_that_is_no_archive(tmp_path, name, raw, sentence):
    with pytest.raises(DataError, match=sentence):
        read(put(tmp_path / name, raw))


# -- archives ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("names", [
    ["a/0.png", "a/1.png", "b/0.png", "b/1.png"], [f"a\\b\\{name}" for name in FOUR],
    [f"../../{name}" for name in FOUR], [f"/{name}" for name in FOUR], ["0/x.png", "0/y/x.png", "1/x.png", "2.png"]],
    ids=["equal last parts", "backslashes", "out of the archive", "absolute", "depths"])
def test_no_image_of_an_archive_is_lost(tmp_path, names):
    found, said = read(zipped(tmp_path / "images.zip", [(name, encoded(ramp(i))) for i, name in enumerate(names)]))
    assert torch.equal(found.images, ramps(4)) and not said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "images.zip"], "nothing is unpacked"


def test_a_name_that_an_archive_has_twice(tmp_path):
    one, other = encoded(ramp(0)), encoded(ramp(1))
    found, said = read(zipped(tmp_path / "same.zip", [("a.png", one), ("a.png", one)]))
    assert len(found) == 1 and "that the archive has twice" in said
    for second in ("a.png", "./a.png", "../a.png"):
        with pytest.raises(DataError, match=r"a.png is in it twice, two different files"):
            read(zipped(tmp_path / "two.zip", [("a.png", one), (second, other)]))


def test_members_that_cannot_be_unpacked(tmp_path, monkeypatch):
    path = zipped(tmp_path / "images.zip", [(name, encoded(ramp())) for name in FOUR])
    whole = path.read_bytes()
    with pytest.raises(DataError, match=r"images.zip: 0.png is encrypted; unpack the archive with its password"):
        read(flagged(path, lambda flags: flags | 1))
    path.write_bytes(whole.replace(b"\x14\0\0\0\0\0", b"\x14\0\0\0\x09\0"))  # Windows packs large files by method 9
    with pytest.raises(DataError, match=r"is packed by method 9, which Python does not unpack"):
        read(path)
    path.write_bytes(whole)
    monkeypatch.setattr(sources, "LARGEST_FILE", 10)
    with pytest.raises(DataError, match=r"0.png is not .*it unpacks to more than"):
        read(path)


@pytest.mark.parametrize("name, refused", [("b", True), ("b.png", True), (".b", False), ("b.txt", False)])
def test_a_link_in_an_archive(tmp_path, name, refused):
    link = zipfile.ZipInfo(name)
    link.create_system, link.external_attr = 3, 0o120777 << 16
    path = zipped(tmp_path / "images.zip", [("a.png", encoded(ramp())), (link, b"../elsewhere")])
    if refused:
        with pytest.raises(DataError, match=f"images.zip: {name} is a link, which is not followed in an archive"):
            read(path)
    else:
        assert name in read(path)[1]


# -- pixels ------------------------------------------------------------------------------------------------
STEPS = np.linspace(0, 65535, 16).round()[:, None].repeat(16, 1).astype(np.uint16)
UPPER = (STEPS >> 8).astype(np.uint8)
OPAQUE = np.full_like(STEPS, 65535)


@pytest.mark.parametrize("raw, said", [
    (deep_png(STEPS, 0), "grey of 16 bits"), (encoded(STEPS, "TIFF"), "grey of 16 bits"),
    (b"P5 16 16 65535\n" + STEPS.astype(">u2").tobytes(), "grey of 16 bits"),
    (deep_png(np.stack([STEPS] * 3, 2), 2), ""), (deep_png(np.stack([STEPS, OPAQUE], 2), 4), ""),
    (deep_png(np.stack([STEPS] * 3 + [OPAQUE], 2), 6), "")],
    ids=["grey PNG", "grey TIFF", "grey PGM", "RGB", "grey and alpha", "RGBA"])
def test_sixteen_bits_become_the_upper_eight(raw, said):
    remarks: list[str] = []
    found = np.asarray(rgb(raw, remarks.append))
    assert np.abs(found.astype(int) - UPPER[..., None]).max() <= 1
    assert said in " ".join(remarks) and bool(said) == bool(remarks)


GREEN = np.zeros((16, 16, 4), np.uint8)
GREEN[:, :8], GREEN[:, 8:] = (255, 0, 0, 255), (0, 255, 0, 0)
_BARS = Image.fromarray(np.arange(16, dtype=np.uint8).repeat(16).reshape(16, 16).T // 8, "P")
_BARS.putpalette([255, 0, 0, 0, 255, 0])
_TWO = np.where(np.arange(16) < 8, 0, 65535).astype(np.uint16)[None].repeat(16, 0)
_SEEN = {"red": (255, 0, 0), "black": (0, 0, 0)}


@pytest.mark.parametrize("seen, raw", [
    ("red", encoded(GREEN)), ("red", encoded(GREEN, "TIFF")),
    ("red", encoded(GREEN, "WEBP", lossless=True, exact=True)),
    ("red", encoded(_BARS, transparency=1)), ("red", encoded(_BARS, "GIF", transparency=1)),
    ("red", encoded(_BARS, transparency=b"\xff\0")),
    ("red", encoded(Image.fromarray(GREEN[..., :3]), transparency=(0, 255, 0))),
    ("black", encoded(Image.fromarray(GREEN[..., 1]), transparency=255)),
    ("black", encoded(Image.merge("LA", [Image.new("L", (16, 16)), Image.fromarray(GREEN[..., 3])]))),
    ("black", encoded(Image.fromarray(GREEN[..., 1] > 0), transparency=1)),
    ("black", deep_png(np.stack([_TWO * 0, 65535 - _TWO], 2), 4)),
    ("black", deep_png(_TWO // 2, 0, png_chunk(b"tRNS", struct.pack(">H", 65535 // 2))))],
    ids=["RGBA", "TIFF", "WebP", "palette", "GIF", "palette's alpha", "RGB's colour", "grey's shade", "LA", "1 bit",
         "LA 16", "grey 16"])
def test_the_colour_of_invisible_pixels_is_nowhere_seen(seen, raw):
    remarks: list[str] = []
    found = np.asarray(rgb(raw, remarks.append))
    assert (found[:, :8] == _SEEN[seen]).all() and (found[:, 8:] == 255).all()
    assert any("transparent" in one for one in remarks)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "L", "1", "CMYK"])
def test_opaque_images_of_every_mode_are_as_pillow_converts_them(mode):
    image, remarks = Image.fromarray(ramp()).convert(mode), list[str]()
    raw = encoded(image, "TIFF")
    assert np.array_equal(np.asarray(rgb(raw, remarks.append)), np.asarray(image.convert("RGB"))) and not remarks


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("turn", range(10))
def test_exif_turns_as_pillow_does(kind, turn):
    tags = Image.Exif()
    tags[0x0112] = turn
    raw = encoded(np.concatenate([ramp(1), ramp(2, 16)[:, :8]], 1), kind, exif=tags)
    with Image.open(io.BytesIO(raw)) as image:
        expected = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    remarks: list[str] = []
    assert np.array_equal(np.asarray(rgb(raw, remarks.append)), expected) and not remarks


def with_exif(raw: bytes, body: bytes) -> bytes:
    """The JPEG or PNG ``raw`` with ``body`` as its EXIF data."""
    if raw.startswith(b"\x89PNG"):
        return raw[:33] + png_chunk(b"eXIf", body) + raw[33:]
    return raw[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 8) + b"Exif\0\0" + body + raw[2:]


def exif(tags: list[tuple[int, int, bytes]]) -> bytes:
    """EXIF data of (tag, type, four bytes of value)."""
    entries = b"".join(struct.pack("<HHI", tag, kind, 4 if kind == 2 else 1) + value for tag, kind, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("body, turned", [
    (exif([(0x0100, 2, b"abc\0"), (0x0112, 3, b"\3\0\0\0")]), True), (exif([(0x0112, 2, b"abc\0")]), False),
    (exif([(0x0112, 3, b"\x63\0\0\0")]), False), (b"\0\x08\0\2" + bytes(20), False), (b"II*\0\xff\xff\0\0", False),
    (b"MM", False)], ids=["odd tag", "text for the turn", "turn of 99", "no EXIF", "beyond the end", "cut"])
def test_odd_exif_does_not_stop_a_whole_image(kind, body, turned):
    raw = encoded(ramp(3), kind)
    plain = np.asarray(rgb(raw))
    assert np.array_equal(np.asarray(rgb(with_exif(raw, body))), plain[::-1, ::-1] if turned else plain)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_used_and_that_is_said(kind):
    frames = [Image.fromarray(ramp(seed)) for seed in range(3)]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    remarks: list[str] = []
    raw = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **lossless)
    assert np.abs(np.asarray(rgb(raw, remarks.append)).astype(int) - ramp(0)).max() < 30
    assert remarks == ["have several frames or pages, of which the first is used"]


@pytest.mark.parametrize("raw, sentence", [
    (encoded(STEPS.astype(np.float32), "TIFF"), "its pixels are floating-point numbers"),
    (encoded(STEPS.astype(np.int32), "TIFF"), "its pixels are whole numbers of 32 bits"),
    (b"<!DOCTYPE html>", "it is a web page"), (b"", "it is empty"),
    (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "as no image of a known format does"),
    (encoded(ramp(1, 64), "BMP")[:900], "truncated")],
    ids=lambda value: value[:12] if isinstance(value, str) else None)
def test_what_is_no_image_is_named(images, raw, sentence):
    put(images / "x.png", raw)
    with pytest.raises(DataError, match=rf"images: x.png is not a whole, readable image \(.*{sentence}"):
        read(images)


def test_what_is_done_to_pixels_is_said_each_time(tmp_path):
    put_ramps(tmp_path / "images", FOUR)
    put(tmp_path / "images/4.png", encoded(GREEN))
    put(tmp_path / "images/5.png", encoded(ramp(5, 8)))
    for _ in range(2):  # decoded, then from the cache
        said = read(tmp_path / "images")[1]
        assert "1 of 6 images have transparent pixels, which are laid on white (4.png)" in said
        assert "1 of 6 images are smaller than the resolution asked for" in said and "enlarged (5.png)" in said


def test_copies_are_said_whatever_they_are_called(images):
    for i, name in enumerate(("0 (1).png", "1 - Copy.png", "2-checkpoint (2).png")):
        put(images / name, encoded(ramp(i)))
    os.symlink("3.png", images / "best.png")
    found, said = read(images)
    assert len(found) == 8 and "4 of 8 images are copies, byte for byte, of others among them (" in said


# -- the cache and the commands ----------------------------------------------------------------------------
def no_lock(lock, *_: object, **__: object) -> None:
    """As where a lock's file cannot be made; a file system without locks is ``dirbench.results.artifacts.locks``' own matter."""
    raise OSError(13, "Permission denied")


def test_a_cache_that_cannot_be_kept_names_its_option(images, tmp_path, monkeypatch):
    put(tmp_path / "file", "")
    with pytest.raises(DataError, match=r"cannot be kept there .* --cache"):
        folder(images, 16, cache=tmp_path / "file" / "cache")
    with monkeypatch.context() as patch, pytest.raises(DataError, match=r"Permission denied.*locked with --cache"):
        patch.setattr(locks.FileLock, "acquire", no_lock)
        read(images)
    with monkeypatch.context() as patch, pytest.raises(DataError, match=r"3,072 bytes, 3,000 are free; make room"):
        patch.setattr(decoding.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 3000}))
        read(images)
    assert torch.equal(read(images)[0].images, ramps(4)), "nothing is left of the attempts"


def test_the_command_says_notes_as_sentences(images, tmp_path, capsys, recwarn):
    put_ramps(images, [f"{i}.png" for i in range(20)])
    put(images / "attributes.csv", "file,Smiling\n" + "".join(f"{i}.png,{i // 2 % 2}\n" for i in range(20)))
    put(images / ".hidden.png", "")
    command = ["train-oracle", "folder", "--data", str(images), "--network", "small", "--epochs", "1", "--resolution",
               "16", "--out", str(tmp_path / "oracle"), "--cache", str(tmp_path / "cache")]
    assert main(command) == 0
    note = next(one for one in recwarn if issubclass(one.category, DataNote))
    assert "left out 1 hidden" in str(note.message) and "attributes.csv" not in str(note.message)
    (images / "attributes.csv").unlink()
    assert main(command) == 2
    assert "Give a list of attributes with --attributes" in capsys.readouterr().err
    for given, sentence in ((["--crop", "face"], "train-oracle folder: --crop would not be used"),
                            (["--resolution", "0"], "resolution is 0, expected at least 8")):
        assert main([*command, *given]) == 2
        assert sentence in capsys.readouterr().err
    put(images / "attributes.csv", "file,Smiling\n" + "".join(f"{i}.png,{i // 2 % 2}\n" for i in range(20)))
    assert main([*command, "--name", "../../up"]) == 2
    assert 'the oracle\'s name "../../up" has "/"' in capsys.readouterr().err
    assert main(["train-zoo", "sngan", "--data", str(images), "--images", "0"]) == 2
    assert "train-zoo sngan: --images is 0, expected at least 1" in capsys.readouterr().err


def test_a_note_is_printed_as_a_sentence_by_one_process(monkeypatch):
    place = (UserWarning, "file.py", 3, "x = 1")
    usual = warnings.formatwarning("odd", *place)
    with notes_as_sentences():
        assert warnings.formatwarning("1 left out", DataNote, *place[1:]) == "note: 1 left out\n"
        assert warnings.formatwarning("odd", *place) == usual
        monkeypatch.setenv("RANK", "1")
        assert warnings.formatwarning("1 left out", DataNote, *place[1:]) == ""
    assert warnings.formatwarning("odd", DataNote, *place[1:]) == usual.replace("UserWarning", "DataNote")

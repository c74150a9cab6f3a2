"""Folders, archives and images as people have them: whole, once each, nothing left out or altered without a word."""

from __future__ import annotations

import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.image_data import GREEN, encoded, flagged, put, put_ramps, ramp, ramps, read_folder, zipped
from PIL import Image

from dirbench.benchmarks.commands import main
from dirbench.benchmarks.data import decoding, sources
from dirbench.benchmarks.data.decoding import decode
from dirbench.benchmarks.data.folder import folder
from dirbench.benchmarks.data.sources import DataError, DataNote, notes_as_sentences
from dirbench.results.artifacts import locks

FOUR = [f"{i}.png" for i in range(4)]


@pytest.fixture
def images(tmp_path):
    put_ramps(tmp_path / "images", FOUR)
    return tmp_path / "images"


# -- folders -----------------------------------------------------------------------------------------------
LITTER = ("Thumbs.db", ".DS_Store", "._0.png", "__MACOSX/._0.png", ".thumbnails/normal/a.png", "@eaDir/0.png/T_M.png",
          ".ipynb_checkpoints/0-checkpoint.png", "0-checkpoint.png", "#recycle/0.png", "$RECYCLE.BIN/0.png",
          ".git/annex/0.png", "readme.txt", "0.heic", "scan", "desktop.ini")


@pytest.mark.parametrize("name", LITTER)
def test_litter_is_left_out_and_said(images, name):
    put(images / name, encoded(ramp(9)))
    found, said = read_folder(images)
    assert torch.equal(found.images, ramps(4))
    assert "left out 1 " in said and name in said
    members = [(path.relative_to(images).as_posix(), path.read_bytes()) for path in images.rglob("*") if path.is_file()]
    found, said = read_folder(zipped(images.parent / "images.zip", members))
    assert torch.equal(found.images, ramps(4)) and name in said


def test_what_only_looks_like_litter_is_kept(tmp_path):
    names = ["a.b/0.png", "border-checkpoint.png", "thumbs/1.png", "z..png"]
    put_ramps(tmp_path / ".cache/images.v2", names)
    found, said = read_folder(tmp_path / ".cache/images.v2")
    assert torch.equal(found.images, ramps(4)) and not said
    assert found.title == "images.v2, 16x16"


def test_a_name_that_is_no_text_is_read(images):
    put(Path(os.fsdecode(bytes(images) + b"/\xe9.png")), encoded(GREEN))
    found, said = read_folder(images)
    assert len(found) == 5 and "1 of 5 images have transparent pixels" in said


def test_a_listed_image_is_never_litter(images):
    put(images / ".more/9.png", encoded(ramp(9)))
    rows = [f"{name},1" for name in (".more/9.png", *FOUR)]
    found, said = read_folder(images, put(images.parent / "list.csv", "\n".join(["file,Smiling", *rows])))
    assert torch.equal(found.images, torch.cat([ramps(10)[9:], ramps(4)])) and not said


@pytest.mark.parametrize("ending", [".PNG", ".JPG", ".Jpeg", ".jpe", ".jfif", ".TIF", ".tiff", ".bmp", ".gif", ".webp",
                                    ".ppm"])
def test_endings_of_images(tmp_path, ending):
    kind = Image.registered_extensions()[ending.lower()]
    put(tmp_path / "images" / f"a{ending}", encoded(ramp(1, 32), kind))
    found, said = read_folder(tmp_path / "images")
    assert np.abs(found.images[0].numpy().astype(int) - decode(encoded(ramp(1, 32)), 16)).mean() < 6
    assert not said


def test_links_are_followed_but_no_image_is_taken_twice(tmp_path):
    put_ramps(tmp_path, ["images/a/0.png", "else/1.png", "else/deep/2.png", "one/3.png"])
    top = tmp_path / "images"
    os.symlink("../else", top / "b")
    os.symlink("../one/3.png", top / "c.png")
    os.symlink("../../images", tmp_path / "else/back")  # leads nowhere: there is no such folder above
    with pytest.raises(DataError, match=r"images: b/back is a link to ../../images, which is not there"):
        read_folder(top)
    (tmp_path / "else/back").unlink()
    os.symlink("../images", tmp_path / "else/back")
    os.symlink("..", top / "up")
    os.symlink("a", top / "again")
    found, said = read_folder(top)
    assert torch.equal(found.images, ramps(4))
    assert "left out 3 linked to a folder that is read already" in said
    assert all(f"{name}/" in said for name in ("again", "b/back", "up"))


@pytest.mark.parametrize("name, refused", [("4.png", True), ("more", True), (".#lock", False), ("notes.txt", False)])
def test_a_link_to_nothing(images, name, refused):
    os.symlink("../gone", images / name)
    if refused:
        with pytest.raises(DataError, match=rf"images: {name} is a link to ../gone, which is not there; restore"):
            read_folder(images)
    else:
        assert name in read_folder(images)[1]


def test_a_folder_that_cannot_be_listed_is_named(images, monkeypatch):
    (images / "locked").mkdir()
    usual = os.scandir

    def scandir(path):
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied")
        return usual(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=r"locked cannot be listed \(Permission denied\)"):
        read_folder(images)


@pytest.mark.parametrize("files, sentence", [
    ({"a.txt": "x", "b.txt": "x", "c": "x"}, "there are 2 of .txt, 1 of no ending"),
    ({".a.png": "x"}, "Left out: 1 hidden by a name"), ({}, "no files at all"),
    ({"train-labels-idx1-ubyte": "x"}, "it has IDX files, which train-zoo sngan reads")])
def test_a_folder_without_images_says_what_it_has(tmp_path, files, sentence):
    (tmp_path / "images").mkdir()
    for name, raw in files.items():
        put(tmp_path / "images" / name, raw)
    with pytest.raises(DataError, match=f"no images in it.*{sentence}"):
        read_folder(tmp_path / "images")


@pytest.mark.parametrize("name, raw, sentence", [
    ("a.png", encoded(ramp()), "is one image; expected a folder"), ("a.tar.gz", b"\x1f\x8b", "unpack the .gz"),
    ("a.idx", b"\0\0\x08\x03", "IDX by its first bytes"), ("a.zip", b"PK", "no readable zip archive")])
def test_a_file_that_is_no_archive(tmp_path, name, raw, sentence):
    with pytest.raises(DataError, match=sentence):
        read_folder(put(tmp_path / name, raw))


def test_copies_are_said_whatever_they_are_called(images):
    for i, name in enumerate(("0 (1).png", "1 - Copy.png", "2-checkpoint (2).png")):
        put(images / name, encoded(ramp(i)))
    os.symlink("3.png", images / "best.png")
    found, said = read_folder(images)
    assert len(found) == 8 and "4 of 8 images are copies, byte for byte, of others among them (" in said


# -- archives ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("names", [
    ["a/0.png", "a/1.png", "b/0.png", "b/1.png"], [f"a\\b\\{name}" for name in FOUR],
    [f"../../{name}" for name in FOUR], [f"/{name}" for name in FOUR], ["0/x.png", "0/y/x.png", "1/x.png", "2.png"]],
    ids=["equal last parts", "backslashes", "out of the archive", "absolute", "depths"])
def test_no_image_of_an_archive_is_lost(tmp_path, names):
    members = [(name, encoded(ramp(i))) for i, name in enumerate(names)]
    found, said = read_folder(zipped(tmp_path / "images.zip", members))
    assert torch.equal(found.images, ramps(4)) and not said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "images.zip"], "nothing is unpacked"


def test_a_name_that_an_archive_has_twice(tmp_path):
    one, other = encoded(ramp(0)), encoded(ramp(1))
    found, said = read_folder(zipped(tmp_path / "same.zip", [("a.png", one), ("a.png", one)]))
    assert len(found) == 1 and "that the archive has twice" in said
    for second in ("a.png", "./a.png", "../a.png"):
        with pytest.raises(DataError, match=r"a.png is in it twice, two different files"):
            read_folder(zipped(tmp_path / "two.zip", [("a.png", one), (second, other)]))


def test_members_that_cannot_be_unpacked(tmp_path, monkeypatch):
    path = zipped(tmp_path / "images.zip", [(name, encoded(ramp())) for name in FOUR])
    whole = path.read_bytes()
    with pytest.raises(DataError, match=r"images.zip: 0.png is encrypted; unpack the archive with its password"):
        read_folder(flagged(path, lambda flags: flags | 1))
    path.write_bytes(whole.replace(b"\x14\0\0\0\0\0", b"\x14\0\0\0\x09\0"))  # Windows packs large files by method 9
    with pytest.raises(DataError, match=r"is packed by method 9, which Python does not unpack"):
        read_folder(path)
    path.write_bytes(whole)
    monkeypatch.setattr(sources, "LARGEST_FILE", 10)
    with pytest.raises(DataError, match=r"0.png is not .*it unpacks to more than"):
        read_folder(path)


@pytest.mark.parametrize("name, refused", [("b", True), ("b.png", True), (".b", False), ("b.txt", False)])
def test_a_link_in_an_archive(tmp_path, name, refused):
    link = zipfile.ZipInfo(name)
    link.create_system, link.external_attr = 3, 0o120777 << 16
    path = zipped(tmp_path / "images.zip", [("a.png", encoded(ramp())), (link, b"../elsewhere")])
    if refused:
        with pytest.raises(DataError, match=f"images.zip: {name} is a link, which is not followed in an archive"):
            read_folder(path)
    else:
        assert name in read_folder(path)[1]


# -- the cache and the commands ----------------------------------------------------------------------------
def no_lock(lock, *_: object, **__: object) -> None:
    """As where a lock's file cannot be made; what has no locks at all is ``results/artifacts/locks``' own matter."""
    raise OSError(13, "Permission denied")


def test_a_cache_that_cannot_be_kept_names_its_option(images, tmp_path, monkeypatch):
    put(tmp_path / "file", "")
    with pytest.raises(DataError, match=r"cannot be kept there .* --cache"):
        folder(images, 16, cache=tmp_path / "file" / "cache")
    with monkeypatch.context() as patch, pytest.raises(DataError, match=r"Permission denied.*locked with --cache"):
        patch.setattr(locks.FileLock, "acquire", no_lock)
        read_folder(images)
    with monkeypatch.context() as patch, pytest.raises(DataError, match=r"3,072 bytes, 3,000 are free; make room"):
        patch.setattr(decoding.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 3000}))
        read_folder(images)
    assert torch.equal(read_folder(images)[0].images, ramps(4)), "nothing is left of the attempts"


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

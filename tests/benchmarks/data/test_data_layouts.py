"""CelebA and MNIST's kin in the folders and under the names that other programs and sites give them."""

from __future__ import annotations

import gzip
import os
import shutil
import warnings
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.image_data import encoded, idx_bytes, put, write_celeba, zip_images
from PIL import Image

from dirbench.benchmarks.commands import main
from dirbench.benchmarks.data.celeba import ATTRIBUTES, PARTITION, celeba
from dirbench.benchmarks.data.idx import idx, is_idx
from dirbench.benchmarks.data.image_set import TEST, TRAIN, ImageSet
from dirbench.benchmarks.data.sources import DataError, DataNote
from dirbench.benchmarks.training import sngan

# -- CelebA ------------------------------------------------------------------------------------------------
LISTS = (ATTRIBUTES, PARTITION)


def said(caught: list[warnings.WarningMessage]) -> str:
    """The notes among warnings."""
    return "\n".join(str(one.message) for one in caught if issubclass(one.category, DataNote))


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """(its folder, what is read of it)."""
    top = tmp_path_factory.mktemp("celeba")
    data = write_celeba(top / "celeba", 12)
    return data, celeba(data, 16, cache=top / "cache")


def as_csv(data: Path) -> None:
    """The lists as Kaggle has them."""
    for name, header in zip(LISTS, ("", "image_id,partition\n"), strict=True):
        lines = (data / f"{name}.txt").read_text().splitlines()
        rows = "".join(",".join(line.split()) + "\n" for line in (lines if header else lines[2:]))
        put(data / f"{name}.csv", (header or "image_id," + ",".join(lines[1].split()) + "\n") + rows)
        (data / f"{name}.txt").unlink()


def deeper(data: Path) -> None:
    """The images one folder deeper."""
    (data / "img_align_celeba").rename(data / "other")
    (data / "img_align_celeba").mkdir()
    (data / "other").rename(data / "img_align_celeba" / "img_align_celeba")


def zipped_deeper(data: Path) -> None:
    """The same in an archive, with a Mac's companions."""
    files = sorted((data / "img_align_celeba").iterdir())
    with zipfile.ZipFile(data / "img_align_celeba.zip", "w") as archive:
        for path in files:
            archive.write(path, f"img_align_celeba/img_align_celeba/{path.name}")
            archive.writestr(f"__MACOSX/img_align_celeba/._{path.name}", b"\0\5\x16\7")
    shutil.rmtree(data / "img_align_celeba")


def in_own_folders(data: Path) -> None:
    """Each list in a folder called like it."""
    for name in LISTS:
        raw = (data / f"{name}.txt").read_bytes()
        (data / f"{name}.txt").unlink()
        put(data / f"{name}.txt" / f"{name}.txt", raw)


def windows(data: Path) -> None:
    """The lists as a Windows editor saves them."""
    for path in (data / f"{name}.txt" for name in LISTS):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))


def ones_and_zeros(data: Path) -> None:
    """CSV with 0 for -1."""
    as_csv(data)
    path = data / f"{ATTRIBUTES}.csv"
    path.write_text(path.read_text().replace(",-1", ",0"))


LAYOUTS = {
    "CSV": as_csv, "deeper": deeper, "Kaggle": lambda d: (as_csv(d), deeper(d)), "0 for no": ones_and_zeros,
    "CSV called txt": lambda d: (as_csv(d), [(d / f"{n}.csv").rename(d / f"{n}.txt") for n in LISTS]),
    "zip": zip_images, "zip, deeper": zipped_deeper, "lists in folders": in_own_folders, "Windows": windows,
    "companions": lambda d: (put(d / "img_align_celeba/._000001.jpg", "x"), put(d / "img_align_celeba/Thumbs.db", "x")),
    "unpacked twice": lambda d: shutil.copytree(d / "img_align_celeba", d / "img_align_celeba" / "img_align_celeba"),
}


@pytest.mark.parametrize("above", ["", "celeba", "CelebA"])
@pytest.mark.parametrize("change", LAYOUTS.values(), ids=LAYOUTS)
def test_celeba_as_others_have_it(usual, tmp_path, change, above):
    data, expected = usual
    shutil.copytree(data, tmp_path / "data" / above)
    change(tmp_path / "data" / above)
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        found = celeba(tmp_path / "data", 16, cache=tmp_path / "cache")
    assert found.digest == expected.digest and found.names == expected.names
    assert torch.equal(found.labels, expected.labels) and torch.equal(found.parts, expected.parts)


def test_celebas_pngs_are_listed_as_jpg(usual, tmp_path):
    data, expected = usual
    shutil.copytree(data, tmp_path / "data")
    for path in sorted((tmp_path / "data/img_align_celeba").iterdir()):
        with Image.open(path) as image:
            image.save(put(tmp_path / "data/img_align_celeba_png" / f"{path.stem}.png", b""))
        path.unlink()
    (tmp_path / "data/img_align_celeba").rmdir()
    with pytest.warns(DataNote, match="differ in their endings; 000001.jpg is taken to be 000001.png"):
        assert celeba(tmp_path / "data", 16, cache=tmp_path / "cache").digest == expected.digest


def test_celeba_says_what_it_passes_over_and_refuses_two(usual, tmp_path):
    data, _ = usual
    shutil.copytree(data, tmp_path / "data")
    original = (tmp_path / "data" / f"{PARTITION}.txt").read_text()
    as_csv(tmp_path / "data")
    put(tmp_path / "data" / f"{PARTITION}.txt", original)
    put(tmp_path / "data/img_align_celeba/notes.txt", "x")
    with pytest.warns(DataNote) as caught:
        celeba(tmp_path / "data", 16, cache=tmp_path / "cache")
    assert f"{PARTITION}.txt is read, not" in said(caught.list) and "notes.txt" in said(caught.list)
    put(tmp_path / "data" / f"{PARTITION}.txt", original + "000001.jpg 2\n")
    with pytest.raises(DataError, match=rf"{PARTITION}.txt:13: 000001.jpg is in part 2, in a line before in part 0"):
        celeba(tmp_path / "data", 16, cache=tmp_path / "cache")
    (tmp_path / "two").mkdir()
    for name in ("one", "other"):
        shutil.copytree(data, tmp_path / "two" / name)
    with pytest.raises(DataError, match="several folders with list_attr_celeba: one, other; give one"):
        celeba(tmp_path / "two", 16, cache=tmp_path / "cache")
    with pytest.raises(DataError, match=r"archive.zip is a file; unpack it, and give the one with img_align_celeba/"):
        celeba(put(tmp_path / "archive.zip", "PK"), 16)


# -- MNIST and its kin -------------------------------------------------------------------------------------
IMAGES = np.random.default_rng(0).integers(0, 256, (20, 28, 20), dtype=np.uint8)
CLASSES = np.arange(20, dtype=np.uint8) % 10


def put_idx(folder: Path, images: str, labels: str, packed: bool = False, rows: slice = slice(None)) -> None:
    """Both files of one part."""
    for name, array in ((images, IMAGES[rows]), (labels, CLASSES[rows])):
        put(folder / (name + ".gz" * packed), gzip.compress(idx_bytes(array)) if packed else idx_bytes(array))


def read(data: Path, cache: Path) -> ImageSet:
    """At 28 pixels (the images of these tests are narrower)."""
    assert is_idx(data)
    return idx(data, 28, cache)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    top = tmp_path_factory.mktemp("plain")
    put_idx(top, "train-images-idx3-ubyte", "train-labels-idx1-ubyte")
    return read(top, top / "cache")


FORMS = {
    "dots": ("train-images.idx3-ubyte", "train-labels.idx1-ubyte"),
    "one dotted": ("train-images.idx3-ubyte", "train-labels-idx1-ubyte"),
    "capitals": ("TRAIN-IMAGES-IDX3-UBYTE", "TRAIN-LABELS-IDX1-UBYTE"),
    "raw": ("raw/train-images-idx3-ubyte", "raw/train-labels-idx1-ubyte"),
    "torchvision's": ("MNIST/raw/train-images-idx3-ubyte", "MNIST/raw/train-labels-idx1-ubyte"),
    "KMNIST": ("KMNIST/raw/train-images-idx3-ubyte", "KMNIST/raw/train-labels-idx1-ubyte"),
    "in folders called so": ("train-images-idx3-ubyte/train-images.idx3-ubyte",
                             "train-labels-idx1-ubyte/train-labels.idx1-ubyte"),
}


@pytest.mark.parametrize("packed", [False, True], ids=["", "gz"])
@pytest.mark.parametrize("names", FORMS.values(), ids=FORMS)
def test_mnist_as_others_have_it(plain, tmp_path, names, packed):
    put_idx(tmp_path / "data", *names, packed)
    put(tmp_path / "data/._train-images-idx3-ubyte", "x")
    for given in (tmp_path / "data", tmp_path / "data" / (names[0] + ".gz" * packed)):
        found = read(given, tmp_path / "cache")
        assert found.digest == plain.digest and torch.equal(found.labels, plain.labels)
        assert found.names == plain.names and found.parts.tolist() == [TRAIN] * 20


@pytest.mark.filterwarnings("error")
def test_packed_and_unpacked_side_by_side_are_read_once(plain, tmp_path):
    names = FORMS["torchvision's"]
    put_idx(tmp_path / "data", *names)
    put_idx(tmp_path / "data", *names, packed=True)
    assert read(tmp_path / "data", tmp_path / "cache").digest == plain.digest
    os.symlink("data/MNIST", tmp_path / "linked")
    (tmp_path / "again").mkdir()
    for name in ("one", "other"):
        os.symlink("../data/MNIST", tmp_path / "again" / name)
    for place in ("linked", "again"):
        assert read(tmp_path / place, tmp_path / "cache").digest == plain.digest


@pytest.mark.parametrize("packed", [False, True], ids=["", "gz"])
def test_emnist_is_turned_upright_and_counts_letters_from_one(plain, tmp_path, packed):
    for part, rows in (("train", slice(0, 15)), ("test", slice(15, 20))):
        put(tmp_path / f"emnist-letters-{part}-images-idx3-ubyte", idx_bytes(IMAGES[rows].transpose(0, 2, 1)))
        put(tmp_path / f"emnist-letters-{part}-labels-idx1-ubyte", idx_bytes(CLASSES[rows] + 1))
    if packed:
        for path in list(tmp_path.iterdir()):
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
    found = read(tmp_path, tmp_path / "cache")
    assert found.digest == plain.digest and torch.equal(found.labels, plain.labels)
    assert found.names == tuple(f"class_{i}" for i in range(1, 11))
    assert found.parts.tolist() == [TRAIN] * 15 + [TEST] * 5


def two_sets(data: Path) -> None:
    """As EMNIST's own archive unpacks."""
    for name in ("letters", "digits"):
        put_idx(data, f"emnist-{name}-train-images-idx3-ubyte", f"emnist-{name}-train-labels-idx1-ubyte")


def unlike(data: Path) -> None:
    """Two files for one part."""
    put_idx(data, "train-images-idx3-ubyte", "train-labels-idx1-ubyte")
    put_idx(data, "train-images.idx3-ubyte", "train-labels.idx1-ubyte", rows=slice(1, None))


def labels_gone(data: Path) -> None:
    """Of the test part."""
    put_idx(data, *FORMS["raw"])
    put(data / "raw/t10k-images-idx3-ubyte", idx_bytes(IMAGES))


def link_to_nothing(data: Path) -> None:
    """The test part is elsewhere, and not there."""
    put_idx(data, "train-images-idx3-ubyte", "train-labels-idx1-ubyte")
    os.symlink("gone", data / "t10k-images-idx3-ubyte")


@pytest.mark.parametrize("make, sentence", [
    (two_sets, r"several data sets \(.*emnist-digits, .*emnist-letters\); give the folder of one"),
    (lambda d: [put_idx(d / n / "raw", "train-images-idx3-ubyte", "train-labels-idx1-ubyte") for n in ("A", "B")],
     "several data sets"), (unlike, r"are not the same; which one is meant is not known"),
    (labels_gone, "t10k-labels-idx1-ubyte is missing"),
    (link_to_nothing, "t10k-images-idx3-ubyte is a link to what is not there"),
    (lambda d: put_idx(d, "train-images-idx3-ubyte", "train-labels-idx1-ubyte", rows=slice(0)), "no images in it")])
def test_what_idx_files_are_meant_is_never_guessed(tmp_path, make, sentence):
    make(tmp_path)
    with pytest.raises(DataError, match=sentence):
        read(tmp_path, tmp_path / "cache")


def test_one_of_several_sets_can_be_named(tmp_path):
    two_sets(tmp_path)
    assert read(tmp_path / "emnist-digits-train-images-idx3-ubyte", tmp_path / "cache").names[0] == "class_0"


def test_idx_files_that_are_passed_over_are_said(plain, tmp_path):
    put_idx(tmp_path, "train-images-idx3-ubyte", "train-labels-idx1-ubyte")
    put_idx(tmp_path / "raw", "train-images-idx3-ubyte", "train-labels-idx1-ubyte", rows=slice(5))
    with pytest.warns(DataNote, match="what lies deeper is not: .*raw"):
        assert read(tmp_path, tmp_path / "cache").digest == plain.digest
    put_idx(tmp_path / "test", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    with pytest.warns(DataNote, match="has no training images"):
        assert read(tmp_path / "test", tmp_path / "cache").parts.tolist() == [TEST] * 20


def test_colour_anywhere_makes_a_coloured_sngan(tmp_path, monkeypatch):
    """Seventy grey images before the first coloured one."""
    for i in range(71):
        shade = np.full((8, 8, 3), 3 * i, np.uint8)
        shade[..., 0] += 9 * (i == 70)
        put(tmp_path / "images" / f"{i:02}.png", encoded(shade))
    monkeypatch.setattr(sngan, "SnConfig", partial(sngan.SnConfig, z_dim=8, widths=(8, 8), batch=8))
    assert main(["train-zoo", "sngan", "--data", str(tmp_path / "images"), "--images", "8", "--resolution", "8",
                 "--out", str(tmp_path), "--cache", str(tmp_path / "cache")]) == 0
    state = torch.load(tmp_path / "sngan" / "sngan.pt", weights_only=True)
    assert state["config"]["image_channels"] == 3

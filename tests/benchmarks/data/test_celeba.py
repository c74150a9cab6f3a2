"""CelebA, folders and IDX files: what is read is what is there, in parallel as serially; refusals in words."""

from __future__ import annotations

import gzip
import json
import shutil
import zipfile

import numpy as np
import pytest
import torch
from helpers.image_data import idx_bytes, write_celeba, zip_images
from PIL import Image

from dirbench.benchmarks.data import decoding, sources
from dirbench.benchmarks.data.attributes import CELEBA_ATTRIBUTES, DRAWN
from dirbench.benchmarks.data.celeba import celeba
from dirbench.benchmarks.data.faces import faces
from dirbench.benchmarks.data.folder import folder
from dirbench.benchmarks.data.idx import idx, is_idx
from dirbench.benchmarks.data.image_set import TEST, TRAIN, VALIDATION, Rows
from dirbench.benchmarks.data.sources import DataError
from dirbench.benchmarks.data.subsets import SUBSETS

N = 30


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_celeba(tmp_path_factory.mktemp("original") / "celeba", N)


@pytest.fixture
def data(original, tmp_path):
    return shutil.copytree(original, tmp_path / "celeba")


@pytest.fixture(scope="module")
def read(original, tmp_path_factory):
    return celeba(original, 32, cache=tmp_path_factory.mktemp("cache"))


# -- CelebA ------------------------------------------------------------------------------------------------
def test_what_is_read_is_what_was_written(read):
    images, labels = faces(N, 1, resolution=32)
    assert read.images.shape == (N, 3, 32, 32) and read.images.dtype == torch.uint8
    assert read.names == CELEBA_ATTRIBUTES and read.labels.shape == (N, 40)
    for i, name in enumerate(DRAWN):
        assert torch.equal(read.column(name), labels[:, i]), name
    assert torch.equal(read.column("Attractive"), torch.arange(N) % 2 == 0)
    # JPEG and two resamplings change pixels, not pictures; a wrong crop or order changes everything.
    assert (read.images.float() - images.float()).abs().mean() < 8
    assert (read.images.float() - images.flip(0).float()).abs().mean() > 30
    assert [(read.parts == part).sum().item() for part in (TRAIN, VALIDATION, TEST)] == [24, 3, 3]
    assert read.part(TEST).parts.unique().tolist() == [TEST]


def test_parallel_is_serial_and_zip_is_folder(data, read, tmp_path):
    serial, parallel = (celeba(data, 32, cache=tmp_path / f"cache{n}", workers=n) for n in (1, 8))
    assert torch.equal(serial.images, read.images) and torch.equal(parallel.images, read.images)
    zip_images(data)
    zipped = celeba(data, 32, cache=tmp_path / "cache8", workers=8)
    assert torch.equal(zipped.images, read.images) and torch.equal(zipped.labels, read.labels)
    assert zipped.digest == read.digest == serial.digest


def test_the_distributions_own_folders_are_found(data, read, tmp_path):
    for name, inside in (("img_align_celeba", "Img"), ("list_attr_celeba.txt", "Anno"),
                         ("list_eval_partition.txt", "Eval")):
        (data / inside).mkdir()
        (data / name).rename(data / inside / name)
    assert celeba(data, 32, cache=tmp_path / "cache").digest == read.digest


def test_crops_are_the_documented_pixels(data, tmp_path):
    grid = np.zeros((218, 178, 3), np.uint8)
    grid[:, :, 0], grid[:, :, 1] = np.arange(218)[:, None], np.arange(178)[None]
    Image.fromarray(grid).save(data / "img_align_celeba" / "000001.png")
    (data / "img_align_celeba" / "000001.jpg").unlink()
    for name in ("list_attr_celeba.txt", "list_eval_partition.txt"):
        path = data / name
        path.write_text(path.read_text().replace("000001.jpg", "000001.png"))
    centre = celeba(data, 178, cache=tmp_path / "cache").images[0]
    assert centre[0, 0, 0] == 20 and centre[0, -1, 0] == 197 and centre[1, 0].tolist() == list(range(178))
    face = celeba(data, 128, "face", cache=tmp_path / "cache").images[0]
    assert face[0, 0, 0] == 57 and face[1, 0, 0] == 25 and face[0, -1, 0] == 184 and face[1, 0, -1] == 152


def test_the_cache_is_used_and_knows_when_it_is_stale(data, tmp_path, monkeypatch):
    calls = []
    original_decode = decoding.decode
    monkeypatch.setattr(decoding, "decode", lambda *args: calls.append(1) or original_decode(*args))
    first = celeba(data, 16, cache=tmp_path / "cache")
    assert len(calls) == N
    again = celeba(data, 16, cache=tmp_path / "cache")
    assert len(calls) == N and torch.equal(first.images, again.images) and first.digest == again.digest
    celeba(data, 8, cache=tmp_path / "cache")
    assert len(calls) == 2 * N, "another resolution"
    one, two = (data / "img_align_celeba" / f"00000{i}.jpg" for i in (1, 2))
    shutil.copy(two, one)
    changed = celeba(data, 16, cache=tmp_path / "cache")
    assert len(calls) == 3 * N and torch.equal(changed.images[0], first.images[1])
    listed = data / "list_attr_celeba.txt"
    listed.write_text(listed.read_text().replace("000003.jpg -1", "000003.jpg  1", 1))
    relabelled = celeba(data, 16, cache=tmp_path / "cache")
    assert len(calls) == 3 * N, "labels are no part of the cached pixels"
    assert relabelled.labels[2, 0] and relabelled.data_digest() != changed.data_digest()
    changed.images[0] = 0  # pages are copied on write: the cache is not a scratch pad
    assert celeba(data, 16, cache=tmp_path / "cache").images[0].any()


def test_a_half_written_cache_is_never_taken_for_a_whole_one(data, tmp_path, monkeypatch):
    def killed(*args):
        raise KeyboardInterrupt

    cache = tmp_path / "cache"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(decoding.os, "replace", killed)  # the moment before a cache becomes whole
        celeba(data, 16, cache=cache)
    left, = cache.glob("*.part/images.npy")
    left.write_bytes(left.read_bytes()[:1000])
    whole = celeba(data, 16, cache=cache)
    assert torch.equal(whole.images, celeba(data, 16, cache=tmp_path / "other").images)
    assert not list(cache.glob("*.part")) and len(list(cache.glob("*/card.json"))) == 1


def test_subsets_have_what_the_paper_leaves(read):
    assert read.lacking(SUBSETS["full"]).images[:].equal(read.images)
    for name in ("female", "male", "no_beards_no_hats"):
        part = read.lacking(SUBSETS[name])
        assert isinstance(part.images, Rows) and 0 < len(part) < N, "nothing is copied"
        for attribute, value in SUBSETS[name]:
            assert not (part.column(attribute) == bool(value)).any()
        keep = torch.stack([read.column(a) != bool(v) for a, v in SUBSETS[name]]).all(0)
        assert len(part) == keep.sum() and torch.equal(part.images[:], read.images[keep])
        assert part.digest != read.digest
    nested = read.lacking(SUBSETS["female"]).lacking((("Young", 0),))
    keep = ~read.column("Male") & read.column("Young")
    assert torch.equal(nested.images[torch.arange(len(nested))], read.images[keep])
    assert read.lacking(SUBSETS["female"]).rates()["Male"] == 0
    with pytest.raises(ValueError, match=r'CelebA, 32x32: unknown attribute "Mael"\. Did you mean "Male"'):
        read.lacking((("Mael", 1),))
    with pytest.raises(ValueError, match="no image lacks Male=1, Male=0"):
        read.lacking((("Male", 1), ("Male", 0)))


# -- refusals ----------------------------------------------------------------------------------------------
def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


REFUSED = {
    "no list": (lambda d: (d / "list_attr_celeba.txt").unlink(), r"list_attr_celeba.txt is missing \(looked in"),
    "no partition": (lambda d: (d / "list_eval_partition.txt").unlink(), "list_eval_partition.txt is missing"),
    "no images": (lambda d: shutil.rmtree(d / "img_align_celeba"), "img_align_celeba.zip is missing"),
    "no folder": (lambda d: shutil.rmtree(d), "is no folder; give the one with img_align_celeba/"),
    "image gone": (lambda d: (d / "img_align_celeba/000007.jpg").unlink(), "000007.jpg listed but not there"),
    "image more": (lambda d: shutil.copy(d / "img_align_celeba/000007.jpg", d / "img_align_celeba/000099.jpg"),
                   "000099.jpg there but not listed"),
    "short list": (lambda d: edit(d / "list_attr_celeba.txt", "30\n", "202599\n"),
                   "line 1 says 202599 images, 30 follow; the file is not whole"),
    "no header": (lambda d: edit(d / "list_attr_celeba.txt", "30\n", ""), "txt:1: expected the number of images"),
    "zeros": (lambda d: edit(d / "list_attr_celeba.txt", "000004.jpg -1", "000004.jpg  0"),
              r"list_attr_celeba.txt:6: expected a file name and 40 values, each 1 or -1"),
    "value gone": (lambda d: edit(d / "list_attr_celeba.txt", "000004.jpg -1", "000004.jpg"), "got 39 values"),
    "twice": (lambda d: edit(d / "list_attr_celeba.txt", "000004.jpg", "000003.jpg"), "000003.jpg is listed twice"),
    "bad part": (lambda d: edit(d / "list_eval_partition.txt", "000002.jpg 0", "000002.jpg 7"), "txt:2: expected a"),
    "part gone": (lambda d: edit(d / "list_eval_partition.txt", "000002.jpg 0\n", ""), "has no line for 000002.jpg"),
    "not text": (lambda d: (d / "list_attr_celeba.txt").write_bytes(b"\xff\xfe\0"), "cannot be read as text"),
}


@pytest.mark.parametrize("damage, sentence", REFUSED.values(), ids=REFUSED)
def test_incomplete_or_inconsistent_data_is_refused(data, tmp_path, damage, sentence):
    damage(data)
    with pytest.raises(DataError, match=sentence):
        celeba(data, 16, cache=tmp_path / "cache")


@pytest.mark.parametrize("raw", [lambda b: b[:len(b) // 2], lambda b: b"", lambda b: b"<html>not found</html>"])
def test_a_damaged_image_is_named(data, tmp_path, raw):
    path = data / "img_align_celeba" / "000017.jpg"
    whole = path.read_bytes()
    path.write_bytes(raw(whole))
    with pytest.raises(DataError, match=r"img_align_celeba: 000017.jpg is not a whole, readable image"):
        celeba(data, 16, cache=tmp_path / "cache")
    path.write_bytes(whole)
    assert len(celeba(data, 16, cache=tmp_path / "cache")) == N, "a failed attempt leaves nothing behind"


def test_damaged_and_hostile_archives_are_refused(data, tmp_path, monkeypatch):
    zip_images(data)
    path = data / "img_align_celeba.zip"
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    with pytest.raises(DataError, match="no readable zip archive"):
        celeba(data, 16, cache=tmp_path / "cache")
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    path.write_bytes(bytes(flipped))
    with pytest.raises(DataError, match=r"0000\d\d.jpg is not a whole, readable image"):
        celeba(data, 16, cache=tmp_path / "cache")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:  # unpacks to more than it should
        for i in range(N):
            archive.writestr(f"../../{i + 1:06d}.jpg", bytes(100_000))
    monkeypatch.setattr(sources, "LARGEST_FILE", 50_000)
    with pytest.raises(DataError, match="unpacks to more than an image file should"):
        celeba(data, 16, cache=tmp_path / "cache")
    assert not list(tmp_path.parent.glob("0*.jpg")), "names in an archive are names, not paths"


def test_settings_are_refused_in_words(data, tmp_path):
    with pytest.raises(DataError, match="unknown crop 'square', expected centre or face"):
        celeba(data, 16, "square", tmp_path)
    with pytest.raises(DataError, match="resolution is 4, expected at least 8"):
        celeba(data, 4, cache=tmp_path)
    with pytest.raises(DataError, match=r"000001.jpg .*it has 100x100 pixels, aligned CelebA images have 178x218"):
        Image.new("RGB", (100, 100)).save(data / "img_align_celeba" / "000001.jpg")
        celeba(data, 16, "face", tmp_path / "cache")


# -- any folder --------------------------------------------------------------------------------------------
def test_a_folder_with_a_csv(tmp_path):
    images, labels = faces(12, 3, resolution=16)
    for i in range(12):
        path = tmp_path / "faces" / ("a" if i < 6 else "b") / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[i].permute(1, 2, 0).numpy()).save(path)
    rows = [f"{'a' if i < 6 else 'b'}/{i}.png,{int(labels[i, 0])},{'True' if i % 3 else 'False'},{i % 3}"
            for i in range(12)]
    csv = tmp_path / "faces" / "attributes.csv"
    csv.write_text("\n".join(["file,shadow,third,partition", *reversed(rows)]) + "\n")
    found = folder(tmp_path / "faces", 16, cache=tmp_path / "cache")
    assert found.names == ("shadow", "third") and torch.equal(found.images, images.flip(0)), "in the CSV's order"
    assert found.column("shadow").tolist() == labels.flip(0)[:, 0].tolist()
    assert found.parts.tolist() == [i % 3 for i in reversed(range(12))]
    for old, new, sentence in (("a/0.png", "a/99.png", "a/99.png listed but not there; a/0.png there but not listed"),
                               ("True", "maybe", r"attributes.csv:2: column third has 'maybe', expected 1 or 0"),
                               (",2\n", ",5\n", "column partition has '5', expected 0, 1 or 2"),
                               ("a/0.png", "a/1.png", "a/1.png is listed twice")):
        text = csv.read_text()
        csv.write_text(text.replace(old, new))
        with pytest.raises(DataError, match=sentence):
            folder(tmp_path / "faces", 16, cache=tmp_path / "cache")
        csv.write_text(text)
    csv.write_text("file\na/0.png\n")
    with pytest.raises(DataError, match="a column for each attribute"):
        folder(tmp_path / "faces", 16, cache=tmp_path / "cache")
    csv.unlink()
    plain = folder(tmp_path / "faces", 16, cache=tmp_path / "cache")
    assert plain.names == () and len(plain) == 12 and plain.labels.shape == (12, 0)
    with pytest.raises(DataError, match="no images in it"):
        folder(tmp_path / "cache", 16, cache=tmp_path / "cache2")
    with pytest.raises(DataError, match="does not exist"):
        folder(tmp_path / "nowhere", 16)


# -- IDX ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("packed", [False, True])
def test_mnist_files_are_read(tmp_path, packed):
    rng = np.random.default_rng(0)
    images, classes = rng.integers(0, 256, (20, 28, 28), dtype=np.uint8), np.arange(20, dtype=np.uint8) % 10
    for prefix, rows in (("train", slice(0, 15)), ("t10k", slice(15, 20))):
        for kind, array in (("images-idx3", images[rows]), ("labels-idx1", classes[rows])):
            raw = idx_bytes(array)
            name = f"{prefix}-{kind}-ubyte" + ".gz" * packed
            (tmp_path / name).write_bytes(gzip.compress(raw) if packed else raw)
    assert is_idx(tmp_path) and not is_idx(tmp_path / "nowhere")
    found = idx(tmp_path, 28, tmp_path / "cache")
    assert torch.equal(found.images, torch.from_numpy(images)[:, None].expand(-1, 3, -1, -1))
    assert found.names == tuple(f"class_{i}" for i in range(10))
    assert found.labels.int().argmax(1).tolist() == classes.tolist() and (found.labels.sum(1) == 1).all()
    assert found.parts.tolist() == [TRAIN] * 15 + [TEST] * 5
    assert idx(tmp_path, 32, tmp_path / "cache").resolution == 32
    single = idx(tmp_path / ("train-images-idx3-ubyte" + ".gz" * packed), 28, tmp_path / "cache")
    assert torch.equal(single.images, found.images[:15])
    cards = [json.loads(path.read_text()) for path in (tmp_path / "cache").glob("*/card.json")]
    assert sorted(card["shape"][0] for card in cards) == [15, 20, 20]


def test_damaged_idx_files_are_refused(tmp_path):
    path, labels = tmp_path / "train-images-idx3-ubyte", tmp_path / "train-labels-idx1-ubyte"
    whole = idx_bytes(np.zeros((3, 28, 28)))
    labels.write_bytes(idx_bytes(np.zeros(3)))
    packed = gzip.compress(whole)
    huge = whole[:4] + b"\xff\xff\xff\xff" + whole[8:]
    for raw, sentence in ((whole[:-5], "its header says 3 x 28 x 28 bytes, 2347 follow"),
                          (huge, "header says 4294967295"), (whole + b"x", "2353 follow"),
                          (b"", "begins with nothing"), (whole[:6], "0 follow"),
                          (b"\x89PNG" + whole, "no IDX file of bytes"), (packed[:-9], "cannot be read"),
                          (b"\0\0\x0d" + whole[3:], "no IDX file of bytes")):
        path.write_bytes(raw)
        with pytest.raises(DataError, match=sentence):
            idx(tmp_path, 32, tmp_path / "cache")
    path.write_bytes(whole)
    labels.write_bytes(idx_bytes(np.zeros(4)))
    with pytest.raises(DataError, match="has 3 images, train-labels-idx1-ubyte 4 labels"):
        idx(tmp_path, 32, tmp_path / "cache")
    labels.unlink()
    with pytest.raises(DataError, match="train-labels-idx1-ubyte is missing"):
        idx(tmp_path, 32, tmp_path / "cache")
    with pytest.raises(DataError, match="no IDX images there"):
        idx(tmp_path / "cache", 32)

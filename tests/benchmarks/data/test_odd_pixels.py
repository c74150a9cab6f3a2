"""Pixels of every kind that image files have: what is read of them, what is said, and what is refused."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from helpers.image_data import GREEN, deep_png, encoded, png_chunk, put, put_ramps, ramp, read_folder
from PIL import Image, ImageOps

from dirbench.benchmarks.data.pixels import rgb
from dirbench.benchmarks.data.sources import DataError

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
def test_what_is_no_image_is_named(tmp_path, raw, sentence):
    put(tmp_path / "images/x.png", raw)
    with pytest.raises(DataError, match=rf"images: x.png is not a whole, readable image \(.*{sentence}"):
        read_folder(tmp_path / "images")


def test_what_is_done_to_pixels_is_said_each_time(tmp_path):
    put_ramps(tmp_path / "images", [f"{i}.png" for i in range(4)])
    put(tmp_path / "images/4.png", encoded(GREEN))
    put(tmp_path / "images/5.png", encoded(ramp(5, 8)))
    for _ in range(2):  # decoded, then from the cache
        said = read_folder(tmp_path / "images")[1]
        assert "1 of 6 images have transparent pixels, which are laid on white (4.png)" in said
        assert "1 of 6 images are smaller than the resolution asked for" in said and "enlarged (5.png)" in said

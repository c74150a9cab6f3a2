"""An image file's bytes as upright RGB, whatever kind of image it is; what is done to the pixels is remarked."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import ExifTags, Image

ENLARGED = "are smaller than the resolution asked for (after cropping) and are enlarged"
TRANSPARENT = "have transparent pixels, which are laid on white"
SIXTEEN_BITS = "are grey of 16 bits, of which the upper 8 are used"
FRAMES = "have several frames or pages, of which the first is used"
BAD_EXIF = "have EXIF data that cannot be read, and are taken as upright"

_FORMATS = ("PNG", "JPEG", "MPO", "BMP", "DIB", "WEBP", "TIFF", "GIF", "PPM", "JPEG2000", "AVIF")
"""Formats that are read, whatever a file is called. No others: Pillow runs a program (Ghostscript) for some."""

_TURNS = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
          5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
          8: Image.Transpose.ROTATE_90}
_SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_UNKNOWN_RANGE = {"I": "whole numbers of 32 bits", "F": "floating-point numbers"}


@cache
def _formats() -> tuple[str, ...]:
    Image.init()  # AVIF and WebP are not in every build
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def rgb(raw: bytes, remark: Callable[[str], None] = lambda what: None) -> Image.Image:
    """The image, turned as its EXIF says, in 8-bit RGB.

    Transparent pixels are laid on white (their own colour is nowhere seen), 16 bits become the upper 8, of several
    frames the first is taken; ``remark`` is called with what of this was done.

    Raises:
        OSError, ValueError, SyntaxError and others of Pillow's: no whole image of a known format; pixels whose range
            nobody states.
    """
    try:
        image = Image.open(io.BytesIO(raw), formats=_formats())
    except Image.UnidentifiedImageError as error:
        raise OSError(_what_it_is(raw)) from error
    with image:
        if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:  # MPO: a photo and its preview
            remark(FRAMES)
        image.load()
        return _eight_bits(_upright(image, remark), image.format, remark)


def _what_it_is(raw: bytes) -> str:
    if raw.startswith(b"version https://git-lfs"):
        return "it is a pointer of Git LFS, not the file itself; fetch the files with `git lfs pull`"
    if raw.lstrip()[:1] == b"<":
        return "it is a web page or another text, not an image; download it again"
    if not raw:
        return "it is empty"
    return f"it begins with {raw[:8].hex(' ')}, as no image of a known format does"


def _upright(image: Image.Image, remark: Callable[[str], None]) -> Image.Image:
    """Turned by hand: Pillow's ``exif_transpose`` writes the EXIF data again, and fails where any tag of it is odd."""
    try:
        turn = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a parser of a hundred kinds of damage; the pixels are whole
        remark(BAD_EXIF)
        return image
    return image.transpose(_TURNS[turn]) if turn in _TURNS else image


def _eight_bits(image: Image.Image, kind: str | None, remark: Callable[[str], None]) -> Image.Image:
    hidden = image.info.get("transparency")
    if image.mode in _SIXTEEN or (image.mode == "I" and kind in ("PNG", "PPM")):  # how older Pillow opens them
        values = np.asarray(image)
        remark(SIXTEEN_BITS)
        grey = (values >> 8).astype(np.uint8)
        if hidden is not None and (values == hidden).any():
            remark(TRANSPARENT)
            grey = np.where(values == hidden, np.uint8(255), grey)
        return Image.fromarray(grey).convert("RGB")
    if image.mode in _UNKNOWN_RANGE:
        raise OSError(f"its pixels are {_UNKNOWN_RANGE[image.mode]}, and what is black and white is not known; save it "
                      "with 8 or 16 bits")
    if image.mode == "1" and hidden is not None:  # not all Pillows know which of the two it is
        image = image.convert("L")
        image.info["transparency"] = 255 if hidden else 0
    if image.mode in _ALPHA or hidden is not None:
        whole = image.convert("RGBA")
        if int(np.asarray(whole.getchannel("A")).min()) < 255:
            remark(TRANSPARENT)
            return Image.alpha_composite(Image.new("RGBA", whole.size, "white"), whole).convert("RGB")
    return image.convert("RGB")

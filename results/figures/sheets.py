"""Traversal sheets: pictures of what each direction does, with what the oracle says of it."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dirbench.changes import changes, live, reliability, spread
from dirbench.responses import Responses
from dirbench.results.figures.glyphs import drawable, font_path
from dirbench.traversals import Traversals

GAP, MARGIN, TEXT = 2, 10, 13
WIDTH = 800  # what a long title may widen a narrow sheet to before it goes on in another line
INK, FAINT, PAPER = (34, 34, 34), (120, 120, 120), (255, 255, 255)


def describe(responses: Responses, names: Sequence[str]) -> list[tuple[str, str]]:
    """What the oracle says of each direction: [("+Eyeglasses 1.84", "effect 0.42, reliability 0.97"), ...].

    The attribute that turns most with the sign of the edit, half the difference between + and - in units of its spread
    over unedited samples: "+" means that there is more of it to the right. Effect: mean |standardised logit change|
    over signs, samples and attributes. Reliability: split-half, of the mean change, averaged over signs. A dead
    direction, whose mean change cannot be told from noise, gets no attribute, whatever it does to single images.

    Raises:
        ValueError: another number of names than of attributes.
    """
    if len(names) != responses.before.shape[1]:
        raise ValueError(f"{len(names)} names for responses with {responses.before.shape[1]} attributes")
    change = changes(responses, spread(responses.before))  # [2, K, N, M]
    mean = change.mean(axis=2, dtype=np.float64)
    turn = (mean[0] - mean[1]) / 2
    effect, steady = np.abs(change).mean(axis=(0, 2, 3)), np.maximum(reliability(change), 0).mean(0)
    alive = np.any(live(change), axis=0)
    out = []
    for k, row in enumerate(turn):
        m = int(np.abs(row).argmax())
        top = f"{'+' if row[m] >= 0 else '−'}{names[m]} {abs(row[m]):.2f}" if alive[k] else "dead: nothing steady"
        out.append((top, f"effect {effect[k]:.2f}, reliability {steady[k]:.2f}"))
    return out


def traversal_sheet(path: Path | str, shown: Traversals, responses: Responses | None, names: Sequence[str],
                    title: str) -> Path:
    """Writes a PNG with a line a direction and a column a strength; returns its path.

    Args:
        shown: the N traversals of a direction stand side by side.
        responses: of the same K directions, for the labels (see ``describe``); ``names`` are its attributes. None
            where no oracle reads the images: then directions are only numbered.
        title: printed above; what made the pictures belongs here.
    Raises:
        ValueError: responses of another number of directions.
    """
    if responses is not None and len(responses) != len(shown):
        raise ValueError(f"{len(shown)} directions, but responses of {len(responses)}")
    pictures, strengths = shown.frames, shown.strengths
    k, n, s, side = pictures.shape[:4]
    scale = 3 if side <= 64 else 2 if side <= 128 else 1
    side *= scale
    font, small = sheet_font(TEXT), sheet_font(TEXT - 2)
    names = [drawable(" ".join(name.split())) for name in names]
    labels = describe(responses, names) if responses is not None else [("", "")] * k
    label_width = 2 * MARGIN + int(max(max(font.getlength(f"{i}  {a}"), small.getlength(b) + 20)
                                       for i, (a, b) in enumerate(labels)))
    block = s * (side + GAP) + 3 * MARGIN
    title = drawable(" ".join(title.split()))
    width = max(label_width + n * block, min(int(font.getlength(title)) + 2 * MARGIN, WIDTH))
    lines = _wrapped(title, font, width - 2 * MARGIN)
    top, line = MARGIN + 2 * (TEXT + 8) + (len(lines) - 1) * (TEXT + 6), max(side, 2 * (TEXT + 6)) + GAP
    sheet = Image.new("RGB", (width, top + k * line + MARGIN), PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, words in enumerate(lines):
        draw.text((MARGIN, MARGIN + i * (TEXT + 6)), words, INK, font)
    for j in range(n):
        for c, strength in enumerate(strengths):
            x = label_width + j * block + c * (side + GAP)
            text = "0" if strength == 0 else f"{strength:+g}".replace("-", "−")
            draw.text((x + side / 2, top - 6), text, FAINT, small, anchor="ms")
            for i in range(k):
                tile = Image.fromarray(pictures[i, j, c]).resize((side, side), Image.Resampling.NEAREST)
                sheet.paste(tile, (x, top + i * line))
    for i, (attribute, facts) in enumerate(labels):
        middle = top + i * line + side / 2
        draw.text((MARGIN, middle - 2), f"{i}  {attribute}", INK, font, anchor="ls")
        draw.text((MARGIN + 20, middle + TEXT + 3), facts, FAINT, small, anchor="ls")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    sheet.save(temporary, format="PNG")
    os.replace(temporary, path)
    return path


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """``text`` in lines of at most ``width`` pixels; a word that is longer is broken."""
    letters = max(1, int(len(text) * width / max(font.getlength(text), 1)))
    return textwrap.wrap(text, letters) or [""]


def sheet_font(size: int) -> ImageFont.FreeTypeFont:
    """The font of sheets."""
    return ImageFont.truetype(font_path(), size)

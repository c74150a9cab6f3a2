"""Picture sheets of an audit: traversals of both generators under each other, whatever their resolutions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

from dirbench.results.figures.sheets import FAINT, GAP, INK, MARGIN, PAPER, TEXT, sheet_font
from dirbench.traversals import Traversals

SIDE = 96  # of every tile


@dataclass(frozen=True)
class Row:
    """One line of a sheet: direction ``direction`` of the generator ``side`` (0 or 1) and the words beside it.

    ``sign`` -1 shows it the other way round, so that corresponding edits look alike.
    """

    side: int
    direction: int
    label: str
    facts: str
    sign: int = 1


def sheet(path: Path, shown: Sequence[Traversals], title: str, rows: Sequence[Row]) -> None:
    """Writes a PNG with a line a row and a column a strength; the traversals of each latent stand side by side.

    Args:
        shown: of each side, at the same strengths, as many below zero as above.
    """
    strengths, latents = shown[0].strengths, shown[0].n_latents
    font, small = sheet_font(TEXT), sheet_font(TEXT - 2)
    left = 2 * MARGIN + int(max(max(font.getlength(row.label), small.getlength(row.facts)) for row in rows))
    block = len(strengths) * (SIDE + GAP) + 3 * MARGIN
    top = MARGIN + 2 * (TEXT + 8)
    width = max(left + latents * block, int(font.getlength(title)) + 2 * MARGIN)
    picture = Image.new("RGB", (width, top + len(rows) * (SIDE + GAP) + MARGIN), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.text((MARGIN, MARGIN), title, INK, font)
    for j in range(latents):
        for c, strength in enumerate(strengths):
            text = "0" if strength == 0 else f"{strength:+g}".replace("-", "−")
            draw.text((left + j * block + c * (SIDE + GAP) + SIDE / 2, top - 6), text, FAINT, small, anchor="ms")
    for i, row in enumerate(rows):
        y = top + i * (SIDE + GAP)
        draw.text((MARGIN, y + SIDE / 2 - 2), row.label, INK, font, anchor="ls")
        draw.text((MARGIN, y + SIDE / 2 + TEXT + 3), row.facts, FAINT, small, anchor="ls")
        tiles = shown[row.side].frames[row.direction][:, ::row.sign]  # backwards is the other way round
        for j, traversal in enumerate(tiles):
            for c, pixels in enumerate(traversal):
                picture.paste(_tile(Image.fromarray(pixels)), (left + j * block + c * (SIDE + GAP), y))
    picture.save(path, format="PNG")


def _tile(image: Image.Image) -> Image.Image:
    """Enlarged in whole pixels where that fits, else resampled."""
    method = Image.Resampling.NEAREST if SIDE % image.width == 0 else Image.Resampling.LANCZOS
    return image.resize((SIDE, SIDE), method)

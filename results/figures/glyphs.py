"""What the font of figures and sheets can draw."""

from __future__ import annotations

from functools import lru_cache

from matplotlib import font_manager

FONT = "DejaVu Sans"
"""Comes with matplotlib: the same on every machine."""


def font_path() -> str:
    """Where the font's file lies."""
    return font_manager.findfont(FONT)


def drawable(text: str) -> str:
    """``text`` with its lines; a character that the font lacks becomes its code point, as ``<4E2D>``, no empty box."""
    return "\n".join("".join(c if ord(c) in _known() else f"<{ord(c):04X}>" for c in " ".join(line.split()))
                     for line in text.split("\n"))


@lru_cache(maxsize=1)
def _known() -> frozenset[int]:
    return frozenset(font_manager.get_font(font_path()).get_charmap())

"""Options that several commands take, and what is checked of them."""

from __future__ import annotations

import argparse
import os

SEEDS_BELOW = 2**32


def words(text: str) -> list[str]:
    """The words of a list on the command line, with commas or spaces between them; each once.

    >>> words("sefa, random,sefa")
    ['sefa', 'random']
    """
    return list(dict.fromkeys(text.replace(",", " ").split()))


def add_common(p: argparse.ArgumentParser) -> None:
    """What ``run`` and ``audit`` take alike: sizes, device, store, and whether a network may be asked."""
    p.add_argument("--profile", default="mini", metavar="NAME", help="sizes: smoke, mini or paper, or a YAML file "
                   "(default: mini)")
    p.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, ... (default: a GPU if there is one)")
    p.add_argument("--store", metavar="DIR", help="the artifact store (default: $DIRBENCH_STORE or results/store)")
    p.add_argument("--offline", action="store_true", help="never ask a network for weights")


def go_offline() -> None:
    """Libraries ask no network for weights. They read this when they are loaded."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"


def check_whole(option: str, value: int | None, least: int, below: int | None = None) -> None:
    """ValueError unless ``value`` is left out (None), or from ``least`` and ``below`` the other.

    >>> check_whole("--workers", 0, 1)
    Traceback (most recent call last):
    ValueError: --workers 0: expected a whole number from 1
    """
    if value is not None and not (least <= value and (below is None or value < below)):
        limit = "" if below is None else f" (below {below})"
        raise ValueError(f"{option} {value}: expected a whole number from {least}{limit}")

"""Null scores of a run, kept beside its rows: the band of a mean over cells is not the mean of the cells' bands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from dirbench.files import write_atomically

FILE = "chance.json"
Nulls = dict[tuple[str, ...], dict[str, list]]


def write_nulls(nulls: Mapping[tuple[str, ...], Mapping[str, list]], folder: Path) -> None:
    """Writes {GANs: {"metric/protocol": null scores}} (see ``dirbench.results.statistics.chance``) to ``folder``/chance.json."""
    text = json.dumps([{"gans": list(gans), "scores": dict(scores)} for gans, scores in nulls.items()])
    write_atomically(folder / FILE, text)


def read_nulls(folder: Path) -> Nulls:
    """What ``write_nulls`` wrote; empty where there is none. Raises ValueError for a file that is no such thing."""
    path = folder / FILE
    if not path.exists():
        return {}
    try:
        return {tuple(entry["gans"]): dict(entry["scores"]) for entry in json.loads(path.read_text(encoding="utf-8"))}
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is no file of null scores ({error!r}); delete it to do without, or run the suite "
                         "again with the same --out to have it made again") from error

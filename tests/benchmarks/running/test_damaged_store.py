"""Whatever lies damaged in the store is made again, of every kind of artifact, and the rows are the same."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pandas as pd
import pytest
from helpers.tiny import arguments

from dirbench.benchmarks.commands import main

KINDS = {"pool", "ratio", "directions", "responses", "chance", "scores", "traversals", "sheet", "evaluation"}


def run(folder: Path, out: str) -> bytes:
    args = arguments(folder, out, "store", "sefa,xga", "--metrics", "alignment,effect,rca", "--workers", "1")
    with open(folder / "tiny.yaml", "a", encoding="utf-8") as file:
        file.write("metrics:\n  rca: {n_steps: 2, batch: 2}\n")
    assert main(args) == 0
    return (folder / out / "rows.csv").read_bytes()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(folder, rows) of a run with artifacts of every kind."""
    folder = tmp_path_factory.mktemp("damaged")
    return folder, run(folder, "whole")


def used(folder: Path, out: str) -> list[Path]:
    """The artifacts that a run's cells stand for."""
    cells = pd.read_csv(folder / out / "cells.csv", keep_default_na=False)
    return [folder / "store" / one for row in cells["artifact"] for one in row.split("; ") if one]


def contents(artifact: Path) -> list[Path]:
    return [artifact / name for name in json.loads((artifact / "made.json").read_text())["files"]]


def half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def one_bit(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


DAMAGES = (half, one_bit, lambda path: path.write_bytes(b""), Path.unlink)


def test_every_kind_is_made_again(finished):
    folder, rows = finished
    everything = sorted((folder / "store").glob("*/*/made.json"))
    assert {path.parent.parent.name for path in everything} == KINDS
    for turn, made in enumerate(everything):
        for path in contents(made.parent):
            DAMAGES[turn % len(DAMAGES)](path)
    for path in (folder / "whole" / "cells").rglob("*.json"):
        half(path)
    assert run(folder, "whole") == rows
    artifacts = used(folder, "whole")
    assert {path.parent.name for path in artifacts} == KINDS
    for artifact in artifacts:
        record = json.loads((artifact / "made.json").read_text())
        for path in contents(artifact):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == record["files"][path.name]["sha256"]

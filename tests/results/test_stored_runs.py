"""``show`` and ``check`` on the folders and files that people give them: a sentence with file and line, exit code 2."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from helpers import made_up

from dirbench.benchmarks.commands import main
from dirbench.results.csv_files import read_text
from dirbench.results.rows import write_rows

MADE_BY = {
    "suite": "celeba_subsets", "profile": "mini", "pairs": "all", "commit": "abc", "dirty": False, "reference": "full",
    "controls": [["full", "full_b"]], "alpha": 3.0, "readable_attributes": 39, "versions": {"torch": "2.13.0"},
    "hardware": {"device": "cpu"}, "methods": {"random": {"n_directions": 16}, "sefa": {"n_directions": 16}},
    "profile_settings": {"latents": {"match": 16, "score": 16}}, "hashes": {"gans": {"full": "ab" * 32}}}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run's folder."""
    folder = tmp_path / "run"
    rows = made_up.rows(gans=("full", "male", "full_b"), methods=("random", "sefa"))
    write_rows(rows[rows["metric"].isin(["alignment", "s_disen"])], folder / "rows.csv")
    made_up.cells().assign(cell="c").to_csv(folder / "cells.csv", index=False)
    (folder / "run.json").write_text(json.dumps(MADE_BY))
    return folder


def edit(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    return lambda run: (run / name).write_text(change((run / name).read_text()), encoding="utf-8") and None


def line_3(change: Callable[[str], str]) -> Callable[[str], str]:
    def edited(text: str) -> str:
        lines = text.splitlines()
        return "\n".join([*lines[:2], change(lines[2]), *lines[3:]]) + "\n"
    return edited


DAMAGED = {
    "cut rows": (edit("rows.csv", line_3(lambda line: line[:40])), "rows.csv:3: "),
    "rows with a field more": (edit("rows.csv", line_3(lambda line: line + ",1")), "rows.csv:3: 27 fields, expected"),
    "rows with a broken number": (edit("rows.csv", line_3(lambda line: line.replace(",1,", ",one,", 1))),
                                  "rows.csv:3: column 'version'"),
    "an unknown status": (edit("rows.csv", line_3(lambda line: line.replace(",ok,", ",fine,"))), "rows.csv:3: row 1"),
    "a row twice": (edit("rows.csv", lambda text: text + text.splitlines()[-1] + "\n"), "another row with the same"),
    "an open quote": (edit("rows.csv", line_3(lambda line: '"' + line)), "rows.csv:3: not readable as CSV"),
    "no rows": (edit("rows.csv", lambda text: text.splitlines()[0] + "\n"), "has no rows"),
    "empty rows": (edit("rows.csv", lambda text: ""), "rows.csv: not a rows file: the file is empty"),
    "semicolons": (edit("rows.csv", lambda text: text.replace(",", ";")), "with semicolons"),
    "a column gone": (edit("rows.csv", lambda text: text.replace("zoo,", "zoom,", 1)), "lacks 'zoo'; has also 'zoom'"),
    "UTF-16": (lambda run: (run / "rows.csv").write_bytes("suite".encode("utf-16")) and None, "no UTF-8 text"),
    "cells of words": (edit("cells.csv", line_3(lambda line: line.replace("6.5", "long"))),
                       "cells.csv:3: column 'seconds'"),
    "foreign cells": (edit("cells.csv", lambda text: "a,b\n1,2\n"), "cells.csv: not a cells file"),
    "JSON cut": (edit("run.json", lambda text: text[:99]), "run.json:1: not readable as JSON"),
    "a list": (edit("run.json", lambda text: "[]"), "run.json: expected names with values, got list"),
    "older facts": (edit("run.json", lambda text: text.replace('"alpha"', '"strength"')), "run.json lacks alpha"),
    "facts of another kind": (edit("run.json", lambda text: text.replace('"controls": [[', '"controls": ["x", [')),
                              "controls is"),
    "random runs": (lambda run: (run / "chance.json").write_text("nothing") and None, "no scores of random runs"),
    "a file gone": (lambda run: (run / "cells.csv").unlink(), "it has no cells.csv")}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_run_is_a_sentence(run, name, capsys):
    damaged, words = DAMAGED[name]
    damaged(run)
    assert main(["show", str(run)]) == 2
    out, err = capsys.readouterr()
    assert words in err and err.count("\n") == 1 and "Traceback" not in out + err


@pytest.mark.parametrize(("folder", "words"), [
    ("nowhere", "it is not there"), ("run/rows.csv", "it is a file"), (".", "runs in it: ")])
def test_another_folder_is_a_sentence(run, folder, words, capsys):
    assert main(["show", str(run.parent / folder)]) == 2
    err = capsys.readouterr().err
    assert "is not a run's folder: " in err and words in err


def test_a_reference_is_written_once_met_and_told_from_other_settings(run, capsys):
    against = ["check", str(run), "--against", str(run.parent / "new" / "reference.csv")]
    assert main([*against, "--write"]) == main(against) == 0
    assert "no regression" in capsys.readouterr().out
    edit("run.json", lambda text: text.replace('"alpha": 3.0', '"alpha": 1.0'))(run)
    assert main(against) == 2
    out = capsys.readouterr().out
    assert "context: alpha is 1.0, 3.0 in the reference" in out and "these cannot be compared" in out
    edit("run.json", lambda text: text.replace('"alpha": 1.0', '"alpha": 3.0'))(run)
    edit("rows.csv", lambda text: text.replace(",sefa,", ",sefa2,"))(run)
    assert main(against) == 1
    assert "missing: sefa is in the reference" in capsys.readouterr().out


@pytest.mark.parametrize(("target", "words"), [
    ("run/rows.csv", "rows.csv: not a reference file"), ("reference", "NAME.csv"), ("x.json", "NAME.csv"),
    ("run/rows.csv/x.csv", "cannot be written to")])
def test_what_is_no_reference_is_not_replaced(run, target, words, capsys):
    before = (run / "rows.csv").read_bytes()
    assert main(["check", str(run), "--against", str(run.parent / target), "--write"]) == 2
    assert words in capsys.readouterr().err and (run / "rows.csv").read_bytes() == before


@pytest.mark.parametrize("sign", ["\u2028", "\x0c", "\x1c", "\x85", '"', ",", "\n"], ids=ascii)
def test_no_sign_in_a_field_ends_its_line(tmp_path, sign):
    path, reason = tmp_path / "a.csv", f"left{sign}right"
    pd.DataFrame({"cell": ["one", "two"], "reason": [reason, ""]}).to_csv(path, index=False)
    frame, lines = read_text(path, "a file", ["cell", "reason"])
    assert frame["reason"].tolist() == [reason, ""] and lines[0] == 2

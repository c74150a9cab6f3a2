"""Means over other cells than their neighbours' say so, and "minus random" is a difference of two shown numbers."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from helpers import made_up
from PIL import Image

from dirbench.results.figures.summary import summary_figure
from dirbench.results.table import APART, Table
from dirbench.results.tables.all_scores import AllScores
from dirbench.results.tables.by_client import by_client
from dirbench.results.tables.headline import headline

GANS = ("full", "female", "male", "no_hats", "no_glasses")


def lost(rows: pd.DataFrame, status: str, **where: object) -> pd.DataFrame:
    """Rows without the scores where columns equal ``where``."""
    rows = rows.copy()
    mask = np.logical_and.reduce([(rows[column] == value).to_numpy(bool) for column, value in where.items()])
    assert mask.any()
    rows.loc[mask, ["value", "ci_low", "ci_high"]] = np.nan
    rows.loc[mask, ["status", "reason"]] = [status, "planted"]
    return rows


def left_out(rows: pd.DataFrame, **where: object) -> pd.DataFrame:
    """``rows`` but those where columns equal ``where``."""
    return rows[~np.logical_and.reduce([(rows[column] == value).to_numpy(bool) for column, value in where.items()])]


PLANTED = {
    "nothing": lambda rows: (rows, set()),
    "a method failed on a pair": lambda rows: (
        lost(rows, "failed", method="sefa", metric="alignment", reference="full", client="male"), {"sefa"}),
    "random failed on a pair": lambda rows: (
        lost(rows, "failed", method="random", metric="alignment", reference="full", client="male"), {"random"}),
    "a score does not exist for one method": lambda rows: (
        lost(rows, "not_applicable", method="sefa", metric="alignment", reference="full", client="male"), {"sefa"}),
    "each failed elsewhere": lambda rows: (
        lost(lost(rows, "failed", method="sefa", metric="alignment", reference="full", client="male"), "failed",
             method="random", metric="alignment", reference="full", client="no_hats"), {"sefa", "random"}),
    "a seed of one method failed": lambda rows: (
        lost(rows, "failed", method="sefa", metric="alignment", reference="full", client="male", seed=1), {"sefa"}),
    "a method has one seed": lambda rows: (left_out(rows, method="sefa", metric="alignment", seed=1), {"sefa"}),
    "no pair that both have": lambda rows: (
        left_out(left_out(left_out(rows, method="sefa", reference="full"), method="random", reference="female"),
                 method="random", reference="male").query("method != 'ganspace' and client != 'no_glasses'"),
        {"sefa", "random"})}


def numbers(text: str) -> float:
    return float(re.match(r"[-+]?[\d.]+", text).group())


def shown_differences(table: Table, column: str) -> dict[str, tuple[float, float, bool]]:
    """{method: (difference, that of the shown means, marked)} of an all-scores table's column."""
    random = numbers(table.cells.loc["random", column])
    return {method: (numbers(cell.split("\n")[1]), numbers(cell) - random, cell.endswith(APART))
            for method, cell in table.cells[column].items() if "\n" in cell}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_mean_over_fewer_cells_is_marked_and_the_note_says_what_it_is_without(planted):
    rows, marked = PLANTED[planted](made_up.rows(seeds=(0, 1), gans=GANS, methods=("random", "sefa", "ganspace")))
    source = made_up.source(rows)
    for table in (*headline(source, "pair"), *AllScores().tables(source, rows.iloc[:0])):
        firsts = table.cells["alignment ↑"].str.split("\n").str[0]
        assert {method for method, cell in firsts.items() if APART in cell} == marked
        notes = [note for note in table.notes if note.startswith(f"{APART} a mean over fewer")]
        assert len(notes) == bool(marked)
        for method in marked:
            what = {"a method has one seed": "without seed 1", "no pair that both have": "without",
                    "a seed of one method failed": "without seed 1 of full/male"}.get(planted, "without full/")
            assert f"{method}, alignment: {what}" in notes[0]


@pytest.mark.parametrize("planted", PLANTED)
def test_minus_random_is_the_difference_of_two_numbers_that_are_shown(planted):
    rows, _ = PLANTED[planted](made_up.rows(seeds=(0, 1), gans=GANS, methods=("random", "sefa", "ganspace")))
    (table,) = AllScores().tables(made_up.source(rows), rows.iloc[:0])
    note = next((note for note in table.notes if "minus the baseline is over the cells" in note), "")
    found = shown_differences(table, "alignment ↑")
    assert set(found) == ({"sefa", "ganspace"} if planted != "no pair that both have" else set())
    for method, (difference, of_means, marked) in found.items():
        if marked:
            one, other = re.search(rf"{method}, alignment: ([-\d.]+) minus ([-\d.]+) over \d cells", note).groups()
            of_means = float(one) - float(other)
        assert difference == pytest.approx(of_means, abs=0.0016)


def test_a_table_by_client_marks_the_same(tmp_path):
    rows, _ = PLANTED["a method failed on a pair"](made_up.rows(gans=GANS, methods=("random", "sefa", "ganspace")))
    source = made_up.source(rows)
    (table,) = by_client(source, "alignment")
    mean, difference = (next(c for c in table.cells if c.startswith(name)) for name in ("mean", "minus random"))
    assert [APART in table.cells.loc[m, mean] for m in ("random", "sefa", "ganspace")] == [False, True, False]
    assert [APART in table.cells.loc[m, difference] for m in ("sefa", "ganspace")] == [True, False]
    line = table.data[(table.data["method"] == "sefa") & (table.data["client"] == "mean")].iloc[0]
    assert line["over_baseline"] == pytest.approx(line["value"] - line["baseline_mean"])
    assert line["over_baseline_cells"] == 3  # of 4 clients


def test_the_figure_draws_such_means_hollow(tmp_path):
    rows = made_up.rows(gans=GANS, methods=("random", "sefa"))
    rows = rows[rows["metric"] == "alignment"]
    sizes = []
    for planted in ("nothing", "a method failed on a pair"):
        path = summary_figure(made_up.source(PLANTED[planted](rows)[0]), tmp_path / f"{planted}.png")
        with Image.open(path) as image:
            sizes.append(image.convert("RGB").tobytes())
    assert sizes[0] != sizes[1]

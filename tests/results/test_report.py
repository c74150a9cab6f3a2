"""All that is made of a run's rows: every table three times, the figure, a summary whose links work."""

import re

import pandas as pd
from helpers import made_up
from helpers.made_up import GOOD
from PIL import Image

from dirbench.results import report
from dirbench.results.rows import make_rows
from dirbench.results.statistics.summary import summarise


def test_make_all_writes_every_table_three_times_the_figure_and_a_summary_whose_links_work(tmp_path):
    rows = made_up.rows(gans=("full", "female", "no_hats", "full_b"), methods=("random", "sefa", "xga"))
    paths = report.make_all(tmp_path, rows, made_up.cells(), {"commit": "abc1234"}, made_up.METRICS)
    assert all(p.is_file() for p in paths) and len(set(paths)) == len(paths)
    names = {p.relative_to(tmp_path).as_posix() for p in paths}
    assert {"summary.md", "summary.png"} <= names
    assert len({n for n in names if n.endswith(".csv")}) * 3 + 2 == len(names)
    for path in paths:
        if path.suffix in (".md", ".csv", ".tex") and "published" not in path.name.split("_")[0]:
            text = path.read_text()
            assert "mini zoo (rendered faces)" in text and "profile mini" in text and "version 1" in text, path.name
            assert "seed 0" in text and "commit abc1234" in text, path.name
    links = re.findall(r"\]\((\S+)\)", (tmp_path / "summary.md").read_text())
    assert len(links) > 5 and all((tmp_path / link).is_file() for link in links)
    with Image.open(tmp_path / "summary.png") as image:
        assert image.width > 800 and len(set(image.convert("L").resize((64, 64)).tobytes())) > 10


def test_the_same_rows_give_the_same_bytes(tmp_path):
    rows = made_up.rows(gans=("full", "female", "no_hats"), methods=("random", "sefa"))
    rows = rows[rows["metric"].isin(["alignment", "s_disen"])]
    runs = [report.make_all(tmp_path / name, rows, made_up.cells(), {}, made_up.METRICS) for name in "ab"]
    assert [p.read_bytes() for p in runs[0]] == [p.read_bytes() for p in runs[1]]


def test_runs_of_two_profiles_go_to_folders_of_their_own(tmp_path):
    small = {"gans": ("full", "female"), "methods": ("random", "sefa")}
    rows = pd.concat([made_up.rows(**small), made_up.rows(**small, profile="paper")], ignore_index=True)
    rows = rows[rows["metric"] == "alignment"]
    paths = report.make_all(tmp_path, rows, made_up.cells().iloc[:0], {}, made_up.METRICS)
    assert {p.relative_to(tmp_path).parts[0] for p in paths} == {"celeba_subsets-1-mini-mini-scorer",
                                                                  "celeba_subsets-1-paper-mini-scorer"}


def test_all_failed_is_a_table_of_failures_not_a_crash(tmp_path):
    rows = make_rows([{**{k: v for k, v in GOOD.items() if k != "value"}, "client": c, "status": "failed",
                       "reason": "no checkpoint"} for c in ("male", "no_hats")])
    paths = report.make_all(tmp_path, rows, made_up.cells().iloc[:0], {}, made_up.METRICS)
    assert "summary.png" not in {p.name for p in paths}
    assert "[a] failed: no checkpoint" in (tmp_path / "summary.md").read_text()
    assert summarise(rows, "alignment", "pair")[0].status == "failed"

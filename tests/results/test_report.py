"""All that is made of a run's rows: every table three times, the figure, a summary whose links work."""

import ast
import re
import sys

import numpy as np
import pandas as pd
import pytest
from helpers import made_up
from helpers.made_up import GOOD
from helpers.tiny import ROOT
from PIL import Image

from dirbench.benchmarks.config.errors import ConfigError
from dirbench.benchmarks.config.job import Job
from dirbench.benchmarks.config.suite import load_profile, load_suite
from dirbench.plugins import METHODS, METRICS
from dirbench.results import figures, report, tables
from dirbench.results.rows import COLUMNS, make_rows
from dirbench.results.statistics.summary import Entry, summarise

FACTS = {"commit": "abc1234", "zoo": "mini zoo (rendered faces)", "controls": made_up.CONTROLS,
         "order": {"gans": made_up.GANS, "methods": made_up.ORDER, "metrics": made_up.NAMES}}
SMALL = {"gans": ("full", "female"), "methods": ("random", "sefa")}


def test_make_all_writes_every_table_three_times_the_figure_and_a_summary_whose_links_work(tmp_path):
    rows = made_up.rows(gans=("full", "female", "no_hats", "full_b"), methods=("random", "sefa", "xga"))
    paths = report.make_all(tmp_path, rows, made_up.cells(), FACTS, made_up.METRICS,
                            made_up.METHODS)
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
    runs = [report.make_all(tmp_path / name, rows, made_up.cells(), {}, made_up.METRICS, made_up.METHODS)
            for name in "ab"]
    assert [p.read_bytes() for p in runs[0]] == [p.read_bytes() for p in runs[1]]


def test_runs_of_two_profiles_go_to_folders_of_their_own(tmp_path):
    small = {"gans": ("full", "female"), "methods": ("random", "sefa")}
    rows = pd.concat([made_up.rows(**small), made_up.rows(**small, profile="paper")], ignore_index=True)
    rows = rows[rows["metric"] == "alignment"]
    paths = report.make_all(tmp_path, rows, made_up.cells().iloc[:0], {}, made_up.METRICS, made_up.METHODS)
    assert {p.relative_to(tmp_path).parts[0] for p in paths} == {"celeba_subsets-1-mini-mini-scorer",
                                                                  "celeba_subsets-1-paper-mini-scorer"}


def test_all_failed_is_a_table_of_failures_not_a_crash(tmp_path):
    rows = make_rows([{**{k: v for k, v in GOOD.items() if k != "value"}, "client": c, "status": "failed",
                       "reason": "no checkpoint"} for c in ("male", "no_hats")])
    paths = report.make_all(tmp_path, rows, made_up.cells().iloc[:0], {}, made_up.METRICS, made_up.METHODS)
    assert "summary.png" not in {p.name for p in paths}
    assert "[a] failed: no checkpoint" in (tmp_path / "summary.md").read_text()
    assert summarise(rows, "alignment", "pair")[0].status == "failed"


# -- kinds of tables, found by being there -----------------------------------------------------------------------
NEW_TABLE = '''
from dirbench.results.table import Table, TableKind, frame_of


class Seeds(TableKind):
    name, chapter, order = "seeds", "Seeds", 5

    def tables(self, source, cells):
        lines = {str(seed): {"rows": "1"} for seed in sorted(set(source.rows["seed"]))}
        return [Table("seeds", "Which seeds", frame_of(lines, "seed"), source.rows[["seed"]], source.caption())]
'''
NEW_FIGURE = '''
from dirbench.results.figure import FigureKind


class Dot(FigureKind):
    name, title = "dot", "A dot"

    def draw(self, source, path):
        path.write_bytes(b"dot")
        return path
'''


@pytest.fixture
def dropped(tmp_path, monkeypatch):
    """Puts a file into results/tables or results/figures."""
    def drop(package, name: str, text: str) -> None:
        folder = tmp_path / package.__name__
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    before = set(sys.modules)
    yield drop
    for name in set(sys.modules) - before:
        if name.startswith(("dirbench.results.tables.", "dirbench.results.figures.")):
            del sys.modules[name]


def made(folder, rows, **facts):
    return report.make_all(folder, rows, made_up.cells(), FACTS | facts, made_up.METRICS, made_up.METHODS)


def test_a_new_table_and_a_new_figure_are_one_file_each(tmp_path, dropped):
    dropped(tables, "seeds", NEW_TABLE)
    dropped(figures, "dot", NEW_FIGURE)
    out = tmp_path / "run"
    names = {path.relative_to(out).as_posix() for path in made(out, made_up.rows(seeds=(0, 7), **SMALL))}
    assert {"tables/seeds.csv", "tables/seeds.md", "tables/seeds.tex", "dot.png"} <= names
    text = (out / "summary.md").read_text()
    assert "## Seeds" in text and text.index("## Seeds") < text.index("## Headline") and "![A dot](dot.png)" in text


@pytest.mark.parametrize(("text", "words"), [
    ("import nothing_of_this_name", "results/tables/broken.py: "),
    (NEW_TABLE.replace("source.caption()", "source.captoin()"), "table seeds: AttributeError"),
    (NEW_TABLE.replace('"Seeds", 5', '"", 5'), "it says no chapter")])
def test_a_table_that_fails_is_named_and_takes_no_other_down(tmp_path, dropped, text, words):
    dropped(tables, "broken", text)
    names = {path.name for path in made(tmp_path / "run", made_up.rows(**SMALL))}
    assert "headline_pairs.md" in names and "seeds.md" not in names
    summary = (tmp_path / "run" / "summary.md").read_text()
    assert "## What is not here" in summary and words in summary
    assert words in report.console_summary(made_up.rows(**SMALL), made_up.cells(), FACTS, made_up.METRICS,
                                           made_up.METHODS)


def test_a_suite_says_which_tables_it_wants(tmp_path):
    names = {path.stem for path in made(tmp_path, made_up.rows(**SMALL), tables=["headline", "costs"])}
    assert names == {"headline_pairs", "headline_gans", "costs", "summary"}
    made(tmp_path, made_up.rows(**SMALL), tables=["gone"])
    assert 'unknown table "gone"' in (tmp_path / "summary.md").read_text()


def test_an_unknown_table_in_a_suite_is_told_with_its_line_and_the_nearest(tmp_path):
    text = (ROOT / "dirbench/benchmarks/suites/celeba_subsets.yaml").read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    for tables_, words in (("[headline, by_cleint]", 'unknown table "by_cleint". Did you mean "by_client"?'),
                           ("[]", "name at least one, or leave the key out for the default")):
        path.write_text(f"{text}tables: {tables_}\n", encoding="utf-8")
        with pytest.raises(ConfigError) as error:
            load_suite(str(path))
        assert str(error.value).startswith(f"{path}:{len(text.splitlines()) + 1}: tables") and words in str(error.value)


def test_other_tables_are_no_other_job(tmp_path):
    path = tmp_path / "mine.yaml"
    text = (ROOT / "dirbench/benchmarks/suites/celeba_subsets.yaml").read_text(encoding="utf-8")
    jobs = []
    for more in ("", "tables: [headline]\n"):
        path.write_text(text + more, encoding="utf-8")
        jobs.append(Job(load_suite(str(path)), load_profile("smoke"), "cpu", "store"))
    assert [job.suite.tables for job in jobs] == [None, ["headline"]] and jobs[0].digest() == jobs[1].digest()


def test_tables_without_any_score_are_not_written_and_the_summary_says_so(tmp_path):
    rows = made_up.rows(**SMALL)
    gone = rows.assign(status="not_applicable", reason="no oracle", value=np.nan, ci_low=np.nan, ci_high=np.nan)
    names = {path.stem for path in made(tmp_path, gone)}
    assert names == {"costs", "summary"}
    text = (tmp_path / "summary.md").read_text()
    (line,) = [line for line in text.splitlines() if "Not written, as no cell of them has a score" in line]
    assert "headline_pairs" in line and line.endswith("more.")


def test_rows_and_columns_are_in_the_suites_order_and_without_one_in_that_of_the_rows():
    rows = made_up.rows(gans=("full", "female", "male"), methods=("random", "sefa", "xga"))
    order = {"gans": ["male", "female", "full"], "methods": ["xga", "random"], "metrics": ["s_disen", "effect"]}
    source = made_up.source(rows, order=order)
    assert source.in_order("gans", {"full", "female", "male"}) == ["male", "female", "full"]
    assert [e.label() for e in source.entry_order({Entry("sefa"), Entry("random"), Entry("xga"),
                                                   Entry("xga", own_pairing=True)})] \
        == ["xga", "xga (own pairing)", "random", "sefa"]
    assert source.in_order("metrics", ["effect", "entropy", "s_disen"]) == ["s_disen", "effect", "entropy"]
    plain = made_up.source(rows.iloc[::-1], order={})
    assert plain.in_order("methods", ["random", "sefa", "xga"]) == ["xga", "sefa", "random"]


def test_results_name_no_method_metric_or_gan():
    """What a table needs to know of one of them, its class or the suite says. (Columns of rows are no names.)"""
    suite = load_suite("celeba_subsets")
    names = {*METHODS.load_all()[0], *METRICS.load_all()[0], *suite.everyone, suite.zoo} - set(COLUMNS)
    found = []
    folder = ROOT / "dirbench" / "results"
    for path in sorted(folder.rglob("*.py")):
        if {"published", "runs"} & set(path.relative_to(folder).parts):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        texts = {text for text in texts if isinstance(text, str)}
        distinct = {name for name in names if "_" in name}  # others are words of plain English too
        said = {node.body[0].value.value for node in ast.walk(tree) if isinstance(node, DOCUMENTED) and node.body
                and isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)}
        found += [f"{path.name}: {text}" for text in texts - said
                  if text in names or any(re.search(rf"\b{name}\b", text) for name in distinct)]
    assert not found


DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef

"""Rows, tables, exports: the numbers are those of the rows, every spread is its own, nothing is without origin."""

from __future__ import annotations

import io
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from helpers import made_up
from helpers.made_up import GANS, GOOD

from dirbench.results import export, report
from dirbench.results.published import load, xga
from dirbench.results.rows import RowsError, make_rows, read_rows, write_rows
from dirbench.results.source import MixedRows, Source
from dirbench.results.statistics.intervals import clustered_interval
from dirbench.results.table import TABLES, Table, wrap
from dirbench.results.tables import by_client as clients
from dirbench.results.tables import headline as headlines
from dirbench.results.tables.costs import Costs
from dirbench.results.tables.every_pair import matrices

CLIENTS = [wrap(g) for g in GANS[1:]]
NO_CELLS = made_up.cells().iloc[:0]


@pytest.fixture(scope="module")
def rows():
    return made_up.rows(seeds=(0, 1))


@pytest.fixture(scope="module")
def source(rows):
    return made_up.source(rows, provenance={"commit": "abc1234"}, zoo="mini zoo (rendered faces)")


def by_client(source, metric):
    (table,) = clients.by_client(source, metric)
    return table


def headline(source, kind):
    (table,) = headlines.headline(source, kind)
    return table


def tables(source, name):
    """{name: table} of a kind."""
    return {table.name: table for table in TABLES.get(name)().tables(source, NO_CELLS)}


def values(rows, method, metric="alignment", protocol="greedy", reference="full"):
    own = rows[(rows["method"] == method) & (rows["metric"] == metric) & (rows["protocol"] == protocol)
               & (rows["reference"] == reference) & (rows["client"] != "full_b")]
    return own.groupby("client")["value"].mean()


# -- rows --------------------------------------------------------------------------------------------------------
def test_rows_come_back_from_disk_bit_for_bit(tmp_path, rows):
    back = read_rows(write_rows(rows, tmp_path / "run" / "rows.csv"))
    pd.testing.assert_frame_equal(back, rows, check_exact=True)
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["rows.csv"]


@pytest.mark.parametrize(("change", "sentence"), [
    ({"value": float("nan")}, "an ok row has a finite value"),
    ({"value": float("inf")}, "an ok row has a finite value"),
    ({"status": "failed", "value": None}, "without a reason"),
    ({"status": "failed", "reason": "NaN"}, "leave it empty"),
    ({"status": "done"}, "status is 'done'; it is one of ok, failed, not_applicable"),
    ({"protocol": "a/b"}, "protocol is 'a/b'"),
    ({"method": ""}, "column 'method' is empty"),
    ({"ci_low": 0.7, "ci_high": 0.6}, "ci_low 0.7 is above ci_high 0.6"),
    ({"seed": "one"}, "column 'seed' holds something that is no whole number ('one')"),
    ({"score": 1}, "no column 'score'")])
def test_rows_that_cannot_be_are_refused_with_a_sentence(change, sentence):
    assert len(make_rows([GOOD])) == 1
    with pytest.raises(RowsError, match=re.escape(sentence)):
        make_rows([{**GOOD, **change}])


def test_the_same_number_twice_is_refused():
    with pytest.raises(RowsError, match=r"another row with the same .*seed"):
        make_rows([GOOD, {**GOOD, "value": 0.6}])
    assert len(make_rows([GOOD, {**GOOD, "seed": 1}])) == 2


def test_a_foreign_file_is_refused_by_name(tmp_path):
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    with pytest.raises(RowsError, match=r"rows.csv: not a rows file"):
        read_rows(tmp_path / "rows.csv")


# -- the paper's tables ------------------------------------------------------------------------------------------
def test_table_5_has_the_rows_numbers_in_the_papers_layout(source, rows):
    table = by_client(source, "alignment")
    assert table.name == "table5_alignment"
    assert list(table.cells.columns[:7]) == CLIENTS
    assert list(table.cells.index) == ["random", "coordinate", "ganspace", "latentclr †", "sefa", "xga †",
                                       "xga (own pairing) †", "interfacegan"]
    own = values(rows, "sefa")
    assert table.cells.loc["sefa", CLIENTS].tolist() == [f"{own[g]:.3f}" for g in GANS[1:]]
    mean, low, high = (getattr(clustered_interval({("full", g): own[g] for g in own.index}), f)
                       for f in ("mean", "low", "high"))
    digits = 3 if high - low < 0.05 else 2
    assert table.cells.loc["sefa", "mean\n[95%, GANs]"].startswith(f"{mean:.3f} [{low:.{digits}f}, {high:.{digits}f}]")


def test_intervals_of_means_end_where_the_metrics_range_ends(rows):
    extreme = rows.copy()
    shares = (extreme["metric"] == "attribute_recovery") & (extreme["status"] == "ok")
    extreme.loc[shares, "value"] = (extreme.loc[shares, "client"] == "male").astype(float)
    means = by_client(made_up.source(extreme), "attribute_recovery").data.query("client == 'mean'")
    assert (means["low"] == 0).any() and (means["low"].dropna() >= 0).all()


def test_every_spread_is_in_a_column_of_its_own(source, rows):
    table = by_client(source, "alignment")
    line = table.data[(table.data["method"] == "sefa") & (table.data["client"] == "mean")].iloc[0]
    own = rows[(rows["method"] == "sefa") & (rows["metric"] == "alignment") & (rows["protocol"] == "greedy")
               & (rows["reference"] == "full") & (rows["client"] != "full_b")]
    per_seed = own.groupby("seed")["value"].mean()
    assert line["seed_sd"] == pytest.approx(per_seed.std(ddof=1))
    assert line["latents_half"] == pytest.approx(0.03)
    assert line["high"] - line["low"] != pytest.approx(2 * line["latents_half"])
    assert table.cells.loc["sefa", "± seeds"] == f"{per_seed.std(ddof=1):.3f}"
    one = Source(made_up.rows(seeds=(0,)), made_up.METRICS)
    assert "± seeds" not in by_client(one, "alignment").cells.columns


def test_effect_has_a_column_but_in_its_own_table(source):
    assert "effect\n(mean)" in tables(source, "by_gan")["by_gan_deviation"].cells.columns
    assert "effect\n(mean)" not in tables(source, "by_gan")["by_gan_effect"].cells.columns


def test_the_difference_to_random_is_paired_by_cell(source, rows):
    table = by_client(source, "alignment")
    line = table.data[(table.data["method"] == "latentclr") & (table.data["client"] == "mean")].iloc[0]
    difference = (values(rows, "latentclr") - values(rows, "random")).dropna()
    assert len(difference) == 6  # no_hats failed: random's own no_hats must not count
    assert line["over_baseline"] == pytest.approx(difference.mean())
    assert table.cells.loc["random", "minus random\n[95%, GANs]"] == ""
    assert table.cells.loc["xga (own pairing) †", "minus random\n[95%, GANs]"] == "–"


def test_failures_gaps_and_short_training_are_marked_and_explained(source):
    table = by_client(source, "attribute_recovery")
    assert table.cells.loc["latentclr †", "no_hats"] == "failed [a]"
    assert table.cells.loc["latentclr †", "clients\nscored"] == "6/7"
    assert any(n.startswith("[a] failed: latentclr: the loss became NaN") for n in table.notes)
    assert any("latentclr 300 of 10,000 steps" in n and "xga 200 of 10,000 steps" in n for n in table.notes)
    matrix = next(t for t in matrices(source, "attribute_recovery") if t.name.endswith("_sefa"))
    assert matrix.cells.loc["male", "full"] == "–"
    assert any(n.startswith("– not applicable") for n in matrix.notes)


def test_a_seed_that_failed_is_named_where_others_gave_a_value(rows):
    some = rows.copy()
    mask = (some["method"] == "sefa") & (some["seed"] == 1) & (some["client"] == "male")
    some.loc[mask, ["value", "ci_low", "ci_high"]] = np.nan
    some.loc[mask, ["status", "reason"]] = ["failed", "disk full"]
    table = by_client(made_up.source(some), "alignment")
    assert re.fullmatch(r"0\.\d{3} \[b\]", table.cells.loc["sefa", "male"])
    assert any("1 of 2 seeds: disk full" in n for n in table.notes)


def test_the_alignment_matrix_is_the_upper_triangle_whichever_way_a_pair_was_run(source, rows):
    table = next(t for t in matrices(source, "alignment") if t.name == "pairs_alignment_ganspace")
    assert list(table.cells.index) == list(GANS[:-1]) and list(table.cells.columns) == CLIENTS
    filled = table.cells.to_numpy() != ""
    assert (filled == np.triu(np.ones((7, 7), bool))).all()
    turned = rows.copy()
    mask = (turned["reference"] == "female") & (turned["client"] == "male") & (turned["metric"] == "alignment")
    turned.loc[mask, ["reference", "client"]] = ["male", "female"]
    again = next(t for t in matrices(made_up.source(turned), "alignment") if t.name == table.name)
    pd.testing.assert_frame_equal(again.cells, table.cells)


def test_the_recovery_matrix_has_references_in_lines_and_clients_in_columns(source, rows):
    table = next(t for t in matrices(source, "attribute_recovery") if t.name.endswith("_sefa"))
    assert list(table.cells.index) == list(GANS)
    own = values(rows, "sefa", "attribute_recovery", reference="male")
    assert table.cells.loc["male", "no_hats"] == f"{own['no_hats']:.3f}"
    assert all(table.cells.iloc[i, i] == "" for i in range(8))


def test_a_method_run_with_one_reference_has_no_matrix(source):
    assert not any("xga" in t.name for t in matrices(source, "alignment"))


def test_variants_pairings_and_extractors_are_told_apart():
    base = {**GOOD, "method": "xga"}
    rows = make_rows([{**base, "variant": "kliep", "extractor": "a", "value": 0.1},
                      {**base, "variant": "kliep", "extractor": "b", "value": 0.2},
                      {**base, "protocol": "index", "value": 0.3}, {**base, "value": 0.4}])
    table = by_client(made_up.source(rows), "alignment")
    assert table.cells["male"].to_dict() == {"xga": "0.400", "xga (own pairing)": "0.300", "xga[kliep] (a)": "0.100",
                                             "xga[kliep] (b)": "0.200"}


# -- headline and control ------------------------------------------------------------------------------------------
def test_the_headline_compares_methods_over_the_same_pairs(source, rows):
    table = headline(source, "pair")
    cell = table.cells.loc["sefa", "alignment ↑"]
    over_seven = values(rows, "sefa").mean()  # xga ran on these seven only
    over_all = rows[(rows["method"] == "sefa") & (rows["metric"] == "alignment") & (rows["protocol"] == "greedy")
                    & (rows["client"] != "full_b")]["value"].mean()
    assert cell.startswith(f"{over_seven:.3f} ") and f"{over_seven:.3f}" != f"{over_all:.3f}"
    assert any("over the pairs that every method was run on and that have the score (7)" in n for n in table.notes)
    assert table.cells.loc["chance", "alignment ↑"] == "0.340 [0.26, 0.42]"
    assert table.cells.loc["chance (own pairing)", "alignment ↑"] == "0.020 [-0.06, 0.10]"
    assert "(6/7) [a]" in table.cells.loc["latentclr †", "alignment ↑"]


def test_all_scores_has_the_headline_and_below_it_the_difference_to_random(source, rows):
    table, pairs = tables(source, "all_scores")["all_scores"], headline(source, "pair")
    gans = headline(source, "single")
    assert list(table.cells.columns) == [*pairs.cells.columns, *gans.cells.columns]
    for part in (pairs, gans):
        for label in part.cells.index:
            for column in part.cells.columns:
                assert table.cells.loc[label, column].split("\n")[0] == part.cells.loc[label, column]
    over = (values(rows, "sefa") - values(rows, "random")).mean()
    assert table.cells.loc["sefa", "alignment ↑"].split("\n")[1].startswith(f"{over:+.3f} [")
    assert "\n" not in "".join([*table.cells.loc["random"], *table.cells.loc["chance"]])
    assert "<br>" in export.to_markdown(table).split("| sefa |")[1].splitlines()[0]
    assert not tables(made_up.source(rows[rows["method"] != "random"]), "all_scores")


@pytest.mark.parametrize(("metric", "value", "marked"), [
    ("alignment", 0.3, True), ("alignment", 0.1, True), ("alignment", 0.5, False),
    ("off_target_recovery", 0.3, True), ("off_target_recovery", 0.1, False), ("off_target_recovery", 0.5, True)])
def test_what_is_no_better_than_chance_is_marked_by_the_metrics_direction(metric, value, marked):
    rows = make_rows([{**GOOD, "metric": metric, "value": value, "chance": 0.3, "chance_low": 0.2, "chance_high": 0.4}])
    cells = by_client(made_up.source(rows), metric).cells
    assert cells.loc["sefa", "mean\n[95%, GANs]"] == f"{value:.3f}" + ("°" if marked else "")


def test_the_control_gan_is_in_the_control_table_alone():
    rows = made_up.rows(gans=("full", "female", "male", "full_b"), methods=("random", "sefa", "xga"))
    made = report.report(made_up.source(rows), made_up.cells())
    assert not made.notes
    for title, listed in made.chapters.items():
        for table in listed:
            assert ("full_b" in export.to_text(table)) == (title == "Control"), table.name
            assert title in ("Control", "Cost") or not (table.data == "full_b").any().any(), table.name


def test_the_baseline_check_counts_by_how_much_luck_a_score_leaves_its_band():
    """Random's mean against planted random runs: in the band, outside one's own, outside what all scores allow."""
    rng = np.random.default_rng(0)
    rows = made_up.rows(methods=("random", "sefa"))
    pairs = sorted(set(rows.loc[rows["reference"] != "full_b", ["reference", "client"]].itertuples(index=False,
                                                                                                  name=None)))
    runs = {gans: {"alignment/greedy": rng.normal(0.34, 0.02, size=(9,) * len(gans)).tolist()}
             for gans in (tuple(g for g in pair if g) for pair in pairs)}
    own = (rows["method"] == "random") & (rows["metric"] == "alignment") & (rows["protocol"] == "greedy")

    def check(source):
        return tables(source, "baseline_check").get("baseline_check")

    def verdict(value):
        found = check(made_up.source(rows.assign(value=rows["value"].mask(own, value)), random_runs=runs))
        assert list(found.cells.index) == ["alignment ↑"]
        return found, found.data.iloc[0]

    table, at = verdict(0.34)
    assert at["joint_low"] < at["chance_low"] < at["chance"] < at["chance_high"] < at["joint_high"]
    assert at["verdict"] == "inside" and "in 1 of 1" in table.notes[0]
    table, at = verdict((at["chance_high"] + at["joint_high"]) / 2)
    assert at["verdict"] == "outside its own" and "in 0 of 1" in table.notes[0]
    assert verdict(2 * at["joint_high"])[1]["verdict"] == "outside both"
    assert check(made_up.source(rows)) is None  # no random runs are stored
    assert check(made_up.source(rows[rows["method"] != "random"], random_runs=runs)) is None


def test_the_control_table_sets_false_positives_against_the_real_clients(source, rows):
    table = tables(source, "control")["control_full_full_b"]
    own = rows[(rows["client"] == "full_b") & (rows["protocol"] == "greedy") & (rows["method"] == "sefa")]
    false = own[own["metric"] == "off_target_recovery"]["value"].mean()
    assert table.cells.loc["sefa", "off_target_\nrecovery ↓\ncontrol"].startswith(f"{false:.3f} ")
    assert table.cells.loc["sefa", "margin"] == f"{values(rows, 'sefa', 'attribute_recovery').mean() - false:+.3f}"
    assert not any("attribute_\nrecovery ↑\ncontrol" in c for c in table.cells.columns)  # nothing is missing there


def test_one_pair_has_no_interval_over_gans():
    table = by_client(made_up.source(made_up.rows(gans=("full", "no_hats"), methods=("random", "sefa"))),
                      "alignment")
    assert re.fullmatch(r"0\.\d{3}°?", table.cells.loc["sefa", "mean\n[95%, GANs]"])


def test_rows_of_two_versions_never_share_a_table(rows):
    with pytest.raises(MixedRows, match="one suite, version"):
        Source(pd.concat([rows, rows.assign(version=2)]))


def test_costs_add_up():
    source = made_up.source(made_up.rows(gans=("full", "male")), order={"methods": ("random", "latentclr", "sefa")})
    (table,) = Costs().tables(source, made_up.cells())
    total = table.data[table.data["kind"] == "total"].iloc[0]
    assert total["seconds"] == pytest.approx(made_up.cells()["seconds"].sum())
    assert total["images"] == made_up.cells()["images"].sum() and total["failed"] == 1
    assert total["cached"] == 8 and table.cells.loc["pool", "from the\nstore"] == "8"
    assert list(table.cells.index[:3]) == ["pool", "directions random", "directions latentclr"]
    with pytest.raises(RowsError, match="lack the columns seconds"):
        Costs().tables(source, made_up.cells().drop(columns="seconds"))


# -- exports -----------------------------------------------------------------------------------------------------
NASTY = Table("nasty", "100% of a_b & c # $ ~ ^ {x} \\ <y> ↑", pd.DataFrame(
    {"col_1\nlow": ["–", "[0.1]"], "b|c": ["0.5°", "± 1 †"]}, index=pd.Index(["no_hats", "x*y"], name="method")),
    pd.DataFrame({"value": [1 / 3]}), "mini zoo (rendered faces) · 5%", ("a note_with 日本 …",))


def test_csv_keeps_every_digit_below_the_line_that_says_what_made_it(source):
    table = by_client(source, "alignment")
    text = export.to_csv(table)
    assert text.splitlines()[0].startswith("# ") and "mini zoo (rendered faces)" in text.splitlines()[0]
    back = pd.read_csv(io.StringIO(text), comment="#")
    np.testing.assert_allclose(back["value"], table.data["value"], rtol=1e-15)
    assert export.to_csv(NASTY).endswith(f'"value"\n{1 / 3!r}\n')


def test_markdown_has_as_many_cells_in_every_line(source):
    for table in (NASTY, by_client(source, "alignment"), headline(source, "single")):
        lines = [line for line in export.to_markdown(table).splitlines() if line.startswith("|")]
        assert len(lines) == len(table.cells) + 2
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {len(table.cells.columns) + 2}
    assert "col_1<br>low" in export.to_markdown(NASTY) and "x\\*y" in export.to_markdown(NASTY)


def test_latex_escapes_what_latex_would_trip_over(source):
    text = export.to_latex(NASTY)
    body = text.split("\\begin{table}")[1]
    assert r"no\_hats & -- & 0.5$^\circ$ \\" in body and r"x*y & {}[0.1] &" in body
    assert r"100\% of a\_b \& c \# \$ \textasciitilde{}" in body
    assert all(ord(c) < 128 or c.isalpha() for c in text) and r"\dirbenchtext{日本}{65E5}{65E5 672C}" in body
    for table in (NASTY, by_client(source, "alignment")):
        text = export.to_latex(table)
        assert sorted(re.findall(r"\\begin{(\w+)}", text)) == sorted(re.findall(r"\\end{(\w+)}", text))
        inside = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
        assert len(inside) == len(table.cells)
        assert all(len(re.findall(r"(?<!\\)&", line)) == len(table.cells.columns) for line in inside)


@pytest.mark.parametrize("engine", ["pdflatex", "xelatex", "lualatex"])
def test_latex_compiles_by_itself_and_inside_a_paper(tmp_path, source, engine):
    if shutil.which(engine) is None:
        pytest.skip(f"{engine} is not installed")
    for table in (NASTY, by_client(source, "alignment")):
        export.write_table(table, tmp_path)
    (tmp_path / "paper.tex").write_text("\n".join([
        r"\documentclass[twocolumn]{article}", r"\usepackage{booktabs,graphicx}", r"\begin{document}", "Before.",
        r"\listoftables", r"\input{table5_alignment.tex}", r"\input{nasty.tex}", "After.", r"\end{document}"]))
    for name in ("nasty", "table5_alignment", "paper", "paper"):  # twice: the list of tables is read the second time
        done = subprocess.run([engine, "-interaction=nonstopmode", "-halt-on-error", name], cwd=tmp_path,
                              capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0 and (tmp_path / f"{name}.pdf").is_file(), done.stdout[-2000:]


# -- published numbers -------------------------------------------------------------------------------------------
def test_published_tables_repeat_the_paper():
    four, five = xga.paper_table(4), xga.paper_table(5)
    assert four.cells.loc["xga_advbn_resnet50", CLIENTS].tolist() == ["1.000", "1.000", "0.250", "1.000", "0.063",
                                                                      "0.183", "0.401"]
    assert five.cells.loc["sefa", CLIENTS].tolist() == ["0.413", "0.458", "0.372", "0.374", "0.314", "0.387", "0.355"]
    for table in (four, five, xga.means()):
        assert xga.LABEL in table.title and "mini zoo" not in export.to_text(table)
    matrix = xga.matrix("attribute_recovery", "sefa")
    assert matrix.cells.loc["female", "no_hats"] == "1.000" and matrix.cells.loc["female", "female"] == ""
    assert xga.matrix("alignment", "voynov").cells.shape == (7, 7)
    with pytest.raises(ValueError, match="no published pairwise table"):
        xga.matrix("alignment", "xga")


def test_no_published_row_is_taken_for_one_of_ours_unless_a_map_says_so():
    assert set(xga.PUBLISHED_AS.values()) == {None}
    assert set(xga.PUBLISHED_AS) == set(load("xga_pairwise")["method"])
    assert "our row" not in xga.paper_table(4).cells.columns
    table = xga.paper_table(4, {"hessian": ("hessian-xga-release", "", "resnet50")})
    assert table.cells["our row"].to_dict() == dict.fromkeys(table.cells.index, "") | {
        "hessian": "hessian-xga-release (resnet50)"}

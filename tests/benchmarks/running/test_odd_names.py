"""Names as people have them, in all that is written of a run: each is there whole, and breaks no table or figure."""

from __future__ import annotations

import io
import re
import warnings

import pandas as pd
import pytest
from helpers import made_up
from helpers.made_up import GOOD

from dirbench.results import export, report
from dirbench.results.figures import sheets
from dirbench.results.figures.glyphs import drawable
from dirbench.results.figures.summary import summary_figure
from dirbench.results.latex import latex
from dirbench.results.rows import make_rows
from dirbench.results.source import Source
from dirbench.results.table import Table
from dirbench.results.tables.by_gan import ByGan

NAMES = ("a_b", "_x_", "50%", "R&D", "run#3", "#1", "$5 or $6", "{x}", "~", "^", "back\\slash", "<b>", "a|b", "*bold*",
         "`code`", "two\nlines", "tab\there", "a,b", 'say "so"', "it's", "=1+1", "-3", "[a](b)", "[c]", "x" * 300,
         "None", "NA", "nan", "007", "άλφα", "βήτα", "мир", "中文", "שלום", "😀", "e\u0301", "zero\u200bwidth", "é",
         "--d--", "effect", "clients", "GANs", "chance", "mean")


@pytest.fixture(scope="module")
def source() -> Source:
    """GANs of every name; a method with variants of some."""
    rows = [{**GOOD, "metric": metric, "protocol": "headline", "reference": name, "client": "", "method": method,
             "variant": variant, "value": number / 100, "effect": 0.5}
            for number, name in enumerate(NAMES) for metric in ("deviation", "n_discov")
            for method, variant in (("random", ""), ("chance", ""), ("sefa", ""), ("sefa", NAMES[number]))]
    return made_up.source(make_rows(rows))


def by_gan(source: Source) -> Table:
    return ByGan().tables(source, made_up.cells().iloc[:0])[0]


def test_every_name_comes_back_from_a_csv_as_its_docstring_reads_it(source):
    table = by_gan(source)
    text = export.to_csv(table)
    assert 'comment="#", keep_default_na=False, na_values=""' in export.to_csv.__doc__
    back = pd.read_csv(io.StringIO(text), comment="#", keep_default_na=False, na_values="", dtype={"variant": str})
    assert len(back) == len(table.data) and set(NAMES) <= set(back["reference"]) and set(NAMES) <= set(back["variant"])
    assert back["value"].tolist() == table.data["value"].tolist()


def test_no_name_breaks_a_line_of_markdown(source):
    text = export.to_markdown(by_gan(source))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


@pytest.mark.parametrize(("name", "written"), [
    ("a_b_c", "a_b_c"), ("_x_", r"\_x\_"), ("*b*", r"\*b\*"), ("`c`", r"\`c\`"), ("$1$", r"\$1\$"), ("a|b", r"a\|b"),
    ("<b>", "&lt;b>"), ("&lt;", "&amp;lt;"), ("R&D", "R&amp;D"), ("~~no~~", r"\~\~no\~\~"), ("[a](b)", r"[a\](b)"),
    ("0.5 [0.1, 0.9] [a]", "0.5 [0.1, 0.9] [a]"), ("a\\b", r"a\\b")])
def test_markdown_shows_a_name_as_it_is(name, written):
    assert export.markdown(name) == written


@pytest.mark.parametrize("name", ["άλφα", "βήτα", "мир", "中文", "שלום", "😀", "é", "naïve"])
def test_latex_keeps_names_of_every_script(name):
    assert name in latex(name)
    text = export.to_latex(Table("t", "t", pd.DataFrame({name: ["1"]}, index=["x"]), pd.DataFrame(), "", ()))
    assert name in text and (r"\def\dirbenchcodes" in text) == any(ord(c) > 255 for c in name)


@pytest.mark.parametrize("text", ["--", "---", "''", ",,"])
def test_latex_makes_no_ligature_of_a_name(text):
    assert text not in latex(f"a{text}b")


def test_a_gan_named_as_a_column_and_a_method_named_as_a_line_lose_nothing(source):
    table = by_gan(source)
    numbers = {name: f"{i / 100:.3f}" for i, name in enumerate(NAMES)}
    for name in ("effect", "clients", "GANs", "chance", "mean"):
        assert table.cells.loc["sefa", name] == numbers[name]
    assert table.cells.loc["sefa", "GANs\nscored"] == f"{len(NAMES)}/{len(NAMES)}"
    headline = report.report(source, made_up.cells().iloc[:0]).chapters["Headline"][0]
    assert {"chance", "method chance", "random", "sefa"} <= set(headline.cells.index)


def test_tables_of_like_names_are_files_of_their_own(tmp_path):
    rows = make_rows([{**GOOD, "reference": a, "client": b, "variant": variant}
                      for a, b in (("x", "y"), ("y", "z"), ("a", "b_c"), ("a_b", "c"))
                      for variant in ("k=4", "k+4", "K 4", "v" * 300, "v" * 301, "..", "../../up")])
    source = made_up.source(rows, controls=(("a", "b_c"), ("a_b", "c")))
    named = [t.name for listed in report.report(source, made_up.cells().iloc[:0]).chapters.values() for t in listed]
    assert len({name.casefold() for name in named}) == len(named) >= 12
    assert all(re.fullmatch(r"[\w.+-]{1,180}", name) and not name.startswith(".") for name in named)
    paths = report.make_all(tmp_path / "run", rows, made_up.cells().iloc[:0], {}, made_up.METRICS, made_up.METHODS)
    assert all(path.resolve().is_relative_to(tmp_path / "run") for path in paths)


def test_the_figure_takes_every_name_for_text(tmp_path, source):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a glyph that the font lacks is a warning
        assert summary_figure(source, tmp_path / "a.png").is_file()
    assert drawable("a 中\u200b\tb\nάλφα") == "a <4E2D>\u200b b\nάλφα"


def test_a_long_title_of_a_sheet_is_broken_into_lines():
    font = sheets.sheet_font(sheets.TEXT)
    for text in ("word " * 200, "x" * 900, "short", ""):
        lines = sheets._wrapped(text, font, 500)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert max(map(font.getlength, lines)) < 600

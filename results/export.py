"""Writes tables: CSV for machines, Markdown and LaTeX for people, and text for the terminal."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from tabulate import tabulate

from dirbench.files import write_atomically
from dirbench.results.latex import document, latex, latex_caption, latex_cell
from dirbench.results.table import Table

GLOSSARY = "What the words mean: docs/glossary.md of the project."


def write_table(table: Table, folder: Path) -> list[Path]:
    """Writes ``<name>.csv``, ``.md`` and ``.tex`` into ``folder``; returns their paths."""
    paths = []
    page = f"{to_markdown(table)}\n\n{GLOSSARY}\n"
    for suffix, text in (("csv", to_csv(table)), ("md", page), ("tex", to_latex(table))):
        path = Path(folder) / f"{table.name}.{suffix}"
        write_atomically(path, text)
        paths.append(path)
    return paths


def to_csv(table: Table) -> str:
    """The numbers in long form at full precision, under a comment line (``#``) that says what made them.

    Read it with ``pandas.read_csv(path, comment="#", keep_default_na=False, na_values="")``. Every text is quoted, so
    that a "#" in it begins no comment; without the last two arguments a method called "None" or "NA" would be missing.
    """
    head = _line(f"{table.title} | {table.caption}")
    return f"# {head}\n" + table.data.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)


def to_markdown(table: Table, level: int = 3) -> str:
    """A heading, what made the numbers, a pipe table, the notes."""
    header, lines = _grid(table, lambda text: markdown(text).replace("\n", "<br>"))
    columns = len(header)
    rule = ["---"] + ["---:"] * (columns - 1)
    out = [f"{'#' * level} {markdown(table.title)}", ""]
    if table.caption:
        out += [f"*{markdown(table.caption)}*", ""]
    out += ["| " + " | ".join(row) + " |" for row in (header, rule, *lines)]
    if table.notes:
        out += ["", *(f"- {markdown(_line(note))}" for note in table.notes)]
    return "\n".join(out)


def to_latex(table: Table) -> str:
    """A booktabs table, shrunk to the page where it is wider; compiles by itself and can be ``\\input`` as well."""
    header, lines = _grid(table, latex_cell)
    body = "\n".join([r"\toprule", " & ".join(header) + r" \\", r"\midrule",
                      *(" & ".join(row) + r" \\" for row in lines), r"\bottomrule"])
    notes = "\n".join(rf"\par\footnotesize {latex(_line(note))}" for note in table.notes)
    caption = ". ".join(part for part in (table.title, table.caption) if part) + "."
    return document(f"\\begin{{table}}[t]\n\\centering\n{latex_caption(_line(caption))}\\medskip\n"
                    f"\\resizebox{{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}}{{!}}{{%\n"
                    f"\\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}\n{body}\n\\end{{tabular}}}}\n"
                    f"\\par\\medskip\\begin{{minipage}}{{\\linewidth}}\n{notes}\n\\end{{minipage}}\n"
                    f"\\end{{table}}\n")


def to_text(table: Table) -> str:
    """The table for a terminal."""
    header, lines = _grid(table, str)
    align = ("left", *["right"] * (len(header) - 1))
    grid = tabulate(lines, header, tablefmt="simple", colalign=align, disable_numparse=True)
    head = [table.title, table.caption] if table.caption else [table.title]
    return "\n".join([*head, "", grid, *(f"  {_line(note)}" for note in table.notes)])


def markdown(text: str) -> str:
    """``text`` with every character escaped that Markdown, with GitHub's tables and formulas, would take for more."""
    text = re.sub(r"&(?=[#\w])", "&amp;", text)
    text = re.sub(r"([\\|*`$])", r"\\\1", text).replace("<", "&lt;")
    # In the middle of a word an underscore is itself; a bracket is a link only before a parenthesis or a colon.
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])|~(?=~)|(?<=~)~", r"\\\g<0>", text)
    return re.sub(r"\](?=[(:\[])", r"\\]", text)


def _grid(table: Table, clean) -> tuple[list[str], list[list[str]]]:
    header = [clean(str(table.cells.index.name or "")), *(clean(str(c)) for c in table.cells.columns)]
    lines = [[clean(str(label)), *(clean(str(cell)) for cell in row)]
             for label, row in zip(table.cells.index, table.cells.itertuples(index=False, name=None))]
    return header, lines


def _line(text: str) -> str:
    return " ".join(text.split())

"""Writes tables: CSV for machines, Markdown and LaTeX for people, and text for the terminal."""

from __future__ import annotations

import re
from pathlib import Path

from tabulate import tabulate

from results.store import write_atomically
from results.tables import Table

_LATEX = {"\\": r"\textbackslash{}", "_": r"\_", "&": r"\&", "%": r"\%", "#": r"\#", "$": r"\$", "{": r"\{",
          "}": r"\}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}",
          ">": r"\textgreater{}", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$", "†": r"\dag{}",
          "°": r"$^\circ$", "–": "--", "·": r"$\cdot$", "−": "$-$", "×": r"$\times$", "…": r"\dots{}", "≥": r"$\geq$",
          "≤": r"$\leq$"}

# \@nodocument is \relax once a document has begun: so a file knows whether it is being \input or compiled by itself.
_PREAMBLE = r"""% Compile it as it is, or \input it in a document that loads booktabs and graphicx.
\expandafter\ifx\csname @nodocument\endcsname\relax
\def\dirbenchend{}
\else
\def\dirbenchend{\end{document}}
\documentclass{article}
\usepackage[utf8]{inputenc}
\usepackage[T1]{fontenc}
\usepackage[a4paper,landscape,margin=15mm]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
\pagestyle{empty}
\begin{document}
\fi
"""


def write_table(table: Table, folder: Path) -> list[Path]:
    """Writes ``<name>.csv``, ``.md`` and ``.tex`` into ``folder``; returns their paths."""
    paths = []
    for suffix, text in (("csv", to_csv(table)), ("md", to_markdown(table) + "\n"), ("tex", to_latex(table))):
        path = Path(folder) / f"{table.name}.{suffix}"
        write_atomically(path, text)
        paths.append(path)
    return paths


def to_csv(table: Table) -> str:
    """The numbers in long form at full precision, under a comment line (``#``) that says what made them.

    Read it with ``pandas.read_csv(path, comment="#")``.
    """
    head = _line(f"{table.title} | {table.caption}")
    return f"# {head}\n" + table.data.to_csv(index=False, lineterminator="\n")


def to_markdown(table: Table, level: int = 3) -> str:
    """A heading, what made the numbers, a pipe table, the notes."""
    header, lines = _grid(table, lambda text: _markdown(text).replace("\n", "<br>"))
    columns = len(header)
    rule = ["---"] + ["---:"] * (columns - 1)
    out = [f"{'#' * level} {_markdown(table.title)}", ""]
    if table.caption:
        out += [f"*{_markdown(table.caption)}*", ""]
    out += ["| " + " | ".join(row) + " |" for row in (header, rule, *lines)]
    if table.notes:
        out += ["", *(f"- {_markdown(_line(note))}" for note in table.notes)]
    return "\n".join(out)


def to_latex(table: Table) -> str:
    """A booktabs table, shrunk to the page where it is wider; compiles by itself and can be ``\\input`` as well."""
    header, lines = _grid(table, _latex_cell)
    body = "\n".join([r"\toprule", " & ".join(header) + r" \\", r"\midrule",
                      *(" & ".join(row) + r" \\" for row in lines), r"\bottomrule"])
    notes = "\n".join(rf"\par\footnotesize {latex(_line(note))}" for note in table.notes)
    caption = ". ".join(part for part in (table.title, table.caption) if part) + "."
    return (f"{_PREAMBLE}\\begin{{table}}[t]\n\\centering\n\\caption{{{latex(_line(caption))}}}\\medskip\n"
            f"\\resizebox{{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}}{{!}}{{%\n"
            f"\\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}\n{body}\n\\end{{tabular}}}}\n"
            f"\\par\\medskip\\begin{{minipage}}{{\\linewidth}}\n{notes}\n\\end{{minipage}}\n"
            f"\\end{{table}}\n\\dirbenchend\n")


def to_text(table: Table) -> str:
    """The table for a terminal."""
    header, lines = _grid(table, str)
    align = ("left", *["right"] * (len(header) - 1))
    grid = tabulate(lines, header, tablefmt="simple", colalign=align, disable_numparse=True)
    head = [table.title, table.caption] if table.caption else [table.title]
    return "\n".join([*head, "", grid, *(f"  {_line(note)}" for note in table.notes)])


def latex(text: str) -> str:
    """``text`` with every character that LaTeX would trip over escaped; others outside ASCII and Latin-1 become "?".

    >>> latex("4 ≈ 5")
    '4 ? 5'
    """
    out = (_LATEX.get(c, c if ord(c) < 256 and c.isprintable() else "?") for c in text)
    return re.sub(r"(?<![\w.-])-(?=\d)", "$-$", "".join(out))


def _markdown(text: str) -> str:
    for plain, escaped in (("\\", "\\\\"), ("|", "\\|"), ("*", "\\*"), ("<", "&lt;")):
        text = text.replace(plain, escaped)
    return text


def _latex_cell(text: str) -> str:
    parts = [latex(part) for part in text.split("\n")]
    # A cell that starts with "[" would be read as the optional argument of the line break before it.
    parts = [f"{{}}{part}" if part.startswith(("[", "*")) else part for part in parts]
    return parts[0] if len(parts) == 1 else r"\shortstack[r]{" + r" \\ ".join(parts) + "}"


def _grid(table: Table, clean) -> tuple[list[str], list[list[str]]]:
    header = [clean(str(table.cells.index.name or "")), *(clean(str(c)) for c in table.cells.columns)]
    lines = [[clean(str(label)), *(clean(str(cell)) for cell in row)]
             for label, row in zip(table.cells.index, table.cells.itertuples(index=False))]
    return header, lines


def _line(text: str) -> str:
    return " ".join(text.split())

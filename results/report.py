"""Everything that people read of a run, made again from its stored rows: tables, exports, figures, summary."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from dirbench.errors import at, one_line
from dirbench.files import write_atomically
from dirbench.metric import Metric
from dirbench.names import did_you_mean
from dirbench.results.export import GLOSSARY, markdown, to_markdown, to_text, write_table
from dirbench.results.figure import FIGURES
from dirbench.results.rows import contexts
from dirbench.results.source import Source
from dirbench.results.table import TABLES, Table

Made = TypeVar("Made")
LONGEST = 150  # bytes of a file's stem: most systems take 255, and writing adds some
NAMED = 6  # tables that a sentence names


@dataclass(frozen=True)
class Report:
    """The tables of one context's rows.

    Attributes:
        chapters: by heading; those without tables are left out.
        printed: those that a run prints.
        notes: what is not there, and why, a sentence each.
    """

    chapters: dict[str, list[Table]]
    printed: list[Table]
    notes: list[str]


def make_all(run_dir: Path | str, rows: pd.DataFrame, cells: pd.DataFrame, provenance: Mapping[str, Any],
             metrics: Mapping[str, type[Metric]], methods: Mapping[str, Any]) -> list[Path]:
    """Writes every table (CSV, Markdown, LaTeX), the figures and ``summary.md`` of a run; returns the paths.

    Everything lands in ``run_dir``, in a folder of its own for each suite, version, profile, zoo and oracle if the rows
    are of several. Failed cells are shown, and stop nothing.

    Args:
        rows: as ``dirbench.results.rows`` reads them. cells: the content of ``cells.csv``; may be empty.
        provenance: facts for every caption, as text ({"commit": ..., "torch": ...}). Some are not shown but used:
            "tables", the kinds to make (None for all); "zoo", its title; "reference", "controls" and "order", see
            ``dirbench.results.source.Source``; and "chance", the scores that ``read_random_runs`` gives, for the bands
            of means.
        metrics, methods: {name: class}, from their registries.
    """
    wanted = provenance.get("tables")
    split = sources(rows, cells, provenance, metrics, methods)
    paths = []
    for (context, _), (source, own) in zip(contexts(rows), split, strict=True):
        name = file_name("-".join(str(v) for v in context.values() if v)) if len(split) > 1 else ""
        paths += _write(Path(run_dir) / name, source, report(source, own, wanted))
    return paths


def console_summary(rows: pd.DataFrame, cells: pd.DataFrame, provenance: Mapping[str, Any],
                    metrics: Mapping[str, type[Metric]], methods: Mapping[str, Any]) -> str:
    """What a run prints when it ends: the first tables of each context, as text; arguments as of ``make_all``."""
    made = [report(source, own, provenance.get("tables"))
            for source, own in sources(rows, cells, provenance, metrics, methods)]
    return "\n\n".join([*(to_text(table) for one in made for table in one.printed),
                        *(note for one in made for note in one.notes), GLOSSARY])


def sources(rows: pd.DataFrame, cells: pd.DataFrame, provenance: Mapping[str, Any],
            metrics: Mapping[str, type[Metric]], methods: Mapping[str, Any]) -> list[tuple[Source, pd.DataFrame]]:
    """(what the tables of one context are made from, its cells) for each context in ``rows``; see ``make_all``."""
    facts = dict(provenance)
    facts.pop("tables", None)
    used = {"reference": facts.pop("reference", ""), "order": facts.pop("order", {}),
            "controls": tuple(tuple(pair) for pair in facts.pop("controls", ()))}
    of_one = {"zoo": facts.pop("zoo", ""), "random_runs": facts.pop("chance", {})}  # not of several contexts' rows
    found = contexts(rows)
    if len(found) == 1:
        used |= of_one
    return [(Source(part.reset_index(drop=True), metrics, methods, facts, **used),
             cells[(cells["suite"] == context["suite"]) & (cells["profile"] == context["profile"])])
            for context, part in found]


def report(source: Source, cells: pd.DataFrame, wanted: Sequence[str] | None = None) -> Report:
    """Every table of one context's rows, of the kinds ``wanted`` (None for all that there are).

    A kind that cannot be loaded or fails is named in the notes, and takes no other down. Tables of scores of which none
    exists are counted in the notes.
    """
    kinds, broken = TABLES.load_all()
    notes = [f"Not there: {file}: {why}" for file, why in broken.items()]
    chosen = [kind for name, kind in kinds.items() if wanted is None or name in wanted]
    notes += [f"Not there: {did_you_mean('table', name, list(kinds))}" for name in wanted or () if name not in kinds]
    chapters: dict[str, list[Table]] = {}
    printed: list[Table] = []
    empty: list[str] = []
    taken: set[str] = set()
    for kind in sorted(chosen, key=lambda kind: kind.order):
        made = _tried(notes, f"table {kind.name}", partial(kind().tables, source, cells)) or []
        empty += [table.name for table in made if table.empty]
        shown = [_named_apart(table, taken) for table in made if not table.empty]
        if shown:
            chapters.setdefault(kind.chapter, []).extend(shown)
        printed += shown if kind.printed else []
    if empty:
        more = f" and {len(empty) - NAMED} more" if len(empty) > NAMED else ""
        notes.append(f"Not written, as no cell of them has a score: {', '.join(empty[:NAMED])}{more}.")
    return Report(chapters, printed, notes)


def _tried(notes: list[str], what: str, make: Callable[[], Made]) -> Made | None:
    """What ``make`` returns; None where it fails, with a note why."""
    try:
        return make()
    except Exception as error:  # a stranger's code may raise anything; all else of the run is made nevertheless
        notes.append(f"Not there: {what}: {one_line(error)}{at(error)}")
        return None


def _named_apart(table: Table, taken: set[str]) -> Table:
    """``table`` with a name that is a file's on every system, and that no earlier table (``taken``) has."""
    name = stem = file_name(table.name)
    number = 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem}_{number}"
    taken.add(name.casefold())
    return replace(table, name=name)


def file_name(text: str) -> str:
    """``text`` as a file's stem: letters, digits, "-", "." and "_"; long ones end in a hash of the whole."""
    stem = "".join(c if c.isalnum() or c in "-_." else "_" for c in text).strip("_.")
    if len(stem.encode()) <= LONGEST:
        return stem
    whole = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return stem.encode()[:LONGEST - 9].decode("utf-8", "ignore") + f"_{whole}"


def _write(folder: Path, source: Source, made: Report) -> list[Path]:
    figures, broken = FIGURES.load_all()
    notes = made.notes + [f"Not there: {file}: {why}" for file, why in broken.items()]
    drawn: dict[str, Path] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for name, kind in figures.items():
        path = _tried(notes, f"figure {name}", partial(kind().draw, source, folder / f"{name}.png"))
        drawn |= {kind.title: path} if path else {}
    paths = list(drawn.values())
    lines = [f"# {markdown(source.rows['suite'].iloc[0])}", "", markdown(source.caption()), "", markdown(GLOSSARY), ""]
    lines += [f"![{markdown(title)}]({path.name})\n" for title, path in drawn.items()]
    for title, found in made.chapters.items():
        lines += [f"## {markdown(title)}", ""]
        links = []
        for table in found:
            written = write_table(table, folder / "tables" / table.folder)
            paths += written
            if table.linked:
                links.append(f"- [{markdown(table.title)}]({written[1].relative_to(folder).as_posix()})")
            else:
                lines += [to_markdown(table), ""]
        more = ["More tables:", ""] if links and len(links) < len(found) else []
        lines += [*more, *links, ""]
    lines += ["## What is not here", "", *(f"- {markdown(note)}" for note in notes)] if notes else []
    paths.append(folder / "summary.md")
    write_atomically(paths[-1], "\n".join(lines).rstrip() + "\n")
    return paths

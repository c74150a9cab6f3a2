"""Everything that people read of a run, made again from its stored rows: tables, exports, figure, summary."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from dirbench.files import write_atomically
from dirbench.metric import Metric
from dirbench.results.export import markdown, to_markdown, write_table
from dirbench.results.figures import summary as plots
from dirbench.results.published import tables as published
from dirbench.results.rows import contexts
from dirbench.results.statistics import summary as aggregate
from dirbench.results.tables import headline as overview
from dirbench.results.tables import layout as tables
from dirbench.results.tables.layout import Source, Table

LONGEST = 150  # bytes of a file's stem: most systems take 255, and writing adds some
REFERENCE, CONTROLS = "full", (("full", "full_b"),)


def make_all(run_dir: Path | str, rows: pd.DataFrame, cells: pd.DataFrame, provenance: dict,
             metrics: dict[str, type[Metric]]) -> list[Path]:
    """Writes every table (CSV, Markdown, LaTeX), the figure and ``summary.md`` of a run; returns the paths.

    Everything lands in ``run_dir``, in a folder of its own for each suite, version, profile, zoo and oracle if the rows
    are of several. Failed cells are shown, and stop nothing.

    Args:
        rows: as ``dirbench.results.rows`` reads them. cells: the content of ``cells.csv``; may be empty.
        provenance: facts for every caption, as text ({"commit": ..., "torch": ...}). Two keys are not shown but used:
            "reference", the GAN that paper-shaped tables compare with (default full), and "controls", pairs of GANs
            of the same data, whose second ones stay out of them (default full and full_b). A third, "chance", has
            the null scores that ``dirbench.results.nulls.read_nulls`` gives, for the bands of means.
        metrics: {name: class}, from ``dirbench.metrics.registry.load_all``.
    """
    split = sources(rows, cells, provenance, metrics)
    paths = []
    for (context, _), (source, own) in zip(contexts(rows), split, strict=True):
        name = file_name("-".join(str(v) for v in context.values() if v)) if len(split) > 1 else ""
        paths += _make(Path(run_dir) / name, source, own)
    return paths


def sources(rows: pd.DataFrame, cells: pd.DataFrame, provenance: dict,
            metrics: dict[str, type[Metric]]) -> list[tuple[Source, pd.DataFrame]]:
    """(what the tables of one context are made from, its cells) for each context in ``rows``; see ``make_all``."""
    facts = dict(provenance)
    reference = facts.pop("reference", REFERENCE)
    controls = tuple(tuple(pair) for pair in facts.pop("controls", CONTROLS))
    nulls = facts.pop("chance", {})
    found = contexts(rows)
    return [(Source(part.reset_index(drop=True), metrics, facts, reference, controls, nulls if len(found) == 1 else {}),
             cells[(cells["suite"] == context["suite"]) & (cells["profile"] == context["profile"])])
            for context, part in found]


def all_tables(source: Source, cells: pd.DataFrame) -> dict[str, list[Table]]:
    """Every table of one context's rows, by chapter; chapters without tables are left out."""
    rows = source.rows
    groups = sorted(set(rows["group"]),
                    key=lambda g: (g != aggregate.HEADLINE, g != aggregate.CENTRED, g))

    def every(build, kind: str, group: str) -> list[Table | None]:
        names = sorted(set(aggregate.select(rows, kind, group)["metric"]), key=overview.place)
        return [build(source, metric, group) for metric in names]

    others = [g for g in groups if g != aggregate.HEADLINE]
    chapters: dict[str, Sequence[Table | None]] = {
        "Headline": [overview.headline(source, kind) for kind in ("pair", "single")],
        "All scores": [overview.all_scores(source)],
        "Floor": [overview.floor_check(source)],
        "Control": [overview.control(source, pair) for pair in source.controls],
        f"By client of {source.reference}": every(tables.by_client, "pair", aggregate.HEADLINE),
        "By GAN": every(tables.by_gan, "single", aggregate.HEADLINE),
        "Published numbers": published.published_tables(set(rows["metric"])),
        "Other protocols": [table for group in others for build, kind in ((tables.by_client, "pair"),
                                                                          (tables.by_gan, "single"))
                            for table in every(build, kind, group)],
        "Cost": [overview.costs(cells, source.caption())],
        "Every pair": [table for group in groups for metric in tables.PAPER_TABLE
                       for table in tables.matrices(source, metric, group)]}
    taken: set[str] = set()
    return {title: [_named_apart(t, taken) for t in found] for title, listed in chapters.items()
            if (found := [t for t in listed if t is not None])}


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


def _make(folder: Path, source: Source, cells: pd.DataFrame) -> list[Path]:
    figure = plots.summary_figure(source, folder / "summary.png")
    chapters = all_tables(source, cells)
    paths = [figure] if figure else []
    lines = [f"# {markdown(source.rows['suite'].iloc[0])}", "", markdown(source.caption()), ""]
    if figure:
        lines += [f"![Headline scores]({figure.name})", ""]
    for title, found in chapters.items():
        lines += [f"## {markdown(title)}", ""]
        for table in found:
            place = folder / "tables" / ("pairs" if title == "Every pair" else "")
            written = write_table(table, place)
            paths += written
            if title in ("Every pair", "Other protocols"):  # many: linked rather than shown
                lines.append(f"- [{markdown(table.title)}]({written[1].relative_to(folder).as_posix()})")
            else:
                lines += [to_markdown(table), ""]
        lines.append("")
    paths.append(folder / "summary.md")
    write_atomically(paths[-1], "\n".join(lines).rstrip() + "\n")
    return paths

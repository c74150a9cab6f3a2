"""What the methods say of a control pair, two GANs of the same data: false positives, all of it."""

from __future__ import annotations

import math

import pandas as pd

from dirbench.results.source import Source
from dirbench.results.statistics.summary import Pair, Summary, gaps, long_form
from dirbench.results.table import AT_CHANCE, Table, TableKind, frame_of, number, with_interval
from dirbench.results.tables._footnotes import AT_CHANCE_WORDS, INTERVAL, Footnotes


class Control(TableKind):
    """Each pair metric's score of a control stands beside its mean over the real clients of the reference; a score that
    cannot exist for the control (nothing is missing there) has its real half only."""

    name, chapter, order, printed = "control", "Control", 40, True

    def tables(self, source: Source, cells: pd.DataFrame) -> list[Table]:
        return [table for pair in source.controls for table in _control(source, pair)]


def _control(source: Source, pair: Pair) -> list[Table]:
    rows, real = source.rows, source.plain[source.plain["reference"] == source.reference]
    ours = rows[(rows["reference"] == pair[0]) & (rows["client"] == pair[1])]
    found = {m: own for m in source.in_order("metrics", ours["metric"]) if (own := source.summarise(ours, m, "pair"))}
    if not found:
        return []
    entries = source.entry_order(s.entry for own in found.values() for s in own)
    feet, lines = Footnotes(), {}
    labels = {s.entry: feet.entry(s, entries) for own in found.values() for s in own}
    clients = {m: {s.entry: s for s in source.summarise(real, m, "pair")} for m in found}
    gap = {m: gaps(list(own.values())) for m, own in clients.items()}
    levels = [(of, m) for m in found if (of := source.said(m, "level_of")) in found]
    for entry in entries:
        line: dict[str, str] = {}
        here = {m: next((s for s in own if s.entry == entry), None) for m, own in found.items()}
        for metric, own in found.items():
            name = source.header(metric)
            if any(s.values for s in own):
                line[f"{name}\ncontrol"] = _cell(source, here[metric], feet)
            line[f"{name}\nclients"] = feet.mean_cell(source, clients[metric].get(entry), gap[metric].get(entry, ""))
        for of, level in levels:
            margin = _mean(clients[of].get(entry)) - _mean(here[level])
            line["margin" if len(levels) == 1 else f"margin\nof {of}"] = number(margin, 3, sign=True)
        lines[labels[entry]] = line
    notes = [*feet.notes(), *_notes(source, pair, list(found), levels)]
    return [Table(f"control_{pair[0]}_{pair[1]}", f"Control: {pair[0]} against {pair[1]}, the same data twice",
                  frame_of(lines), long_form([s for own in found.values() for s in own]), source.caption(),
                  tuple(notes))]


def _notes(source: Source, pair: Pair, metrics: list[str], levels: list[tuple[str, str]]) -> list[str]:
    meant = "; ".join(f"{m}: {words}" for m in metrics if (words := source.said(m, "on_control")))
    return [
        f"{pair[0]} and {pair[1]} were trained on the same data with different seeds: nothing is missing or novel "
        "there, so each direction that a method calls so is a false positive, and every method calls some so."
        + (f" There, {meant}." if meant else ""),
        f"control: [95% interval over latents]. clients: mean over the real clients of {source.reference} "
        f"[{INTERVAL}]. {AT_CHANCE_WORDS}",
        *(f"margin: {of} of the clients minus {level} of the control. An audit says something where it is clearly "
          "above 0." for of, level in levels)]


def _mean(s: Summary | None) -> float:
    return s.mean if s else math.nan


def _cell(source: Source, s: Summary | None, feet: Footnotes) -> str:
    cell = next(iter(s.cells.values())) if s else None
    if s is None or cell is None or cell.status != "ok":
        return feet.cell(cell, 3)
    text = with_interval(cell.value, cell.low, cell.high, source.digits(s.metric))
    return text + (AT_CHANCE if source.at_chance(s) else "")

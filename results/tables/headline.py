"""The tables to read first: the headline, the control pair's false positives, and what a run cost."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import pandas as pd

from dirbench.results.rows import RowsError, each
from dirbench.results.statistics import summary as aggregate
from dirbench.results.statistics.summary import CENTRED, HEADLINE, Entry, Summary
from dirbench.results.tables.layout import (
    AT_CHANCE,
    AT_CHANCE_WORDS,
    NOT_RUN,
    Footnotes,
    Source,
    Table,
    frame_of,
    number,
    with_interval,
)

INTERVAL = "95% interval, clustered by GAN, conditional on this zoo, cut to the metric's range"
CONTROLLED = ("alignment", "attribute_recovery", "recovery_specificity", "missing_called", "false_alarms")
ORDER = ("alignment", "attribute_recovery", "recovery_specificity", "missing_called", "false_alarms", "deviation",
         "entropy", "effect", "reliability",
         "dead_directions", "s_disen", "n_discov")
CELL_COLUMNS = ("kind", "method", "reference", "client", "seconds", "images", "status", "reason")


def headline(source: Source, kind: str) -> Table | None:
    """One line a method: the mean of every metric of ``kind`` ("pair" or "single") under its headline protocol, with
    its interval over GANs; the band of chance above them. None where there are no such rows.

    Every method's mean is over the same pairs: those that all of them were run on.
    """
    found = headline_summaries(source, kind)
    if not found:
        return None
    entries = _entries(found)
    feet = Footnotes()
    lines = _lines(source, found, feet)
    what = "pairs" if kind == "pair" else "GANs"
    counts = {m: len({cell for s in own for cell in s.values}) for (m, _), own in found.items()}
    same = len(set(counts.values())) == 1
    over = str(next(iter(counts.values()))) if same else ", ".join(f"{m}: {n}" for m, n in counts.items())
    present = {e.method for e in entries}
    ends = [words for name, words in ((aggregate.FLOOR, "random is the floor"),
                                      (aggregate.CEILING, "interfacegan, which is told the attributes, the ceiling"))
            if name in present]
    notes = [
        *feet.notes(),
        f"Mean [{INTERVAL}] over the {what} that every method was run on and that have the score ({over}); "
        "(a/b): only a of b succeeded. ↑ more is better, ↓ less is better.",
        "chance: random directions through the same protocol, with the band that holds 95% of "
        f"{source.band_words(what[:-1])}." + (f" {' and '.join(ends)}." if ends else "")]
    if any(s.values and not math.isfinite(s.low) for own in found.values() for s in own):
        notes.append("No interval where fewer than three GANs vary.")
    if any(source.at_chance(s) for own in found.values() for s in own):
        notes.append(AT_CHANCE_WORDS)
    if any(group == CENTRED for _, group in found):
        notes.append("centred: with the response that all directions of a GAN share removed; what alignment loses by "
                     "it was not the directions' own.")
    if kind == "pair" and any(e.by_index for e in entries):
        notes.append("by index: the method's own pairing; the other lines are paired greedily on the matching half, "
                     "which favours everyone: compare each with its own chance.")
    data = aggregate.long_form([s for own in found.values() for s in own])
    title = "Headline scores of GAN pairs" if kind == "pair" else "Headline scores of single GANs"
    return Table(f"headline_{what.lower()}", title, frame_of(lines), data, source.caption(), tuple(notes))


def all_scores(source: Source) -> Table | None:
    """One line a method, every headline score of pairs and of single GANs in it: the mean as in ``headline`` and, below
    it, the difference to the random method, paired by GAN. None unless there are two methods, random among them."""
    found = headline_summaries(source, "pair") | headline_summaries(source, "single")
    methods = {s.entry.method for own in found.values() for s in own}
    if aggregate.FLOOR not in methods or len(methods) < 2:
        return None
    feet = Footnotes()
    lines = _lines(source, found, feet, over_random=True)
    notes = [
        *feet.notes(),
        f"First line of a cell: mean [{INTERVAL}]. Second: the same minus the method random, paired by GAN, with its "
        "interval; a pairing by index has none, as random has no such pairing. ↑ more is better, ↓ less is better.",
        "chance: random directions through the same protocol, with the band that holds 95% of "
        f"{source.band_words('pair or GAN')}.",
        AT_CHANCE_WORDS,
        "Methods that search two GANs at once are scored on pairs only."]
    data = aggregate.long_form([s for own in found.values() for s in own])
    return Table("all_scores", "Every method, every headline score", frame_of(lines), data, source.caption(),
                 tuple(notes))


def _entries(found: dict[tuple[str, str], list[Summary]]) -> list[Entry]:
    return aggregate.entry_order(s.entry for own in found.values() for s in own)


def _lines(source: Source, found: dict[tuple[str, str], list[Summary]], feet: Footnotes,
           over_random: bool = False) -> dict[str, dict[str, str]]:
    """{line label: {column: text}}: chance first, then the methods; ``over_random`` adds that to each cell."""
    entries, lines = _entries(found), {}
    for by_index in (False, True):
        if any(e.by_index == by_index for e in entries):
            lines["chance" + (", by index" if by_index else "")] = {
                header(source, m, group): _chance(own, by_index, source.digits(m)) for (m, group), own in found.items()}
    gaps = {column: aggregate.gaps(own) for column, own in found.items()}
    for entry in entries:
        line, label = {}, entry.label(entries)
        for (metric, group), own in found.items():
            s = next((s for s in own if s.entry == entry), None)
            text = _mean_cell(source, s, feet, gaps[metric, group].get(entry, "")) if s or not entry.by_index else ""
            if over_random and s and math.isfinite(s.over_random):
                text += "\n" + feet.over_random(source, s)
            line[header(source, metric, group)] = text
            label = label if s is None else feet.entry(s, entries)
        lines[f"method {label}" if label in lines else label] = line  # a method may be called chance
    return lines


@lru_cache(maxsize=4)
def headline_summaries(source: Source, kind: str) -> dict[tuple[str, str], list[Summary]]:
    """{(metric, group of protocols): summaries}, each over the pairs that every method was run on.

    The headline protocols, and alignment with the directions' common response removed.
    """
    rows, out = source.plain, {}
    for metric in sorted(set(rows["metric"]), key=place):
        for group in (HEADLINE, CENTRED) if metric == "alignment" else (HEADLINE,):
            part = aggregate.select(rows, kind, group, metric)
            own = source.summarise(part, metric, kind, group, aggregate.common_pairs(part))
            if own:
                out[metric, group] = own
    return out


def place(metric: str) -> tuple[int, str]:
    """Sort key of metrics: the known order, then alphabetically."""
    return ORDER.index(metric) if metric in ORDER else len(ORDER), metric


def header(source: Source, metric: str, group: str = HEADLINE) -> str:
    """Column header of a metric, in lines; other groups of protocols than the headline's are named."""
    name = source.arrow(metric).replace("_", "_\n", 1) if len(metric) > 14 else source.arrow(metric)
    return name if group == HEADLINE else f"{name}\n{group}"


def whole_words(text: str) -> str:
    """A ``header`` whose metric is not broken."""
    return text.replace("_\n", "_")


def _chance(summaries: list[Summary], by_index: bool, digits: int) -> str:
    own = [s for s in summaries if s.entry.by_index == by_index and math.isfinite(s.chance)]
    if not own:
        return ""
    mean, low, high = (sum(getattr(s, f) for s in own) / len(own) for f in ("chance", "chance_low", "chance_high"))
    return with_interval(mean, low, high, digits)


def _mean_cell(source: Source, s: Summary | None, feet: Footnotes, gap: str) -> str:
    if s is None:
        feet.marks.add(NOT_RUN)
        return NOT_RUN
    digits = source.digits(s.metric)
    if s.status != "ok":
        return feet.cell(next(c for c in s.cells.values() if c.status == s.status), digits)
    # Where the score does not exist it is nobody's fault and the same for all; a failure must show.
    failed = [c for c in s.cells.values() if c.status == "failed"]
    text = feet.mean(source, s, gap)
    if failed:
        text += f" ({len(s.values)}/{len(s.values) + len(failed)})"
    some_seeds = [c for c in s.cells.values() if c.status == "ok" and c.reason]
    return " ".join([text, *(feet.letter(c.reason) for c in (failed + some_seeds)[:1])])


def floor_check(source: Source) -> Table | None:
    """Is random at chance? Its mean of every headline score against the band of one score, and against the band that
    holds all of them at once: of many scores, some lie outside their own by luck. None without random or stored nulls.
    """
    floors = [(s, group) for kind in ("pair", "single")
              for (_, group), own in headline_summaries(source, kind).items() for s in own
              if s.entry.method == aggregate.FLOOR and not s.entry.variant and s.values]
    coverage = 1 - 0.05 / max(len(floors), 1)  # Bonferroni
    lines, data = {}, []
    for s, group in floors:
        joint = source.chance(s.metric, s.protocol, list(s.values), s.n_seeds, coverage)
        if joint is None or not math.isfinite(joint[1]):
            continue
        digits = source.digits(s.metric)
        verdict = ("inside" if s.chance_low <= s.mean <= s.chance_high else
                   "outside its own" if joint[1] <= s.mean <= joint[2] else "outside both")
        lines[whole_words(header(source, s.metric, group)).replace("\n", " ")] = {
            "random": number(s.mean, digits), "chance": number(s.chance, digits),
            "band of\none score": f"[{number(s.chance_low, digits)}, {number(s.chance_high, digits)}]",
            "band of\nall scores": f"[{number(joint[1], digits)}, {number(joint[2], digits)}]", "random is": verdict}
        data.append({"metric": s.metric, "protocol": s.protocol, "value": s.mean, "chance": s.chance,
                     "chance_low": s.chance_low, "chance_high": s.chance_high, "joint_low": joint[1],
                     "joint_high": joint[2], "verdict": verdict})
    if not lines:
        return None
    inside = sum(row["verdict"] == "inside" for row in data)
    notes = (f"random is inside the band of one score in {inside} of {len(data)}; at chance, 95% of means are "
             f"inside theirs. Each band of the last kind holds {100 * coverage:.1f}% (Bonferroni), so that at "
             "chance all are inside in 95% of runs or more: outside both, suspect the score or its chance.",)
    return Table("floor_check", "Is random at chance?", frame_of(lines).rename_axis("score"), pd.DataFrame(data),
                 source.caption(), notes)


def control(source: Source, pair: tuple[str, str]) -> Table | None:
    """What the methods say of a control pair, two GANs of the same data: false positives, all of it.

    Each score of the control stands beside the mean over the real clients of ``source.reference``; a score that cannot
    exist for the control (nothing is missing there) has its real half only. None without rows of the pair.
    """
    rows, real = source.rows, source.plain[source.plain["reference"] == source.reference]
    ours = rows[(rows["reference"] == pair[0]) & (rows["client"] == pair[1])]
    found = {m: own for m in CONTROLLED if (own := source.summarise(ours, m, "pair"))}
    if not found:
        return None
    entries = aggregate.entry_order(s.entry for own in found.values() for s in own)
    feet, lines, means = Footnotes(), {}, {}
    labels = {s.entry: feet.entry(s, entries) for own in found.values() for s in own}
    clients = {m: {s.entry: s for s in source.summarise(real, m, "pair")} for m in found}
    gaps = {m: aggregate.gaps(list(own.values())) for m, own in clients.items()}
    for entry in entries:
        line: dict[str, str] = {}
        for metric, own in found.items():
            here = next((s for s in own if s.entry == entry), None)
            there = clients[metric].get(entry)
            name = header(source, metric)
            if any(s.values for s in own):
                line[f"{name}\ncontrol"] = _control_cell(source, here, feet)
            line[f"{name}\nclients"] = _mean_cell(source, there, feet, gaps[metric].get(entry, ""))
            means[entry, metric] = (here.mean if here else math.nan, there.mean if there else math.nan)
        margin = means.get((entry, "attribute_recovery"), (0, math.nan))[1] \
            - means.get((entry, "recovery_specificity"), (math.nan, 0))[0]
        line["margin"] = number(margin, 3, sign=True)
        lines[labels[entry]] = line
    notes = [
        *feet.notes(),
        f"{pair[0]} and {pair[1]} were trained on the same data with different seeds: nothing is missing or novel "
        "there, so each direction that a method calls so is a false positive, and every method calls some so. Their "
        "recovery_specificity is how prominently they show attributes that are not missing, their false_alarms how "
        "many attributes an audit would call missing there, naming each unique direction after what it changes most.",
        "control: [95% interval over latents]. clients: mean over the real clients of "
        f"{source.reference} [95% interval over GANs]. {AT_CHANCE_WORDS}",
        "margin: attribute_recovery of the clients minus recovery_specificity of the control. An audit says something "
        "where it is clearly above 0."]
    return Table(f"control_{pair[0]}_{pair[1]}", f"Control: {pair[0]} against {pair[1]}, the same data twice",
                 frame_of(lines), aggregate.long_form([s for own in found.values() for s in own]), source.caption(),
                 tuple(notes))


def _control_cell(source: Source, s: Summary | None, feet: Footnotes) -> str:
    cell = next(iter(s.cells.values())) if s else None
    if s is None or cell is None or cell.status != "ok":
        return feet.cell(cell, 3)
    text = with_interval(cell.value, cell.low, cell.high, source.digits(s.metric))
    return text + (AT_CHANCE if source.at_chance(s) else "")


def costs(cells: pd.DataFrame, caption: str = "") -> Table | None:
    """Time and images by kind of work and method, with a total. None without cells.

    ``cells`` may also have the columns variant and cached (whether the store had it already).

    Raises:
        RowsError: ``cells`` lacks one of ``CELL_COLUMNS``.
    """
    missing = [c for c in CELL_COLUMNS if c not in cells]
    if missing:
        raise RowsError(f"cells lack the columns {', '.join(missing)}; expected {', '.join(CELL_COLUMNS)}")
    if cells.empty:
        return None
    names = zip(cells["method"].fillna(""), cells.get("variant", pd.Series("", cells.index)).fillna(""))
    entries: list[Any] = [Entry(*name) for name in names]
    cells = cells.assign(entry=entries, seconds=pd.to_numeric(cells["seconds"]).fillna(0.0),
                         images=pd.to_numeric(cells["images"]).fillna(0))
    kinds = list(dict.fromkeys(cells["kind"]))
    groups = []
    for kind in kinds:
        part = cells[cells["kind"] == kind]
        groups += [((kind, e.label()), part[part["entry"] == e]) for e in aggregate.entry_order(part["entry"])]
    lines, data = [], []
    for (kind, method), part in [*groups, (("total", ""), cells)]:
        seconds, images = part["seconds"].sum(), int(part["images"].sum())
        failed = int((part["status"] == "failed").sum())
        cached = int((part.get("cached", pd.Series("", part.index)).astype(str) == "True").sum())
        data.append({"kind": kind, "method": method, "cells": len(part), "cached": cached, "failed": failed,
                     "seconds": seconds, "median_seconds": part["seconds"].median(),
                     "longest_seconds": part["seconds"].max(), "images": images})
        lines.append({"work": f"{kind} {method}".strip(), "cells": f"{len(part):,}",
                      "from the\nstore": str(cached or ""), "failed": str(failed or ""),
                      "minutes": number(seconds / 60, 1),
                      "seconds a cell\n(median)": number(part["seconds"].median(), 1),
                      "(longest)": number(part["seconds"].max(), 1), "images": f"{images:,}" if images else ""})
    frame = pd.DataFrame(lines).set_index("work")
    reasons = list(dict.fromkeys(f"{r.kind} {r.method} {'/'.join(filter(None, (r.reference, r.client)))}: {r.reason}"
                                 for r in each(cells) if r.status == "failed"))
    notes = [f"failed: {r}" for r in reasons[:8]] + ([f"… and {len(reasons) - 8} more."] if len(reasons) > 8 else [])
    return Table("costs", "What it cost", frame, pd.DataFrame(data), caption,
                 (*notes, "Seconds: what making the artifacts took, on one worker, also where the store had them "
                          "already and nothing was made again; images: synthesised in this run."))

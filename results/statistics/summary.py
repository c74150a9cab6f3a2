"""From rows to summaries: one score of one method over all its pairs and seeds, with each spread kept apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dirbench.results.rows import each
from dirbench.results.statistics.intervals import ANY, clustered_interval

NAMED = 4  # cells that a note names before it counts
HEADLINE, CENTRED, PUBLISHED = "headline", "centred", "published"
_GROUPS = {"greedy": HEADLINE, "index": HEADLINE, "headline": HEADLINE, "greedy-centred": CENTRED,
           "published-greedy": PUBLISHED, "published-index": PUBLISHED, "published": PUBLISHED}

Pair = tuple[str, str]
Chance = Callable[[str, str, Sequence[Pair], int], "tuple[float, float, float] | None"]


@dataclass(frozen=True)
class Entry:
    """What a table has a line for.

    >>> Entry("sefa", variant="rows").label()
    'sefa[rows]'
    >>> Entry("xga", own_pairing=True).label()
    'xga (own pairing)'
    """

    method: str
    variant: str = ""
    extractor: str = ""
    own_pairing: bool = False

    @property
    def name(self) -> str:
        """``method[variant]``, as a suite calls it."""
        return f"{self.method}[{self.variant}]" if self.variant else self.method

    def label(self, among: Iterable[Entry] = ()) -> str:
        """``method[variant]``; the pairing where it is the method's own, the extractor where ``among`` has several."""
        same = {e.extractor for e in among if e.name == self.name}
        return self.name + (f" ({self.extractor or 'no extractor'})" if len(same) > 1 else "") \
            + (" (own pairing)" if self.own_pairing else "")


@dataclass(frozen=True)
class Cell:
    """One pair (or GAN), seeds averaged. ``value`` is NaN unless ``status`` is ok; ``half`` is half the width of
    the interval over latents; ``reason`` says why something failed, also where other seeds gave a value; ``seeds`` are
    those that gave one."""

    status: str
    value: float = math.nan
    half: float = math.nan
    low: float = math.nan
    high: float = math.nan
    chance: float = math.nan
    chance_low: float = math.nan
    chance_high: float = math.nan
    effect: float = math.nan
    reason: str = ""
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Summary:
    """One metric of one entry.

    Attributes:
        cells: by pair; single-GAN metrics have (gan, "").
        mean, low, high: over the ok cells, with the 95% interval from leaving out one GAN at a time.
        seed_sd: standard deviation over seeds of the mean over pairs; NaN for fewer than two whole seeds.
        half: mean over cells of half the interval over latents.
        chance, chance_low, chance_high: of such a mean, see ``dirbench.results.statistics.chance.band``; without stored
            random runs the mean over cells of each cell's own, whose band is that of one cell.
        over_baseline, over_baseline_low, over_baseline_high: difference to the baseline, paired by cell, with
            its interval.
        shared: the cells that the difference is over: where both have a score.
        baseline_mean: the baseline's mean over them.
        same_as_baseline: whether those are all that either has, so that the difference is that of the two means.
    """

    entry: Entry
    metric: str
    protocol: str
    cells: dict[Pair, Cell]
    mean: float
    low: float
    high: float
    n_seeds: int
    seed_sd: float
    half: float
    chance: float
    chance_low: float
    chance_high: float
    effect: float
    over_baseline: float
    over_baseline_low: float
    over_baseline_high: float
    shared: tuple[Pair, ...]
    baseline_mean: float
    same_as_baseline: bool
    steps: int
    published_steps: int

    @property
    def values(self) -> dict[Pair, float]:
        """Values of the ok cells."""
        return {pair: cell.value for pair, cell in self.cells.items() if cell.status == "ok"}

    @property
    def status(self) -> str:
        """ok if any cell is; else failed if any cell failed; else not_applicable."""
        found = {cell.status for cell in self.cells.values()}
        return next(s for s in ("ok", "failed", "not_applicable") if s in found)


def group_of(protocol: str) -> str:
    """Which protocols stand in one table: a method's own pairing by index beside everybody's greedy one.

    "headline", "centred" or "published"; a protocol of its own (``published-paper``) is its own group.

    >>> group_of("greedy"), group_of("published-index"), group_of("published-paper")
    ('headline', 'published', 'published-paper')
    """
    return _GROUPS.get(protocol, protocol)


def groups_of(protocols: Sequence[str]) -> dict[str, str]:
    """{protocol: group} of one metric's protocols: the first is the headline, whatever it is called.

    No table has two of them for one entry: a protocol whose place is taken is a group of its own.
    """
    groups: dict[str, str] = {}
    taken: set[tuple[str, bool]] = set()
    for i, protocol in enumerate(protocols):
        group, own_pairing = (HEADLINE if i == 0 else group_of(protocol)), protocol.endswith("index")
        groups[protocol] = protocol if (group, own_pairing) in taken else group
        taken.add((groups[protocol], own_pairing))
    return groups


def with_groups(rows: pd.DataFrame, metrics: Mapping[str, Any]) -> pd.DataFrame:
    """``rows`` with a column ``group``, for ``select``; ``metrics`` {name: class} say which protocol is headline."""
    known = {name: groups_of(getattr(cls, "protocols", ())) for name, cls in metrics.items()}
    groups = [known.get(metric, {}).get(protocol, group_of(protocol))
              for metric, protocol in zip(rows["metric"], rows["protocol"])]
    return rows.assign(group=pd.Series(groups, rows.index, object))


def entry_of(row) -> Entry:
    """The entry that a row (anything with the columns as attributes) belongs to."""
    return Entry(row.method, row.variant, row.extractor, row.protocol.endswith("index"))


def without_controls(rows: pd.DataFrame, controls: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Rows that belong in paper-shaped tables: the controls' second GANs (``full_b``) are left out."""
    return rows[~rows["client"].isin(_doubles(controls)) & ~rows["reference"].isin(_doubles(controls))]


def _doubles(controls: Sequence[Sequence[str]]) -> list[str]:
    return [pair[1] for pair in controls]


def select(rows: pd.DataFrame, kind: str, group: str, metric: str | None = None) -> pd.DataFrame:
    """Rows of ``kind`` ("pair" or "single") whose protocol is of ``group``; of one metric, or of all.

    Groups are those of ``with_groups`` where the rows have them.
    """
    groups = rows["group"] if "group" in rows else rows["protocol"].map(group_of)
    mask = (groups == group) & ((rows["client"] != "") == (kind == "pair"))
    return rows[mask if metric is None else mask & (rows["metric"] == metric)]


def common_pairs(rows: pd.DataFrame) -> list[Pair]:
    """Pairs that every entry in ``rows`` was run on, whatever came of it; all pairs if they share none.

    Means over different pairs cannot be compared: a paired method may have run on 7 of 28.
    """
    sets: dict[Entry, set[Pair]] = {}
    for row in each(rows):
        sets.setdefault(entry_of(row), set()).add((row.reference, row.client))
    shared = set.intersection(*sets.values()) if sets else set()
    return sorted(shared or set().union(*sets.values()))


def summarise(rows: pd.DataFrame, metric: str, kind: str, group: str = HEADLINE,
              pairs: Sequence[Pair] | None = None, chance: Chance | None = None,
              bounds: tuple[float, float] = ANY, baseline: str = "") -> list[Summary]:
    """Summaries of ``metric``, one an entry, in the order of the rows.

    Args:
        rows: of one context (see ``dirbench.results.rows.CONTEXT``).
        kind: "pair" or "single".
        group: of protocols, see ``group_of``.
        pairs: the pairs to use; None for all that an entry has.
        chance: gives (level, low, high) of a mean from (metric, protocol, pairs, seeds), or None where it cannot.
        bounds: the values that the metric can take; intervals are cut to them.
        baseline: the method that the others are compared with; empty for none.
    """
    part = select(rows, kind, group, metric)
    if pairs is not None:
        wanted = set(pairs)
        part = part[[pair in wanted for pair in zip(part["reference"], part["client"])]]
    grouped: dict[Entry, list] = {}
    for row in part.itertuples():
        grouped.setdefault(entry_of(row), []).append(row)
    # Only a paired method has a pairing by index; that all others lack one is no line of a table.
    cells = {entry: own for entry, rows_ in grouped.items() for own in [_cells(rows_)]
             if not entry.own_pairing or any(c.status != "not_applicable" for c in own.values())}
    base = {entry.own_pairing: _values(c) for entry, c in cells.items() if entry.name == baseline}
    return [_summary(entry, metric, grouped[entry], own, {} if entry.method == baseline else
                     base.get(entry.own_pairing, {}), chance, bounds) for entry, own in cells.items()]


def _cells(rows: list) -> dict[Pair, Cell]:
    by_pair: dict[Pair, list] = {}
    for row in rows:
        by_pair.setdefault((row.reference, row.client), []).append(row)
    out = {}
    for pair, seeds in by_pair.items():
        ok = [r for r in seeds if r.status == "ok"]
        failed = [r for r in seeds if r.status == "failed"]
        reason = next((r.reason for r in failed or seeds if r.reason), "")
        if ok and failed:
            reason = f"{len(failed)} of {len(seeds)} seeds: {reason}"
        if not ok:
            out[pair] = Cell("failed" if failed else "not_applicable", reason=reason)
            continue
        value, low, high, chance, chance_low, chance_high, effect = (_mean([getattr(r, c) for r in ok]) for c in (
            "value", "ci_low", "ci_high", "chance", "chance_low", "chance_high", "effect"))
        out[pair] = Cell("ok", value, (high - low) / 2, low, high, chance, chance_low, chance_high, effect,
                         reason if failed else "", tuple(sorted(int(r.seed) for r in ok)))
    return out


def _summary(entry: Entry, metric: str, rows: list, cells: dict[Pair, Cell],
             base: dict[Pair, float], chance: Chance | None, bounds: tuple[float, float]) -> Summary:
    values = _values(cells)
    ok = [c for c in cells.values() if c.status == "ok"]
    mean, low, high = interval(values, bounds)
    shared = {pair: v - base[pair] for pair, v in values.items() if pair in base}
    over = interval(shared, (bounds[0] - bounds[1], bounds[1] - bounds[0]))
    per_seed: dict[int, dict[Pair, float]] = {}
    for row in rows:
        if row.status == "ok":
            per_seed.setdefault(int(row.seed), {})[(row.reference, row.client)] = row.value
    level = chance(metric, rows[0].protocol, list(values), max(len(per_seed), 1)) if chance and values else None
    level = level or (_mean(c.chance for c in ok), _mean(c.chance_low for c in ok), _mean(c.chance_high for c in ok))
    whole = [_mean(v.values()) for v in per_seed.values() if len(v) == len(values)]
    return Summary(entry, metric, rows[0].protocol, cells, mean, low, high, len(per_seed),
                   float(np.std(whole, ddof=1)) if len(whole) > 1 else math.nan,
                   _mean([c.half for c in ok]), *level, _mean([c.effect for c in ok]), *over,
                   tuple(shared), _mean(base[pair] for pair in shared), set(shared) == set(values) == set(base),
                   *_steps([r for r in rows if r.status == "ok"] or rows))


def gaps(summaries: Sequence[Summary]) -> dict[Entry, str]:
    """{entry: what its mean is without} of those whose mean is over fewer cells, or seeds, than all have together."""
    every: dict[Pair, set[int]] = {}
    for s in summaries:
        for pair in s.values:
            every.setdefault(pair, set()).update(s.cells[pair].seeds)
    out = {}
    for s in summaries:
        if not s.values:
            continue
        lacking: dict[str, list[Pair]] = {}
        for pair, seeds in every.items():
            absent = seeds - set(s.cells[pair].seeds) if pair in s.values else seeds
            if absent:
                lacking.setdefault("" if pair not in s.values else seed_words(absent), []).append(pair)
        words = [_without(what, pairs, len(every)) for what, pairs in lacking.items()]
        if words:
            out[s.entry] = " and ".join(words)
    return out


def seed_words(seeds: Iterable[int]) -> str:
    """``seed 0`` or ``seeds 0, 1``."""
    listed = ", ".join(map(str, sorted(seeds)))
    return f"{'seeds' if ',' in listed else 'seed'} {listed}"


def _without(what: str, pairs: list[Pair], of: int) -> str:
    if what and len(pairs) == of:
        return f"without {what}"
    named = ", ".join("/".join(filter(None, pair)) for pair in sorted(pairs)[:NAMED])
    named += f" and {len(pairs) - NAMED} more" if len(pairs) > NAMED else ""
    return f"without {what} of {named}" if what else f"without {named} ({of - len(pairs)} of {of})"


def interval(values: dict[Pair, float], bounds: tuple[float, float] = ANY) -> tuple[float, float, float]:
    """(mean, low, high) over pairs or single GANs, leaving out one GAN at a time; NaNs where there are too few."""
    if not values:
        return math.nan, math.nan, math.nan
    found = clustered_interval({(a, b) if b else (a,): v for (a, b), v in values.items()}, bounds)
    return found.mean, found.low, found.high


def _values(cells: dict[Pair, Cell]) -> dict[Pair, float]:
    return {pair: c.value for pair, c in cells.items() if c.status == "ok"}


def _mean(numbers: Iterable[float]) -> float:
    numbers = [float(x) for x in numbers if x == x]
    return float(np.mean(numbers)) if numbers else math.nan


def _steps(rows: list) -> tuple[int, int]:
    """(fewest steps taken, published steps); where nothing is said of steps, none were to be taken."""
    said = [(int(r.steps), int(r.published_steps)) for r in rows
            if not (pd.isna(r.steps) or pd.isna(r.published_steps))]
    return (min(s for s, _ in said), max(p for _, p in said)) if said else (0, 0)


def long_form(summaries: Sequence[Summary]) -> pd.DataFrame:
    """Summaries as numbers: one line a cell and one, with reference and client "mean", for the mean over them.

    ``low`` and ``high`` are the interval over latents in a cell's line and the interval over GANs in a mean's.
    """
    lines = []
    for s in summaries:
        head = {"metric": s.metric, "method": s.entry.method, "variant": s.entry.variant,
                "extractor": s.entry.extractor, "protocol": s.protocol}
        tail = {"steps": s.steps, "published_steps": s.published_steps}
        for (reference, client), c in s.cells.items():
            lines.append({**head, "reference": reference, "client": client, "status": c.status, "value": c.value,
                          "low": c.low, "high": c.high, "interval_over": "latents", "chance": c.chance,
                          "chance_low": c.chance_low, "chance_high": c.chance_high, "effect": c.effect,
                          "reason": c.reason, **tail})
        lines.append({**head, "reference": "mean", "client": "mean", "status": s.status, "value": s.mean,
                      "low": s.low, "high": s.high, "interval_over": "GANs", "chance": s.chance,
                      "chance_low": s.chance_low, "chance_high": s.chance_high, "over_baseline": s.over_baseline,
                      "over_baseline_low": s.over_baseline_low, "over_baseline_high": s.over_baseline_high,
                      "baseline_mean": s.baseline_mean, "over_baseline_cells": len(s.shared),
                      "seeds": s.n_seeds, "seed_sd": s.seed_sd, "latents_half": s.half, "effect": s.effect,
                      "cells_ok": len(s.values), "cells": len(s.cells), **tail})
    return pd.DataFrame(lines)

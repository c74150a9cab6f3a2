"""Tables: views of rows in the shapes of the field's papers, with error bars, chance and what made them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd

from dirbench.metric import Metric
from dirbench.results.rows import contexts
from dirbench.results.statistics import summary as aggregate
from dirbench.results.statistics.chance import band
from dirbench.results.statistics.intervals import ANY
from dirbench.results.statistics.summary import HEADLINE, Cell, Entry, Pair, Summary

NOT_APPLICABLE, NOT_RUN, DAGGER, APART, AT_CHANCE = "–", "·", "†", "‡", "°"
AT_CHANCE_WORDS = (f"{AT_CHANCE} no better than chance: inside its band, or beyond its wrong end. Of the means of a "
                   "method at chance one in twenty lies outside.")
PAPER_TABLE = {"attribute_recovery": "4", "alignment": "5"}
FAILURES_NAMED = 8


class MixedRows(ValueError):
    """Rows of more than one suite, version, profile, zoo or oracle were given for one table."""


@dataclass(frozen=True)
class Table:
    """A table ready to be exported.

    Attributes:
        name: its file's stem.
        title: what it shows, one line.
        cells: text, one column a column; the index holds the line labels. Headers may have line breaks.
        data: the same as plain numbers, in long form.
        caption: what made the numbers.
        notes: what a reader must know, one sentence each.
    """

    name: str
    title: str
    cells: pd.DataFrame
    data: pd.DataFrame
    caption: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)  # many tables share one: what is made of it for all of them is kept by identity
class Source:
    """Rows of one context, and what is needed to lay them out.

    Attributes:
        rows: checked rows; one suite, version, profile, zoo and oracle.
        metrics: {name: class with higher_is_better, bounds and source}, from the metrics' registry.
        provenance: further facts for the caption ({"commit": ..., "torch": ...}).
        reference: the GAN that tables shaped like the paper's have as reference.
        controls: (GAN, its double) pairs; the doubles never enter paper-shaped tables or means.
        nulls: {GANs: {"metric/protocol": null scores}} as ``dirbench.results.statistics.chance.band`` takes them; may be empty.
    Raises:
        MixedRows: rows of several contexts.
    """

    rows: pd.DataFrame
    metrics: dict[str, type[Metric]] = field(default_factory=dict)
    provenance: dict = field(default_factory=dict)
    reference: str = "full"
    controls: tuple[Pair, ...] = (("full", "full_b"),)
    nulls: dict[tuple[str, ...], dict[str, list]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = contexts(self.rows)
        if len(found) > 1:
            listed = "; ".join(", ".join(str(v) for v in context.values()) for context, _ in found)
            raise MixedRows(f"one table is of one suite, version, profile, zoo and oracle; these rows are of {listed}. "
                            "Split them with dirbench.results.rows.contexts")
        object.__setattr__(self, "rows", aggregate.with_groups(self.rows, self.metrics))

    @cached_property
    def plain(self) -> pd.DataFrame:
        """The rows without the controls."""
        return aggregate.without_controls(self.rows, self.controls)

    def caption(self) -> str:
        """What made the numbers: zoo, suite and version, profile, oracle, seeds, provenance."""
        if self.rows.empty:
            return "no rows"
        first = self.rows.iloc[0]
        seeds = ", ".join(str(s) for s in sorted(set(self.rows["seed"])))
        parts = [zoo_words(first["zoo"]), f"suite {first['suite']} version {first['version']}",
                 f"profile {first['profile']}", f"oracle {first['oracle']}" if first["oracle"] else "",
                 f"{'seed' if ',' not in seeds else 'seeds'} {seeds}",
                 *(f"{key} {value}" for key, value in self.provenance.items())]
        return " · ".join(part for part in parts if part)

    def arrow(self, metric: str) -> str:
        """``metric`` with an arrow to where better is, where that is known."""
        if metric not in self.metrics:
            return metric
        return f"{metric} {'↑' if self.metrics[metric].higher_is_better else '↓'}"

    def bounds(self, metric: str) -> tuple[float, float]:
        """The values that ``metric`` can take; any, where that is not known."""
        return getattr(self.metrics.get(metric), "bounds", ANY)

    def summarise(self, rows: pd.DataFrame, metric: str, kind: str, group: str = HEADLINE,
                  pairs: Sequence[Pair] | None = None) -> list[Summary]:
        """``aggregate.summarise`` of some of these rows, with this source's chance and the metric's bounds."""
        return aggregate.summarise(rows, metric, kind, group, pairs, self.chance, self.bounds(metric))

    def chance(self, metric: str, protocol: str, pairs: Sequence[Pair], seeds: int,
               coverage: float = 0.95) -> tuple[float, float, float] | None:
        """(level, low, high) of chance for a mean over ``pairs`` and ``seeds``, with the band that holds ``coverage``
        of such means; None unless every null is stored."""
        asked = (metric, protocol, tuple(pairs), seeds, coverage)
        if asked not in self._chances:
            self._chances[asked] = self._chance(*asked)
        return self._chances[asked]

    @cached_property
    def _chances(self) -> dict[tuple, tuple[float, float, float] | None]:
        return {}

    def _chance(self, metric: str, protocol: str, pairs: Sequence[Pair], seeds: int,
                coverage: float) -> tuple[float, float, float] | None:
        name = f"{metric}/{protocol}"
        stored = {gans: self.nulls.get(gans, {}).get(name) for gans in (tuple(g for g in pair if g) for pair in pairs)}
        cells = {gans: scores for gans, scores in stored.items() if scores is not None}
        if not cells or len(cells) < len(stored):
            return None
        found = band(cells, self.bounds(metric), seeds, coverage=coverage)
        return found.mean, found.low, found.high

    def band_words(self, one: str) -> str:
        """What the band in a table of means is about."""
        return "such means over as many random runs as seeds" if self.nulls else f"them for one {one}"

    def at_chance(self, s: Summary) -> bool:
        """Whether the mean is no better than chance: inside its band, or beyond its wrong end. False without a band."""
        up = getattr(self.metrics.get(s.metric), "higher_is_better", None)
        return bool((s.mean <= s.chance_high or up is False) and (s.mean >= s.chance_low or up is True)
                    and math.isfinite(s.mean) and s.chance_low <= s.chance_high)

    def digits(self, metric: str) -> int:
        """Decimals to show: 3 where most values lie within [-1, 1], 2 up to 100, else 1."""
        size = self.rows.loc[self.rows["metric"] == metric, "value"].abs().median()
        return 2 if 1 < size <= 100 else 1 if size > 100 else 3


def zoo_words(zoo: str) -> str:
    """How a zoo is named in every caption: numbers of rendered faces must never pass for CelebA's.

    >>> zoo_words("mini"), zoo_words("celeba")
    ('mini zoo (rendered faces)', 'zoo celeba')
    """
    if zoo == "mini":
        return "mini zoo (rendered faces)"
    return f"mini zoo (rendered faces), {zoo}" if zoo.startswith("mini") else f"zoo {zoo}"


def wrap(gan: str) -> str:
    """A GAN's name as a column header: one exclusion a line."""
    return gan.replace("_no_", "\nno_")


def number(value: float, digits: int = 3, sign: bool = False) -> str:
    """``value`` as text; empty for NaN; no negative zero.

    >>> number(-0.0001), number(0.5, sign=True), number(float("nan"))
    ('0.000', '+0.500', '')
    """
    if not math.isfinite(value):
        return ""
    text = f"{value:{'+' if sign else ''},.{digits}f}"
    return text if text.strip("+-0.,") else (f"{0:.{digits}f}")


def with_interval(value: float, low: float, high: float, digits: int = 3, sign: bool = False) -> str:
    """``value [low, high]``; without the bracket where there is no interval; "–" where there is no value.

    >>> with_interval(0.5, 0.49, 0.51), with_interval(0.5, 0.3, 0.7)
    ('0.500 [0.490, 0.510]', '0.500 [0.30, 0.70]')
    """
    if not math.isfinite(value):
        return NOT_APPLICABLE
    fine = digits if high - low < 0.05 else min(digits, 2)
    bracket = f" [{number(low, fine, sign)}, {number(high, fine, sign)}]"
    return number(value, digits, sign) + (bracket if math.isfinite(low) and math.isfinite(high) else "")


class Footnotes:
    """Collects what marks in a table stand for."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        self.marks: set[str] = set()
        self.short: dict[str, str] = {}
        self.apart: list[str] = []
        self.differences: list[str] = []

    def cell(self, cell: Cell | None, digits: int) -> str:
        """The text of a cell; failures get a letter, and their reason a note."""
        if cell is None:
            self.marks.add(NOT_RUN)
            return NOT_RUN
        if cell.status == "not_applicable":
            self.marks.add(NOT_APPLICABLE)
            return NOT_APPLICABLE
        letter = f" {self.letter(cell.reason)}" if cell.reason else ""
        return ("failed" if cell.status == "failed" else number(cell.value, digits)) + letter

    def entry(self, summary: Summary, among: Sequence[Entry]) -> str:
        """The label of an entry, with a dagger where it was trained for fewer steps than published."""
        label = summary.entry.label(among)
        if summary.steps < summary.published_steps:
            plain = replace(summary.entry, by_index=False).label(among)
            self.short[plain] = f"{plain} {summary.steps:,} of {summary.published_steps:,} steps"
            return f"{label} {DAGGER}"
        return label

    def mean(self, source: Source, s: Summary, gap: str = "") -> str:
        """A mean with its interval and marks; ``gap`` says what it is without (``aggregate.gaps``)."""
        text = with_interval(s.mean, s.low, s.high, source.digits(s.metric))
        text += AT_CHANCE if source.at_chance(s) else ""
        if gap:
            self.apart.append(f"{s.entry.label()}, {_of(s)}: {gap}")
        return text + (APART if gap else "")

    def over_random(self, source: Source, s: Summary) -> str:
        """The difference to random; where it is not that of the two means shown, a note has the two that it is of."""
        digits = source.digits(s.metric)
        text = with_interval(s.over_random, s.over_random_low, s.over_random_high, digits, sign=True)
        if s.same_as_random or not s.shared:
            return text
        what = "cell" if len(s.shared) == 1 else "cells"
        self.differences.append(f"{s.entry.label()}, {_of(s)}: {number(s.random_mean + s.over_random, digits)} minus "
                                f"{number(s.random_mean, digits)} over {len(s.shared)} {what}")
        return text + APART

    def notes(self) -> list[str]:
        """One sentence a mark."""
        out = []
        if self.short:
            out.append(f"{DAGGER} trained for fewer steps than published: {'; '.join(self.short.values())}.")
        if NOT_APPLICABLE in self.marks:
            out.append(f"{NOT_APPLICABLE} not applicable: the score does not exist there, which is not a zero.")
        if NOT_RUN in self.marks:
            out.append(f"{NOT_RUN} not run.")
        if self.apart:
            out.append(f"{APART} a mean over fewer cells or seeds than other methods' in this table, which it cannot "
                       f"simply be compared with: {_some(self.apart)}.")
        if self.differences:
            out.append(f"{APART} minus random is over the cells that both have, and so no difference of the means "
                       f"shown: {_some(self.differences)}.")
        out += [f"[{letter}] failed: {reason}" for reason, letter in list(self.reasons.items())[:FAILURES_NAMED]]
        if len(self.reasons) > FAILURES_NAMED:
            out.append(f"… and {len(self.reasons) - FAILURES_NAMED} more reasons; the rows have them all.")
        return out

    def letter(self, reason: str) -> str:
        """``[a]``, which a note explains."""
        n = len(self.reasons)
        return f"[{self.reasons.setdefault(reason, chr(97 + n) if n < 26 else f'a{n}')}]"


def _of(s: Summary) -> str:
    group = aggregate.group_of(s.protocol)
    return s.metric if group == HEADLINE else f"{s.metric} ({group})"


def _some(sentences: Sequence[str]) -> str:
    rest = len(sentences) - FAILURES_NAMED
    return "; ".join(sentences[:FAILURES_NAMED]) + (f"; and {rest} more, which the CSV has" if rest > 0 else "")


# -- one metric, one line a method ---------------------------------------------------------------------------
def by_client(source: Source, metric: str, group: str = HEADLINE) -> Table | None:
    """The paper's tables 4 and 5: a line a method, a column a client of ``source.reference``, then the mean with
    every spread, chance and the difference to random. None where there are no such rows."""
    rows = source.plain
    rows = rows[rows["reference"] == source.reference]
    shape = f" (as xGA, table {PAPER_TABLE[metric]})" if metric in PAPER_TABLE else ""
    name = f"table{PAPER_TABLE[metric]}_{metric}" if metric in PAPER_TABLE else f"by_client_{metric}"
    return _one_metric(source, rows, metric, "pair", group, name,
                       f"{source.arrow(metric)}, reference {source.reference}, by client{shape}")


def by_gan(source: Source, metric: str, group: str = HEADLINE) -> Table | None:
    """A single-GAN metric: a line a method, a column a GAN, then the mean with every spread, chance and the
    difference to random. None where there are no such rows."""
    return _one_metric(source, source.plain, metric, "single", group, f"by_gan_{metric}",
                       f"{source.arrow(metric)}, by GAN")


def _one_metric(source: Source, rows: pd.DataFrame, metric: str, kind: str, group: str, name: str,
                title: str) -> Table | None:
    summaries = source.summarise(rows, metric, kind, group)
    if not summaries:
        return None
    digits, feet = source.digits(metric), Footnotes()
    pairs = {pair for s in summaries for pair in s.cells}
    gans = aggregate.gan_order(b or a for a, b in pairs)
    of_gan = {b or a: (a, b) for a, b in pairs}
    among = [s.entry for s in summaries]
    several = any(s.n_seeds > 1 for s in summaries)
    what = "clients" if kind == "pair" else "GANs"
    fixed = f" with {source.reference} held fixed" if kind == "pair" else ""
    lines, gaps = {}, aggregate.gaps(summaries)
    for s in summaries:
        line = {wrap(g): feet.cell(s.cells.get(of_gan[g]), digits) for g in gans}
        line["mean\n[95%, GANs]"] = feet.mean(source, s, gaps.get(s.entry, ""))
        line["± latents"] = number(s.half, digits)
        if several:
            line["± seeds"] = number(s.seed_sd, digits)
        line["chance\n[95% band]"] = with_interval(s.chance, s.chance_low, s.chance_high, digits)
        line["minus random\n[95%, GANs]"] = "" if s.entry.method == aggregate.FLOOR else feet.over_random(source, s)
        if metric != "effect" and any(math.isfinite(t.effect) for t in summaries):  # its own table has it already
            line["effect\n(mean)"] = number(s.effect, 2)  # two lines: no GAN's name, which is a header as well
        line[f"{what}\nscored"] = f"{len(s.values)}/{len(gans)}"
        lines[feet.entry(s, among)] = line
    notes = feet.notes() + _reading(several, what, fixed, any(source.at_chance(s) for s in summaries),
                                    any(s.entry.by_index for s in summaries), source.band_words(what[:-1]))
    if group != HEADLINE:
        name, title = f"{name}_{group}", f"{title}; {group_words(group, kind)}"
    return Table(name, title, frame_of(lines), aggregate.long_form(summaries), source.caption(), tuple(notes))


def group_words(group: str, kind: str) -> str:
    """How the protocols of ``group`` are named in a title."""
    released = "as released (on probabilities, matched and scored on the same latents)" if kind == "pair" \
        else "as released"
    return {"centred": "common mean response of the directions removed", "published": released,
            "published-logits": "as released, but on logits",
            "published-paper": "as the paper has it"}.get(group, f"protocol {group}")


def _reading(several: bool, what: str, fixed: str, at_chance: bool, by_index: bool, band_words: str) -> list[str]:
    notes = [f"mean: over {what}, interval clustered by GAN{fixed}, conditional on this zoo, cut to the metric's "
             f"range; ± latents: half the 95% interval of one {what[:-1]} over the latents, averaged"
             + ("; ± seeds: standard deviation over seeds of the mean." if several else "; one seed."),
             "chance: what random directions get through the same protocol, with the band that holds 95% of "
             f"{band_words}; minus random: paired by {what[:-1]} with the method random"
             + (", which has no pairing by index." if by_index else ".")]
    if at_chance:
        notes.append(AT_CHANCE_WORDS)
    return notes


# -- one method, every pair ------------------------------------------------------------------------------------
def matrices(source: Source, metric: str, group: str = HEADLINE) -> list[Table]:
    """The paper's pairwise tables (appendix E), one a method: lines are references, columns clients.

    An alignment does not depend on which GAN is called the reference: its table is the upper triangle. A method that
    was run with one reference only has no such table: ``by_client`` has all of it.
    """
    symmetric = metric == "alignment"
    summaries = source.summarise(source.plain, metric, "pair", group)
    gans = aggregate.gan_order(g for s in summaries for pair in s.cells for g in pair)
    return [_matrix(source, s, gans, symmetric, group, [t.entry for t in summaries]) for s in summaries
            if len({reference for reference, _ in s.cells}) > 1]


def _matrix(source: Source, s: Summary, gans: list[str], symmetric: bool, group: str, among: list[Entry]) -> Table:
    digits, feet, lines = source.digits(s.metric), Footnotes(), {}
    label = feet.entry(s, among)
    for i, reference in enumerate(gans):
        line = {}
        for j, client in enumerate(gans):
            cell = s.cells.get((reference, client))
            if symmetric and j > i:
                cell = cell or s.cells.get((client, reference))
            line[wrap(client)] = "" if i == j or (symmetric and j < i) else feet.cell(cell, digits)
        lines[reference] = line
    frame = frame_of(lines, "reference \\ client")
    if symmetric:
        frame = frame.iloc[:-1, 1:]
    notes = [*feet.notes(), f"Mean over the {len(s.values)} pairs with a score: "
                            f"{with_interval(s.mean, s.low, s.high, digits)} (95%, clustered by GAN); chance: "
                            f"{with_interval(s.chance, s.chance_low, s.chance_high, digits)} (the band holds 95% of "
                            f"{source.band_words('pair')})."]
    slug = label.replace(f" {DAGGER}", "").replace(", by index", "_by_index")
    slug = "".join(c if c.isalnum() or c in "-_." else "_" for c in slug).strip("_")
    words = "" if group == HEADLINE else f"; {group_words(group, 'pair')}"
    return Table(f"pairs_{s.metric}_{slug}" + ("" if group == HEADLINE else f"_{group}"),
                 f"{source.arrow(s.metric)} of every pair: {label}{words}", frame, aggregate.long_form([s]),
                 source.caption(), tuple(notes))


def frame_of(lines: dict[str, dict[str, str]], corner: str = "method") -> pd.DataFrame:
    """The cells of a table from {line label: {column: text}}."""
    frame = pd.DataFrame.from_dict(lines, orient="index", dtype=object).fillna("")
    frame.index.name = corner
    return frame

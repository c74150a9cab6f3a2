"""Tables with a line a method: of one metric with a column a GAN, or of many metrics with a column each."""

from __future__ import annotations

import math

import pandas as pd

from dirbench.results.source import Source, group_words
from dirbench.results.statistics.summary import CENTRED, HEADLINE, Summary, gaps, long_form, select
from dirbench.results.table import Table, frame_of, number, with_interval, wrap
from dirbench.results.tables._footnotes import AT_CHANCE_WORDS, INTERVAL, Footnotes, chance_words

Found = dict[tuple[str, str], list[Summary]]  # by metric and group of protocols


def groups(source: Source) -> list[str]:
    """The groups of protocols that there are rows of, the headline first."""
    return sorted(set(source.rows["group"]), key=lambda g: (g != HEADLINE, g != CENTRED, g))


def metrics_of(source: Source, kind: str, group: str) -> list[str]:
    """Metrics with rows of that kind and group, in the suite's order."""
    return source.in_order("metrics", select(source.rows, kind, group)["metric"])


def by_gan(source: Source, rows: pd.DataFrame, metric: str, kind: str, group: str, name: str,
           title: str) -> list[Table]:
    """One metric: a line a method, a column a GAN (a client), then the mean with every spread, chance and the
    difference to the baseline. No table where there are no such rows."""
    summaries = source.summarise(rows, metric, kind, group)
    if not summaries:
        return []
    digits, feet, gap = source.digits(metric), Footnotes(), gaps(summaries)
    of_gan = {b or a: (a, b) for s in summaries for a, b in s.cells}
    gans = source.in_order("gans", of_gan)
    among = [s.entry for s in summaries]
    several = any(s.n_seeds > 1 for s in summaries)
    effects = _has_effects(summaries)
    what = "clients" if kind == "pair" else "GANs"
    lines = {}
    for s in summaries:
        line = {wrap(g): feet.cell(s.cells.get(of_gan[g]), digits) for g in gans}
        line["mean\n[95%, GANs]"] = feet.mean(source, s, gap.get(s.entry, ""))
        line["± latents"] = number(s.half, digits)
        if several:
            line["± seeds"] = number(s.seed_sd, digits)
        line["chance\n[95% band]"] = with_interval(s.chance, s.chance_low, s.chance_high, digits)
        if source.baseline:
            line[f"minus {source.baseline}\n[95%, GANs]"] = "" if s.entry.method == source.baseline \
                else feet.over_baseline(source, s)
        if effects:
            line["effect\n(mean)"] = number(s.effect, 2)  # two lines: no GAN's name, which is a header as well
        line[f"{what}\nscored"] = f"{len(s.values)}/{len(gans)}"
        lines[feet.entry(s, among)] = line
    notes = feet.notes() + _reading(source, summaries, several, what)
    if group != HEADLINE:
        name, title = f"{name}_{group}", f"{title}; {group_words(group, kind)}"
    return [Table(name, title, frame_of(lines), long_form(summaries), source.caption(), tuple(notes),
                  linked=group != HEADLINE)]


def _has_effects(summaries: list[Summary]) -> bool:
    """Whether the effect of the directions is known, and is not itself the score."""
    return any(math.isfinite(s.effect) and not math.isclose(s.effect, s.mean) for s in summaries)


def _reading(source: Source, summaries: list[Summary], several: bool, what: str) -> list[str]:
    one = what[:-1]
    fixed = f" ({source.reference} is held fixed)" if what == "clients" else ""
    notes = [f"mean: over {what}, {INTERVAL}{fixed}; ± latents: half the 95% interval of one {one} over the latents, "
             f"averaged" + ("; ± seeds: standard deviation over seeds of the mean." if several else "; one seed.")]
    own = any(s.entry.own_pairing for s in summaries)
    notes.append(chance_words(source, one) + (
        f"; minus {source.baseline}: paired by {one} with the method {source.baseline}"
        + (", which has no pairing of its own" if own else "") if source.baseline else "") + ".")
    if any(source.at_chance(s) for s in summaries):
        notes.append(AT_CHANCE_WORDS)
    return notes


# -- many metrics --------------------------------------------------------------------------------------------
def score_lines(source: Source, found: Found, feet: Footnotes, kind: str = "pair",
                over_baseline: bool = False) -> dict[str, dict[str, str]]:
    """{line label: {column: text}}: chance first, then the methods; ``over_baseline`` adds that to each cell."""
    entries, lines = source.entry_order(s.entry for own in found.values() for s in own), {}
    for own_pairing in (False, True):
        if any(e.own_pairing == own_pairing for e in entries):
            lines["chance" + (" (own pairing)" if own_pairing else "")] = {
                source.header(m, group, kind): _chance(own, own_pairing, source.digits(m))
                for (m, group), own in found.items()}
    gap = {column: gaps(own) for column, own in found.items()}
    for entry in entries:
        line, label = {}, entry.label(entries)
        for (metric, group), own in found.items():
            s = next((s for s in own if s.entry == entry), None)
            text = feet.mean_cell(source, s, gap[metric, group].get(entry, "")) if s or not entry.own_pairing else ""
            if over_baseline and s and math.isfinite(s.over_baseline):
                text += "\n" + feet.over_baseline(source, s)
            line[source.header(metric, group, kind)] = text
            label = label if s is None else feet.entry(s, entries)
        lines[f"method {label}" if label in lines else label] = line  # a method may be called chance
    return lines


def _chance(summaries: list[Summary], own_pairing: bool, digits: int) -> str:
    own = [s for s in summaries if s.entry.own_pairing == own_pairing and math.isfinite(s.chance)]
    if not own:
        return ""
    mean, low, high = (sum(getattr(s, f) for s in own) / len(own) for f in ("chance", "chance_low", "chance_high"))
    return with_interval(mean, low, high, digits)

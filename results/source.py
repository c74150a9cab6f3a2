"""Rows of one context with all that tables and figures ask about them: chance, the suite's order, what classes say."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd

from dirbench.metric import Metric
from dirbench.results.rows import contexts, each
from dirbench.results.statistics import summary as statistics
from dirbench.results.statistics.chance import band
from dirbench.results.statistics.intervals import ANY
from dirbench.results.statistics.summary import CENTRED, HEADLINE, PUBLISHED, Entry, Pair, Summary

LONG = 14  # letters of a metric's name that a column header has in one line


class MixedRows(ValueError):
    """Rows of more than one suite, version, profile, zoo or oracle were given for one table."""


@dataclass(frozen=True, eq=False)  # many tables share one: what is made of it for all of them is kept by identity
class Source:
    """Rows of one context, and what is needed to lay them out.

    Attributes:
        rows: checked rows; one suite, version, profile, zoo and oracle.
        metrics: {name: class}, from the metrics' registry; what is not there is shown without arrow or bounds.
        methods: {name: class}, for their roles; what is not there is a plain method.
        provenance: further facts for the caption ({"commit": ..., "torch": ...}).
        zoo: its title; without one the caption has its name.
        reference: the GAN that tables by client have as reference; by default the first row's.
        controls: (GAN, its double) pairs; the doubles are in no mean and in tables of controls only.
        order: {"gans": names, "methods": labels, "metrics": names} as the suite lists them; what is not listed comes
            after, in the order of the rows.
        random_runs: {GANs: {"metric/protocol": scores}} of random directions, as
            ``dirbench.results.statistics.chance.band`` takes them; may be empty.
    Raises:
        MixedRows: rows of several contexts.
    """

    rows: pd.DataFrame
    metrics: Mapping[str, type[Metric]] = field(default_factory=dict)
    methods: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    zoo: str = ""
    reference: str = ""
    controls: tuple[Pair, ...] = ()
    order: Mapping[str, Sequence[str]] = field(default_factory=dict)
    random_runs: Mapping[tuple[str, ...], Mapping[str, list]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = contexts(self.rows)
        if len(found) > 1:
            listed = "; ".join(", ".join(str(v) for v in context.values()) for context, _ in found)
            raise MixedRows(f"one table is of one suite, version, profile, zoo and oracle; these rows are of {listed}. "
                            "Split them with dirbench.results.rows.contexts")
        object.__setattr__(self, "rows", statistics.with_groups(self.rows, self.metrics))
        if not self.reference and len(self.rows):
            object.__setattr__(self, "reference", self.rows["reference"].iloc[0])

    @cached_property
    def plain(self) -> pd.DataFrame:
        """The rows without the controls."""
        return statistics.without_controls(self.rows, self.controls)

    def caption(self) -> str:
        """What made the numbers: zoo, suite and version, profile, oracle, seeds, provenance."""
        if self.rows.empty:
            return "no rows"
        first = self.rows.iloc[0]
        parts = [self.zoo or f"zoo {first['zoo']}", f"suite {first['suite']} version {first['version']}",
                 f"profile {first['profile']}", f"oracle {first['oracle']}" if first["oracle"] else "",
                 statistics.seed_words(set(self.rows["seed"])),
                 *(f"{key} {value}" for key, value in self.provenance.items())]
        return " · ".join(part for part in parts if part)

    # -- order and roles ---------------------------------------------------------------------------------------
    def in_order(self, what: str, names: Iterable[str]) -> list[str]:
        """``names`` of ``what`` ("gans", "methods" as labels, "metrics"), each once, in the suite's order."""
        places = self._places[what]
        return sorted(set(names), key=lambda name: (places.get(name, len(places)), name))

    def entry_order(self, entries: Iterable[Entry]) -> list[Entry]:
        """``entries``, each once, in the order of the suite's methods; a method's own pairing after the other."""
        places = self._places["methods"]
        return sorted(set(entries), key=lambda e: (places.get(e.name, len(places)), e.name, e.extractor, e.own_pairing))

    @cached_property
    def _places(self) -> dict[str, dict[str, int]]:
        entries = each(self.rows[["method", "variant"]].drop_duplicates())
        seen: dict[str, Iterable[str]] = {
            "gans": [gan for gan in self.rows[["reference", "client"]].to_numpy().ravel() if gan],
            "methods": [Entry(row.method, row.variant).name for row in entries], "metrics": self.rows["metric"]}
        return {what: {name: i for i, name in enumerate(dict.fromkeys([*self.order.get(what, ()), *names]))}
                for what, names in seen.items()}

    def role(self, method: str) -> str:
        """"baseline", "ceiling" or "method"."""
        return getattr(self.methods.get(method), "role", "method")

    def of_role(self, role: str) -> list[str]:
        """Names of the methods with that role, of those that there are rows of."""
        return [name for name in self.rows["method"].unique() if self.role(name) == role]

    @cached_property
    def baseline(self) -> str:
        """The method that the others are compared with; empty where there is none."""
        return next(iter(self.of_role("baseline")), "")

    # -- what metrics are ---------------------------------------------------------------------------------------
    def said(self, metric: str, attribute: str) -> Any:
        """What ``metric``'s class says; what classes say by default for a metric that is not there any more."""
        return getattr(self.metrics.get(metric, Metric), attribute)

    def arrow(self, metric: str) -> str:
        """``metric`` with an arrow to where better is, where that is known."""
        if metric not in self.metrics:
            return metric
        return f"{metric} {'↑' if self.metrics[metric].higher_is_better else '↓'}"

    def header(self, metric: str, group: str = HEADLINE, kind: str = "pair") -> str:
        """Column header of a metric, in lines; other groups of protocols than the headline's are named."""
        name = self.arrow(metric)
        if len(metric) > LONG:
            name = "_\n".join(name.rsplit("_", 1))
        return name if group == HEADLINE else f"{name}\n{group_words(group, kind)}"

    def bounds(self, metric: str) -> tuple[float, float]:
        """The values that ``metric`` can take; any, where that is not known."""
        return self.metrics[metric].bounds if metric in self.metrics else ANY

    def digits(self, metric: str) -> int:
        """Decimals to show: 3 where most values lie within [-1, 1], 2 up to 100, else 1."""
        size = self.rows.loc[self.rows["metric"] == metric, "value"].abs().median()
        return 2 if 1 < size <= 100 else 1 if size > 100 else 3

    # -- means and chance ---------------------------------------------------------------------------------------
    def summarise(self, rows: pd.DataFrame, metric: str, kind: str, group: str = HEADLINE,
                  pairs: Sequence[Pair] | None = None) -> list[Summary]:
        """``statistics.summarise`` of some of these rows, in table order, with this source's chance and baseline."""
        found = statistics.summarise(rows, metric, kind, group, pairs, self.chance, self.bounds(metric), self.baseline)
        by_entry = {s.entry: s for s in found}
        return [by_entry[entry] for entry in self.entry_order(by_entry)]

    def headlines(self, kind: str) -> dict[tuple[str, str], list[Summary]]:
        """{(metric, group of protocols): summaries} of the headline protocols of ``kind`` ("pair" or "single"), and of
        those that a metric shows beside them; each over the pairs that every method was run on."""
        if kind not in self._headlines:
            self._headlines[kind] = {}
            for metric in self.in_order("metrics", self.plain["metric"]):
                named = statistics.groups_of(self.said(metric, "protocols"))
                for group in (HEADLINE, *(named[p] for p in self.said(metric, "also_headline"))):
                    part = statistics.select(self.plain, kind, group, metric)
                    own = self.summarise(part, metric, kind, group, statistics.common_pairs(part))
                    if own:
                        self._headlines[kind][metric, group] = own
        return self._headlines[kind]

    @cached_property
    def _headlines(self) -> dict[str, dict[tuple[str, str], list[Summary]]]:
        return {}

    def chance(self, metric: str, protocol: str, pairs: Sequence[Pair], seeds: int,
               coverage: float = 0.95) -> tuple[float, float, float] | None:
        """(level, low, high) of chance for a mean over ``pairs`` and ``seeds``, with the band that holds ``coverage``
        of such means; None unless the random runs of all pairs are stored."""
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
        stored = {gans: self.random_runs.get(gans, {}).get(name)
                  for gans in (tuple(g for g in pair if g) for pair in pairs)}
        cells = {gans: scores for gans, scores in stored.items() if scores is not None}
        if not cells or len(cells) < len(stored):
            return None
        found = band(cells, self.bounds(metric), seeds, coverage=coverage)
        return found.mean, found.low, found.high

    def band_words(self, one: str) -> str:
        """What the band in a table of means is about."""
        return "such means over as many random runs as seeds" if self.random_runs else f"them for one {one}"

    def at_chance(self, s: Summary) -> bool:
        """Whether the mean is not better than chance: inside its band, or on its worse side. False without a band."""
        up = self.metrics[s.metric].higher_is_better if s.metric in self.metrics else None
        return bool((s.mean <= s.chance_high or up is False) and (s.mean >= s.chance_low or up is True)
                    and math.isfinite(s.mean) and s.chance_low <= s.chance_high)


def group_words(group: str, kind: str) -> str:
    """How the protocols of ``group`` are named in a title.

    >>> group_words("centred", "pair"), group_words("mine", "single")
    ('shared response removed', 'protocol mine')
    """
    released = "as released (on probabilities, matched and scored on the same latents)" if kind == "pair" \
        else "as released"
    return {CENTRED: "shared response removed", PUBLISHED: released,
            "published-logits": "as released, but on logits",
            "published-paper": "as the paper has it"}.get(group, f"protocol {group}")


def whole_words(header: str) -> str:
    """A ``Source.header`` whose metric is not broken."""
    return header.replace("_\n", "_")

"""Is the baseline at chance? If it is not, suspect the scores before believing what they say of the methods."""

from __future__ import annotations

import math

import pandas as pd

from dirbench.results.source import Source, whole_words
from dirbench.results.table import Table, TableKind, frame_of, number


class BaselineCheck(TableKind):
    """The baseline's mean of every headline score against the band of one score, and against the band that holds all of
    them at once: of many scores, some lie outside their own by luck. None without a baseline or stored random runs."""

    name, chapter, order = "baseline_check", "Baseline", 30

    def tables(self, source: Source, cells: pd.DataFrame) -> list[Table]:
        own = [(s, group, kind) for kind in ("pair", "single")
               for (_, group), found in source.headlines(kind).items() for s in found
               if s.entry.name == source.baseline and s.values]
        coverage = 1 - 0.05 / max(len(own), 1)  # Bonferroni
        lines, data = {}, []
        for s, group, kind in own:
            joint = source.chance(s.metric, s.protocol, list(s.values), s.n_seeds, coverage)
            if joint is None or not math.isfinite(joint[1]):
                continue
            digits = source.digits(s.metric)
            verdict = ("inside" if s.chance_low <= s.mean <= s.chance_high else
                       "outside its own" if joint[1] <= s.mean <= joint[2] else "outside both")
            lines[whole_words(source.header(s.metric, group, kind)).replace("\n", ", ")] = {
                source.baseline: number(s.mean, digits), "chance": number(s.chance, digits),
                "band of\none score": f"[{number(s.chance_low, digits)}, {number(s.chance_high, digits)}]",
                "band of\nall scores": f"[{number(joint[1], digits)}, {number(joint[2], digits)}]",
                f"{source.baseline} is": verdict}
            data.append({"metric": s.metric, "protocol": s.protocol, "value": s.mean, "chance": s.chance,
                         "chance_low": s.chance_low, "chance_high": s.chance_high, "joint_low": joint[1],
                         "joint_high": joint[2], "verdict": verdict})
        if not lines:
            return []
        inside = sum(row["verdict"] == "inside" for row in data)
        notes = (f"{source.baseline} is inside the band of one score in {inside} of {len(data)}; at chance, 95% of "
                 f"means are inside theirs. Each band of the last kind holds {100 * coverage:.1f}% (Bonferroni), so "
                 "that at chance all are inside in 95% of runs or more: outside both, suspect the score or its "
                 "chance.",)
        return [Table("baseline_check", f"Is {source.baseline} at chance?", frame_of(lines).rename_axis("score"),
                      pd.DataFrame(data), source.caption(), notes)]

"""Voynov and Babenko's numbers (ICML 2020)."""

from __future__ import annotations

from dirbench.results.published import NO_ERROR, load
from dirbench.results.rows import each
from dirbench.results.table import Table, frame_of, number


def tables(metrics: set[str]) -> list[Table]:
    """Table 2, reconstructor accuracy and people's marks of four generators' directions, for a run that has the former.
    """
    if "rca" not in metrics:
        return []
    data = load("voynov_icml2020")
    data = data[data["table"] == "2"]
    lines: dict[str, dict[str, str]] = {}
    for r in each(data):
        lines.setdefault(r.directions, {})[f"{r.metric.upper()} ↑\n{r.dataset}\nK = {int(r.k)}"] = number(r.value, 2)
    return [Table("published_voynov", "RCA and mean opinion score, published", frame_of(lines, "directions"), data,
                  "Voynov & Babenko, ICML 2020, table 2 · not measured by this project", (NO_ERROR,))]

"""SeFa's numbers (Shen & Zhou, CVPR 2021)."""

from __future__ import annotations

from dirbench.results.published import NO_ERROR, load
from dirbench.results.rows import each
from dirbench.results.table import Table, frame_of, number


def tables(metrics: set[str]) -> list[Table]:
    """Table 1, cosine distance to the supervised direction of each attribute, for a run that measures it."""
    if "supervised_distance" not in metrics:
        return []
    data = load("sefa_cvpr2021")
    lines: dict[str, dict[str, str]] = {}
    for r in each(data):
        lines.setdefault(f"{r.method}, {r.model} ({r.space})", {})[f"{r.attribute} ↓"] = number(r.cosine_distance, 2)
    return [Table("published_sefa", "Cosine distance to supervised directions, published", frame_of(lines), data,
                  "Shen & Zhou, CVPR 2021, table 1 · not measured by this project", (NO_ERROR,))]

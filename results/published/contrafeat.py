"""ContraFeat's numbers (Zhu et al., AAAI 2023)."""

from __future__ import annotations

from dirbench.results.published import NO_ERROR, load
from dirbench.results.rows import each
from dirbench.results.table import Table, frame_of, number


def tables(metrics: set[str]) -> list[Table]:
    """S_disen and N_discov on FFHQ, for a run that has one of them."""
    if not metrics & {"s_disen", "n_discov"}:
        return []
    data = load("contrafeat_aaai2023")
    lines = {f"{r.model}, {r.metric}": {"s_disen ↑": number(r.s_disen), "n_discov ↑": number(r.n_discov, 1)}
             for r in each(data)}
    return [Table("published_contrafeat", "s_disen and n_discov, published (FFHQ)", frame_of(lines, "model"), data,
                  "Zhu et al., ContraFeat, AAAI 2023, table 7 · not measured by this project", (NO_ERROR,))]

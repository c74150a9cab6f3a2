"""What a run cost: time and images by kind of work and method."""

from __future__ import annotations

from typing import Any

import pandas as pd

from dirbench.results.rows import RowsError, each
from dirbench.results.source import Source
from dirbench.results.statistics.summary import Entry
from dirbench.results.table import Table, TableKind, frame_of, number

COLUMNS = ("kind", "method", "reference", "client", "seconds", "images", "status", "reason")
FAILURES_NAMED = 8


class Costs(TableKind):
    """Time and images by kind of work and method, with a total. None without cells.

    Cells may also have the columns variant and cached (whether the store had it already).
    """

    name, chapter, order = "costs", "Cost", 80

    def tables(self, source: Source, cells: pd.DataFrame) -> list[Table]:
        """Raises RowsError where ``cells`` lacks one of ``COLUMNS``."""
        missing = [c for c in COLUMNS if c not in cells]
        if missing:
            raise RowsError(f"cells lack the columns {', '.join(missing)}; expected {', '.join(COLUMNS)}")
        if cells.empty:
            return []
        names = zip(cells["method"].fillna(""), cells.get("variant", pd.Series("", cells.index)).fillna(""))
        entries: list[Any] = [Entry(*name) for name in names]
        cells = cells.assign(entry=entries, seconds=pd.to_numeric(cells["seconds"]).fillna(0.0),
                             images=pd.to_numeric(cells["images"]).fillna(0))
        parts = []
        for kind in dict.fromkeys(cells["kind"]):
            of_kind = cells[cells["kind"] == kind]
            parts += [(str(kind), e.label(), of_kind[of_kind["entry"] == e])
                      for e in source.entry_order(of_kind["entry"])]
        lines, data = {}, []
        for kind, method, part in [*parts, ("total", "", cells)]:
            data.append({"kind": kind, "method": method, **_sums(part)})
            lines[f"{kind} {method}".strip()] = _line(data[-1])
        return [Table("costs", "What it cost", frame_of(lines, "work"), pd.DataFrame(data), source.caption(), (
            *_failures(cells),
            "Seconds: what making the artifacts took, on one worker, also where the store had them already and nothing "
            "was made again; images: synthesised in this run."))]


def _sums(part: pd.DataFrame) -> dict[str, Any]:
    cached = part.get("cached", pd.Series("", part.index)).astype(str) == "True"
    return {"cells": len(part), "cached": int(cached.sum()), "failed": int((part["status"] == "failed").sum()),
            "seconds": part["seconds"].sum(), "median_seconds": part["seconds"].median(),
            "longest_seconds": part["seconds"].max(), "images": int(part["images"].sum())}


def _line(sums: dict[str, Any]) -> dict[str, str]:
    return {"cells": f"{sums['cells']:,}", "from the\nstore": str(sums["cached"] or ""),
            "failed": str(sums["failed"] or ""), "minutes": number(sums["seconds"] / 60, 1),
            "seconds a cell\n(median)": number(sums["median_seconds"], 1),
            "(longest)": number(sums["longest_seconds"], 1), "images": f"{sums['images']:,}" if sums["images"] else ""}


def _failures(cells: pd.DataFrame) -> list[str]:
    reasons = list(dict.fromkeys(f"{r.kind} {r.method} {'/'.join(filter(None, (r.reference, r.client)))}: {r.reason}"
                                 for r in each(cells) if r.status == "failed"))
    more = len(reasons) - FAILURES_NAMED
    return [f"failed: {r}" for r in reasons[:FAILURES_NAMED]] + ([f"… and {more} more."] if more > 0 else [])

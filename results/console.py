"""The summary that a run prints: the headline tables and the control, as text."""

from __future__ import annotations

import pandas as pd

from results.export import to_text
from results.report import all_tables, sources

SHOWN = ("Headline", "Control")


def console_summary(rows: pd.DataFrame, cells: pd.DataFrame, provenance: dict, metrics: dict[str, type]) -> str:
    """Headline and control tables of each context in ``rows``; arguments as of ``results.report.make_all``."""
    parts = [to_text(table) for source, own in sources(rows, cells, provenance, metrics)
             for chapter, tables in all_tables(source, own).items() if chapter in SHOWN for table in tables]
    return "\n\n".join(parts)

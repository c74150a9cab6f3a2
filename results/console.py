"""The summary that a run prints: the headline tables and the control, as text."""

from __future__ import annotations

import pandas as pd

from dirbench.metric import Metric
from dirbench.results.export import to_text
from dirbench.results.report import sources
from dirbench.results.tables import headline as overview


def console_summary(rows: pd.DataFrame, cells: pd.DataFrame, provenance: dict, metrics: dict[str, type[Metric]]) -> str:
    """Headline and control tables of each context in ``rows``; arguments as of ``dirbench.results.report.make_all``."""
    tables = [table for source, _ in sources(rows, cells, provenance, metrics)
              for table in (*(overview.headline(source, kind) for kind in ("pair", "single")),
                            *(overview.control(source, pair) for pair in source.controls))]
    return "\n\n".join(to_text(table) for table in tables if table is not None)

"""The papers' own numbers: CSVs, and a file a paper, whose ``tables(metrics)`` are shown beside runs of these metrics.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

NO_ERROR = "The paper gives no uncertainty for these figures."
FOLDER = Path(__file__).resolve().parent


def load(name: str) -> pd.DataFrame:
    """The numbers of ``results/published/<name>.csv``. Raises FileNotFoundError naming those there are.

    >>> load("xga_pairwise").columns[:3].tolist()
    ['source', 'table', 'metric']
    """
    path = FOLDER / f"{name}.csv"
    if not path.is_file():
        raise FileNotFoundError(f"no published numbers {name!r}; there are "
                                f"{', '.join(sorted(p.stem for p in FOLDER.glob('*.csv')))}")
    return pd.read_csv(path)

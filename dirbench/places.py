"""Where the project's files are, and where what it makes goes: a checkout's own folder, or the current one."""

from __future__ import annotations

import os
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
"""The folder of the packages: a checkout's root, or where an installed copy lies among others (site-packages)."""

REFERENCES = (Path(__file__).parent / "results" / "reference").resolve()
STORE_VARIABLE = "DIRBENCH_STORE"


def checkout() -> Path | None:
    """The root of the checkout that this code lies in; None for an installed copy.

    ``run_bench.py`` tells: it is in every checkout and unpacked source archive, and never installed.
    """
    return HOME if (HOME / "run_bench.py").is_file() else None


def restoring() -> str:
    """How a shipped file is had again, in words: from git in a checkout, else by another installation.

    >>> restoring()
    'restore it from the repository (git checkout)'
    """
    return "restore it from the repository (git checkout)" if checkout() else "install dirbench again"


def results() -> Path:
    """``results/`` of the checkout; for an installed copy that of the current folder, since site-packages is not ours.

    >>> results().name
    'results'
    """
    return (checkout() or Path.cwd()) / "results"


def runs() -> Path:
    """The folder of the runs that are given no ``--out``.

    >>> runs().parent == results()
    True
    """
    return results() / "runs"


def store(chosen: str | Path | None = None) -> Path:
    """The artifact store: the one that was chosen, or that of ``DIRBENCH_STORE``, or ``results/store``.

    >>> store("elsewhere").name
    'elsewhere'
    """
    return Path(chosen or os.environ.get(STORE_VARIABLE) or results() / "store")


def reference(name: Path) -> Path:
    """The file ``name``, or where there is none the shipped reference of that name; ``name`` itself if neither is.

    >>> reference(Path("celeba_subsets-smoke")).name
    'celeba_subsets-smoke.csv'
    """
    shipped = REFERENCES / f"{name.name.removesuffix('.csv')}.csv"
    return shipped if not name.exists() and len(name.parts) == 1 and shipped.is_file() else name

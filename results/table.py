"""What a table is, what makes one, and how numbers become the text of its cells."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd

from dirbench.checks import abstract_faults, name_faults
from dirbench.plugins import Registry

if TYPE_CHECKING:
    from dirbench.results.source import Source

NOT_APPLICABLE, NOT_RUN, DAGGER, APART, AT_CHANCE = "–", "·", "†", "‡", "°"
HEADER_LETTERS = 11  # of one line of a GAN's name


@dataclass(frozen=True)
class Table:
    """A table ready to be exported.

    Attributes:
        name: its file's stem.
        title: what it shows, one line.
        cells: text, one column a column; the index holds the line labels. Headers may have line breaks.
        data: the same as plain numbers, in long form.
        caption: what made the numbers.
        notes: what a reader must know, one sentence each.
        linked: whether the summary links it rather than shows it: one of many.
        folder: below the tables' own; empty for none.
    """

    name: str
    title: str
    cells: pd.DataFrame
    data: pd.DataFrame
    caption: str
    notes: tuple[str, ...] = ()
    linked: bool = False
    folder: str = ""

    @property
    def empty(self) -> bool:
        """Whether it is of scores of which none exists: neither a value nor a failure."""
        return "status" in self.data and set(self.data["status"]) == {"not_applicable"}


class TableKind(ABC):
    """One kind of table. Subclass it in ``results/tables/<name>.py``: it is found by being there.

    Class attributes:
        name: as a suite's ``tables:`` lists it.
        chapter: the heading that its tables stand under in a run's summary.
        order: of chapters; lower ones come first.
        printed: whether a run prints its tables when it ends.

    >>> class Seeds(TableKind):
    ...     name, chapter = "seeds", "Seeds"
    ...     def tables(self, source, cells):
    ...         lines = {str(seed): {"rows": str(n)} for seed, n in source.rows["seed"].value_counts().items()}
    ...         return [Table("seeds", "Rows of each seed", frame_of(lines, "seed"), source.rows, source.caption())]
    >>> Seeds.order, Seeds.printed
    (100, False)
    """

    name: ClassVar[str] = ""
    chapter: ClassVar[str] = ""
    order: ClassVar[int] = 100
    printed: ClassVar[bool] = False

    @abstractmethod
    def tables(self, source: Source, cells: pd.DataFrame) -> list[Table]:
        """The tables of one context's rows; none where there is nothing to show.

        Args:
            source: the rows, with what their classes and the suite say.
            cells: what was done and what it cost, as in ``cells.csv``; may be empty.
        """


def _table_faults(cls: Any) -> list[str]:
    return name_faults(cls.name, "table") or abstract_faults(cls, "table") \
        or ([] if cls.chapter else ["it says no chapter, the heading that its tables stand under"])


TABLES: Registry[TableKind] = Registry("dirbench.results.tables", "table", (TableKind,), _table_faults, "setting")
"""The kinds of tables that there are."""


def wrap(gan: str) -> str:
    """A GAN's name as a column header: long ones are broken at underscores.

    >>> wrap("no_beards_no_hats"), wrap("full")
    ('no_beards_\\nno_hats', 'full')
    """
    lines = [""]
    for part in gan.replace("_", "_\0").split("\0"):
        if lines[-1] and len(lines[-1] + part.rstrip("_")) > HEADER_LETTERS:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def number(value: float, digits: int = 3, sign: bool = False) -> str:
    """``value`` as text; empty for NaN; no negative zero.

    >>> number(-0.0001), number(0.5, sign=True), number(float("nan"))
    ('0.000', '+0.500', '')
    """
    if not math.isfinite(value):
        return ""
    text = f"{value:{'+' if sign else ''},.{digits}f}"
    return text if text.strip("+-0.,") else (f"{0:.{digits}f}")


def with_interval(value: float, low: float, high: float, digits: int = 3, sign: bool = False) -> str:
    """``value [low, high]``; without the bracket where there is no interval; "–" where there is no value.

    >>> with_interval(0.5, 0.49, 0.51), with_interval(0.5, 0.3, 0.7)
    ('0.500 [0.490, 0.510]', '0.500 [0.30, 0.70]')
    """
    if not math.isfinite(value):
        return NOT_APPLICABLE
    fine = digits if high - low < 0.05 else min(digits, 2)
    bracket = f" [{number(low, fine, sign)}, {number(high, fine, sign)}]"
    return number(value, digits, sign) + (bracket if math.isfinite(low) and math.isfinite(high) else "")


def frame_of(lines: dict[str, dict[str, str]], corner: str = "method") -> pd.DataFrame:
    """The cells of a table from {line label: {column: text}}."""
    frame = pd.DataFrame.from_dict(lines, orient="index", dtype=object).fillna("")
    frame.index.name = corner
    return frame

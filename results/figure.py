"""What makes a figure of a run's rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from dirbench.checks import abstract_faults, name_faults
from dirbench.plugins import Registry

if TYPE_CHECKING:
    from dirbench.results.source import Source


class FigureKind(ABC):
    """One figure. Subclass it in ``results/figures/<name>.py``: it is found by being there.

    Class attributes:
        name: its file's stem.
        title: what it shows, for who cannot see it.
    """

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""

    @abstractmethod
    def draw(self, source: Source, path: Path) -> Path | None:
        """Draws it to ``path`` (PNG) and returns that; None, and no file, where there is nothing to show."""


def _figure_faults(cls: Any) -> list[str]:
    return name_faults(cls.name, "figure") or abstract_faults(cls, "figure") \
        or ([] if cls.title else ["it says no title"])


FIGURES: Registry[FigureKind] = Registry("dirbench.results.figures", "figure", (FigureKind,), _figure_faults,
                                         "setting")
"""The figures that there are."""

"""Numbers as documents print them, held against the stored ones that they round."""

from __future__ import annotations

import math
import re


def figures(text: str) -> list[str]:
    """The numbers with a decimal point in a text, as printed, in order."""
    return re.findall(r"(?<![\w.\[])-?\d+\.\d+", text)


def rounds(printed: str, value: float) -> bool:
    """Whether ``printed`` is ``value`` to the decimals that it has; halves may go either way."""
    unit = 10.0 ** -len(printed.partition(".")[2])
    return math.isclose(float(printed), value, rel_tol=0, abs_tol=unit / 2 * (1 + 1e-6))

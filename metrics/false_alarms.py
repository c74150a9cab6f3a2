"""False positives of an audit: how many attributes does it call missing that are not?"""

from __future__ import annotations

import math

import numpy as np

from dirbench.matching import Match
from dirbench.metrics.missing_called import called
from dirbench.pair_metric import PairCase, PairMetric, magnitude


class FalseAlarms(PairMetric):
    """Number of attributes that an audit calls missing and that are not.

    Called missing is the most changed attribute of each of the reference's unique directions. Between two GANs of the
    same data every call is a false one: that is the false-positive count of the method, at most as many as it must
    name unique directions (4 of 16 in the xGA setting), and it can only be low where those directions agree or are
    dead.
    """

    name = "false_alarms"
    reads_missing = True
    source = "this project"
    higher_is_better = False
    bounds = (0.0, math.inf)
    tolerance = 0.5
    on_control = ("how many attributes an audit would call missing, naming each unique direction after what it changes "
                  "most")

    def values(self, reference: np.ndarray, client: np.ndarray, found: Match, case: PairCase) -> np.ndarray:
        rest = [s for s in range(len(case.names)) if s not in case.asked]
        return called(magnitude(reference[:, :, found.unique]))[:, rest].sum(-1).astype(float)

"""Regression check: have the numbers got worse than a stored reference says they should be?"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd

from results import places
from results.aggregate import Pair, without_controls
from results.rows import CONTEXT
from results.store import write_atomically

ENTRY = ("metric", "protocol", "method", "variant", "extractor")
KEY = (*CONTEXT, *ENTRY)
MADE = ("commit", "torch", "device")
COLUMNS = (*KEY, "mean", "seed_sd", "half", "seeds", "ok", "failed", "not_applicable", "deterministic", *MADE)

SPREADS = 3.0
"""How many standard deviations over seeds a mean may lose."""

SAME_MACHINE, OTHER_MACHINE = 1e-6, 1e-3
"""What a closed form may move (times the value where that is above 1): rounding only; elsewhere other kernels too."""

FLOORS = {"alignment": 0.03, "attribute_recovery": 0.05, "recovery_specificity": 0.05,
          "missing_called": 0.1, "false_alarms": 0.5, "entropy": 0.02,
          "deviation": 0.01, "effect": 0.05, "reliability": 0.05, "dead_directions": 1.0, "s_disen": 0.03,
          "n_discov": 1.0}
"""What a score may always lose; others: 3% of the range of its values, or 5% of the reference if that is infinite."""


class BadReference(ValueError):
    """The reference file is not one; the message says what is wrong."""


@dataclass(frozen=True)
class Finding:
    """One thing that the check has to say.

    Attributes:
        kind: regression, missing, failure, coverage, context, or (these do not fail) improvement, new.
        fails: whether it should turn a build red.
        sentence: what was found, with the figures and the tolerance.
    """

    kind: str
    fails: bool
    sentence: str


def reference_from_rows(rows: pd.DataFrame, deterministic: Collection[str] = (),
                        controls: Sequence[Pair] = (("full", "full_b"),),
                        provenance: Mapping[str, str] | None = None) -> pd.DataFrame:
    """The reference (``COLUMNS``) that later rows are checked against: one line a method, metric and protocol.

    ``mean`` is over seeds, then pairs or GANs (controls left out); ``seed_sd`` the standard deviation over seeds of the
    mean over pairs; ``half`` the mean half width of the intervals over latents; ``seeds`` those seeds, as text.
    Methods named in ``deterministic`` (closed forms that draw nothing) are held to rounding. A line without any score
    has a NaN mean. ``provenance`` holds what made the rows, by the names of ``MADE``; nothing is compared by it.
    """
    grouped: dict[tuple, list] = {}
    for row in without_controls(rows, controls).itertuples():
        grouped.setdefault(tuple(getattr(row, field) for field in KEY), []).append(row)
    made = {name: (provenance or {}).get(name, "unknown") for name in MADE}
    lines = [{**dict(zip(KEY, key)), **_facts(grouped[key]), "deterministic": key[KEY.index("method")] in deterministic,
              **made} for key in sorted(grouped)]
    return pd.DataFrame(lines, columns=list(COLUMNS))


def _facts(rows: list) -> dict:
    by_cell: dict[Pair, dict[int, float]] = {}
    for row in rows:
        if row.status == "ok":
            by_cell.setdefault((row.reference, row.client), {})[row.seed] = row.value
    halves = [(r.ci_high - r.ci_low) / 2 for r in rows if r.status == "ok" and math.isfinite(r.ci_high - r.ci_low)]
    whole = set.intersection(*(set(seeds) for seeds in by_cell.values())) if by_cell else set()
    means = [np.mean([seeds[seed] for seeds in by_cell.values()]) for seed in sorted(whole)]
    count = {status: sum(row.status == status for row in rows) for status in ("ok", "failed", "not_applicable")}
    cells = [np.mean(list(seeds.values())) for seeds in by_cell.values()]
    return {"mean": float(np.mean(cells)) if cells else math.nan,
            "seed_sd": float(np.std(means, ddof=1)) if len(means) > 1 else 0.0,
            "half": float(np.mean(halves)) if halves else 0.0,
            "seeds": " ".join(map(str, sorted({int(row.seed) for row in rows}))), **count}


def write_reference(reference: pd.DataFrame, path: Path | str) -> Path:
    """Writes a reference file (CSV, floats in full)."""
    write_atomically(Path(path), reference.to_csv(index=False, lineterminator="\n"))
    return Path(path)


def read_reference(path: Path | str) -> pd.DataFrame:
    """A reference file's content. Raises BadReference if it is none."""
    path = Path(path)
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in places.REFERENCES.glob("*.csv")))
        raise BadReference(f"{path}: no reference file there; make one from a run that is known to be good (--write), "
                           f"or take a shipped one: {shipped}")
    frame = pd.read_csv(path, keep_default_na=False, dtype=str)
    if tuple(frame.columns) != COLUMNS:
        raise BadReference(f"{path}: not a reference file of this version: it has the columns "
                              f"{', '.join(frame.columns)}, expected {', '.join(COLUMNS)}; make a new one")
    for column in ("version", "ok", "failed", "not_applicable"):
        frame[column] = frame[column].astype(int)
    for column in ("mean", "seed_sd", "half"):  # Python's float reads back exactly what was written
        frame[column] = [float(x or "nan") for x in frame[column]]
    frame["deterministic"] = frame["deterministic"] == "True"
    return frame


def made_by(reference: pd.DataFrame) -> str:
    """What made a reference, in words: commit, torch and device, all that there are of each."""
    return ", ".join(f"{name} {' and '.join(sorted(set(reference[name])))}" for name in MADE)


def check(rows: pd.DataFrame, reference: pd.DataFrame, metrics: dict[str, type], other_machine: bool = True,
          controls: Sequence[Pair] = (("full", "full_b"),)) -> list[Finding]:
    """What ``rows`` have lost against ``reference``; what fails comes first.

    A mean that is worse, by its metric's direction, than the reference's by more than the tolerance is a regression;
    one that is better by more is only noted. The tolerance is the largest of ``SPREADS`` times the reference's spread
    over seeds, its half interval over latents, and the metric's floor; for a closed form it is rounding. Nothing is
    compared where suite, version, profile, zoo or oracle differ, or where other cells were scored: that is a finding
    itself. A run of other seeds, or of fewer, is compared by what it has for each seed; a closed form is held to
    rounding on the reference's own seeds only, as those choose the latents that it is scored on.

    Args:
        metrics: {name: class with higher_is_better and bounds}.
        other_machine: whether the reference may come from another machine.
    """
    now = reference_from_rows(rows, (), controls)
    found = _contexts(now, reference)
    pairs = reference.merge(now, on=list(KEY), how="outer", suffixes=("", "_now"), indicator=True)
    matched = set(map(tuple, now[list(CONTEXT)].to_numpy())) & set(map(tuple, reference[list(CONTEXT)].to_numpy()))
    pairs = pairs[[context in matched for context in map(tuple, pairs[list(CONTEXT)].to_numpy())]]
    found += _missing(pairs[pairs["_merge"] == "left_only"], now)
    for line in pairs[pairs["_merge"] == "both"].itertuples():
        found += _line(line, rows, metrics, OTHER_MACHINE if other_machine else SAME_MACHINE)
    new = pairs[pairs["_merge"] == "right_only"]
    for method, part in new.groupby("method", sort=True):
        found.append(Finding("new", False, f"{method}: {len(part)} scores that the reference does not have "
                                           f"({', '.join(sorted(set(part['metric'])))}); nothing to compare with."))
    return sorted(found, key=lambda f: not f.fails)


def tolerance(metric: str, mean: float, seed_sd: float, half: float, bounds: tuple[float, float]) -> tuple[float, str]:
    """(what a mean may lose, where that comes from) for a score that is not a closed form.

    >>> tolerance("alignment", mean=0.5, seed_sd=0.02, half=0.01, bounds=(-1.0, 1.0))
    (0.06, '3 times the spread over seeds')
    """
    low, high = bounds
    floor = FLOORS.get(metric, 0.03 * (high - low) if math.isfinite(high - low) else 0.05 * abs(mean))
    return max((floor, "the metric's floor"), (SPREADS * seed_sd, f"{SPREADS:g} times the spread over seeds"),
               (half, "half the interval over latents"))


def _line(line, rows: pd.DataFrame, metrics: dict[str, type], exact: float) -> list[Finding]:
    name = _name(line)
    per_seed = Fraction(len(line.seeds.split()), len(line.seeds_now.split()))  # what a count of the run is worth
    ok, failed, not_applicable = (per_seed * int(n) for n in (line.ok_now, line.failed_now, line.not_applicable_now))
    if failed > line.failed:
        return [Finding("failure", True, f"{name}: {int(line.failed_now)} of "
                        f"{int(line.ok_now + line.failed_now + line.not_applicable_now)} cells failed, "
                        f"{int(line.failed)} in the reference: {_reason(line, rows)}")]
    if failed < line.failed and ok + failed == line.ok + line.failed:
        return [Finding("improvement", False, f"{name}: {math.ceil(line.failed - failed)} cells that failed have "
                                              "scores now; make a new reference to have them compared.")]
    if (ok, not_applicable) != (line.ok, line.not_applicable):
        return [Finding("coverage", True, f"{name}: {int(line.ok_now)} scores and {int(line.not_applicable_now)} not "
                        f"applicable, {int(line.ok)} and {int(line.not_applicable)} in the reference; means of other "
                        "cells cannot be compared.")]
    if line.metric not in metrics:
        return [Finding("missing", True, f"{name}: there is no metric {line.metric!r} any more that says which way is "
                                         "better.")]
    if not line.ok:
        return []
    loss = (line.mean - line.mean_now) * (1 if metrics[line.metric].higher_is_better else -1)
    exactly = line.deterministic and line.seeds == line.seeds_now
    if exactly:
        allowed, why = exact * max(1.0, abs(line.mean)), "a closed form: rounding only"
    else:
        allowed, why = tolerance(line.metric, line.mean, line.seed_sd, line.half, metrics[line.metric].bounds)
    if abs(loss) <= allowed:
        return []
    text = f"{name}: {line.mean_now:.4g}, {line.mean:.4g} in the reference; tolerance {allowed:.2g} ({why})"
    if loss > 0:
        return [Finding("regression", True, f"{text}. It got worse.")]
    hint = "A closed form should not move: if this is meant, raise the suite's version and make a new reference." \
        if exactly else "If it is here to stay, make a new reference, or it can be lost again unnoticed."
    return [Finding("improvement", False, f"{text}. It got better. {hint}")]


def _contexts(now: pd.DataFrame, reference: pd.DataFrame) -> list[Finding]:
    have = [tuple(c) for c in now[list(CONTEXT)].drop_duplicates().to_numpy()]
    want = [tuple(c) for c in reference[list(CONTEXT)].drop_duplicates().to_numpy()]
    found = []
    for context in want:
        if context in have:
            continue
        nearest = max((c for c in have if c[0] == context[0]), default=None,
                      key=lambda c: np.sum([a == b for a, b in zip(c, context)]))
        if nearest is None:
            found.append(Finding("missing", True, f"suite {context[0]} is in the reference; there are no rows of it."))
            continue
        changed = [f"{field} is {a}, {b} in the reference" for field, a, b in zip(CONTEXT, nearest, context) if a != b]
        found.append(Finding("context", True, f"suite {context[0]}: {'; '.join(changed)}. Such numbers cannot be "
                                              "compared; make a reference with these settings if the change is meant."))
    known = {c[0] for c in want}
    found += [Finding("new", False, f"suite {c[0]}, profile {c[2]}: the reference has nothing to compare with.")
              for c in have if c not in want and c[0] not in known]
    return found


def _missing(gone: pd.DataFrame, now: pd.DataFrame) -> list[Finding]:
    found, there = [], set(now["method"])
    for method, part in gone.groupby("method", sort=True):
        if method not in there:
            found.append(Finding("missing", True, f"{method} is in the reference ({len(part)} scores); there are no "
                                                  "rows of it: was it left out of the run?"))
        else:
            found += [Finding("missing", True, f"{_name(line)}: in the reference, but there are no rows of it.")
                      for line in part.itertuples()]
    return found


def _name(line) -> str:
    method = f"{line.method}[{line.variant}]" if line.variant else line.method
    return f"{method}, {line.metric} ({line.protocol})"


def _reason(line, rows: pd.DataFrame) -> str:
    mask = rows["status"] == "failed"
    for field in KEY:
        mask &= rows[field] == getattr(line, field)
    return rows.loc[mask, "reason"].iloc[0]

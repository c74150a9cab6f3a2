"""Regression check: have the numbers got worse than a stored reference says they should be?"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dirbench import places
from dirbench.files import write_atomically
from dirbench.metric import Metric
from dirbench.results.csv_files import CsvError, converted, read_text
from dirbench.results.rows import CONTEXT, each
from dirbench.results.settings import differences
from dirbench.results.statistics.summary import Pair, seed_words

ENTRY = ("metric", "protocol", "method", "variant", "extractor")
CLIENTS, CONTROL = "clients", "control"
KEY = (*CONTEXT, *ENTRY, "part")
MADE = ("commit", "torch", "device")
COLUMNS = (*KEY, "mean", "seed_sd", "half", "seeds", "ok", "failed", "not_applicable", "deterministic", *MADE)

SPREADS = 3.0
"""How many standard deviations over seeds a mean may lose."""

SAME_MACHINE, OTHER_MACHINE = 1e-6, 1e-3
"""What a closed form may move (times the value where that is above 1): rounding only; elsewhere other kernels too."""

SHARE_OF_RANGE, SHARE_OF_MEAN = 0.03, 0.05
"""What a score may always lose where its metric does not say: of the range of its values, or of the reference's mean
where that is infinite."""

NOT_COMPARABLE = "Such numbers cannot be compared; make a reference with these settings if the change is meant."
REMAKE = "make it again from a run that is known to be good (`check RUN --against FILE --write`)"


class BadReference(ValueError):
    """The reference file is not one; the message says what is wrong."""


@dataclass(frozen=True)
class Finding:
    """One thing that the check has to say.

    Attributes:
        kind: regression, missing, failure, coverage, context (other settings: not comparable), or (these do not fail)
            improvement, new, seeds, settings.
        fails: whether it should turn a build red.
        sentence: what was found, with the figures and the tolerance.
    """

    kind: str
    fails: bool
    sentence: str


def reference_from_rows(rows: pd.DataFrame, deterministic: Collection[str] = (),
                        controls: Sequence[Pair] = (),
                        provenance: Mapping[str, str] | None = None) -> pd.DataFrame:
    """The reference (``COLUMNS``) that later rows are checked against: one line a method, metric, protocol and part.

    ``part`` is "control" for the pairs and GANs that have the second GAN of one of ``controls``, else "clients".
    ``mean`` is over seeds, then pairs or GANs of the part; ``seed_sd`` the standard deviation over seeds of the
    mean over pairs; ``half`` the mean half width of the intervals over latents; ``seeds`` those seeds, as text.
    Methods named in ``deterministic`` (closed forms that draw nothing) are held to rounding. A line without any score
    has a NaN mean. ``provenance`` holds what made the rows, by the names of ``MADE``; nothing is compared by it.
    """
    grouped: dict[tuple, list] = {}
    doubles = {pair[1] for pair in controls}
    for row in rows.itertuples():
        part = CONTROL if doubles & {row.reference, row.client} else CLIENTS
        grouped.setdefault((*(getattr(row, field) for field in KEY[:-1]), part), []).append(row)
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
    """A reference file's content. Raises BadReference, with the line where there is one, if it is none.

    Files from before there was a ``part`` hold clients only.
    """
    path = Path(path)
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in places.REFERENCES.glob("*.csv")))
        what = "a folder, not a reference file" if path.is_dir() else "no reference file there"
        raise BadReference(f"{path}: {what}; make one from a run that is known to be good (`check RUN --against FILE "
                           f"--write`), or take a shipped one: {shipped}")
    try:
        frame, lines = read_text(path, "a reference file", [c for c in COLUMNS if c != "part"], ["part"], REMAKE)
        if "part" not in frame:
            frame["part"] = CLIENTS
        frame = frame[list(COLUMNS)]
        for column, convert, expected in _TYPES:
            frame[column] = converted(path, frame[column], lines, convert, expected)
    except CsvError as error:
        raise BadReference(str(error)) from error
    if frame.empty:
        raise BadReference(f"{path}: a reference file without lines compares nothing; {REMAKE}")
    twice = frame.duplicated(list(KEY)).to_numpy()
    if twice.any():
        raise BadReference(f"{path}:{lines[int(twice.argmax())]}: the same method, metric, protocol and part as in a "
                           f"line above; {REMAKE}")
    return frame


def made_by(reference: pd.DataFrame) -> str:
    """What made a reference, in words: commit, torch and device, all that there are of each."""
    return ", ".join(f"{name} {' and '.join(sorted(set(reference[name])))}" for name in MADE)


def _count(text: str) -> int:
    if not text.isdigit():
        raise ValueError
    return int(text)


def _seeds(text: str) -> str:
    if not text.split() or not all(seed.isdigit() for seed in text.split()):
        raise ValueError
    return text


def _one_of(*known: str) -> Callable[[str], str]:
    def convert(text: str) -> str:
        if text not in known:
            raise ValueError
        return text
    return convert


_TYPES: tuple[tuple[str, Callable[[str], object], str], ...] = (
    *((column, _count, "a whole number from 0") for column in ("version", "ok", "failed", "not_applicable")),
    # Python's float reads back exactly what was written.
    *((column, lambda text: float(text or "nan"), "a number") for column in ("mean", "seed_sd", "half")),
    ("seeds", _seeds, "seeds with spaces between them"),
    ("part", _one_of(CLIENTS, CONTROL), f"{CLIENTS} or {CONTROL}"),
    ("deterministic", lambda text: _one_of("True", "False")(text) == "True", "True or False"))


def check(rows: pd.DataFrame, reference: pd.DataFrame, metrics: Mapping[str, type[Metric]],
          controls: Sequence[Pair] = (), other_machine: bool = True,
          settings: Mapping[str, Any] | None = None,
          reference_settings: Mapping[str, Any] | None = None) -> list[Finding]:
    """What ``rows`` have lost against ``reference``; what fails comes first.

    A mean that is worse, by its metric's direction, than the reference's by more than the tolerance is a regression;
    one that is better by more is only noted. The tolerance is the largest of ``SPREADS`` times the reference's spread
    over seeds (no less than what is usual for the score), its half interval over latents, and the metric's own
    tolerance; for a closed form it is rounding. Control pairs are compared apart from clients, and every variant of a
    method with itself. Nothing is compared where suite, version, profile, zoo, oracle or ``settings`` differ, nor of a
    method whose parameters or extractor do, nor where other cells were scored: that is a finding itself. A run of other
    seeds, or of fewer, is compared by what it has for each seed; a closed form is held to rounding on the reference's
    own seeds only, as those choose the latents that it is scored on.

    Args:
        metrics: {name: class with higher_is_better, bounds and tolerance}.
        controls: the run's.
        other_machine: whether the reference may come from another machine.
        settings, reference_settings: of the run and the reference (``dirbench.results.settings``); None where unknown.
    """
    now = reference_from_rows(rows, (), controls)
    found = _contexts(now, reference)
    matched = set(map(tuple, now[list(CONTEXT)].to_numpy())) & set(map(tuple, reference[list(CONTEXT)].to_numpy()))
    if settings and reference_settings and matched:
        changed = differences(settings["run"], reference_settings["run"])
        if changed:
            return [*found, Finding("context", True, f"{'; '.join(changed)}. {NOT_COMPARABLE}")]
    elif settings and matched:
        found.append(Finding("settings", False, "the reference does not say with which settings it was made (alpha, "
                             "latents, attributes, weights, parameters of methods): that they are the run's was not "
                             "checked."))
    now, reference = (_only(frame, lambda line: tuple(getattr(line, field) for field in CONTEXT) in matched)
                      for frame in (now, reference))
    apart = (_other_parameters(settings, reference_settings) if matched else {}) | _other_extractors(now, reference)
    found += [Finding("context", True, f"{label}: {words}. {NOT_COMPARABLE}") for label, words in apart.items()]
    now, reference = (_only(frame, lambda line: _label(line) not in apart) for frame in (now, reference))
    pairs = reference.merge(now, on=list(KEY), how="outer", suffixes=("", "_now"), indicator=True)
    both = pairs[pairs["_merge"] == "both"]
    both = both.assign(seed_sd=_spreads(both))
    found += _other_seeds(both)
    found += _missing(pairs[pairs["_merge"] == "left_only"], now)
    for line in both.itertuples():
        found += _line(line, rows, metrics, OTHER_MACHINE if other_machine else SAME_MACHINE)
    found += _new(pairs[pairs["_merge"] == "right_only"], reference)
    return sorted(found, key=lambda f: not f.fails)


def _only(frame: pd.DataFrame, wanted: Callable[[Any], bool]) -> pd.DataFrame:
    return frame[np.array([wanted(line) for line in frame.itertuples()], dtype=bool)]


def _spreads(lines: pd.DataFrame) -> list[float]:
    """The spread over seeds of each line: from two or three seeds it can be small by luck, so it is no less than the
    median over the methods that draw, of the same metric, protocol and part. NaN where the reference has one seed."""
    several = lines["seeds"].str.contains(" ")
    drawn = lines[several & ~lines["deterministic"].astype(bool) & (lines["ok"] > 0)]
    place = ["metric", "protocol", "part"]
    median = drawn.groupby(place)["seed_sd"].median().to_dict()
    return [max(line.seed_sd, median.get(tuple(getattr(line, field) for field in place), 0.0)) if " " in line.seeds
            else math.nan for line in each(lines)]


def _label(line) -> str:
    return f"{line.method}[{line.variant}]" if line.variant else line.method


def _other_parameters(now: Mapping[str, Any] | None, then: Mapping[str, Any] | None) -> dict[str, str]:
    if not now or not then:
        return {}
    changed = {label: differences(params, then["methods"].get(label, {})) for label, params in now["methods"].items()}
    return {label: "; ".join(words) for label, words in changed.items() if words}


def _other_extractors(now: pd.DataFrame, reference: pd.DataFrame) -> dict[str, str]:
    """{method: sentence} of those whose rows have no extractor of the reference's."""
    ours, theirs = ({label: set(part["extractor"]) for label, part in frame.groupby(
        [_label(line) for line in frame.itertuples()])} for frame in (now, reference))
    words = {str(label): [", ".join(sorted(which[label])) or "none" for which in (ours, theirs)]
             for label in ours if label in theirs and not ours[label] & theirs[label]}
    return {label: f"extractor is {one}, {other} in the reference" for label, (one, other) in words.items()}


def _other_seeds(both: pd.DataFrame) -> list[Finding]:
    other = both[both["seeds"] != both["seeds_now"]]
    kinds = dict.fromkeys(zip(other["seeds_now"], other["seeds"]))
    found = []
    for ours, theirs in kinds:
        n = sum(pair == (ours, theirs) for pair in zip(other["seeds_now"], other["seeds"]))
        one, two = (seed_words(map(int, seeds.split())) for seeds in (ours, theirs))
        what = f"{one} in the run, {two} in the reference, for {n} of {len(both)} scores"
        if " " in theirs:
            found.append(Finding("seeds", False, f"{what}: means over other seeds are compared, within their spread."))
        else:
            found.append(Finding("context", True, f"{what}: one seed says nothing of the spread over seeds, so they "
                                                  "cannot be compared; run the reference's seed, or make a reference "
                                                  "of several."))
    return found


def tolerance(metric: type[Metric], mean: float, seed_sd: float, half: float) -> tuple[float, str]:
    """(what a mean may lose, where that comes from) for a score that is not a closed form.

    ``seed_sd`` is NaN for a reference of one seed. Then the interval over latents stands for the spread: with the same
    seed, another processor only rounds otherwise. The smoke run under AVX-512 against the same with none of AVX (torch
    and oneDNN both at SSE4.1) moved 13 of 205 scores, the most (xga's) by a third of this tolerance.

    >>> class Share(Metric):
    ...     bounds, tolerance = (0.0, 1.0), 0.02
    >>> tolerance(Share, mean=0.5, seed_sd=0.02, half=0.01)
    (0.06, '3 times the spread over seeds')
    >>> tolerance(Share, mean=0.5, seed_sd=0.0, half=0.01)
    (0.02, "the metric's own")
    """
    width = metric.bounds[1] - metric.bounds[0]
    own = metric.tolerance if metric.tolerance is not None else \
        SHARE_OF_RANGE * width if math.isfinite(width) else SHARE_OF_MEAN * abs(mean)
    one_seed = not math.isfinite(seed_sd)
    return max((own, "the metric's own"), (half, "half the interval over latents"),
               (0.0 if one_seed else SPREADS * seed_sd, f"{SPREADS:g} times the spread over seeds"))


def _line(line, rows: pd.DataFrame, metrics: Mapping[str, type[Metric]], exact: float) -> list[Finding]:
    if line.seeds != line.seeds_now and not math.isfinite(line.seed_sd):
        return []  # `_other_seeds` has said it once for all
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
        allowed, why = tolerance(metrics[line.metric], line.mean, line.seed_sd, line.half)
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
            found.append(Finding("context", True, f"suite {context[0]} is in the reference; there are no rows of it."))
            continue
        changed = [f"{field} is {a}, {b} in the reference" for field, a, b in zip(CONTEXT, nearest, context) if a != b]
        found.append(Finding("context", True, f"suite {context[0]}: {'; '.join(changed)}. {NOT_COMPARABLE}"))
    known = {c[0] for c in want}
    found += [Finding("new", False, f"suite {c[0]}, profile {c[2]}: the reference has nothing to compare with.")
              for c in have if c not in want and c[0] not in known]
    return found


def _missing(gone: pd.DataFrame, now: pd.DataFrame) -> list[Finding]:
    found = []
    there = {(line.method, line.variant, line.part) for line in now.itertuples()}
    for (method, variant, part), lines in gone.groupby(["method", "variant", "part"], sort=True):
        if (method, variant, part) in there:
            found += [Finding("missing", True, f"{_name(line)}: in the reference, but there are no rows of it.")
                      for line in lines.itertuples()]
            continue
        label = _label(next(lines.itertuples())) + (" on control pairs" if part == CONTROL else "")
        own = now[(now["method"] == method) & (now["part"] == part)]
        others = sorted({_label(line) for line in own.itertuples()})
        instead = f" (there are rows of {', '.join(others)}, which is compared with itself only)" if others else ""
        found.append(Finding("missing", True, f"{label} is in the reference ({len(lines)} scores); there are no rows "
                                              f"of it{instead}: was it left out of the run?"))
    return found


def _new(new: pd.DataFrame, reference: pd.DataFrame) -> list[Finding]:
    found = []
    if not new.empty and CONTROL not in set(reference["part"]):
        lines = new[new["part"] == CONTROL]
        if len(lines):
            found.append(Finding("new", False, f"the reference has no control pairs; {len(lines)} scores of the run's "
                                               "are compared with nothing. A new reference has them."))
        new = new[new["part"] != CONTROL]
    for (_, _, part), lines in new.groupby(["method", "variant", "part"], sort=True):
        label = _label(next(lines.itertuples())) + (" on control pairs" if part == CONTROL else "")
        found.append(Finding("new", False, f"{label}: {len(lines)} scores that the reference does not have "
                                           f"({', '.join(sorted(set(lines['metric'])))}); nothing to compare with."))
    return found


def _name(line) -> str:
    return f"{_label(line)}, {line.metric} ({line.protocol}{', control pairs' if line.part == CONTROL else ''})"


def _reason(line, rows: pd.DataFrame) -> str:
    mask = rows["status"] == "failed"
    for field in KEY[:-1]:
        mask &= rows[field] == getattr(line, field)
    return rows.loc[mask, "reason"].iloc[0]

"""One audit from beginning to end: artifacts through the store, then ``audit.json``, picture sheets and the page."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dirbench.benchmarks.audit import finding
from dirbench.benchmarks.audit.finding import View
from dirbench.benchmarks.audit.folder import RECORD, audit_folder
from dirbench.benchmarks.audit.inputs import Subject, Subjects, default_control, find_oracle, find_subject
from dirbench.benchmarks.audit.page import page
from dirbench.benchmarks.audit.pictures import Row, sheet
from dirbench.benchmarks.audit.reading import Reader
from dirbench.benchmarks.audit.setup import AuditSetup, Pair
from dirbench.benchmarks.config.profile import Profile
from dirbench.benchmarks.config.suite import Extractor
from dirbench.benchmarks.running.provenance import surroundings
from dirbench.benchmarks.stages.discover import directions, directions_step
from dirbench.benchmarks.stages.missing import lacking
from dirbench.benchmarks.stages.random_runs import random_run_steps, random_runs
from dirbench.benchmarks.stages.respond import responses, responses_step
from dirbench.benchmarks.stages.traverse import traversals
from dirbench.files import write_atomically
from dirbench.responses import Responses

KINDS = ("common", "missing", "novel")
Say = Callable[[str], None]


@dataclass(frozen=True)
class Question:
    """What an audit is asked, in the words of whoever asks.

    Attributes:
        reference, client: checkpoint files, specifications, ``module:Class`` or a zoo's GANs.
        control: two generators of the same data; None for the zoo's own pair where there is one.
        oracle: see ``inputs.find_oracle``.
        steps: of xGA's training; None for the profile's.
        key: the generator's place in each of the files, where they do not make it clear.
    """

    reference: str
    client: str
    profile: Profile
    extractor: Extractor
    oracle: str | None = None
    control: tuple[str, str] | None = None
    key: str | None = None
    seed: int = 0
    steps: int | None = None


def audit(question: Question, out: Path, *, device: str, store: str, command: list[str],
          say: Say = lambda text: None) -> dict:
    """Audits the client against the reference, writes ``out`` and returns what audit.json holds.

    Args:
        say: told what is being done.
    Raises:
        ValueError, RuntimeError: something cannot be read, used or written; a sentence says what to do.
    """
    with audit_folder(out, (RECORD, "audit.md", *(f"{kind}.png" for kind in KINDS))) as folder:
        subjects, controls = _subjects(question, say)
        oracle = find_oracle(question.oracle, [*subjects, *controls])
        setup = AuditSetup.of(subjects[0].name, Subjects([*subjects, *controls]), question.profile, question.seed,
                          question.steps, question.extractor, oracle.oracle, device, store)
        say(f"oracle: {oracle.name if oracle.oracle else 'none'}, because {oracle.reason}")
        result = _plain({**_found(setup, subjects, controls, say), **_facts(setup, subjects, controls),
                         "oracle": oracle.describe(), "made": _made_by(setup, command)})
        result["pictures"] = _pictures(setup, subjects, result, folder, say)
        write_atomically(folder / RECORD, json.dumps(result, indent=1, allow_nan=False))
        write_atomically(folder / "audit.md", page(result))
    return result


def _subjects(question: Question, say: Say) -> tuple[list[Subject], list[Subject]]:
    """(reference and client, the two of the control or none). Raises ValueError where two are the same generator."""
    subjects = [find_subject(one, question.key) for one in (question.reference, question.client)]
    if subjects[0].hash == subjects[1].hash:
        raise ValueError(f"{question.reference} and {question.client} are the same generator: there is nothing to "
                         "compare")
    control = question.control or default_control(*subjects)
    controls = [find_subject(one) for one in control or ()]
    if control and controls[0].hash == controls[1].hash:
        raise ValueError(f"--control {control[0]} {control[1]} are the same generator; a control is two generators "
                         "that were trained on the same data, apart from each other")
    for one in (*subjects, *controls):
        for note in one.generator.notes:
            say(f"note: {one.given}: {note}")
    return subjects, controls


def _pair(subjects: list[Subject]) -> Pair:
    return subjects[0].name, subjects[1].name


def _found(setup: AuditSetup, subjects: list[Subject], controls: list[Subject], say: Say) -> dict:
    """The findings, with what random directions and the control say of them."""
    views = _views(setup, subjects, "", say)
    runs = []
    for one in subjects:
        say(f"chance: random directions of {one.given}")
        runs.append(random_runs(setup.lab, one.name))
    control = _views(setup, controls, "the control, ", say) if controls else None
    result = _result(setup, views, runs, control)
    if controls:
        result["control"] = {"pair": [one.given for one in controls], **result["control"]}
    return result | {"data": _data(subjects, views)}


def _facts(setup: AuditSetup, subjects: list[Subject], controls: list[Subject]) -> dict:
    """What was compared, with which method and settings, and where the evidence lies."""
    method, which = setup.method, setup.lab.design.extractor
    return {
        "audit": 1, "reference": subjects[0].describe(), "client": subjects[1].describe(),
        "controls": [one.describe() for one in controls], "title": setup.title, "seed": setup.seed,
        "extractor": {"name": which.name, "params": which.params, "axes": len(setup.reader.axes.T),
                      "fingerprint": setup.lab.extractor_fingerprint(which)},
        "method": {"name": method.name, "source": method.source, "steps": method.steps,
                   "published_steps": method.published_steps(), "params": method.params(),
                   "loss": directions(setup.lab, setup.discovery(_pair(subjects)))[0].notes},
        "artifacts": _artifacts(setup, _pair(subjects), _pair(controls) if controls else None)}


# -- evidence ------------------------------------------------------------------------------------------------
def _views(setup: AuditSetup, pair: list[Subject], words: str, say: Say) -> dict[str, View]:
    """{"attributes": ..., "features": ...} of a pair, discovered on it first; no attributes without an oracle."""
    say(f"xGA: {setup.method.steps:,} steps on {words}{pair[0].given} and {pair[1].given}")
    sides = [responses(setup.lab, setup.discovery(_pair(pair)), side) for side in (0, 1)]
    return {kind: _view(setup, sides, columns) for kind, columns in _columns(setup.reader).items()}


def _columns(reader: Reader) -> dict[str, np.ndarray]:
    own = {"attributes": reader.is_readable_attribute} if reader.oracle is not None else {}
    return own | {"features": reader.is_feature}


def _view(setup: AuditSetup, sides: list[Responses], columns: np.ndarray) -> View:
    names = tuple(name for name, kept in zip(setup.reader.names, columns) if kept)
    reference, client = (one.attributes(columns) for one in sides)
    return View(reference, client, names, not setup.reader.is_feature[columns].all(),
                setup.lab.design.sizes.latents.match, setup.method.n_common)


def _result(setup: AuditSetup, views: dict[str, View], runs: list, control: dict[str, View] | None) -> dict:
    """Findings by the first of the views (attributes, where an oracle reads them), features beside them."""
    columns, resamples = _columns(setup.reader), setup.lab.design.sizes.bootstrap
    evidence = next(iter(views))
    view, cut = views[evidence], {kind: ([r.attributes(columns[kind]) for r in runs[0]],
                                        [r.attributes(columns[kind]) for r in runs[1]]) for kind in views}
    false = finding.false_positives(control[evidence]) if control else None
    levels = {kind: finding.beyond_chance(views[kind], cut[kind]) for kind in views}
    found = {"common": finding.common(view, levels[evidence]), "missing": finding.unique(view, True),
             "novel": finding.unique(view, False)}
    for one in found["missing"] + found["novel"]:
        one["stands_out"] = finding.stands_out(one, false)
    if evidence == "attributes":
        _add_features(found, views["features"], levels["features"])
        _add_shares(found, view)
    return {"evidence": evidence, **found, "unmeasurable": {k: finding.unmeasurable(v) for k, v in views.items()},
            "chance": {kind: {"pair_cosine": levels[kind], "scores": finding.scores(views[kind], cut[kind], resamples)}
                       for kind in views}, "control": false}


def _add_features(found: dict, view: View, level: float | None) -> None:
    """What features say of the same directions, without the names that they do not have."""
    case = view.case
    pairs = {one["direction"]: one for one in finding.common(view, level)}
    for kind, own, other in (("missing", case.reference, case.client), ("novel", case.client, case.reference)):
        for one in found[kind]:
            k = one["direction"]
            one["features"] = {**finding.facts(own, k, view.names, False), "nearest": finding.nearest(own, k, other)}
    for one in found["common"]:
        same = pairs.get(one["direction"])
        one["features"] = same and {key: same[key] for key in ("sign", "cosine", "beyond_chance", "reference",
                                                               "client")}


def _add_shares(found: dict, view: View) -> None:
    """The share of unedited images in which the oracle sees what a direction is called after."""
    for one in found["common"] + found["missing"] + found["novel"]:
        m = view.names.index(one["called"])
        one["share_reference"], one["share_client"] = (float((r.before[:, m] > 0).mean())
                                                       for r in (view.reference, view.client))


def _data(subjects: list[Subject], views: dict[str, View]) -> dict | None:
    """What the zoo's manifest says of the training data: attributes that one has and the other lacks."""
    if "attributes" not in views or not all(one.rates for one in subjects):
        return None
    names, (a, b) = views["attributes"].names, (one.rates for one in subjects)
    return {"missing": lacking(names, a, b), "novel": lacking(names, b, a)}


def _artifacts(setup: AuditSetup, pair: Pair, control: Pair | None) -> dict:
    """Where in the store each number's evidence lies."""
    out = {}
    for kind, gans in (("pair", pair), ("control", control)):
        if gans:
            found = setup.discovery(gans)
            out[kind] = {"directions": directions_step(setup.lab, found).key,
                         "responses": [responses_step(setup.lab, found, side).key for side in (0, 1)]}
    return out | {"chance": [[step.key for step in random_run_steps(setup.lab, gan)] for gan in pair]}


def _made_by(setup: AuditSetup, command: list[str]) -> dict:
    """Which code, settings and machine made the numbers."""
    sizes = setup.lab.design.sizes
    return {**surroundings(setup.lab.design.device, command), "profile": sizes.profile, "profile_title": sizes.title,
            "profile_settings": sizes.model_dump(), "alpha": setup.lab.design.alpha}


def _plain(value):
    """Without NaN and infinities, which JSON lacks: None in their place."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


# -- pictures -------------------------------------------------------------------------------------------------
def _pictures(setup: AuditSetup, subjects: list[Subject], result: dict, out: Path, say: Say) -> dict[str, str]:
    """Draws a sheet of each kind that has a direction to ``out``; {kind: file}."""
    written = {}
    shown = [traversals(setup.lab, setup.discovery(_pair(subjects)), side) for side in (0, 1)]
    for kind in KINDS:
        rows = [row for one in result[kind] for row in _rows(kind, one)]
        if not rows:
            continue
        say(f"pictures: {kind} directions")
        method = result["method"]
        title = (f"{kind} directions: client {result['client']['given']} against reference "
                 f"{result['reference']['given']}; {setup.title}; {method['name']}, {method['steps']:,} of "
                 f"{method['published_steps']:,} steps, seed {setup.seed}")
        sheet(out / f"{kind}.png", shown, title, rows)
        written[kind] = f"{kind}.png"
    return written


def _rows(kind: str, one: dict) -> list[Row]:
    k = one["direction"]
    if kind == "common":
        return [Row(0, k, f"{k} reference{_words(one['reference'])}", _numbers(one["reference"])),
                Row(1, k, f"{k} client{_words(one['client'], one['sign'])}", _numbers(one["client"]), one["sign"])]
    return [Row(0 if kind == "missing" else 1, k, f"{k}{_words(one)}", _numbers(one))]


def _words(facts: dict, sign: int = 1) -> str:
    if not facts["attributes"]:
        return ""
    top = facts["attributes"][0]
    return f"  {top['name']} {top['plus' if sign > 0 else 'minus']:+.2f}".replace("-", "−")


def _numbers(facts: dict) -> str:
    return f"effect {facts['effect']:.2f}, reliability {facts['reliability']:.2f}"

"""What a run's numbers depend on besides its suite's name and version: kept beside a reference, compared by name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dirbench.files import write_atomically

PROFILE = ("latents", "ratio", "extractor", "metrics")
DIGITS = 12  # of hashes of weights


def settings_of(made_by: Mapping[str, Any]) -> dict[str, Any]:
    """{"run": what every number depends on, "methods": {label: parameters}} of a run.json's content.

    What does not move a mean (the number of resamples, of random runs, the batch of images) is not in it, nor are the
    seeds, which each line of a reference has.
    """
    profile, hashes = made_by.get("profile_settings", {}), made_by.get("hashes", {})
    weights = {f"weights of {gan}": digest for gan, digest in hashes.get("gans", {}).items()}
    weights |= {f"weights of the {what}": hashes[what] for what in ("oracle", "teacher", "extractor") if what in hashes}
    run = {"extractor": made_by.get("extractor"), "attributes": made_by.get("readable_attributes"),
           "alpha": made_by.get("alpha"), "reference": made_by.get("reference"), "pairs": made_by.get("pairs"),
           **{f"profile's {name}": profile[name] for name in PROFILE if name in profile},
           **{name: digest[:DIGITS] for name, digest in weights.items()}}
    return {"run": run, "methods": dict(made_by.get("methods", {}))}


def differences(now: Mapping[str, Any], then: Mapping[str, Any]) -> list[str]:
    """``latents.match is 16, 32 in the reference`` for each setting of both that differs; one that only one of them
    has is new or gone, and what it did before is not known to differ."""
    ours, theirs = dict(_flat(now)), dict(_flat(then))
    return [f"{name} is {_words(ours[name])}, {_words(theirs[name])} in the reference" for name in ours
            if name in theirs and ours[name] != theirs[name]]


def write_settings(settings: Mapping[str, Any], reference: Path) -> Path:
    """Writes ``settings`` beside a reference file (``NAME.json``); returns the path."""
    path = beside(reference)
    write_atomically(path, json.dumps(settings, indent=1, sort_keys=True) + "\n")
    return path


def read_settings(reference: Path) -> dict[str, Any] | None:
    """The settings beside a reference file; None where there are none. Raises ValueError for what is no such file."""
    path = beside(reference)
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        line = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ValueError(f"{path}{line}: not readable as JSON ({error}); delete it to check without the reference's "
                         "settings, or make the reference again (`check --write`)") from error
    if not isinstance(found, dict) or not all(isinstance(found.get(part), dict) for part in ("run", "methods")) \
            or not all(isinstance(params, dict) for params in found["methods"].values()):
        raise ValueError(f"{path}: no settings of a reference: expected run and methods, each with names and values; "
                         "delete it, or make the reference again (`check --write`)")
    return found


def beside(reference: Path) -> Path:
    """Where the settings of a reference file lie."""
    return reference.with_suffix(".json")


def _flat(settings: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

"""Run on a copy of the project: edits its files one by one, and prints which keys of a tiny plan each changes."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path

from dirbench.benchmarks.config.job import Job, make_job
from dirbench.benchmarks.running.plan import Plan
from dirbench.benchmarks.stages.work import Work
from dirbench.results.artifacts.code_hash import forget


def keys(job: Job) -> dict[str, list[str]]:
    """{what: the keys of such steps}: "directions sefa", "scores sefa pair", "chance alignment", "responses"."""
    found = defaultdict(set)
    for cell in Plan(Work.of(job)).cells.values():
        for step in cell.steps:
            words = [step.kind, *([cell.entry.label] if cell.entry else step.inputs.get("metrics", ()))]
            words += [("single", "pair")[len(cell.gans) - 1]] if step.kind == "scores" else []
            found[" ".join(words)].add(step.key)
    return {what: sorted(keys) for what, keys in found.items()}


def main(root: Path, profile: str, store: str) -> None:
    """Reads [name, file, old, new] for each edit from stdin; an old text of "" means that the file is new."""
    job = make_job("celeba_subsets", profile, methods=["random", "sefa", "xga"], device="cpu", store=store)
    before = keys(job)
    changed = {"": sorted(before)}
    for name, file, old, new in json.load(sys.stdin):
        path = root / file
        text = path.read_text(encoding="utf-8") if old else None
        assert old or not path.exists(), f"{name}: {file} is there already"
        assert text is None or text.count(old) == 1, f"{name}: {file} has the text {text.count(old)} times: {old}"
        path.write_text(new if text is None else text.replace(old, new), encoding="utf-8")
        forget()
        after = keys(job)
        changed[name] = sorted(what for what in before if before[what] != after[what])
        path.write_text(text, encoding="utf-8") if text is not None else path.unlink()
    print(json.dumps(changed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])

"""What made the numbers: commit, versions, hardware, hashes of everything that was loaded, and the command."""

from __future__ import annotations

import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from dirbench.benchmarks.config.zoo_and_oracles import oracle_name
from dirbench.benchmarks.stages.work import Work
from dirbench.version import __version__, commit

LIBRARIES = ("torch", "numpy", "scipy", "pandas", "scikit-learn", "safetensors", "efficientnet-lite-pytorch")


def surroundings(device: str, command: list[str]) -> dict[str, Any]:
    """Which code, on which machine, was called how, and when.

    >>> surroundings("cpu", ["dirbench", "list"])["command"]
    ['dirbench', 'list']
    """
    gpu = {"gpu": torch.cuda.get_device_name(device)} if device.startswith("cuda") else {}
    return {"command": command, **dict(zip(("commit", "dirty"), commit())),
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "python": platform.python_version(),
            "versions": {"dirbench": __version__, **{name: metadata.version(name) for name in LIBRARIES}},
            "hardware": {"device": device, "processor": _processor(), "system": platform.platform(terse=True), **gpu}}


def provenance(work: Work, command: list[str]) -> dict[str, Any]:
    """What made the numbers of a run, for ``run.json``."""
    job, oracle = work.job, work.lab.oracle
    return {
        "suite": job.suite.suite, "version": job.suite.version, "profile": job.profile.profile,
        "profile_title": job.profile.title, "pairs": job.pairs, "seeds": list(job.profile.seeds),
        "zoo": work.zoo.title, "oracle": oracle_name(job.suite.oracle), "extractor": job.suite.extractor.name,
        "readable_attributes": sum(oracle.readable) if oracle else 0, **surroundings(job.device, command),
        "hashes": {"gans": {g: work.zoo.hash(g) for g in job.all_gans}, **work.lab.fingerprints},
        "gans": job.all_gans, "methods": {e.label: job.method(e).params() for e in job.suite.methods},
        "metrics": job.suite.metrics, "tables": job.suite.tables,
        "profile_settings": job.profile.model_dump(), "alpha": job.suite.alpha,
        "reference": job.suite.reference, "controls": job.controls, "plan": job.digest()}


def caption_facts(made_by: dict) -> dict:
    """What captions say of the provenance, and what tables need to know of the suite."""
    shown = made_by["commit"][:12] + ("+" if made_by["dirty"] else "")
    if shown == "unknown" and "dirbench" in made_by["versions"]:  # an installed copy
        shown = f"unknown (dirbench {made_by['versions']['dirbench']})"
    return {"pairs": made_by["pairs"], "attributes": made_by["readable_attributes"],
            "alpha": made_by["alpha"], "torch": made_by["versions"]["torch"], "device": made_by["hardware"]["device"],
            "commit": shown, "reference": made_by["reference"], "controls": made_by["controls"],
            "zoo": made_by.get("zoo", ""), "tables": made_by.get("tables"),  # older runs do not say all of it
            "order": {"gans": made_by.get("gans", []), "methods": list(made_by["methods"]),
                      "metrics": made_by.get("metrics", [])}}


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()

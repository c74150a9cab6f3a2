"""A run small enough for a test: the shipped suite and generators under a profile of a few latents and steps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from helpers import ROOT

PROFILE = """\
profile: tiny
title: a handful of latents, to test the runner
gans: [full, no_hats]
pairs: reference
seeds: [0]
latents: {match: 4, score: 4}
chunk: 16
chance: {runs: 2}
ratio: {pool: 16, steps: 4, batch: 8}
bootstrap: 5
extractor: {input_size: 32}
methods:
  random: {n_directions: 16}
  ganspace: {n_samples: 200}
  interfacegan: {n_samples: 400}
  latentclr: {n_steps: 4, batch: 2}
  xga: {n_steps: 2, per_step: 16, batch: 2}
"""


def profile(folder: Path) -> str:
    """The path of the tiny profile, written into ``folder``."""
    path = folder / "tiny.yaml"
    path.write_text(PROFILE)
    return str(path)


def arguments(folder: Path, out: str = "run", store: str = "store", methods: str = "random,sefa",
              *more: str) -> list[str]:
    """Arguments of a tiny run in ``folder``."""
    return ["--suite", "celeba_subsets", "--profile", profile(folder), "--out", str(folder / out),
            "--store", str(folder / store), "--methods", methods, *more]


def start(args: list[str]) -> subprocess.Popen:
    """The command line in a process of its own, which hears Ctrl-C even where the tests run in the background."""
    return subprocess.Popen([sys.executable, "run_bench.py", *args], cwd=ROOT, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": "1"},
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

"""Made-up rows in the shape that a run writes, for the tests of tables, plots and the regression check."""

from __future__ import annotations

import zlib

import numpy as np
import pandas as pd

from dirbench.metric import Metric
from dirbench.plugins import METHODS as REGISTERED
from dirbench.plugins import METRICS as KNOWN
from dirbench.results.rows import make_rows
from dirbench.results.source import Source

GANS = ("full", "female", "male", "no_hats", "no_glasses", "no_beards", "no_beards_no_hats",
        "no_smiles_no_glasses_no_ties")
CONTROLS = (("full", "full_b"),)

NAMES = ("alignment", "attribute_recovery", "off_target_recovery", "deviation", "entropy", "effect", "reliability",
         "dead_directions", "s_disen", "n_discov")
METRICS: dict[str, type[Metric]] = {name: KNOWN.get(name) for name in NAMES}
METHODS = REGISTERED.load_all()[0]
SKILL = {"random": 0.0, "coordinate": 0.02, "sefa": 0.1, "ganspace": 0.05, "latentclr": 0.2, "xga": 0.3,
         "interfacegan": 0.45}
ORDER = ("random", "coordinate", "ganspace", "latentclr", "sefa", "xga", "interfacegan")  # of the suite
STEPS = {"latentclr": (300, 10000), "xga": (200, 10000)}
LEVEL = {"alignment": (0.35, 0.34, 1.0), "attribute_recovery": (0.31, 0.30, 1.0),
         "off_target_recovery": (0.3, 0.3, -0.2), "entropy": (0.8, 0.8, -0.5), "deviation": (0.1, 0.1, 0.3),
         "effect": (0.4, 0.4, 3.0), "reliability": (0.6, 0.6, 0.8),
         "dead_directions": (2, 2, -4), "s_disen": (0.33, 0.33, 0.6), "n_discov": (2.1, 2.2, 12)}


GOOD = {"suite": "s", "version": 1, "profile": "mini", "zoo": "mini", "metric": "alignment", "protocol": "greedy",
        "method": "sefa", "reference": "full", "client": "male", "seed": 0, "value": 0.5}
"""One row, as columns and values."""


def rows(seeds=(0,), gans=(*GANS, "full_b"), methods=tuple(SKILL), xga_pairs="reference", **context) -> pd.DataFrame:
    """Rows of all metrics: pairs for every method (xga with ``full`` only, unless ``xga_pairs`` is "all"), single GANs
    for all, the control, one failed cell and the scores that do not exist."""
    base = {"suite": "celeba_subsets", "version": 1, "profile": "mini", "zoo": "mini", "oracle": "scorer",
            "config_id": "c0ffee", **context}
    out = []
    for method in methods:
        for seed in seeds:
            for metric in ("alignment", "attribute_recovery", "off_target_recovery"):
                for a, b in _pairs(gans, method, metric, xga_pairs):
                    protocols = ["greedy", "greedy-centred", "published-greedy"]
                    protocols += ["index", "published-index"] if method == "xga" else []
                    out += [_row(base, method, seed, metric, p, a, b) for p in protocols]
            for metric in ("effect", "reliability", "dead_directions", "s_disen", "n_discov", "entropy", "deviation"):
                protocols = ("headline", "published") if metric in ("entropy", "s_disen", "n_discov") else ("headline",)
                out += [_row(base, method, seed, metric, p, g, "") for g in gans for p in protocols]
    return make_rows(out)


def source(rows: pd.DataFrame, **more) -> Source:
    """What tables of ``rows`` are made from, with the suite's order and control."""
    given = {"metrics": METRICS, "methods": METHODS, "controls": CONTROLS,
             "order": {"gans": GANS, "methods": ORDER, "metrics": NAMES}}
    return Source(rows, **(given | more))


def cells() -> pd.DataFrame:
    """A cells.csv's content."""
    columns = ["suite", "profile", "kind", "method", "reference", "client", "seed", "seconds", "images", "status",
               "reason", "artifact", "variant", "cached"]
    lines = [["celeba_subsets", "mini", "pool", "", g, "", 0, 6.5, 2000, "ok", "", "p", "", True] for g in GANS]
    for kind, seconds, images in (("directions", 20.0, 0), ("responses", 14.0, 4224), ("score", 0.4, 0)):
        lines += [["celeba_subsets", "mini", kind, m, g, "", 0, seconds * (1 + i), images, "ok", "", "p", "", False]
                  for i, m in enumerate(("random", "sefa", "interfacegan")) for g in GANS]
    lines += [["celeba_subsets", "mini", "directions", "latentclr", "full", "", 0, 3.0, 0, "failed",
               "the loss became NaN at step 12", "", "", False]]
    return pd.DataFrame(lines, columns=columns)


def _pairs(gans, method, metric, xga_pairs):
    plain = [g for g in gans if g != "full_b"]
    ordered = metric in ("attribute_recovery", "off_target_recovery")
    pairs = [(a, b) for i, a in enumerate(plain) for j, b in enumerate(plain) if i < j or (ordered and i != j)]
    if method == "xga" and xga_pairs == "reference":
        pairs = [p for p in pairs if p[0] == "full"]
    return pairs + ([("full", "full_b")] if "full_b" in gans else [])


def _row(base, method, seed, metric, protocol, a, b):
    rng = np.random.default_rng(zlib.crc32(repr((method, seed, metric, protocol, a, b)).encode()))
    level, chance, slope = LEVEL[metric]
    value = level + slope * SKILL[method] + rng.normal(0, 0.05)
    if protocol.endswith("index"):
        value, chance = value - 0.15, 0.02
    low, high = METRICS[metric].bounds
    value, half = float(np.clip(value, low, high)), 0.03
    steps, published = STEPS.get(method, (0, 0))
    row = {**base, "metric": metric, "protocol": protocol, "method": method, "variant": "",
           "extractor": "efficientnet_lite0" if method == "xga" else "", "reference": a, "client": b, "seed": seed,
           "steps": steps, "published_steps": published}
    if metric == "attribute_recovery" and b in ("full", "full_b"):
        return {**row, "status": "not_applicable", "reason": "no readable attribute is missing from the client's data"}
    if method == "latentclr" and (a, b) == ("full", "no_hats"):
        return {**row, "status": "failed", "reason": "latentclr: the loss became NaN at step 12 of 300"}
    return {**row, "value": value, "ci_low": value - half, "ci_high": value + half, "n": 64,
            "chance": chance, "chance_low": chance - 0.08, "chance_high": chance + 0.08,
            "effect": value if metric == "effect" else 0.4 + 3 * SKILL[method]}

"""A zoo's fitness in words: the table of all its GANs, a card and a sheet of samples of each; and the whole check."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dirbench.benchmarks.data.pictures import save_sheet, to_uint8
from dirbench.benchmarks.zoo.fitness import (
    COMMON_MARGIN,
    LACKING_MARGIN,
    SAMPLE_SEED,
    GanReport,
    HeldOut,
    renders,
    report_gan,
)
from dirbench.benchmarks.zoo.zoo import Zoo, load_zoo, metadata
from dirbench.files import write_atomically
from dirbench.oracles.networks.classifier import load_oracle
from dirbench.plugins import EXTRACTORS


def summary(reports: Sequence[GanReport], title: str) -> str:
    """The fitness table as Markdown: a line for each GAN, then every broken criterion with its interval."""
    data = reports[0].data
    lines = [f"# Fitness: {title}", "",
             f"Rates as the oracle reads them in {reports[0].samples} samples and {_as_many(reports)} held-out {data} "
             "of the subset.",
             f"Fit: a lacking value at most {100 * LACKING_MARGIN:.0f} points more often in samples than in {data}, "
             f"attributes in 10-90% of the data within {100 * COMMON_MARGIN:.0f} points.", "",
             "| GAN | images seen | Fréchet distance | of two halves of the data | lacking: excess, points | "
             "common: mean, largest error, points | broken | fit |", "|---|---|---|---|---|---|---|---|"]
    for r in reports:
        lacking = [c for c in r.checks if c.kind == "lacking"]
        errors = [100 * abs(c.difference) for c in r.checks if c.kind == "common"]
        excess = ", ".join(f"{c.attribute}={c.value} {100 * c.difference:+.1f}" for c in lacking) or "none"
        error = f"{sum(errors) / len(errors):.1f}, {max(errors):.1f} of {len(errors)}" if errors else "none"
        distances = ["not measured" if d is None else f"{d:.2f}" for d in (r.frechet, r.frechet_floor)]
        seen = "not said" if r.images_seen is None else r.images_seen
        lines.append(f"| {r.name} | {seen} | {distances[0]} | {distances[1]} | {excess} | {error} | "
                     f"{len(r.broken)} | {'yes' if r.fit else 'no'} |")
    broken = [(r.name, c) for r in reports for c in r.broken]
    if broken:
        lines += ["", f"| GAN | broken criterion | {data} | samples | difference [95%], points |",
                  "|---|---|---|---|---|"]
        lines += [f"| {name} | {c.kind} {c.attribute}={c.value} | {_share(c.in_data, c.data_low, c.data_high)} | "
                  f"{_share(c.in_samples, c.samples_low, c.samples_high)} | {100 * c.difference:+.1f} "
                  f"[{100 * c.difference_low:+.1f}, {100 * c.difference_high:+.1f}] |" for name, c in broken]
    return "\n".join(lines) + "\n"


def _as_many(reports: Sequence[GanReport]) -> str:
    counts = sorted({r.held_out for r in reports})
    if counts in ([0], [reports[0].samples]):
        return "as many"
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _share(value: float, low: float, high: float) -> str:
    return f"{100 * value:.1f}% [{100 * low:.1f}, {100 * high:.1f}]"


def card(report: GanReport, facts: Mapping[str, object], title: str) -> str:
    """The card of one GAN as Markdown: what it is, what it was trained on, how faithful it is.

    ``facts``: the header of its weights file (``zoo.metadata``), or ``file`` and ``sha256`` of any other.
    """
    distance = ("not measured" if report.frechet is None else
                f"{report.frechet:.2f}; {report.frechet_floor:.2f} between two halves of the data")
    lines = [f"# {report.name}: {title}", "", f"![samples]({report.name}.png)", "", *_made_of(facts),
             f"- Fréchet distance to held-out data ({min(report.samples, report.held_out or report.samples)} images): "
             f"{distance}",
             f"- fit for the benchmark: {'yes' if report.fit else 'no'}", "",
             f"| attribute | kind | labels | oracle on {report.data} | oracle on samples | difference, points | ok |",
             "|---|---|---|---|---|---|---|"]
    for k in report.checks:
        ok = {True: "yes", False: "no", None: ""}[k.ok]
        lines.append(f"| {k.attribute}={k.value} | {k.kind} | {100 * k.labelled:.1f}% | "
                     f"{_share(k.in_data, k.data_low, k.data_high)} | "
                     f"{_share(k.in_samples, k.samples_low, k.samples_high)} | {100 * k.difference:+.1f} | {ok} |")
    return "\n".join(lines) + "\n"


def _made_of(facts: Mapping[str, Any]) -> list[str]:
    """What the header of a GAN that was trained here says; of others the file is all that is known."""
    if "mapping_layers" not in facts.get("config", {}):
        return [f"- weights: {facts['file']}, sha256 {str(facts['sha256'])[:16]}..."]
    c, seed = facts["config"], facts["data_seed"]
    data = "images" if seed is None else "rendered faces"
    return [f"- StyleGAN2 (skip), {c['resolution']}x{c['resolution']}, w of {c['w_dim']}, {c['mapping_layers']} "
            f"mapping layers, widths {c['channels']}, fp16 weights of the averaged generator",
            f"- data: {facts['n_data']} {data} of the subset {facts['subset']}"
            + ("" if seed is None else f", data seed {seed}") + f", sha256 {str(facts['data_sha256'])[:16]}...",
            f"- training: seed {facts['seed']}, {facts['images_seen']} images seen"]


def _facts(zoo: Zoo, name: str) -> dict[str, Any]:
    """The header of its weights where it was trained here, else which file it is."""
    path = zoo.file(name)
    known = {"file": path.name if path else "none", "sha256": zoo.hash(name)}
    return known | (metadata(path) if path and "data_sha256" in zoo.entry(name) else {})


def write_cards(zoo: Zoo, reports: Sequence[GanReport], out: Path) -> None:
    """Write ``<name>.md`` and ``<name>.png`` for each report, ``fitness.md`` and ``fitness.json`` into ``out``."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for r in reports:
        generator = zoo.load(r.name)
        z = generator.sample_z(96, torch.Generator().manual_seed(SAMPLE_SEED))
        with torch.inference_mode():
            save_sheet(to_uint8(generator.synthesize(z, "z")), out / f"{r.name}.png")
        write_atomically(out / f"{r.name}.md", card(r, _facts(zoo, r.name), zoo.title))
    write_atomically(out / "fitness.md", summary(reports, zoo.title))
    gans = [asdict(r) | {"fit": r.fit, "sha256": zoo.hash(r.name)} for r in reports]
    whole = {"zoo": zoo.name, "title": zoo.title, "gans": gans}
    write_atomically(out / "fitness.json", json.dumps(whole, indent=1) + "\n")


def check_zoo(zoo: str = "mini", samples: int = 2000, out: Path | None = None, oracle=None,
              features: Callable[[Tensor], Tensor] | None = None, held_out: HeldOut = renders,
              data: str = "renders") -> int:
    """Print the fitness report of a zoo; 0 if every GAN is fit, else 1. ``out``: also write cards and sheets there.

    ``oracle`` and ``features`` default to the scorer and EfficientNet-Lite0 at 64 pixels; ``held_out`` and ``data`` are
    the images that samples are compared with, and their name.
    """
    loaded = load_zoo(zoo)
    oracle = load_oracle("scorer") if oracle is None else oracle
    features = EXTRACTORS.build("efficientnet_lite0", input_size=64).features if features is None else features
    reports = [report_gan(loaded, name, oracle, features, samples, held_out, data) for name in loaded.names]
    print(summary(reports, loaded.title))
    if out is not None:
        write_cards(loaded, reports, Path(out))
    return 0 if all(r.fit for r in reports) else 1

"""A plan as a run prints it before it starts, and as ``--dry-run`` shows it."""

from __future__ import annotations

from tabulate import tabulate

from dirbench.benchmarks.config.job import Job
from dirbench.benchmarks.config.suite import load_profile
from dirbench.benchmarks.running.plan import Plan
from dirbench.oracle import AttributeOracle
from dirbench.plugins import EXTRACTORS, METHODS, METRICS


def note_on_gans(job: Job, profile: str) -> None:
    """Says that a profile's choice of GANs is not followed, where it is of another zoo's."""
    asked = load_profile(profile)
    if asked.gans is not None and job.profile.gans != asked.gans:
        print(f"profile {asked.profile} chooses {' and '.join(asked.gans)} of zoo {asked.zoo}; here all GANs of the "
              "suite are compared")


def print_plan(job: Job, plan: Plan, ids: list[str]) -> None:
    """Prints what is compared under which sizes, and the cells, those that are cached, and the images to make."""
    sizes = job.profile
    print(f"suite {job.suite.suite} v{job.suite.version} on {plan.work.zoo.title}, profile {sizes.profile} "
          f"({sizes.title}), device {job.device}")
    print(f"  {len(job.gans)} GANs, controls {', '.join('/'.join(c) for c in job.controls) or 'none'}; seeds "
          f"{', '.join(map(str, sizes.seeds))}; {sizes.latents.match} latents to match on, {sizes.latents.score} to "
          f"score on; alpha {job.suite.alpha:g}; {_attributes(plan.work.lab.oracle)}")
    if job.left_out and sizes.gans is not None:
        print(f"  left out by profile {sizes.profile}, which compares {' and '.join(sizes.gans)}: "
              f"{', '.join(job.left_out)}")
    for names in plan.work.alike():
        print(f"  {' and '.join(names)} are the same generator")
    methods = [(e.label, job.method(e)) for e in job.suite.methods]
    print("  " + ", ".join(f"{label} ({m.steps:,} of {m.published_steps():,} steps)" if m.published_steps() else label
                           for label, m in methods))
    kinds: dict[str, list[int]] = {}
    for i in ids:
        cell = plan.cells[i]
        counts = kinds.setdefault(cell.kind, [0, 0, 0])
        counts[0] += 1
        counts[1] += plan.is_cached(cell)
        counts[2] += plan.images([i])[0]
    print(tabulate([[k, *c] for k, c in kinds.items()], ("cells", "planned", "cached", "images to synthesise"),
                   intfmt=","))
    to_make, whole = plan.images(ids)
    print(f"images: {to_make:,} to synthesise of {whole:,}")
    for file, why in (METHODS.load_all()[1] | METRICS.load_all()[1] | EXTRACTORS.load_all()[1]).items():
        print(f"not loaded: {file}: {why}")


def _attributes(oracle: AttributeOracle | None) -> str:
    if oracle is None:
        return "no oracle, so directions are found and drawn, and nothing is scored"
    return f"{sum(oracle.readable)} of {len(oracle.names)} attributes readable"

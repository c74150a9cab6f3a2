"""The work in Python: load a generator, let a method find directions of it, run a suite.

The one file of the ground floor that knows the folders, inside its functions only: ``import dirbench`` stays light.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from dirbench.directions import Directions
    from dirbench.generator import Generator
    from dirbench.method import DirectionMethod, PairedMethod
    from dirbench.oracle import AttributeOracle, FeatureExtractor, RatioEstimator


def load_generator(path_or_spec: Path | str | Mapping[str, Any], device: torch.device | str = "cpu") -> Generator:
    """A frozen generator, on ``device``.

    Args:
        path_or_spec: a checkpoint, which is read without running code from it; a YAML file with a specification, or
            what stands in one; ``package.module:Class``, a class of yours; or ``zoo/gan`` of a shipped zoo.
    Raises:
        ValueError: it cannot be made; the sentence says why.

    >>> generator = load_generator("mini/full")
    >>> generator.space, generator.dim()
    ('w', 512)
    """
    from dirbench.benchmarks.generators import external_spec, families
    from dirbench.benchmarks.zoo.zoo import load_zoo

    if isinstance(path_or_spec, Mapping):
        made = external_spec.load_external(path_or_spec) if "module" in path_or_spec \
            else families.load_generator(path_or_spec)
        return made.to(device)
    zoo, _, gan = str(path_or_spec).partition("/")
    if zoo == "mini" and gan and not Path(path_or_spec).exists():
        return load_zoo(zoo).load(gan, device)
    return external_spec.load_any(str(path_or_spec)).to(device)


def discover(method: str | DirectionMethod | PairedMethod, generator: Generator, client: Generator | None = None, *,
             seed: int = 0, extractor: str | FeatureExtractor | None = None,
             teacher: str | AttributeOracle | None = None, density_ratio: RatioEstimator | None = None,
             **settings: Any) -> Directions | tuple[Directions, Directions]:
    """Directions that a method finds of a generator; of a pair, where the method is a paired one.

    Args:
        method: a name, with its settings as keywords over the published defaults; or an instance.
        generator: the reference, for a paired method; ``client`` is the other.
        extractor, teacher: an instance or a name, for methods that ask for one.
        density_ratio: of the pair (``dirbench.oracles.networks.density_ratio.train_density_ratio``), where asked for.
    Raises:
        ValueError: no such method or setting; what the method asks for is missing; one generator too few or too many.
        DiscoveryError: the method could not finish on this generator.

    >>> found = discover("sefa", load_generator("mini/full"), n_directions=4)
    >>> len(found), found.space
    (4, 'w')
    """
    from dirbench.method import Context, PairedMethod
    from dirbench.oracles.networks.classifier import load_oracle
    from dirbench.plugins import EXTRACTORS, METHODS

    if not isinstance(method, str) and settings:
        raise ValueError(f"{method.name} has its settings already; got {', '.join(settings)}")
    chosen = METHODS.build(method, settings) if isinstance(method, str) else method
    device = generator.device
    context = Context(
        seed=seed, density_ratio=density_ratio,
        extractor=EXTRACTORS.build(extractor).to(device) if isinstance(extractor, str) else extractor,
        teacher=load_oracle(teacher, device) if isinstance(teacher, str) else teacher)
    if isinstance(chosen, PairedMethod):
        if client is None:
            raise ValueError(f"{chosen.name} finds directions of two generators: give it a client, too")
        return chosen.discover_pair(generator, client, context)
    if client is not None:
        raise ValueError(f"{chosen.name} finds directions of one generator; call it once for each")
    return chosen.discover(generator, context)


def run(suite: str, profile: str = "mini", out: Path | str | None = None, *, workers: int = 1,
        methods: Sequence[str] = (), metrics: Sequence[str] = (), seeds: Sequence[int] = (),
        **choices: Any) -> pd.DataFrame:
    """Runs a suite as the command does, prints and writes what that does, and returns the rows, one a score.

    What is in the store is not computed again; a cell that fails has rows that say so.

    Args:
        suite, profile: names that ``dirbench list`` has, or YAML files.
        out: the run's folder; by default ``results/runs/<suite>-<time>``.
        workers: processes; with more than one a script needs ``if __name__ == "__main__"``.
        methods, metrics, seeds: in place of the suite's or the profile's own.
        choices: ``zoo``, ``oracle``, ``teacher``, ``pairs``, ``device``, ``store``: see
            ``dirbench.benchmarks.config.job.make_job``.
    Raises:
        ValueError: something has no such name, or does not fit; the sentence says what.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rows = run("celeba_subsets", "smoke", f"{folder}/run", methods=["random"], metrics=["effect"],
    ...                oracle="none", device="cpu", store=f"{folder}/store")  # nothing scores
    Not written, as no cell of them has a score...
    >>> set(rows["method"]), set(rows["status"])
    ({'random'}, {'not_applicable'})
    """
    from dirbench import places
    from dirbench.benchmarks.commands.run import plan_of, work_on
    from dirbench.benchmarks.config.job import make_job
    from dirbench.results.stored_run import read_run

    job = make_job(suite, profile, methods=methods, metrics=metrics, seeds=seeds, **choices)
    folder = Path(out) if out else places.runs() / f"{job.suite.suite}-{time.strftime('%Y%m%d-%H%M%S')}"
    plan = plan_of(job, other_zoo=choices.get("zoo") is not None)
    work_on(job, plan, list(plan.cells), folder, None, workers)
    return read_run(folder)[0]

"""The work in Python: load a generator, let a method find directions of it, run a suite.

The one file of the ground floor that knows the folders, inside its functions only: ``import dirbench`` stays light.
"""

from __future__ import annotations

import warnings
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


def load_generator(path_or_spec: Path | str | Mapping[str, Any], device: torch.device | str = "cpu",
                   **settings: Any) -> Generator:
    """A frozen generator, on ``device``.

    Args:
        path_or_spec: a checkpoint, which is read without running code from it; a YAML file with a specification, or
            what stands in one; ``package.module:Class``, a class of yours; or a zoo's GAN, such as ``mini:full``.
        settings: keys over those of the specification, or beside a checkpoint or class without one: ``label=3``,
            ``checkpoint_key="g_ema"``, ``latent_dim=128``. A zoo's GAN has its own, and takes none.
    Raises:
        ValueError: it cannot be made; the sentence says why.

    >>> generator = load_generator("mini:full")
    >>> generator.space, generator.dim()
    ('w', 512)
    """
    from dirbench.benchmarks.generators.external_spec import load_any, load_spec
    from dirbench.benchmarks.zoo.zoo import gan_of_zoo, load_zoo

    if isinstance(path_or_spec, Mapping):
        return load_spec({**path_or_spec.get("generator", path_or_spec), **settings}).to(device)
    given = str(path_or_spec)
    found = gan_of_zoo(given)
    if found is None:
        return load_any(given, **settings).to(device)
    if settings:
        raise ValueError(f"{given} is a zoo's GAN, whose settings are in its zoo.yaml; got {', '.join(settings)}")
    return load_zoo(found[0]).load(found[1], device)


def discover(method: str | DirectionMethod | PairedMethod, generator: Generator, client: Generator | None = None, *,
             seed: int = 0, extractor: str | FeatureExtractor | None = None,
             teacher: str | AttributeOracle | None = None, density_ratio: RatioEstimator | None = None,
             **settings: Any) -> Directions | tuple[Directions, Directions]:
    """Directions that a method finds of a generator; of a pair, (the reference's, the client's).

    Args:
        method: a name, with its settings as keywords over the published defaults; or an instance.
        generator: the reference, for a paired method; ``client`` is the other.
        seed: of every random draw: the same seed gives the same directions.
        extractor: images -> features, for methods that compare images: a name that ``dirbench list`` has, at its
            default settings, or an instance.
        teacher: an attribute oracle for supervised methods: a shipped one's name, a file of ``train-oracle``, or an
            instance.
        density_ratio: of the pair in the features of ``extractor``, for methods that keep what one generator lacks: see
            ``feature_pools`` and ``train_density_ratio`` in ``dirbench.oracles.networks.density_ratio``.
    Raises:
        ValueError: no such method or setting; what the method asks for is missing; one generator too few or too many.
        NotApplicable: the method cannot search on such a generator.
        DiscoveryError: the method could not finish on this generator.

    >>> found = discover("sefa", load_generator("mini:full"), n_directions=4)
    >>> len(found), found.space
    (4, 'w')
    """
    from dirbench.method import Context, PairedMethod
    from dirbench.oracles.networks.classifier import ORACLES, load_oracle
    from dirbench.plugins import EXTRACTORS, METHODS

    if not isinstance(method, str) and settings:
        raise ValueError(f"{method.name} has its settings already; got {', '.join(settings)}")
    chosen = METHODS.build(method, settings) if isinstance(method, str) else method
    if isinstance(chosen, PairedMethod) and client is None:
        raise ValueError(f"{chosen.name} finds directions of two generators: give it a client, too")
    if not isinstance(chosen, PairedMethod) and client is not None:
        raise ValueError(f"{chosen.name} finds directions of one generator; call it once for each")
    for need, given, known in (("extractor", extractor, EXTRACTORS.load_all()[0]), ("teacher", teacher, ORACLES)):
        if need in chosen.needs and given is None:
            raise ValueError(f"{chosen.name} needs {need}=: an instance, or one of {', '.join(known)}")
    device = generator.device
    context = Context(
        seed=seed, density_ratio=density_ratio,
        extractor=EXTRACTORS.build(extractor).to(device) if isinstance(extractor, str) else extractor,
        teacher=load_oracle(teacher, device) if isinstance(teacher, str) else teacher)
    if isinstance(chosen, PairedMethod):
        assert client is not None  # checked above
        return chosen.discover_pair(generator, client, context)
    return chosen.discover(generator, context)


def run(suite: str | Path, profile: str | Path = "mini", *, out: Path | str | None = None, methods: Sequence[str] = (),
        metrics: Sequence[str] = (), seeds: Sequence[int] = (), pairs: str | None = None, zoo: str | None = None,
        oracle: str | None = None, teacher: str | None = None, device: str = "auto", workers: int | None = None,
        store: str | Path | None = None) -> pd.DataFrame:
    """Runs a suite as the command does, writes the same folder, and returns its rows, one a score.

    What is in the store is not computed again. A cell that fails takes no other down: its rows say ``failed`` and why,
    and a warning names the file with the traceback. Cells are computed with one thread each.

    Args:
        suite: a name that ``dirbench list`` has, or a YAML file.
        profile: the same, of sizes.
        out: the run's folder; by default ``results/runs/<suite>-<time>``.
        methods: names, in place of the suite's own; or ``["core"]``, ``["all"]``.
        metrics: names, in place of the suite's own.
        seeds: in place of the profile's own.
        pairs: that paired methods are trained on: "reference" or "all".
        zoo: other generators of the same names: a zoo's name, folder or YAML file.
        oracle: what scores: a shipped one's name, a file of ``train-oracle``, or "none".
        teacher: the oracle that supervised methods learn from.
        device: "cpu", "cuda", ..., or "auto" for a GPU if there is one.
        workers: processes; by default one a core, and one on a GPU.
        store: the artifact store's folder; by default $DIRBENCH_STORE, or ``results/store``.
    Raises:
        ValueError: something has no such name, or does not fit; the sentence says what.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     rows = run("celeba_subsets", "smoke", out=f"{folder}/run", methods=["random"], metrics=["effect"],
    ...                oracle="none", device="cpu", store=f"{folder}/store")  # no oracle: nothing scores
    >>> set(rows["method"]), set(rows["status"])
    ({'random'}, {'not_applicable'})
    """
    import torch

    from dirbench.benchmarks.config.job import make_job
    from dirbench.benchmarks.running.whole import new_folder, plan_of, run_plan

    for name, given in (("methods", methods), ("metrics", metrics)):
        if isinstance(given, str):
            raise ValueError(f'{name}="{given}": expected a list, such as ["{given}"]')
    if not all(isinstance(seed, int) and seed >= 0 for seed in seeds):
        raise ValueError(f"seeds={seeds}: expected whole numbers from 0, such as [0, 1, 2]")
    if workers is not None and workers < 1:
        raise ValueError(f"workers={workers}: expected a whole number from 1")
    job = make_job(str(suite), str(profile), methods=methods, metrics=metrics, seeds=seeds, pairs=pairs, zoo=zoo,
                   oracle=oracle, teacher=teacher, device=device, store=store)
    plan = plan_of(job, zoo is not None, warnings.warn)
    threads = torch.get_num_threads()
    try:
        done = run_plan(plan, list(plan.cells), Path(out) if out else new_folder(job),
                        ["dirbench.run", job.suite.suite, job.profile.profile], workers)
    finally:
        torch.set_num_threads(threads)  # one while cells are computed here
    for line in done.failures:
        warnings.warn(line, stacklevel=2)
    return done.gathered.rows

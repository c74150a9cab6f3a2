"""What a direction method is: ``DirectionMethod``, its paired sister, and the context they work in."""

from __future__ import annotations

import dataclasses
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import torch

from dirbench.directions import Directions

if TYPE_CHECKING:
    from dirbench.generator import Generator
    from dirbench.oracle import AttributeOracle, FeatureExtractor, RatioEstimator


@dataclass
class Context:
    """What a method may use; each ignores what it does not need.

    Attributes:
        seed: of this cell. ``rng(*names)`` gives an independent source for each purpose, so that adding a draw in one
            place never moves another.
        extractor: images -> features, for methods that compare images.
        teacher: an attribute oracle for supervised methods; never the one that scores.
        density_ratio: for paired methods, p_reference / p_client in feature space and its inverse.
        checkpoint: a file that a long training may save to and resume from, or None.
        progress: called as ``progress(done, total)`` as the work goes on.
        chunk: how many images to synthesise at a time; a tuned setting of the profile.

    >>> context = Context(seed=3)
    >>> once, again = (torch.randn(2, generator=context.rng("samples")) for _ in range(2))
    >>> torch.equal(once, again)
    True
    >>> context.need("extractor", "mine")
    Traceback (most recent call last):
    ValueError: mine needs a context with extractor, and this one has none
    """

    seed: int = 0
    extractor: FeatureExtractor | None = None
    teacher: AttributeOracle | None = None
    density_ratio: RatioEstimator | None = None
    checkpoint: Path | None = None
    progress: Callable[[int, int], None] = lambda done, total: None
    chunk: int = 64

    def rng(self, *names: str | int) -> torch.Generator:
        """A CPU random source that depends on the seed and on ``names`` only."""
        digest = hashlib.sha256(repr((self.seed, *names)).encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))

    def need(self, attribute: str, method: str):
        """The named attribute, or ValueError saying that ``method`` needs it."""
        value = getattr(self, attribute)
        if value is None:
            raise ValueError(f"{method} needs a context with {attribute}, and this one has none")
        return value


@dataclass(frozen=True)
class _Method:
    """Fields with the published defaults are the hyperparameters; names, keys and captions come from them.

    Class attributes (say them in a subclass):
        name: as in suites and tables.
        source: paper, section, year.
        needs: which fields of the context it reads ("extractor", "teacher", "density_ratio").
        deterministic: True where no random draw enters (one seed is enough).
        core: whether suites that say ``methods: core`` run it; False for what only ``--methods all`` should cost.
        beats_random_by: by how much it recovers planted factors better than random directions, as ``check-method``
            then asks of it; or None, and ``why_not`` says why there is no such margin.
        objective_why_not: why its own loss need not fall in training, for the few where that is so.
        role: what tables and figures take it for: "method"; "baseline", which the others are compared with; or
            "ceiling", which is given what the others have to find.
        test_params: hyperparameters that make ``check-method`` quick.
    """

    name: ClassVar[str] = ""
    source: ClassVar[str] = ""
    needs: ClassVar[tuple[str, ...]] = ()
    deterministic: ClassVar[bool] = False
    core: ClassVar[bool] = True
    beats_random_by: ClassVar[float | None] = None
    why_not: ClassVar[str] = ""
    objective_why_not: ClassVar[str] = ""
    role: ClassVar[str] = "method"
    test_params: ClassVar[dict] = {}

    n_directions: int = 16

    @property
    def steps(self) -> int:
        """Training steps this instance takes (0 for a closed form)."""
        return int(getattr(self, "n_steps", 0))

    @classmethod
    def published_steps(cls) -> int:
        """Training steps in the paper's or release's own setting (0 for a closed form)."""
        default = {f.name: f.default for f in dataclasses.fields(cls)}.get("n_steps", 0)
        return default if isinstance(default, int) else 0

    def images(self) -> int:
        """How many images one discovery synthesises, both generators of a pair counted (0 for a closed form)."""
        return 0

    def images_on(self, *generators: Generator) -> int:
        """``images`` on these generators; to be overridden where their kind matters (fed with z, say)."""
        return self.images()

    @property
    def effort(self) -> float:
        """Rough cost of one of ``images()`` with all that is done with it, in plain images; for the remaining time."""
        return 4.0 if "extractor" in self.needs else 2.0 if self.steps else 1.0

    def params(self) -> dict:
        """The hyperparameters as plain values."""
        return dataclasses.asdict(self)

    def check_k(self, dim: int) -> None:
        """ValueError if more orthogonal directions are asked for than the space has dimensions."""
        if self.n_directions > dim:
            raise ValueError(f"{self.name}: n_directions={self.n_directions}, but the latent has only {dim} "
                             f"dimensions; ask for {dim} or fewer")


@dataclass(frozen=True)
class DirectionMethod(_Method, ABC):
    """Finds directions of one generator. Subclass it in ``methods/<name>.py``: that is all it takes.

    >>> from dirbench import Vectors
    >>> @dataclass(frozen=True)
    ... class FirstAxes(DirectionMethod):
    ...     name: ClassVar[str] = "first-axes"
    ...     def discover(self, generator, context):
    ...         self.check_k(generator.dim())
    ...         return Vectors(torch.eye(generator.dim())[:self.n_directions], space=generator.space)
    >>> from dirbench.benchmarks.zoo.zoo import load_zoo
    >>> directions = FirstAxes(n_directions=4).discover(load_zoo("mini").load("full"), Context(seed=0))
    >>> len(directions), directions.space
    (4, 'w')
    """

    paired: ClassVar[bool] = False

    @abstractmethod
    def discover(self, generator: Generator, context: Context) -> Directions:
        """K directions of ``generator``; same seed, same answer; the generator is left as it was."""


@dataclass(frozen=True)
class PairedMethod(_Method, ABC):
    """Finds directions of a reference and a client at once; says by index which are common to both.

    The first ``n_common`` directions of the two answers correspond; the rest are unique: the reference's are *missing*
    from the client, the client's are *novel*.

    >>> from dirbench import Vectors
    >>> @dataclass(frozen=True)
    ... class SameAxes(PairedMethod):
    ...     name: ClassVar[str] = "same-axes"
    ...     def discover_pair(self, reference, client, context):
    ...         axes = (torch.eye(generator.dim())[:self.n_directions] for generator in (reference, client))
    ...         return tuple(Vectors(found, space=reference.space) for found in axes)
    >>> SameAxes().params()
    {'n_directions': 16, 'n_common': 12}
    """

    paired: ClassVar[bool] = True

    n_common: int = 12

    @abstractmethod
    def discover_pair(self, reference: Generator, client: Generator,
                      context: Context) -> tuple[Directions, Directions]:
        """Directions of (reference, client); the first ``n_common`` correspond."""

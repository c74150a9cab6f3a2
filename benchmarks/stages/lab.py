"""The workbench makes each artifact of a job once: pools, ratios, directions, responses, chance levels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch

from dirbench.benchmarks.config.job import Job, Pair
from dirbench.benchmarks.config.suite import Entry, Extractor
from dirbench.benchmarks.config.zoo_and_oracles import open_zoo
from dirbench.benchmarks.generators.counting import count_images
from dirbench.benchmarks.stages.latents import evaluation_latents
from dirbench.benchmarks.stages.lending import Misused, given_back
from dirbench.benchmarks.stages.respond import images_needed, respond
from dirbench.directions import Directions
from dirbench.errors import NotApplicable
from dirbench.generator import Generator
from dirbench.method import Context, DirectionMethod, PairedMethod
from dirbench.methods.random_directions import RandomDirections
from dirbench.oracle import AttributeOracle, FeatureExtractor
from dirbench.oracles.networks.classifier import load_oracle
from dirbench.oracles.networks.density_ratio import DensityRatio, feature_pools, train_density_ratio
from dirbench.plugins import EXTRACTORS, Method
from dirbench.responses import Responses
from dirbench.results.artifacts.store import Step, Store
from dirbench.results.figures.sheets import traversal_sheet

Progress = Callable[[int, int], None]
Made = TypeVar("Made")
SHEET_LATENTS = 2
SHEET_STRENGTHS = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)  # in units of the suite's alpha


def ratio_loss(method: Method) -> str:
    """What the density ratio is trained with, for a method that needs one: such a method is paired and says it."""
    return cast(Any, method).ratio_loss


class Workbench:
    """Loads what a job names and makes its artifacts through the store.

    For each artifact there is a ``..._step`` (what it depends on, hence its key; cheap) and a getter that returns the
    artifact, making it and whatever it needs first. Getters may be called from any process in any order.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.store = Store(job.store)
        self.zoo = open_zoo(job.suite)
        self.versions = {"torch": torch.__version__.split("+")[0], "numpy": np.__version__,
                         "scikit-learn": version("scikit-learn"), "device": torch.device(job.device).type}
        self.generator: Callable[[str], Generator] = lru_cache(2)(self._generator)
        self._steps: dict[tuple, object] = {}  # a step or a tuple of steps each: what ``_once`` was given to make
        self._extractors: dict[str, FeatureExtractor] = {}
        self._extractor_marks: dict[str, str] = {}

    # -- judges and generators ---------------------------------------------------------------------------
    def _generator(self, name: str) -> Generator:
        return self.zoo.load(name, self.job.device)

    @cached_property
    def oracle(self) -> AttributeOracle | None:
        """The oracle that scores; None where the suite names none, and nothing is scored."""
        return load_oracle(self.job.suite.oracle).to(self.job.device) if self.job.suite.oracle else None

    @property
    def scoring_oracle(self) -> AttributeOracle:
        """The oracle, for work that only suites with one have. Raises NotApplicable without one."""
        if self.oracle is None:
            raise NotApplicable("an attribute oracle is to read images, and the suite names none (oracle:)")
        return self.oracle

    @cached_property
    def teacher(self) -> AttributeOracle | None:
        """The oracle that supervised methods learn from."""
        return load_oracle(self.job.suite.teacher).to(self.job.device) if self.job.suite.teacher else None

    @contextmanager
    def lent(self, cls: type, name: str, gans: Sequence[str]) -> Iterator[None]:
        """``gans`` are in the hands of a method or metric. Raises Misused if it changes them; they are loaded anew."""
        marks = {gan: (self.generator(gan), self.generator(gan).fingerprint()) for gan in gans}
        try:
            yield
        finally:
            changed = [gan for gan, (generator, mark) in marks.items() if generator.fingerprint() != mark]
            if changed:  # nobody else may see these
                self.generator = lru_cache(2)(self._generator)
        if changed:
            raise Misused(f"{name} changes the weights or buffers of {' and '.join(changed)}: a generator must stay as "
                          "it is; work on a copy (copy.deepcopy)", cls)

    def extractor(self, which: Extractor) -> FeatureExtractor:
        """The features that methods compare images in; only the last one asked for stays in memory."""
        if which.key not in self._extractors:
            self._extractors.clear()
            self._extractors[which.key] = EXTRACTORS.build(which.name, **which.params).to(self.job.device)
        return self._extractors[which.key]

    def extractor_mark(self, which: Extractor) -> str:
        """The extractor's fingerprint."""
        if which.key not in self._extractor_marks:
            self._extractor_marks[which.key] = self.extractor(which).fingerprint()
        return self._extractor_marks[which.key]

    @staticmethod
    def _extractor_module(which: Extractor) -> str:
        return EXTRACTORS.check(which.name, which.params).__module__

    @cached_property
    def _marks(self) -> dict[str, str]:
        return {"oracle": self.oracle.fingerprint() if self.oracle else "none",
                "extractor": self.extractor_mark(self.job.extractor()),
                "teacher": self.teacher.fingerprint() if self.teacher else "none"}

    def _step(self, kind: str, modules: tuple[str, ...], images: int = 0, one_pass: str = "", **inputs) -> Step:
        return Step(kind, modules, inputs, self.versions, images, one_pass)

    def _once(self, place: tuple, make: Callable[[], Made]) -> Made:
        """The step (or steps) of ``place``, put together once: a plan asks for each many times."""
        if place not in self._steps:
            self._steps[place] = make()
        return cast(Made, self._steps[place])

    def _first(self, step: Step, make: Callable[[], object]) -> None:
        """Makes what ``step`` needs before its own clock starts, unless it is there already."""
        if not self.store.has(step):
            make()

    def _generator_module(self, gan: str) -> str:
        return self.zoo.module(gan)

    def alike(self) -> list[list[str]]:
        """Groups of GANs that are one generator under several names."""
        groups: dict[str, list[str]] = {}
        for gan in self.job.all_gans:
            groups.setdefault(self.zoo.hash(gan), []).append(gan)
        return [names for names in groups.values() if len(names) > 1]

    # -- feature pools and density ratios ------------------------------------------------------------------
    def pool_step(self, gan: str, which: Extractor) -> Step:
        """Features of images of one GAN, sampled and embedded once, whatever pairs it is in."""
        return self._once(("pool", gan, which.key), lambda: self._pool_step(gan, which))

    def _pool_step(self, gan: str, which: Extractor) -> Step:
        size, mark = self.job.profile.ratio.pool, self.zoo.hash(gan)
        return self._step("pool", (self._generator_module(gan), self._extractor_module(which),
                                   "dirbench.oracles.networks.density_ratio"), size, f"pool of {mark}", gan=mark, size=size,
                          extractor=self.extractor_mark(which), chunk=self.job.profile.chunk)

    def pools(self, gan: str, extractors: Sequence[Extractor]) -> list[torch.Tensor]:
        """[n, F] features of ``gan`` in each extractor; all that are not there yet look at the same images."""
        made: dict[str, torch.Tensor] = {}

        def build(which: Extractor, folder: Path) -> None:
            if which.key not in made:
                missing = [e for e in extractors if not self.store.has(self.pool_step(gan, e))]
                features = feature_pools(self.generator(gan), [self.extractor(e) for e in missing],
                                         self.job.profile.ratio.pool, Context().rng("pool", self.zoo.hash(gan)),
                                         self.job.profile.chunk)
                made.update(zip([e.key for e in missing], features))
            np.save(folder / "features.npy", made[which.key].cpu().numpy().astype(np.float16))

        folders = [self.store.make(self.pool_step(gan, which), partial(build, which)) for which in extractors]
        return [torch.from_numpy(np.load(f / "features.npy")).float().to(self.job.device) for f in folders]

    def ratio_step(self, pair: Pair, which: Extractor, loss: str, seed: int) -> Step:
        """Density ratios between two GANs in feature space."""
        sizes = self.job.profile.ratio
        return self._step("ratio", ("dirbench.oracles.networks.density_ratio",), loss=loss, seed=seed, steps=sizes.steps,
                          batch=sizes.batch, pools=[self.pool_step(g, which).key for g in pair])

    def ratio(self, pair: Pair, which: Extractor, loss: str, seed: int) -> DensityRatio:
        """The trained ratio of ``pair``."""
        step, sizes = self.ratio_step(pair, which, loss, seed), self.job.profile.ratio
        self._first(step, lambda: [self.pools(g, [which]) for g in pair])

        def build(folder: Path) -> None:
            rng = Context(seed).rng("ratio", loss, *map(self.zoo.hash, pair))
            reference, client = (self.pools(g, [which])[0] for g in pair)
            train_density_ratio(reference, client, loss=loss, steps=sizes.steps, batch=sizes.batch,
                                rng=rng).save(folder / "ratio.safetensors")

        return DensityRatio.load(self.store.make(step, build) / "ratio.safetensors").to(self.job.device)

    # -- directions ---------------------------------------------------------------------------------------
    def method_ratio_step(self, entry: Entry, gans: tuple[str, ...], seed: int) -> Step:
        """The density ratio of ``gans`` that a method needs."""
        return self.ratio_step(cast(Pair, gans), self.job.extractor(entry), ratio_loss(self.job.method(entry)), seed)

    def directions_step(self, entry: Entry, gans: tuple[str, ...], seed: int) -> Step:
        """Discovery by one method on one generator, or on a pair."""
        place = ("directions", entry.label, gans, seed)
        return self._once(place, lambda: self._directions_step(entry, gans, seed))

    def _directions_step(self, entry: Entry, gans: tuple[str, ...], seed: int) -> Step:
        method, which = self.job.method(entry), self.job.extractor(entry)
        inputs: dict[str, Any] = {"method": method.name, "params": method.params(),
                                  "gans": [self.zoo.hash(g) for g in gans], "chunk": self.job.profile.chunk}
        modules = [type(method).__module__, *map(self._generator_module, gans)]
        if not method.deterministic:
            inputs["seed"] = seed
        if "extractor" in method.needs:
            inputs["extractor"] = self.extractor_mark(which)
            modules.append(self._extractor_module(which))
        if "teacher" in method.needs and self.teacher:
            inputs["teacher"] = self._marks["teacher"]
            modules.append(type(self.teacher).__module__)
        if "density_ratio" in method.needs:
            inputs["ratio"] = self.method_ratio_step(entry, gans, seed).key
        return self._step("directions", tuple(modules), self._planned(method, gans), **inputs)

    def _planned(self, method: Method, gans: tuple[str, ...]) -> int:
        """Images of one discovery; generators are loaded only for a method whose number depends on them."""
        if type(method).images_on is DirectionMethod.images_on:
            return method.images()
        try:
            return method.images_on(*map(self.generator, gans))
        except (RuntimeError, ValueError):  # discovery will fail of the same, and say why in its own cell
            return method.images()

    def directions(self, entry: Entry, gans: tuple[str, ...], seed: int,
                   progress: Progress | None = None) -> list[Directions]:
        """Directions for each of ``gans``."""
        step, method = self.directions_step(entry, gans, seed), self.job.method(entry)
        needs, which = method.needs, self.job.extractor(entry)
        if "teacher" in needs and self.teacher is None:
            raise NotApplicable(f"{entry.label} learns from an attribute oracle, and the suite names no teacher")
        if "density_ratio" in needs:
            self._first(step, lambda: self.ratio(cast(Pair, gans), which, ratio_loss(method), seed))

        def build(folder: Path) -> dict:
            context = Context(
                seed=seed, chunk=self.job.profile.chunk, checkpoint=self.store.checkpoint(step),
                progress=progress or (lambda done, total: None),
                extractor=self.extractor(which) if "extractor" in needs else None,
                teacher=self.teacher if "teacher" in needs else None,
                density_ratio=(self.ratio(cast(Pair, gans), which, ratio_loss(method), seed)
                               if "density_ratio" in needs else None))
            generators = [self.generator(g) for g in gans]
            with self.lent(type(method), entry.label, gans), count_images(*generators) as count:
                found: object
                if method.paired:
                    found = cast(PairedMethod, method).discover_pair(generators[0], generators[1], context)
                else:
                    found = cast(DirectionMethod, method).discover(generators[0], context)
            for side, directions in enumerate(given_back(found, type(method), entry.label, generators)):
                directions.save(folder / f"{side}.safetensors")  # the same weights may go by other names elsewhere
            return {"images_made": count.images}

        folder = self.store.make(step, build)
        return [Directions.load(folder / f"{side}.safetensors").to(self.job.device) for side in range(len(gans))]

    # -- responses ----------------------------------------------------------------------------------------
    def responses_step(self, entry: Entry, gans: tuple[str, ...], side: int, seed: int) -> Step:
        """What the scoring oracle sees when the directions of ``gans[side]`` are applied."""
        place = ("responses", entry.label, gans, side, seed)
        return self._once(place, lambda: self._responses_step(entry, gans, side, seed))

    def _responses_step(self, entry: Entry, gans: tuple[str, ...], side: int, seed: int) -> Step:
        latents = self.job.profile.latents
        n = latents.match + latents.score
        return self._step("responses", ("dirbench.responses", "dirbench.benchmarks.stages.latents", type(self.oracle).__module__,
                                        self._generator_module(gans[side])),
                          images_needed(n, self.job.method(entry).n_directions),
                          directions=self.directions_step(entry, gans, seed).key, side=side, n=n, seed=seed,
                          gan=self.zoo.hash(gans[side]), oracle=self._marks["oracle"], alpha=self.job.suite.alpha,
                          chunk=self.job.profile.chunk)

    def responses(self, entry: Entry, gans: tuple[str, ...], side: int, seed: int,
                  progress: Progress | None = None) -> Responses:
        """Logits before and after every edit, on the seed's evaluation latents."""
        step = self.responses_step(entry, gans, side, seed)
        self._first(step, lambda: self.directions(entry, gans, seed, progress))
        return self._respond(step, gans[side], seed, lambda: self.directions(entry, gans, seed)[side])

    def bank_steps(self, gan: str) -> tuple[Step, ...]:
        """Responses of the random runs of one GAN that chance levels are made from, one step a run."""
        chance = self.job.profile.chance
        runs = chance.reference or chance.runs if gan == self.job.suite.reference else chance.runs
        return self._once(("bank", gan), lambda: tuple(self._bank_step(gan, run) for run in range(runs)))

    def _bank_step(self, gan: str, run: int) -> Step:
        latents, size = self.job.profile.latents, self.job.suite.n_directions
        n = latents.match + latents.score
        return self._step("responses", ("dirbench.responses", "dirbench.benchmarks.stages.latents", "dirbench.methods.random_directions",
                                        type(self.oracle).__module__, self._generator_module(gan)),
                          images_needed(n, size), random=size, n=n, seed=f"chance {run}", gan=self.zoo.hash(gan),
                          oracle=self._marks["oracle"], alpha=self.job.suite.alpha, chunk=self.job.profile.chunk)

    def bank(self, gan: str) -> list[Responses]:
        """Responses of each random run, on latents and directions of its own."""
        def directions(run: int) -> Directions:
            method = RandomDirections(n_directions=self.job.suite.n_directions)
            return method.discover(self.generator(gan), Context(seed=2**32 + 1 + run))  # seeds that no suite uses

        return [self._respond(step, gan, f"chance {run}", partial(directions, run))
                for run, step in enumerate(self.bank_steps(gan))]

    # -- pictures -----------------------------------------------------------------------------------------
    def sheet_step(self, entry: Entry, gans: tuple[str, ...], side: int, seed: int) -> Step:
        """A picture of every direction of ``gans[side]``."""
        shown = ({"responses": self.responses_step(entry, gans, side, seed).key, "readable": self.oracle.readable}
                 if self.oracle else {"directions": self.directions_step(entry, gans, seed).key, "side": side,
                                      "alpha": self.job.suite.alpha, "seed": seed})
        return self._step("sheet", ("dirbench.results.figures.sheets", "dirbench.benchmarks.stages.latents", self._generator_module(gans[side])),
                          SHEET_LATENTS * self.job.method(entry).n_directions * len(SHEET_STRENGTHS),
                          latents=SHEET_LATENTS, strengths=SHEET_STRENGTHS,
                          title=self._sheet_title(entry, gans, side, seed), **shown)

    def sheet(self, entry: Entry, gans: tuple[str, ...], side: int, seed: int) -> Path:
        """The PNG."""
        step = self.sheet_step(entry, gans, side, seed)

        def build(folder: Path) -> None:
            directions = self.directions(entry, gans, seed)[side]
            responses, names = None, []
            if self.oracle:
                responses = self.responses(entry, gans, side, seed).attributes(self.oracle.readable)
                names = [n for n, readable in zip(self.oracle.names, self.oracle.readable, strict=True) if readable]
            generator = self.generator(gans[side])
            latents = evaluation_latents(generator, directions.space, SHEET_LATENTS, seed)
            alpha = self.job.suite.alpha
            traversal_sheet(folder / "sheet.png", generator, directions, responses, names, step.inputs["title"],
                            latents, [alpha * s for s in SHEET_STRENGTHS])

        return self.store.make(step, build) / "sheet.png"

    def _sheet_title(self, entry: Entry, gans: tuple[str, ...], side: int, seed: int) -> str:
        where = f"{gans[side]}, found with {gans[1 - side]}" if len(gans) == 2 else gans[side]
        method = self.job.method(entry)
        steps = f", {method.steps:,} of {method.published_steps():,} steps" if method.steps else ""
        return f"{entry.label} on {where}: {self.zoo.title}, seed {seed}{steps}"

    def _respond(self, step: Step, gan: str, seed: int | str, directions: Callable[[], Directions]) -> Responses:
        def build(folder: Path) -> None:
            found, generator = directions(), self.generator(gan)
            latents = evaluation_latents(generator, found.space, step.inputs["n"], seed)
            respond(generator, found, self.scoring_oracle, latents, self.job.suite.alpha,
                    self.job.profile.chunk).save(folder / "responses.safetensors")

        return Responses.load(self.store.make(step, build) / "responses.safetensors")

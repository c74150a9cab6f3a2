"""A job in the hands of a lab: what stages ask when they plan their cells, and when they make them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from dirbench.benchmarks.config.job import Job
from dirbench.benchmarks.config.suite import Entry
from dirbench.benchmarks.config.zoo_and_oracles import open_zoo
from dirbench.benchmarks.stages.lab import Design, Discovery, Lab
from dirbench.benchmarks.zoo.zoo import Zoo
from dirbench.metric import Metric
from dirbench.oracles.networks.classifier import load_oracle
from dirbench.plugins import METRICS
from dirbench.results.artifacts.store import Store


@dataclass(frozen=True, eq=False)
class Work:
    """A job, its zoo, and the lab that makes its artifacts."""

    job: Job
    zoo: Zoo
    lab: Lab

    @classmethod
    def of(cls, job: Job) -> Work:
        """The job with its zoo opened and its oracles loaded.

        Raises:
            ZooError, ValueError, StoreError: one of them cannot be had; a sentence says why.
        """
        suite, zoo = job.suite, open_zoo(job.suite)
        design = Design(job.profile, suite.alpha, suite.n_directions, suite.n_common, suite.reference, job.device,
                        job.extractor())
        oracle, teacher = (load_oracle(name).to(job.device) if name else None for name in (suite.oracle, suite.teacher))
        return cls(job, zoo, Lab(design, zoo, oracle, teacher, Store(job.store)))

    def discovery(self, entry: Entry, gans: tuple[str, ...], seed: int) -> Discovery:
        """The search for directions by a method of the suite."""
        return Discovery(entry.label, self.job.method(entry), gans, seed, self.job.extractor(entry))

    def discoveries(self, entry: Entry) -> list[Discovery]:
        """All that the job asks of a method: on each GAN, or on each trained pair, under each seed."""
        return [self.discovery(entry, gans, seed) for gans in self.places(entry) for seed in self.job.profile.seeds]

    def places(self, entry: Entry) -> list[tuple[str, ...]]:
        """Where a method searches: on each GAN, or on each trained pair."""
        paired = self.job.method(entry).paired
        return [*self.job.trained_pairs()] if paired else [(g,) for g in self.job.all_gans]

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """The suite's metrics, with the profile's settings."""
        return {name: METRICS.build(name, self.job.profile.metrics.get(name)) for name in self.job.suite.metrics}

    def metrics_of(self, needs: str, reverse: bool = False) -> list[Metric]:
        """The suite's metrics of one kind; for a pair the other way round only those that depend on the order."""
        return [m for m in self.metrics.values() if m.needs == needs and (m.ordered or not reverse)]

    def alike(self) -> list[list[str]]:
        """Groups of GANs that are one generator under several names."""
        groups: dict[str, list[str]] = {}
        for gan in self.job.all_gans:
            groups.setdefault(self.zoo.hash(gan), []).append(gan)
        return [names for names in groups.values() if len(names) > 1]

"""How many images evaluation and density ratios synthesise at published sizes, counted on the project's own paths.

The published counts look at one sign of each edit. Responses here are taken at both signs, which the sign-free scores
need, so each count is asserted whole and for the one sign.
"""

from collections import Counter
from itertools import combinations

import pytest
import torch
from torch import nn

from dirbench.benchmarks.config.job import Job
from dirbench.benchmarks.config.suite import Entry, Extractor, load_profile, load_suite
from dirbench.benchmarks.running.local import run_cell
from dirbench.benchmarks.running.plan import Plan
from dirbench.benchmarks.stages import work as works
from dirbench.benchmarks.stages.discover import directions
from dirbench.benchmarks.stages.respond import responses
from dirbench.benchmarks.stages.score import found_on
from dirbench.benchmarks.stages.work import Work
from dirbench.directions import Vectors
from dirbench.generator import Generator
from dirbench.oracle import AttributeOracle, FeatureExtractor
from dirbench.plugins import EXTRACTORS
from dirbench.responses import images_needed

K, LATENTS, GANS, POOL = 16, 256, 8, 32_000  # as published; the paper profile's


class Trivial(Generator):
    """The first three latents, as the colour of an image of four pixels; ``images`` counts them.

    It counts for itself: the lab's own counter, nested in another, would end that one.
    """

    latent_dim, resolution = K, 2

    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()), requires_grad=False)
        self.images = 0

    def synthesize(self, latent, space=None):
        self.images += len(latent)
        return (self.gain * latent[:, :3, None, None]).expand(-1, -1, 2, 2)

    def activations(self, latent, layer, space=None):
        raise NotImplementedError

    def affine_weights(self, layers="all"):
        raise NotImplementedError


class Colours(AttributeOracle, FeatureExtractor):
    """Reads the colour: three attributes, or three features."""

    names, readable, name, width = ("Male", "Smiling", "Eyeglasses"), (True,) * 3, "colours", 3

    def logits(self, images):
        return images[:, :, 0, 0]

    features = logits

    def maps(self, images):
        raise NotImplementedError

    def __init__(self, marks=""):
        super().__init__()
        self.marks = marks

    def fingerprint(self):
        return f"colours {self.marks}"


Colours.__module__ = "dirbench.oracle"  # keys of artifacts hash the code of this module, and a test is in no package


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Work whose generators, oracle and extractors cost nothing, and are all there at once, to be counted."""
    monkeypatch.setattr(works, "load_oracle", lambda name: Colours())
    monkeypatch.setattr(EXTRACTORS, "build", lambda name, params: Colours(str(params)))
    suite = load_suite("celeba_subsets").model_copy(update={
        "controls": [], "methods": [Entry(name="random"), Entry(name="xga", params={"n_steps": 1})]})
    profile = load_profile("paper")
    profile = profile.model_copy(update={"chunk": 1_000, "ratio": profile.ratio.model_copy(update={"steps": 1})})
    work = Work.of(Job(suite, profile, "cpu", str(tmp_path / "store")))
    generators = {gan: Trivial() for gan in work.job.gans}
    monkeypatch.setattr(work.lab, "generator", generators.__getitem__)
    return work


def images(work):
    """Images synthesised so far, by all GANs."""
    return sum(work.lab.generator(gan).images for gan in work.job.gans)


@pytest.fixture
def edits(monkeypatch):
    """Images edited so far, by strength."""
    seen, shift = Counter(), Vectors.shift

    def counted(self, latent, k, strength):
        seen[strength] += len(latent)
        return shift(self, latent, k, strength)
    monkeypatch.setattr(Vectors, "shift", counted)
    return seen


def test_a_pair_and_the_table_of_eight_gans_synthesise_each_gan_once(work, edits):
    entry, gans = work.job.suite.methods[0], work.job.gans

    def respond_to(pair):
        """What ``score`` asks for."""
        for gan, on in zip(pair, found_on(work, entry, pair), strict=True):
            assert responses(work.lab, work.discovery(entry, on, 0), on.index(gan)).plus.shape[:2] == (K, LATENTS)

    respond_to((gans[0], gans[1]))
    assert images(work) == 2 * images_needed(LATENTS, K)
    assert edits == {3.0: 2 * LATENTS * K, -3.0: 2 * LATENTS * K}
    assert images(work) - edits[-3.0] == 8_704 == 2 * LATENTS * (1 + K)
    for pair in combinations(gans, 2):
        respond_to(pair)
    assert images(work) == GANS * images_needed(LATENTS, K)
    assert images(work) - edits[-3.0] == 34_816 == GANS * LATENTS * (1 + K)


def test_density_ratios_of_28_pairs_and_three_extractors_synthesise_each_gan_once(work):
    sizes = [Extractor(name="efficientnet_lite0", params={"input_size": size}) for size in (64, 96, 128)]
    work.job.suite.methods[:] = [Entry(name="xga", params={"n_steps": 1}, variant=f"v{i}", extractor=extractor)
                                  for i, extractor in enumerate(sizes)]
    plan, pairs = Plan(work), work.job.trained_pairs()
    pools = [cell.id for cell in plan.cells.values() if cell.kind == "pool"]
    assert plan.images(pools) == (256_000, 256_000)
    for cell in pools:
        assert run_cell(plan, plan.cells[cell], {})["images"] == POOL
    assert images(work) == 256_000 == GANS * POOL
    assert plan.images(pools) == (0, 256_000)
    for entry in work.job.suite.methods:
        for pair in pairs:
            directions(work.lab, work.discovery(entry, pair, 0))
    assert len(pairs) == 28
    trained = len(pairs) * sum(work.job.method(entry).images() for entry in work.job.suite.methods)
    assert images(work) == 256_000 + trained

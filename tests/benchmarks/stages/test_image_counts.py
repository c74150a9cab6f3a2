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
from dirbench.benchmarks.stages.lab import Workbench
from dirbench.benchmarks.stages.score import Scorer
from dirbench.directions import Vectors
from dirbench.generator import Generator
from dirbench.oracle import AttributeOracle, FeatureExtractor
from dirbench.plugins import EXTRACTORS
from dirbench.responses import images_needed

K, LATENTS, GANS, POOL = 16, 256, 8, 32_000  # as published; the paper profile's


class Trivial(Generator):
    """The first three latents, as the colour of an image of four pixels; ``images`` counts them.

    It counts for itself: the workbench's own counter, nested in another, would end that one.
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
def bench(tmp_path, monkeypatch):
    """A workbench whose generators and judges cost nothing, and are all there at once, to be counted."""
    monkeypatch.setattr(EXTRACTORS, "oracle", lambda name, device="cpu": Colours())
    monkeypatch.setattr(EXTRACTORS, "extractor", lambda name, **params: Colours(str(params)))
    suite = load_suite("celeba_subsets").model_copy(update={
        "controls": [], "methods": [Entry(name="random"), Entry(name="xga", params={"n_steps": 1})]})
    profile = load_profile("paper")
    profile = profile.model_copy(update={"chunk": 1_000, "ratio": profile.ratio.model_copy(update={"steps": 1})})
    bench = Workbench(Job(suite, profile, "cpu", str(tmp_path / "store")))
    generators = {gan: Trivial() for gan in bench.job.gans}
    monkeypatch.setattr(bench, "generator", generators.__getitem__)
    return bench


def images(bench):
    """Images synthesised so far, by all GANs."""
    return sum(bench.generator(gan).images for gan in bench.job.gans)


@pytest.fixture
def edits(monkeypatch):
    """Images edited so far, by strength."""
    seen, shift = Counter(), Vectors.shift

    def counted(self, latent, k, strength):
        seen[strength] += len(latent)
        return shift(self, latent, k, strength)
    monkeypatch.setattr(Vectors, "shift", counted)
    return seen


def test_a_pair_and_the_table_of_eight_gans_synthesise_each_gan_once(bench, edits):
    entry, scorer, gans = bench.job.suite.methods[0], Scorer(bench), bench.job.gans

    def respond_to(pair):
        """What ``Scorer.score`` asks for."""
        for gan, on in zip(pair, scorer.trained_on(entry, pair), strict=True):
            assert bench.responses(entry, on, on.index(gan), 0).plus.shape[:2] == (K, LATENTS)

    respond_to((gans[0], gans[1]))
    assert images(bench) == 2 * images_needed(LATENTS, K)
    assert edits == {3.0: 2 * LATENTS * K, -3.0: 2 * LATENTS * K}
    assert images(bench) - edits[-3.0] == 8_704 == 2 * LATENTS * (1 + K)
    for pair in combinations(gans, 2):
        respond_to(pair)
    assert images(bench) == GANS * images_needed(LATENTS, K)
    assert images(bench) - edits[-3.0] == 34_816 == GANS * LATENTS * (1 + K)


def test_density_ratios_of_28_pairs_and_three_extractors_synthesise_each_gan_once(bench):
    sizes = [Extractor(name="efficientnet_lite0", params={"input_size": size}) for size in (64, 96, 128)]
    bench.job.suite.methods[:] = [Entry(name="xga", params={"n_steps": 1}, variant=f"v{i}", extractor=extractor)
                                  for i, extractor in enumerate(sizes)]
    plan, pairs = Plan(bench, Scorer(bench)), bench.job.trained_pairs()
    pools = [cell.id for cell in plan.cells.values() if cell.kind == "pool"]
    assert plan.images(pools) == (256_000, 256_000)
    for cell in pools:
        assert run_cell(plan, plan.cells[cell], {})["images"] == POOL
    assert images(bench) == 256_000 == GANS * POOL
    assert plan.images(pools) == (0, 256_000)
    for entry in bench.job.suite.methods:
        for pair in pairs:
            bench.directions(entry, pair, 0)
    assert len(pairs) == 28
    trained = len(pairs) * sum(bench.job.method(entry).images() for entry in bench.job.suite.methods)
    assert images(bench) == 256_000 + trained

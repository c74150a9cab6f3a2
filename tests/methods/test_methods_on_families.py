"""Every method on every generator family: it finds directions, or says in a sentence why it cannot."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from helpers.families import FAMILIES
from helpers.planted import PlantedExtractor

from dirbench.benchmarks.generators.external import External
from dirbench.errors import NotApplicable
from dirbench.method import Context
from dirbench.oracle import AttributeOracle
from dirbench.oracles.networks.density_ratio import train_density_ratio
from dirbench.plugins import METHODS

K = 2
SMALL = {"n_directions": K, "n_common": 1, "n_steps": 1, "n_samples": 48, "n_regression": 24, "batch": 2, "per_step": K,
         "min_selected": 2, "n_probes": 2}


class Teacher(AttributeOracle):
    """Reads the mean of each colour."""

    names, readable = ("red", "green", "blue"), (True,) * 3

    def logits(self, images):
        return images.mean(dim=(2, 3)) * 50

    def fingerprint(self):
        return "colours"


class Normed(torch.nn.Module):
    """No layer is fed with z as it is."""

    def __init__(self):
        super().__init__()
        self.dense = torch.nn.Linear(8, 16 * 16 * 4)
        self.body = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Conv2d(4, 4, 3, padding=1), torch.nn.ReLU(),
                                        torch.nn.Conv2d(4, 3, 3, padding=1), torch.nn.Tanh())

    def forward(self, z):
        return self.body(self.dense(torch.nn.functional.normalize(z, dim=1)).unflatten(1, (4, 16, 16)))


def stranger() -> External:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return External(Normed(), latent_dim=8).freeze()


GANS = {name: lambda name=name: FAMILIES[name].gan for name in
        ("biggan", "biggan-deep", "sngan", "stylegan2", "stylegan2-classes", "stylegan3-r", "stylegan1", "pggan")}
GANS["stranger"] = stranger
CLASSES = METHODS.load_all()[0]
Z_FED = ("biggan", "biggan-deep", "sngan", "pggan", "stranger")
NO_ROWS = ("sngan", "pggan", "stranger")  # neither rows of w+ nor a z for each layer


def discover(method, gan):
    """What ``method`` finds on ``gan``; a paired one on it and itself."""
    rng = torch.Generator().manual_seed(0)
    ratio = train_density_ratio(torch.randn(8, PlantedExtractor().width, generator=rng),
                                torch.randn(8, PlantedExtractor().width, generator=rng), steps=1, batch=4, rng=rng)
    needs = {"extractor": PlantedExtractor(), "teacher": Teacher(), "density_ratio": ratio}
    context = Context(chunk=32, **{name: needs[name] for name in method.needs})
    return method.discover_pair(gan, gan, context)[0] if method.paired else method.discover(gan, context)


def small(name: str):
    known = {f.name for f in dataclasses.fields(CLASSES[name])}
    return METHODS.build(name, {**CLASSES[name].test_params, **{k: v for k, v in SMALL.items() if k in known}})


def impossible(method: str, family: str) -> bool:
    attention = method == "contrafeat" or method.endswith("+attention")
    return (attention and family in NO_ROWS) or (method.startswith("sefa") and family == "stranger")


@pytest.mark.parametrize("family", GANS)
@pytest.mark.parametrize("name", CLASSES)
def test_each_method_runs_or_says_why_not(name, family):
    method, gan = small(name), GANS[family]()
    if impossible(name, family):
        with pytest.raises(NotApplicable) as reason:
            discover(method, gan)
        assert len(str(reason.value)) > 30
        return
    found = discover(method, gan)
    latents = gan.sample(2, torch.Generator().manual_seed(0), found.space)
    with torch.no_grad():
        edited = gan.synthesize(found.shift_all(latents, 1.0), found.space)
    assert len(found) == K and torch.isfinite(edited).all()


OPTIONS = [("interfacegan", {"space": "w"}), ("random", {"space": "w"}), ("coordinate", {"space": "w"}),
           ("xga", {"space": "w"}), ("latentclr", {"space": "w"})]


@pytest.mark.parametrize("family", Z_FED)
@pytest.mark.parametrize("name, params", OPTIONS)
def test_options_of_w_are_not_applicable_without_w(name, params, family):
    with pytest.raises(NotApplicable, match="has no latent space 'w'; it has z"):
        discover(dataclasses.replace(small(name), **params), GANS[family]())


@pytest.mark.parametrize("family", NO_ROWS)
@pytest.mark.parametrize("name", ["sefa", "ganspace"])
def test_chosen_layers_are_not_applicable_without_layers(name, family):
    with pytest.raises(NotApplicable, match="not layer-wise"):
        discover(dataclasses.replace(small(name), layers=0), GANS[family]())


@pytest.mark.parametrize("name", ["coordinate", "random", "ganspace", "interfacegan", "sefa"])
def test_nothing_is_added_to_latents_that_are_no_vectors(name):
    gan = stranger()
    gan.euclidean = False
    with pytest.raises(NotApplicable, match="latents are not Euclidean|no linear layer"):
        discover(small(name), gan)

"""What a method gives back is looked at before it counts, and one that changes what it was lent fails alone."""

from __future__ import annotations

import pytest
import torch
from helpers.tiny import profile

from dirbench.benchmarks.config.job import make_job
from dirbench.benchmarks.generators.planted import PlantedGenerator
from dirbench.benchmarks.stages.misused import Misused, given_back
from dirbench.benchmarks.stages.work import Work
from dirbench.directions import Vectors
from dirbench.methods.random_directions import RandomDirections

GAN = PlantedGenerator()
GOOD = Vectors(torch.eye(GAN.latent_dim)[:2], space="z")
METHOD = RandomDirections(n_directions=2)


@pytest.mark.parametrize(("found", "gans", "words"), [  # ids: every worker must collect the same
    (None, [GAN], "discover returns NoneType, expected Directions"),
    (torch.eye(3), [GAN], "discover returns Tensor, expected Directions"),
    ([GOOD], [GAN], "discover returns list, expected Directions"),
    (Vectors(torch.eye(GAN.latent_dim + 1), space="z"), [GAN], r"fit no latent of space z, which is \[N, "),
    (Vectors(torch.eye(GAN.latent_dim), space="q"), [GAN], "has no latent space 'q'"),
    (GOOD, [GAN, GAN], "discover_pair returns 1 of Vectors, expected two Directions"),
    ((GOOD, None), [GAN, GAN], "discover_pair returns 2 of Vectors, NoneType, expected two"),
    ((GOOD, GOOD, GOOD), [GAN, GAN], "discover_pair returns 3 of"),
    (GOOD.select([0]), [GAN], "discover returns 1 directions, 2 were asked for"),
    ((GOOD, Vectors(torch.eye(GAN.latent_dim)[:3], space="z")), [GAN, GAN], "discover_pair returns 3 directions, 2"),
], ids=range(10))
def test_what_is_not_directions_of_the_generator_is_refused_in_the_methods_name(found, gans, words):
    with pytest.raises(Misused, match=f"mine.*{words}") as told:
        given_back(found, METHOD, "mine", gans)
    assert told.value.place.startswith("methods/random_directions.py:")


def test_what_fits_passes():
    assert given_back(GOOD, METHOD, "mine", [GAN]) == [GOOD]
    assert given_back((GOOD, GOOD), METHOD, "mine", [GAN, GAN]) == [GOOD, GOOD]


@pytest.mark.parametrize("raises", [False, True])
def test_a_changed_generator_is_told_and_seen_by_nobody_else(raises, tmp_path):
    job = make_job("celeba_subsets", profile(tmp_path), methods=["random", "sefa"], store=tmp_path / "store")
    lab = Work.of(job).lab
    before = lab.generator("full").fingerprint()
    error, words = (KeyError, "bug") if raises else (Misused, "changes the weights or buffers of full")
    with pytest.raises(error, match=words), lab.lent(RandomDirections, "mine", ("full", "no_hats")):
        next(lab.generator("full").parameters()).data.zero_()
        if raises:
            raise KeyError("bug")
    assert lab.generator("full").fingerprint() == before
    with lab.lent(RandomDirections, "mine", ("full",)):
        lab.generator("full").sample(2, torch.Generator().manual_seed(0))

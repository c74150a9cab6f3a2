"""Evaluation latents: the generator's own sampling, drawn in one order."""

import hashlib

import pytest
import torch
from helpers.families import FAMILIES

from dirbench.benchmarks.stages.latents import evaluation_latents

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize("name", FAMILIES)
def test_the_first_of_any_longer_draw(name):
    gan = FAMILIES[name].gan
    for space in {"z", gan.space}:
        few, more = (evaluation_latents(gan, space, n, 3) for n in (4, 7))
        assert few.shape == (4, gan.dim(space))
        torch.testing.assert_close(few, more[:4])
        assert not torch.allclose(few, evaluation_latents(gan, space, 4, "chance 3"))


def test_stylegan2_keeps_its_stored_draws():
    """What reference rows were made with: normal z, one after another."""
    gan = FAMILIES["stylegan2"].gan
    digest = hashlib.sha256(b"evaluation latents 5").digest()
    rng = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
    z = torch.cat([torch.randn(1, gan.latent_dim, generator=rng) for _ in range(6)])
    assert torch.equal(evaluation_latents(gan, "z", 6, 5), z)
    with torch.no_grad():
        assert torch.equal(evaluation_latents(gan, "w", 6, 5), gan.map(z))


def test_truncated_families_are_scored_where_they_are_used():
    big, deep = FAMILIES["biggan"].read(), FAMILIES["biggan-deep"].read()
    assert evaluation_latents(big, "z", 200, 0).abs().max() > 2
    big.truncation = 0.5
    assert evaluation_latents(big, "z", 200, 0).abs().max() <= 0.5
    deep.truncation = 0.4
    z = evaluation_latents(deep, "z", 200, 0)
    assert z.abs().max() <= 0.8 and 0.25 < z.std() < 0.4

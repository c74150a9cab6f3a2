"""Responses: how they are made, kept and cut."""

import numpy as np
import pytest
import torch

from dirbench.directions import Vectors
from dirbench.generator import Generator
from dirbench.oracle import AttributeOracle
from dirbench.responses import Responses, images_needed, respond

pytestmark = pytest.mark.numeric


class ToyGenerator(Generator):
    """Images that are a smooth map of z; counts what it synthesises."""

    latent_dim, resolution = 6, 4

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(6, 48, generator=torch.Generator().manual_seed(0)))
        self.images, self.largest, self.with_grad = 0, 0, False

    def synthesize(self, latent, space=None):
        assert space == "z"
        self.images += len(latent)
        self.largest = max(self.largest, len(latent))
        out = torch.tanh(latent @ self.weight).view(-1, 3, 4, 4)
        self.with_grad |= out.requires_grad
        return out

    def activations(self, latent, layer, space=None):
        raise NotImplementedError

    def affine_weights(self, layers="all"):
        return [self.weight.T]


class ToyOracle(AttributeOracle):
    names, readable = ("a", "b", "c"), (True, False, True)

    def logits(self, images):
        return images.mean((2, 3)) * 10

    def fingerprint(self):
        return "toy"


@pytest.fixture
def made():
    gan = ToyGenerator()
    directions = Vectors(torch.randn(5, 6, generator=torch.Generator().manual_seed(1)), "z")
    latents = torch.randn(11, 6, generator=torch.Generator().manual_seed(2))
    return gan, directions, latents


def test_every_image_once_and_never_more_than_a_chunk(made):
    gan, directions, latents = made
    seen = []
    respond(gan, directions, ToyOracle(), latents, 3.0, chunk=4, progress=lambda *state: seen.append(state))
    assert gan.images == images_needed(11, 5) == 11 * 11
    assert gan.largest == 4 and not gan.with_grad
    assert seen[-1] == (121, 121) and seen[0] == (4, 121)


def test_rows_are_the_edits_of_the_same_latents(made):
    gan, directions, latents = made
    out = respond(gan, directions, ToyOracle(), latents, 3.0)
    oracle = ToyOracle()
    with torch.no_grad():
        for k in range(5):
            for side, step in ((out.plus, 3.0), (out.minus, -3.0)):
                moved = latents + step * directions.vectors[k]
                np.testing.assert_allclose(side[k], oracle.logits(gan.synthesize(moved, "z")), atol=1e-5)
        np.testing.assert_allclose(out.before, oracle.logits(gan.synthesize(latents, "z")), atol=1e-5)
    assert len(out) == 5 and out.n_samples == 11 and out.before.dtype == np.float32


@pytest.mark.parametrize("chunk", (1, 3, 64))
def test_the_chunk_changes_nothing(made, chunk):
    one = respond(*made[:2], ToyOracle(), made[2], 3.0, chunk=11)
    other = respond(*made[:2], ToyOracle(), made[2], 3.0, chunk=chunk)
    for name in ("before", "plus", "minus"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-5)


def test_the_same_call_gives_the_same_bits(made):
    one, other = (respond(*made[:2], ToyOracle(), made[2], 3.0, chunk=4) for _ in range(2))
    assert all(np.array_equal(getattr(one, n), getattr(other, n)) for n in ("before", "plus", "minus"))


def test_kept_and_cut(made, tmp_path):
    one = respond(*made[:2], ToyOracle(), made[2], 3.0)
    one.save(tmp_path / "r.safetensors")
    back = Responses.load(tmp_path / "r.safetensors")
    assert all(np.array_equal(getattr(one, n), getattr(back, n)) for n in ("before", "plus", "minus"))
    assert np.array_equal(one.select([3, 1]).minus, one.minus[[3, 1]])
    cut = one.attributes(ToyOracle.readable)
    assert cut.plus.shape == (5, 11, 2) and np.array_equal(cut.before, one.before[:, [0, 2]])
    np.testing.assert_allclose(one.probabilities().plus, 1 / (1 + np.exp(-one.plus)), atol=1e-5)


def test_errors_say_what_was_wrong(made, tmp_path):
    before, sides = np.zeros((4, 3)), np.zeros((2, 4, 3))
    with pytest.raises(ValueError, match=r"expected before \[N, M\]"):
        Responses(before, sides, sides[:1])
    broken = sides.copy()
    broken[1, 2, 0] = np.nan
    with pytest.raises(ValueError, match="1 logits in minus are not finite, first of direction 1"):
        Responses(before, sides, broken)
    with pytest.raises(ValueError, match="mask of shape"):
        Responses(before, sides, sides).attributes([True])
    with pytest.raises(ValueError, match="at least 1; got 0, 5"):
        respond(*made[:2], ToyOracle(), made[2][:0], 3.0)
    (tmp_path / "r.safetensors").write_bytes(b"<html>not found</html>")
    with pytest.raises(ValueError, match="not a readable responses file"):
        Responses.load(tmp_path / "r.safetensors")

"""Goals 8 and 9: SeFa beside the textbook's eigenproblem, GANSpace beside the sampling that it cannot do without."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from dirbench.benchmarks.generators.stylegan2 import StyleGAN2
from dirbench.benchmarks.perf.report import Row
from dirbench.benchmarks.perf.setup import Setup
from dirbench.benchmarks.perf.timing import Ratio, interleaved
from dirbench.method import Context
from dirbench.methods.ganspace import GANSpace
from dirbench.methods.sefa import SeFa
from dirbench.sampling import BLOCK


class Affine(StyleGAN2):
    """A generator with given affine weights, as SeFa asks for them."""

    def __init__(self, weights: list[Tensor]) -> None:
        width = weights[0].shape[1]
        super().__init__(z_dim=width, w_dim=width, resolution=8, channels={4: 1, 8: 1}, mapping_layers=1)
        self.weights = weights

    def affine_weights(self, layers="all") -> list[Tensor]:
        return self.weights


def textbook_sefa(weights: list[Tensor], k: int) -> Tensor:
    """The k eigenvectors [k, D] of largest eigenvalue of A^T A, by the general solver in float32, sorted."""
    stacked = F.normalize(torch.cat(weights), dim=1)
    values, vectors = torch.linalg.eig(stacked.T @ stacked)
    return vectors.real.T[values.real.argsort(descending=True)[:k]]


def sefa(setup: Setup) -> Iterator[Row]:
    """The general solver in float32 over ``SeFa.discover``: Gram matrix in float32, symmetric solver in float64."""
    layers, width = setup.sizes.sefa
    rng = torch.Generator().manual_seed(0)
    weights = [torch.randn(width, width, generator=rng) for _ in range(layers)]
    generator, method = Affine(weights).freeze(), SeFa()
    found = interleaved({"textbook": lambda: textbook_sefa(weights, method.n_directions),
                         "here": lambda: method.discover(generator, Context())}, setup.repeats)
    what = f"SeFa, {layers} layers of {width}: general solver, float32 / here (Gram matrix float32, solver float64)"
    yield Row(8, what, 1.8, 2.5, Ratio.of(found["textbook"], found["here"]), at_most=False)


def ganspace(setup: Setup) -> Iterator[Row]:
    """All of ``GANSpace.discover`` over sampling as many latents."""
    s = setup.sizes
    generator = StyleGAN2(z_dim=s.mapped, w_dim=s.mapped, resolution=8, channels={4: 1, 8: 1}).freeze()
    method = GANSpace(n_directions=s.components, n_samples=s.samples)

    def sample() -> None:
        rng = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for start in range(0, s.samples, BLOCK):
                generator.sample(min(BLOCK, s.samples - start), rng)

    found = interleaved({"here": lambda: method.discover(generator, Context()), "sample": sample}, setup.repeats)
    yield Row(9, f"GANSpace, {s.components} components of {s.samples:,} w of {s.mapped}: all / sampling alone", 1.25,
              1.1, Ratio.of(found["here"], found["sample"]), at_most=True)

"""GANSpace: principal components of sampled latents, or of early activations led back to the latent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from dirbench.directions import Directions, Vectors
from dirbench.errors import DiscoveryError
from dirbench.generator import Generator
from dirbench.method import Context, DirectionMethod
from dirbench.methods._linalg import Components, least_squares, passes, principal_components
from dirbench.sampling import latent_blocks, vector_space


@dataclass(frozen=True)
class GANSpace(DirectionMethod):
    """Principal components of w, or of activations led back to the latent (Haerkoenen et al., NeurIPS 2020).

    Style-based generators: PCA of w. Generators fed with z, where PCA of the latent itself would mean
    nothing: PCA of the first layer's activations, whose normalised coordinates predict z by least squares;
    a row of that map is a direction. ``layer`` chooses another layer, or activations of a style-based
    generator too (led back to w). ``scales`` are the latents' standard deviations along each direction, the
    paper's sigma.

    Differs from the official code: PCA is exact (streaming covariance, population standard deviation), not
    incremental. Its default is 300,000 samples; the million is what its instructions use.

    Args:
        n_samples: latents for the PCA. n_regression: fresh ones for the regression.
        layer: activation to analyse, or None as above.
        layers: rows of w+ that the directions move ("all", one, or several): the paper's layer-wise edits.
    """

    name: ClassVar[str] = "ganspace"
    source: ClassVar[str] = "Haerkoenen et al., NeurIPS 2020, arXiv:2004.02546, Sec. 2"
    beats_random_by: ClassVar[float | None] = 0.5
    test_params: ClassVar[dict] = {"n_samples": 4_000, "n_regression": 2_000}

    n_samples: int = 1_000_000
    n_regression: int = 10_000
    layer: str | None = None
    layers: str | int | tuple[int, ...] = "all"

    def images(self) -> int:
        """Activations, which count as images, of a named ``layer`` that is not wide; see ``images_on``."""
        return 0 if self.layer is None else self.n_samples + self.n_regression

    @torch.no_grad()
    def images_on(self, *generators: Generator) -> int:
        """Activations, which count as images: 0 for PCA of w; of a wide layer each sample three times."""
        generator, = generators
        layer = self._layer(generator, vector_space(generator, None, self.name))
        if layer is None:
            return 0
        one = generator.sample(1, torch.Generator().manual_seed(0))
        return passes(_flat(generator, one, layer, generator.space).shape[1]) * self.n_samples + self.n_regression

    def _layer(self, generator: Generator, space: str) -> str | None:
        """The layer whose activations are analysed; None for PCA of the latent."""
        return self.layer or (None if space == "w" else generator.layer_names[0])

    def discover(self, generator: Generator, context: Context) -> Directions:
        space = vector_space(generator, None, self.name)
        self.check_k(generator.dim(space))
        if min(self.n_samples, self.n_regression) <= self.n_directions:
            raise ValueError(f"ganspace: n_samples={self.n_samples} and n_regression={self.n_regression} "
                             f"must both exceed n_directions={self.n_directions}")
        rows = generator.layer_ids(self.layers)
        layer = self._layer(generator, space)
        if layer is None:
            pca = principal_components(
                lambda: self._sample(generator, context, space), self.n_directions,
                f"ganspace: the sample of {space}", context, self.n_samples)
            vectors, scales = pca.vectors, pca.stdev
        else:
            generator.check_layer(layer)
            watched = replace(context, progress=lambda done, total: context.progress(done, total + self.n_regression))
            pca = principal_components(
                lambda: self._activations(generator, context, space, layer), self.n_directions,
                f"ganspace: the activations of {layer}", watched, self.n_samples, rank=generator.dim(space))
            vectors, scales = self._regress(generator, context, space, layer, pca)
        notes = {"explained_variance": pca.ratio.tolist(), "pca_of": layer or space}
        return Vectors(vectors.cpu(), space, scales.cpu(), notes, layers=rows, n_layers=generator.n_layers)

    def _sample(self, generator: Generator, context: Context, space: str) -> Iterator[Tensor]:
        return latent_blocks(generator, self.n_samples, context.rng(self.name, "sample"), space)

    def _activations(self, generator: Generator, context: Context, space: str,
                     layer: str) -> Iterator[Tensor]:
        for latents in self._sample(generator, context, space):
            for chunk in latents.split(context.chunk):
                yield _flat(generator, chunk, layer, space)

    def _regress(self, generator: Generator, context: Context, space: str, layer: str,
                 pca: Components) -> tuple[Tensor, Tensor]:
        """Directions [K, D] of the latent that the layer's coordinates predict, and sigma [K] along them."""
        rank = int((pca.stdev > 1e-3 * pca.stdev[0]).sum())  # float32 sums resolve a millionth of the variance
        if rank < self.n_directions:
            raise DiscoveryError(f"ganspace: the activations of {layer} vary in only {rank} dimensions, so "
                                 f"{self.n_directions} directions cannot be told apart; choose a later layer")
        found, coordinates, before = [], [], passes(pca.vectors.shape[1]) * self.n_samples
        rng = context.rng(self.name, "regression")
        for latents in latent_blocks(generator, self.n_regression, rng, space):
            for chunk in latents.split(context.chunk):
                found.append(chunk)
                coordinates.append(to_coordinates(_flat(generator, chunk, layer, space), pca))
                context.progress(before + sum(map(len, found)), before + self.n_regression)
        latents = torch.cat(found).double()
        vectors = least_squares(torch.cat(coordinates), latents)
        vectors = vectors / vectors.norm(dim=1, keepdim=True)
        return vectors, (latents @ vectors.T).std(dim=0, correction=0)


def to_coordinates(activations: Tensor, pca: Components) -> Tensor:
    """Coordinates [N, K] of activations [N, F] in units of each component's standard deviation; float64."""
    return (activations.double() - pca.mean) @ pca.vectors.T / pca.stdev


@torch.no_grad()
def _flat(generator: Generator, latents: Tensor, layer: str, space: str) -> Tensor:
    return generator.activations(latents, layer, space).flatten(1).float()

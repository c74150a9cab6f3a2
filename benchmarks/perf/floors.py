"""The least that a training step of each method costs: its images, those with gradient apart, and what looks at them.

A floor makes the images that a step's mathematics needs and runs them, forward and where needed backward, through the
networks that look at them. Nothing else: no loss, no directions, no optimiser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from dirbench.benchmarks.perf.setup import Setup
from dirbench.generator import Generator
from dirbench.method import DirectionMethod, PairedMethod
from dirbench.methods.contrafeat import FeatureContrast
from dirbench.methods.hessian import Hessian
from dirbench.methods.jacobian import Jacobian
from dirbench.methods.latentclr import LatentCLR
from dirbench.methods.voynov import Voynov
from dirbench.methods.xga import XGA, XGARelease
from dirbench.methods.xga_release_baselines import HessianXGARelease, JacobianXGARelease, VoynovXGARelease
from dirbench.methods.xga_single import XGASingle
from dirbench.oracles.networks.reconstructors import ResNet18, build_reconstructor

Look = Callable[[Generator, Tensor], Tensor]
Reader = Callable[[Tensor, Tensor], Sequence[Tensor]]  # images without and with gradient to what a loss would be of


def _image(generator: Generator, latents: Tensor) -> Tensor:
    return generator.synthesize(latents)


def _nothing(plain: Tensor, moved: Tensor) -> Sequence[Tensor]:
    return (moved,)


@dataclass(frozen=True)
class Floor:
    """One step's least.

    Args:
        plain, moved: images of each generator without and with gradient.
        look: generator and latents to images, or to activations. reader: what looks at them.
        steps: of a round, timed as one: a few, as one alone scatters, or as many as share what is made at once.
    """

    generators: Sequence[Generator]
    latents: Tensor
    chunk: int
    plain: int
    moved: int
    look: Look = _image
    reader: Reader = _nothing
    steps: int = 3

    def __call__(self) -> None:
        with torch.no_grad():
            plain = self._images(self._rows(self.plain)) if self.plain else torch.empty(0)
        moved = self._images(self._rows(self.moved).requires_grad_())
        out = self.reader(plain, moved)
        torch.autograd.backward(out, [torch.full_like(x, 1e-3) for x in out])

    def _rows(self, n: int) -> Tensor:
        return self.latents[torch.arange(n) % len(self.latents)]

    def _images(self, latents: Tensor) -> Tensor:
        return torch.cat([self.look(generator, part) for generator in self.generators
                          for part in latents.split(self.chunk)])


def floor(method: DirectionMethod | PairedMethod, setup: Setup) -> Floor | None:
    """The floor of a step of ``method``, or None where none is stated here."""
    one, both, chunk = setup.pair[:1], setup.pair, setup.sizes.chunk
    if isinstance(method, (XGA, XGASingle)):
        gans = one if isinstance(method, XGASingle) else both
        moved = method.n_directions if method.per_step is None else method.per_step
        still = method.n_directions - moved
        # the release uses only the reference's images of the directions that a step does not move
        plain = method.batch * (1 + (still / 2 if isinstance(method, XGARelease) else still))
        return Floor(gans, setup.latents(64), chunk, round(plain), method.batch * moved, reader=_features(setup))
    batch = getattr(method, "batch", 0)
    if isinstance(method, Voynov):
        reader = build_reconstructor(method.reconstructor, method.n_directions, one[0].resolution,
                                    torch.Generator().manual_seed(0))
        return Floor(one, setup.latents(batch), chunk, batch, batch, reader=reader)
    if isinstance(method, LatentCLR):
        layer = method.layer if isinstance(method.layer, str) else one[0].layer_names[method.layer]
        side = one[0].activations(setup.latents(1), layer).shape[-1]
        rows = chunk * one[0].resolution // side  # as many of a small layer's maps at a time as the method takes
        return Floor(one, setup.latents(batch), rows, batch, batch * method.n_directions,
                     lambda generator, latents: generator.activations(latents, layer), steps=method.n_directions)
    if isinstance(method, (Hessian, Jacobian)) and not method.exact:
        moved = method.per_sample // method.probes * method.probes  # OroJaR's images at w = 0 need no gradient
        return Floor(one, setup.latents(batch), chunk, batch * (method.per_sample - moved), batch * moved)
    if isinstance(method, FeatureContrast) and method.variant == "binary":
        return Floor(one, setup.latents(batch), chunk, batch, 3 * batch // 2, reader=_maps(setup))
    if isinstance(method, HessianXGARelease):
        return Floor(one, setup.latents(batch), chunk, batch, 2 * batch * method.n_drawn)
    if isinstance(method, JacobianXGARelease):
        return Floor(one, setup.latents(batch), chunk, batch, batch * method.n_drawn)
    if isinstance(method, VoynovXGARelease):
        return Floor(one, setup.latents(batch), chunk, batch, batch * method.n_drawn, reader=_frozen_resnet(method))
    return None


def _features(setup: Setup) -> Reader:
    """The extractor's features of all images."""
    return _seen_by(lambda part: [setup.extractor.features(part)], setup.sizes.chunk)


def _maps(setup: Setup) -> Reader:
    """The extractor's maps of all images."""
    return _seen_by(setup.extractor.maps, setup.sizes.chunk)


def _seen_by(look: Callable[[Tensor], Sequence[Tensor]], chunk: int) -> Reader:
    """``look`` at all images, as many at a time as are synthesised; without gradient at the plain ones."""
    def reader(plain: Tensor, moved: Tensor) -> Sequence[Tensor]:
        with torch.no_grad():
            for part in plain.split(chunk):
                look(part)
        return [seen for part in moved.split(chunk) for seen in look(part)]
    return reader


def _frozen_resnet(method: VoynovXGARelease) -> Reader:
    network = ResNet18(method.n_directions, torch.Generator().manual_seed(0)).eval().requires_grad_(False)

    def reader(plain: Tensor, moved: Tensor) -> Sequence[Tensor]:
        pairs = torch.cat((plain.repeat(method.n_drawn, 1, 1, 1), moved), dim=1)
        return (F.normalize(network.features(pairs), dim=1),)
    return reader

"""xGA on three generators and more at once, with one generator's graph in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from dirbench.directions import Directions
from dirbench.generator import Generator
from dirbench.method import Context
from dirbench.methods._contrastive import unit_features
from dirbench.methods.xga import XGA, Embedding, Ratios
from dirbench.oracles.networks.density_ratio import DensityRatio, feature_pools, train_density_ratio


def discover_many(method: XGA, generators: Sequence[Generator], context: Context,
                  ratios: Ratios | None = None) -> list[Directions]:
    """Directions of each of two generators or more: the first ``method.n_common`` correspond between all of them.

    Olson et al., CVPR 2023, Sec. 4.5 and figure 8: eq. 3 with the alignment terms of every two generators beside the
    term within each. The others are unique: unlikely under every other generator, by the mean of lambda_b's terms over
    them (figure 8 has common directions only: ``n_common`` equal to ``n_directions``). On two generators it is ``xga``.

    The release takes one pair of the generators a step, in turn, and the density ratio of the first pair for all of
    them; here every step has all pairs, and each pair its own ratio.

    A step's cost is linear in the number of generators, and its memory is that of one: images and activations are
    made again, one generator and ``context.chunk`` images at a time, when the gradient comes to them. See ``images``.

    Args:
        method: the settings; with ``unique_weight=0`` no ratios are needed.
        ratios: {(i, j): ratio} for every i < j, generator i being the ratio's reference: see ``density_ratios``.
    Raises:
        ValueError: fewer than two generators; ratios missing, too many or trained with another loss.
        DiscoveryError: the loss is not finite.
    """
    if len(generators) < 2:
        raise ValueError(f"discover_many: {len(generators)} generators, expected two or more; for one alone use "
                         "xga-single")
    wanted = set(combinations(range(len(generators)), 2)) if method.unique_weight else set()
    if set(ratios or {}) != wanted:
        raise ValueError(f"discover_many: unique_weight={method.unique_weight} on {len(generators)} generators needs "
                         f"density ratios of the pairs {sorted(wanted)}, got {sorted(ratios or {})}; "
                         "`density_ratios` makes them")
    return method.train_on(generators, context, ratios or {}, FrugalEmbedding)


def images(method: XGA, n_generators: int) -> int:
    """How many images ``discover_many`` synthesises: those with gradient twice."""
    drawn = method.n_directions if method.per_step is None else method.per_step
    return method.n_steps * n_generators * method.batch * (1 + method.n_directions + drawn)


def density_ratios(method: XGA, generators: Sequence[Generator], context: Context, pool: int = 32_000,
                   steps: int = 1_000, batch: int = 32) -> dict[tuple[int, int], DensityRatio]:
    """{(i, j): ratio} of every two generators, i < j, in the context's extractor, for ``discover_many``.

    Each generator is sampled and embedded once (``pool`` images), whatever pairs it is in. Empty with
    ``unique_weight`` 0. See ``train_density_ratio`` for ``steps`` and ``batch``.
    """
    if not method.unique_weight:
        return {}
    extractor = context.need("extractor", method.name)
    pools = [feature_pools(g, [extractor], pool, context.rng("pool", i), context.chunk)[0]
             for i, g in enumerate(generators)]
    return {(i, j): train_density_ratio(pools[i], pools[j], method.ratio_loss, steps, batch,
                                        rng=context.rng("ratio", i, j))
            for i, j in combinations(range(len(generators)), 2)}


@dataclass(frozen=True)
class FrugalEmbedding(Embedding):
    """``Embedding`` that keeps no graph of its networks: backward makes each chunk again, uses it and drops it."""

    def __call__(self, latents: Sequence[Tensor]) -> list[Tensor]:
        return [torch.cat([checkpoint(self._look, generator, part, space, use_reentrant=False, preserve_rng_state=False)
                           for part in x.split(self.chunk)])
                for generator, space, x in zip(self.generators, self.spaces, latents)]

    def _look(self, generator: Generator, latents: Tensor, space: str) -> Tensor:
        return unit_features(self.extractor.features(generator.synthesize(latents, space).float()))

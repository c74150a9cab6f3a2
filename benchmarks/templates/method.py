"""The method that ``new method`` writes."""

METHOD = '''\
"""CLASS: say here what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from dirbench import Context, DirectionMethod, Directions, DiscoveryError, Generator, Vectors


@dataclass(frozen=True)
class CLASS(DirectionMethod):
    """The directions in which sampled latents vary most. (Your first line is what `list` shows.)"""

    # Who it is: ClassVar, so that these are no hyperparameters.
    name: ClassVar[str] = "NAME"
    source: ClassVar[str] = "your paper, section, year"
    deterministic: ClassVar[bool] = False  # True: no random number enters, and one seed is enough
    needs: ClassVar[tuple[str, ...]] = ()  # "extractor" or "teacher", then found in the context
    # check-method measures how much better than random it recovers known factors. Say a margin (0 to 1) that later
    # changes are held to, or why there is none:
    beats_random_by: ClassVar[float | None] = None
    why_not: ClassVar[str] = "z varies alike in all directions, so that those of z are random ones"

    # Hyperparameters: the published values. Suites and profiles may override them, and they are in every cache key.
    # n_directions is one already.
    n_samples: int = 2000

    def discover(self, generator: Generator, context: Context) -> Directions:
        self.check_k(generator.dim())  # orthogonal directions: no more than the space has dimensions
        # Every random number comes from context.rng(what for): same seed, same answer.
        latents = generator.sample(self.n_samples, context.rng("samples")).float().cpu()  # [n, D] of generator.space
        if not torch.isfinite(latents).all():
            raise DiscoveryError(f"{self.name}: sampled latents are not finite (weights of NaN?)")
        _, spreads, axes = torch.linalg.svd(latents - latents.mean(dim=0), full_matrices=False)
        k = self.n_directions
        # Vectors are brought to unit length; a natural step goes into scales, facts into notes.
        return Vectors(axes[:k], space=generator.space, scales=spreads[:k] / self.n_samples**0.5)

    # If it makes images, say how many (plans and progress bars count them), and tell how far it is:
    #     def images(self) -> int: ...
    #     context.progress(done, total)
    # Make them context.chunk at a time: generator.synthesize(latents, generator.space) is [N, 3, R, R] in [-1, 1],
    # generator.activations(latents, layer) is [N, C, H, W], generator.affine_weights() are matrices [out, D].
'''

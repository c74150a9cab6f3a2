"""The Hessian penalty: directions that do not change what each other do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dirbench.methods._penalised import Penalised, derivatives, in_chunks, reduced


def hessian_penalty(second: Tensor, reduction: str = "mean") -> Tensor:
    """Reduction over samples and outputs of the variance over probes of second directional derivatives.

    In expectation, for one output with Hessian H: ``2 * sum over i != j of H_ij^2`` (Peebles et al., ECCV 2020, eq. 5).

    Args:
        second: [probes, N, ...]; a term common to all probes of a sample changes nothing.
    """
    # written out: torch's variance of a few rows takes 30 times as long on a CPU
    spread = (second - second.mean(dim=0)).square().sum(dim=0) / (len(second) - 1)
    return reduced(spread, reduction)


@dataclass(frozen=True)
class Hessian(Penalised):
    """Orthonormal directions of small Hessian penalty (Peebles et al., ECCV 2020, arXiv:2008.10599, Sec. 3 and 4.3).

    The generator is seen as a function of coefficients w of the directions, ``G(z + w Q)``; the penalty asks that its
    Hessian H by w have small entries off the diagonal, so that no direction changes what another does::

        min over Q, Q Q^T = 1, of  E_z,w mean_outputs Var_v(v^T H v),   v in {-1, 1}^K
        v^T H v  ~  (G(z + (w + e v) Q) - 2 G(z + w Q) + G(z + (w - e v) Q)) / e^2

    at a random one-hot w, of size uniform in [-5, 5]; e is ``epsilon``.

    Defaults are the official discovery script's: 2 probes, differences of 0.1, mean, image only, Adam 0.01, 50,000
    steps of 96 latents, Kaiming-normal start, Gram-Schmidt in every step with gradient through it. K is 16 here
    (there 120, or 40 in a third of z).

    Differs from it: the image in the middle of each difference is not made, since it is the same for every probe and
    drops out of their variance (4 images a latent, not 5). Directions are searched where the generator has them (w for
    style-based ones), in the whole of the space. With finite differences in bfloat16 the penalty is mostly rounding.

    ``exact`` derivatives are an addition, for smooth generators. A network that bends at kinks (leaky ReLU), as
    StyleGAN2 does, has most of its finite second differences from them, the more the shorter they are, and exact
    derivatives pass them by: for an untrained StyleGAN2 of 32 pixels the penalty is 0.35 exactly, 1.2 with differences
    of 0.1 and 8 with 0.01.

    Args:
        distance: largest size of the one-hot w. The others are described in ``Penalised``.
    """

    name: ClassVar[str] = "hessian"
    source: ClassVar[str] = "Peebles et al., ECCV 2020, arXiv:2008.10599, Sec. 3 and 4.3"
    why_not: ClassVar[str] = ("its penalty is smallest for directions that change nothing: where the space has more "
                              "dimensions than the generator has factors, those win (planted recovery 0.12; "
                              "random 0.30)")

    distance: float = 5.0

    @property
    def per_sample(self) -> int:
        return self.probes if self.exact else 2 * self.probes

    def coefficients(self, rng: torch.Generator) -> Tensor:
        index = torch.randint(self.n_directions, (self.batch,), generator=rng)
        size = self.distance * (2 * torch.rand(self.batch, generator=rng) - 1)
        return torch.zeros(self.batch, self.n_directions).scatter(1, index[:, None], size[:, None])

    def penalty_at(self, look: Callable[[Tensor], Tensor], start: Tensor, moves: Tensor, chunk: int) -> Tensor:
        if self.exact:
            second = derivatives(look, start, moves, 2, chunk)
        else:
            steps = self.epsilon * moves
            forward, backward = in_chunks(look, torch.stack((start + steps, start - steps)), chunk)
            # In place of 2 G(start) the first probe's images are taken off: a term common to the probes changes neither
            # their variance nor its gradient, but without one most of float32's digits are lost in the sum.
            second = (forward - forward[0].detach() + (backward - backward[0].detach())) / self.epsilon**2
        return hessian_penalty(second, self.reduction)

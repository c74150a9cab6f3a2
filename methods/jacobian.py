"""Orthogonal Jacobian regularisation (OroJaR): directions whose effects on the image are orthogonal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dirbench.methods._penalised import Penalised, derivatives, in_chunks, reduced


def jacobian_penalty(first: Tensor, reduction: str = "mean") -> Tensor:
    """Reduction over samples of the variance over probes of squared lengths of first directional derivatives.

    In expectation, with the Jacobian J of all outputs: ``2 * sum over i != j of (J^T J)_ij^2`` (Wei et al., ICCV 2021,
    Sec. 3.2).

    Args:
        first: [probes, N, ...].
    """
    return reduced(first.flatten(2).square().sum(dim=2).var(dim=0), reduction)


@dataclass(frozen=True)
class Jacobian(Penalised):
    """Orthonormal directions of small OroJaR penalty (Wei et al., ICCV 2021, arXiv:2108.07668, Sec. 3 and 4).

    The penalty asks that the columns of the Jacobian J of ``G(z + w Q)`` by the coefficients w be orthogonal: that each
    direction change the image in its own way::

        min over Q, Q Q^T = 1, of  E_z Var_v(|J v|^2),   v in {-1, 1}^K
        J v  ~  (G(z + e v Q) - G(z)) / e

    at w = 0, by one-sided differences; e is ``epsilon``.

    Defaults are the official discovery script's: 2 probes, differences of 0.1, mean, image only, Adam 0.01, 50,000
    steps of 32 latents, Kaiming-normal start, Gram-Schmidt in every step with gradient through it. K is 16 here
    (there 40 in a third of z).

    Differs from it: the unmoved image is made without gradient, as w = 0 gives Q none through it; directions are
    searched where the generator has them (w for style-based ones), in the whole of the space; ``exact`` derivatives
    (no bias by the length of the difference) are an addition. With finite differences in bfloat16 the penalty is
    mostly rounding: use float32 or ``exact``.

    Its arguments are described in ``Penalised``.
    """

    name: ClassVar[str] = "jacobian"
    source: ClassVar[str] = "Wei et al., ICCV 2021, arXiv:2108.07668, Sec. 3"
    why_not: ClassVar[str] = ("its penalty is smallest for directions that change nothing: where the space has more "
                              "dimensions than the generator has factors, those win (planted recovery 0.12; "
                              "random 0.30)")

    batch: int = 32

    @property
    def per_sample(self) -> int:
        return self.probes if self.exact else 1 + self.probes

    def penalty_at(self, look: Callable[[Tensor], Tensor], start: Tensor, moves: Tensor, chunk: int) -> Tensor:
        if self.exact:
            return jacobian_penalty(derivatives(look, start, moves, 1, chunk), self.reduction)
        with torch.no_grad():
            middle = in_chunks(look, start, chunk)
        moved = in_chunks(look, start + self.epsilon * moves, chunk)
        return jacobian_penalty((moved - middle) / self.epsilon, self.reduction)

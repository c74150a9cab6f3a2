"""SeFa: closed-form factorisation of the weights that the latent meets first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from dirbench.directions import Directions, Vectors
from dirbench.generator import Generator
from dirbench.method import Context, DirectionMethod
from dirbench.methods._linalg import leading_eigenvectors


@dataclass(frozen=True)
class SeFa(DirectionMethod):
    """Unit n with the largest ``|A n|``: top eigenvectors of ``A^T A`` (Shen & Zhou, CVPR 2021, eq. 4-7).

    ``A`` [M, D] stacks the affine weights of the chosen layers, each row scaled to unit length (Sec. 3,
    implementation details). No samples, no seed. Directions of chosen layers move the rows of w+ of those
    layers only, as in the official code, which this differs from in the solver: a symmetric one in float64,
    whose pairs come sorted and real.

    Args:
        layers: ``"all"``, one row of w+, or several.
        normalize_rows: False factorises the weights as they are.
    """

    name: ClassVar[str] = "sefa"
    source: ClassVar[str] = "Shen & Zhou, CVPR 2021, arXiv:2007.06600, Sec. 2.2 and 3"
    deterministic: ClassVar[bool] = True
    beats_random_by: ClassVar[float | None] = 0.5

    layers: str | int | tuple[int, ...] = "all"
    normalize_rows: bool = True

    def discover(self, generator: Generator, context: Context) -> Directions:
        gram: Tensor | None = None
        for weight in generator.affine_weights(self.layers):  # [out, D]
            self.check_k(weight.shape[1])
            weight = weight.detach().to(torch.promote_types(weight.dtype, torch.float32))
            if self.normalize_rows:
                weight = F.normalize(weight, dim=1)
            # float32: over 18 random layers of 512 its rounding turned no leading eigenvector by 1e-5
            gram = weight.T @ weight if gram is None else gram.addmm_(weight.T, weight)
        assert gram is not None  # affine_weights gives one layer at least, or raises
        values, vectors = leading_eigenvectors(gram, self.n_directions, "sefa: A^T A of the affine weights")
        return Vectors(vectors.cpu(), generator.affine_space, notes={"eigenvalues": values.tolist()},
                       layers=generator.layer_ids(self.layers), n_layers=generator.n_layers)

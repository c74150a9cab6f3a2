"""Voynov & Babenko: directions whose edits a reconstructor can tell apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from dirbench.directions import Directions
from dirbench.generator import Generator
from dirbench.method import Context, DirectionMethod
from dirbench.methods._orthonormal import ExponentialColumns, UnitColumns, VectorModel
from dirbench.oracles.networks.reconstructors import (
    RECONSTRUCTORS,
    Reconstructor,
    build_reconstructor,
    reconstruction_loss,
    spread_shifts,
)
from dirbench.sampling import vector_space
from dirbench.training import frozen, loss_notes, train

COLUMNS: dict[str, type[VectorModel]] = {"unit": UnitColumns, "orthonormal": ExponentialColumns}


@dataclass(frozen=True)
class Voynov(DirectionMethod):
    """Directions learned together with a reconstructor (Voynov & Babenko, ICML 2020, arXiv:2002.03754, Sec. 3).

    The reconstructor R sees an image and its edit and says which direction was applied (cross-entropy) and how far
    (mean absolute error); both learn to make that easy (eq. 1)::

        min over A, R of  E_z,k,s [ CE(k, k') + lambda |s - s'| ],   (k', s') = R(G(z), G(z + s A e_k))

    Defaults are the paper's (Sec. 3.3, 4): shifts uniform in [-6, 6], none nearer to zero than 0.5; weight 0.25; Adam,
    1e-4 for both; 100,000 steps (ProgGAN: 200,000), batch 32 (BigGAN's; 10 for ProgGAN, 128 for small images). K is 16
    here, as in xGA; the paper has 64 to 200.

    Differs from the official code: its unit columns are rescaled outputs of a linear map *with* a bias, so that a move
    is not proportional to the shift; here they are the paper's, without. Its orthonormal matrix is square and its
    skew-symmetric matrix all free; for K < D this keeps zero what only turns unused columns (``skew_exponential``).
    Original images, which no gradient needs, are made without one. Directions are searched where the generator has
    them (w for style-based ones); the paper's are in z.

    Args:
        columns: ``"unit"`` (the paper's choice for faces) or ``"orthonormal"``, which needs K <= D.
        reconstructor: ``"lenet"``, ``"resnet18"``, or ``"auto"``: as the paper, LeNet up to 64 pixels.
        max_shift, min_shift: bounds of a shift's size, in units of the latent space.
        shift_weight: the paper's lambda.
    """

    name: ClassVar[str] = "voynov"
    source: ClassVar[str] = "Voynov & Babenko, ICML 2020, arXiv:2002.03754, Sec. 3"
    core: ClassVar[bool] = False
    beats_random_by: ClassVar[float] = 0.15
    test_params: ClassVar[dict] = {"n_steps": 100, "batch": 16, "lr": 1e-2}

    columns: str = "unit"
    reconstructor: str = "auto"
    max_shift: float = 6.0
    min_shift: float = 0.5
    shift_weight: float = 0.25
    n_steps: int = 100_000
    batch: int = 32
    lr: float = 1e-4
    space: str | None = None

    def __post_init__(self) -> None:
        for field, value, known in (("columns", self.columns, tuple(COLUMNS)),
                                    ("reconstructor", self.reconstructor, ("auto", *RECONSTRUCTORS))):
            if value not in known:
                raise ValueError(f"voynov: {field}={value!r}, expected one of {', '.join(known)}")
        if self.batch < 2:
            raise ValueError(f"voynov: batch={self.batch}, expected 2 or more: the reconstructor has batch norm")
        if not 0 <= self.min_shift <= self.max_shift or not self.max_shift:
            raise ValueError(f"voynov: min_shift={self.min_shift} and max_shift={self.max_shift}, expected "
                             "0 <= min_shift <= max_shift and max_shift > 0")

    def images(self) -> int:
        return self.n_steps * self.batch * 2

    def discover(self, generator: Generator, context: Context) -> Directions:
        space = vector_space(generator, self.space, self.name)
        dim = generator.dim(space)
        if self.columns == "orthonormal":
            self.check_k(dim)
        directions = COLUMNS[self.columns](self.n_directions, dim, context.rng(self.name, "start"))
        reconstructor = build_reconstructor(self.reconstructor, self.n_directions, generator.resolution,
                                            context.rng(self.name, "reconstructor"))
        model = nn.ModuleDict({"directions": directions, "reconstructor": reconstructor}).to(generator.device)

        def loss_at(step: int) -> Tensor:
            with torch.no_grad():
                latents = generator.sample(self.batch, context.rng(self.name, "latents", step), space).float()
            rng = context.rng(self.name, "shifts", step)
            index = torch.randint(self.n_directions, (self.batch,), generator=rng).to(latents.device)
            shifts = spread_shifts(torch.rand(self.batch, generator=rng), self.max_shift, self.min_shift)
            return self.loss(generator, directions.rows(), reconstructor, latents, index, shifts.to(latents), space,
                             context.chunk)

        with frozen(generator):
            losses = train(model, loss_at, context, name=self.name, n_steps=self.n_steps, lr=self.lr,
                           key=lambda: f"{self} seed={context.seed} generator={generator.fingerprint()}",
                           likely="the generator's images overflowed (half precision?), or lr is too high")
        return directions.directions(space, {"reconstructor": type(reconstructor).__name__, **loss_notes(losses)})

    def loss(self, generator: Generator, rows: Tensor, reconstructor: Reconstructor, latents: Tensor, index: Tensor,
             shifts: Tensor, space: str, chunk: int) -> Tensor:
        """Eq. 1 on latents [N, D], each moved by its own ``shifts`` [N] along ``rows[index]``; 2 N images."""
        with torch.no_grad():
            originals = torch.cat([generator.synthesize(part, space) for part in latents.split(chunk)])
        edited = latents + shifts[:, None] * rows[index]
        edits = torch.cat([generator.synthesize(part, space) for part in edited.split(chunk)])
        logits, predicted = reconstructor(originals, edits)
        return reconstruction_loss(logits, predicted, index, shifts, self.shift_weight)

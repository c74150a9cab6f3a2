"""What the Hessian penalty and OroJaR share: orthonormal directions trained on the variance of random derivatives."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor

from dirbench.directions import Directions
from dirbench.generator import Generator
from dirbench.method import Context, DirectionMethod
from dirbench.methods._orthonormal import GramSchmidtRows
from dirbench.sampling import vector_space
from dirbench.training import frozen, loss_notes, train

REDUCTIONS = ("mean", "max")
IMAGE = "image"


@dataclass(frozen=True)
class Penalised(DirectionMethod):
    """Directions Q [K, D], orthonormal rows, that make a penalty on derivatives by their coefficients small.

    A subclass gives ``penalty_at`` for one output and ``per_sample``, how many images that takes for one latent.

    Args:
        batch: latents a step. probes: Rademacher vectors a latent; the variance over them is the penalty.
        epsilon: length of a finite difference. reduction: over samples (and outputs), ``"mean"`` or ``"max"``.
        outputs: what is differentiated: ``"image"`` or names of the generator's layers; penalties of several add up.
        exact: derivatives by forward-mode differentiation instead of finite differences.
    """

    core: ClassVar[bool] = False
    test_params: ClassVar[dict] = {"n_steps": 40, "batch": 8}

    n_steps: int = 50_000
    batch: int = 96
    probes: int = 2
    epsilon: float = 0.1
    reduction: str = "mean"
    outputs: tuple[str, ...] = (IMAGE,)
    exact: bool = False
    lr: float = 0.01
    space: str | None = None

    def __post_init__(self) -> None:
        if self.reduction not in REDUCTIONS:
            raise ValueError(f"{self.name}: reduction={self.reduction!r}, expected one of {', '.join(REDUCTIONS)}")
        if self.probes < 2:
            raise ValueError(f"{self.name}: probes={self.probes}, expected 2 or more: the penalty is their variance")
        if not self.epsilon > 0:
            raise ValueError(f"{self.name}: epsilon={self.epsilon}, expected more than 0")
        if not self.outputs or isinstance(cast(object, self.outputs), str):  # text passes for a tuple of text
            raise ValueError(f'{self.name}: outputs={self.outputs!r}, expected a list such as ["image"]')

    @property
    @abstractmethod
    def per_sample(self) -> int:
        """Images (or activations) that one latent takes, for one output."""

    def images(self) -> int:
        return self.n_steps * self.batch * self.per_sample * len(self.outputs)

    def discover(self, generator: Generator, context: Context) -> Directions:
        space = vector_space(generator, self.space, self.name)
        dim = generator.dim(space)
        self.check_k(dim)
        for output in self.outputs:
            if output != IMAGE:
                generator.check_layer(output)
        model = GramSchmidtRows(self.n_directions, dim, context.rng(self.name, "start")).to(generator.device)

        def loss_at(step: int) -> Tensor:
            with torch.no_grad():
                latents = generator.sample(self.batch, context.rng(self.name, "latents", step), space).float()
            rng = context.rng(self.name, "probes", step)
            signs = 2.0 * torch.randint(2, (self.probes, self.batch, self.n_directions), generator=rng) - 1
            at = self.coefficients(rng).to(latents)
            return self.penalty(generator, model.rows(), latents, at, signs.to(latents), space, context.chunk)

        with frozen(generator):
            losses = train(
                model, loss_at, context, name=self.name, n_steps=self.n_steps, lr=self.lr,
                key=lambda: f"{self} seed={context.seed} generator={generator.fingerprint()}",
                likely="the generator's numbers overflowed (half precision?), or the learning rate is too high")
        return model.directions(space, {"outputs": list(self.outputs), **loss_notes(losses)})

    def coefficients(self, rng: torch.Generator) -> Tensor:
        """Where the derivatives are taken: coefficients w [batch, K]; zero unless a subclass says otherwise."""
        return torch.zeros(self.batch, self.n_directions)

    def penalty(self, generator: Generator, rows: Tensor, latents: Tensor, at: Tensor, signs: Tensor, space: str,
                chunk: int) -> Tensor:
        """The penalty at latents [N, D] + ``at`` [N, K] @ rows, summed over outputs.

        Args:
            rows: [K, D]. signs: [probes, N, K], each +1 or -1.
        """
        total = torch.zeros((), device=latents.device)
        for output in self.outputs:
            def look(part: Tensor, output: str = output) -> Tensor:
                seen = (generator.synthesize(part, space) if output == IMAGE
                        else generator.activations(part, output, space))
                return seen.to(torch.promote_types(seen.dtype, torch.float32))
            total = total + self.penalty_at(look, latents + at @ rows, signs @ rows, chunk)
        return total

    @abstractmethod
    def penalty_at(self, look: Callable[[Tensor], Tensor], start: Tensor, moves: Tensor, chunk: int) -> Tensor:
        """The penalty of one output ``look`` at ``start`` [N, D] with probe vectors ``moves`` [probes, N, D]."""


def in_chunks(look: Callable[[Tensor], Tensor], latents: Tensor, chunk: int) -> Tensor:
    """``look`` at latents [..., D], ``chunk`` at a time: [..., out]."""
    rows = latents.flatten(0, -2)
    return torch.cat([look(part).flatten(1) for part in rows.split(chunk)]).unflatten(0, latents.shape[:-1])


def derivatives(look: Callable[[Tensor], Tensor], start: Tensor, moves: Tensor, order: int, chunk: int) -> Tensor:
    """Exact directional derivatives [probes, N, out] of first or second order at ``start`` [N, D] along ``moves``.

    Forward mode, whose result is differentiable in reverse, one pass through ``look`` for each probe and latent.
    """
    def along(function: Callable[[Tensor], Tensor], v: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda x: torch.func.jvp(function, (x,), (v,))[1]

    def part(x: Tensor, v: Tensor) -> Tensor:
        function = look
        for _ in range(order):
            function = along(function, v)
        return function(x).flatten(1)

    pairs = zip(start.expand_as(moves).flatten(0, 1).split(chunk), moves.flatten(0, 1).split(chunk))
    return torch.cat([part(x, v) for x, v in pairs]).unflatten(0, moves.shape[:2])


def reduced(variances: Tensor, reduction: str) -> Tensor:
    """Mean or maximum over everything."""
    return variances.max() if reduction == "max" else variances.mean()

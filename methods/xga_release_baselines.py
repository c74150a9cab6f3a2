"""The three baselines of xGA's release that have another method's name, as it computes them.

What they minimise differs from the methods of those names (``hessian``, ``jacobian`` and ``voynov`` here follow those).
They stand under names of their own so that the published tables can be followed. All three keep K orthonormal vectors
(Gram-Schmidt after every step), draw some of them and two step sizes in every step, and apply the first size to the
drawn vectors; the second was meant for the vectors not drawn, which take no part in these losses.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dirbench.directions import Directions
from dirbench.generator import Generator
from dirbench.method import Context, DirectionMethod
from dirbench.methods._contrastive import unit_features
from dirbench.methods._models import GlobalModel
from dirbench.methods._orthonormal import gram_schmidt
from dirbench.oracles.networks.reconstructors import ResNet18, reconstruction_loss, spread_shifts
from dirbench.sampling import vector_space
from dirbench.training import frozen, loss_notes, train

Look = Callable[[Tensor], Tensor]  # latents to images
SOURCE = "release of Olson et al., CVPR 2023, arXiv:2303.10774"


@dataclass(frozen=True)
class _Baseline(DirectionMethod):
    """The loop that the three share.

    Args:
        batch: latents a step. per_step: vectors drawn in each step; None for all.
        max_step, min_step: bounds of the sizes drawn, in units of the latent space; both signs.
        milestones: fractions of the run at which the learning rates drop to a fifth (the release's steps 1,000 and
            5,000).
    """

    core: ClassVar[bool] = False
    source: ClassVar[str] = SOURCE
    test_params: ClassVar[dict] = {"n_steps": 40}

    n_steps: int = 50_000
    batch: int = 4
    per_step: int | None = 5
    max_step: float = 5.0
    min_step: float = 0.5
    lr: float = 1e-3
    weight_decay: float = 1e-3
    milestones: tuple[float, ...] = (0.02, 0.1)
    space: str | None = None

    def __post_init__(self) -> None:
        if self.per_step is not None and self.per_step < 1:
            raise ValueError(f"{self.name}: per_step={self.per_step}, expected 1 or more, or null for all")
        if not 0 < self.min_step <= self.max_step:
            raise ValueError(f"{self.name}: min_step={self.min_step} and max_step={self.max_step}, expected "
                             "0 < min_step <= max_step")

    @property
    def n_drawn(self) -> int:
        """Vectors drawn in each step."""
        return min(self.per_step or self.n_directions, self.n_directions)

    def images(self) -> int:
        return self.n_steps * self.batch * (1 + self.n_drawn)

    def discover(self, generator: Generator, context: Context) -> Directions:
        space = vector_space(generator, self.space, self.name)
        dim = generator.dim(space)
        self.check_k(dim)
        vectors = GlobalModel(self.n_directions, dim, context.rng(self.name, "start"))
        model = nn.ModuleDict({"directions": vectors, **self.networks(context)}).to(generator.device)
        self.orthonormalise(vectors)

        def loss_at(step: int) -> Tensor:
            with torch.no_grad():
                latents = generator.sample(self.batch, context.rng(self.name, "latents", step), space).float()
            rng = context.rng(self.name, "drawn", step)
            drawn = sorted(torch.randperm(self.n_directions, generator=rng)[:self.n_drawn].tolist())
            sizes = spread_shifts(torch.rand(2, generator=rng), self.max_step, self.min_step).tolist()

            def look(rows: Tensor) -> Tensor:
                return torch.cat([generator.synthesize(part, space).float() for part in rows.split(context.chunk)])
            return self.loss(model, look, latents, drawn, *sizes)

        with frozen(generator):
            losses = train(model, loss_at, context, name=self.name, n_steps=self.n_steps, lr=self.lr,
                           groups=self.groups(model), milestones=self.milestones,
                           after_step=lambda: self.orthonormalise(vectors),
                           key=lambda: f"{self} seed={context.seed} generator={generator.fingerprint()}",
                           likely="the generator's images overflowed (half precision?)")
        return vectors.directions(space, loss_notes(losses))

    def networks(self, context: Context) -> dict[str, nn.Module]:
        """Networks that the loss needs beside the vectors."""
        return {}

    def groups(self, model: nn.ModuleDict) -> list[dict]:
        """What Adam trains, and with which settings."""
        return [{"params": list(model["directions"].parameters()), "weight_decay": self.weight_decay}]

    @staticmethod
    def orthonormalise(vectors: GlobalModel) -> None:
        """Gram-Schmidt in place, as the release does before the first and after every step."""
        with torch.no_grad():
            vectors.vectors.copy_(gram_schmidt(vectors.vectors))

    @abstractmethod
    def loss(self, model: nn.ModuleDict, look: Look, latents: Tensor, drawn: list[int], size: float,
             other: float) -> Tensor:
        """The loss on latents [N, D]: the ``drawn`` vectors moved by ``size``; ``other`` is the second size."""


@dataclass(frozen=True)
class HessianXGARelease(_Baseline):
    """What xGA's release calls "Hessian": the mean of a signed second difference along single directions.

    Images are flattened to unit length, f. The loss is the mean over drawn directions, latents and pixels of
    ``(f(z + a d) - 2 f(z) + f(z - a d)) / a^2``. There are no random probes, no variance and no entries off the
    diagonal of a Hessian; it can be negative and is minimised as such: brightness that curves downward along a
    direction is rewarded.

    Settings are the release's: 25,000 steps of 4 latents, 5 of 16 directions in each, a uniform in [-5, 5] and no
    nearer to zero than 0.5, Adam 1e-3 with weight decay 1e-3.
    """

    name: ClassVar[str] = "hessian-xga-release"
    why_not: ClassVar[str] = "its loss rewards brightness that curves downward along a direction, whatever changes"
    objective_why_not: ClassVar[str] = ("its gradient is so small (7e-7 a number on the mini zoo's `full`) that weight "
                                        "decay (3e-5) decides the step, before Gram-Schmidt undoes most of it")

    n_steps: int = 25_000
    milestones: tuple[float, ...] = (0.04, 0.2)

    def images(self) -> int:
        return self.n_steps * self.batch * (1 + 2 * self.n_drawn)

    def loss(self, model: nn.ModuleDict, look: Look, latents: Tensor, drawn: list[int], size: float,
             other: float) -> Tensor:
        vectors = _vectors(model)
        with torch.no_grad():
            start = unit_features(look(latents))
        both = torch.cat([vectors.shift(latents, sign * size, drawn) for sign in (1, -1)])
        forward, backward = unit_features(look(both)).unflatten(0, (2, len(drawn), -1))
        return (forward - 2 * start + backward).mean() / size**2


@dataclass(frozen=True)
class JacobianXGARelease(_Baseline):
    """What xGA's release calls "Jacobian": the mean of a signed first difference along single directions.

    Images are flattened to unit length, f. The loss is the mean over drawn directions, latents and pixels of
    ``(f(z + a d) - f(z)) / b``, where b is not the step a but a second, independent draw. Either sign is as likely, so
    that the expected gradient is zero: the vectors walk at random. Nothing asks for orthogonal columns of a Jacobian.

    Settings are the release's: 50,000 steps of 4 latents, 5 of 16 directions in each, a and b uniform in [-5, 5] and no
    nearer to zero than 0.5, Adam 1e-3 with weight decay 1e-3.
    """

    name: ClassVar[str] = "jacobian-xga-release"
    why_not: ClassVar[str] = "the sign of its loss is a coin toss in every step: the expected gradient is zero"
    objective_why_not: ClassVar[str] = "its expected gradient is zero: there is nothing to fall"

    def loss(self, model: nn.ModuleDict, look: Look, latents: Tensor, drawn: list[int], size: float,
             other: float) -> Tensor:
        with torch.no_grad():
            start = unit_features(look(latents))
        moved = unit_features(look(_vectors(model).shift(latents, size, drawn)))
        return (moved.unflatten(0, (len(drawn), -1)) - start).mean() / other


@dataclass(frozen=True)
class VoynovXGARelease(_Baseline):
    """What xGA's release calls "Voynov": two linear heads on an untrained network, with targets that mismatch.

    The image pair goes through a network that is neither pretrained nor trained, its features at unit length through
    one linear head for the direction and one for the shift. Rows are direction-major (d0, d0, d1, d1, ...), but the
    labels are tiled (d0, d1, ..., d0, d1, ...): 2 of 10 are right, as many as by chance. The shift's target is a second
    draw and not the step that was applied. The loss is cross-entropy plus 0.25 x mean absolute error. All rows share
    one step.

    Settings are the release's: 50,000 steps of 2 latents, 5 of 16 directions in each, steps uniform in [-5, 5] and no
    nearer to zero than 0.5, Adam 1e-3 with weight decay 1e-3 for directions, 1e-2 for the heads. The release's feature
    network expects three channels and would refuse a pair; a ResNet-18 with six stands for it here. Whether the
    heads' learning rate drops with that of the directions is not on record; here it does.

    Args:
        head_lr: Adam's for the two heads. shift_weight: of the shift's error.
    """

    name: ClassVar[str] = "voynov-xga-release"
    why_not: ClassVar[str] = "its labels name the direction that was applied no more often than chance would"
    objective_why_not: ClassVar[str] = "its targets are noise, and two heads that chase noise need not get better"
    test_params: ClassVar[dict] = {"n_steps": 10}

    batch: int = 2
    head_lr: float = 1e-2
    shift_weight: float = 0.25

    def networks(self, context: Context) -> dict[str, nn.Module]:
        network = ResNet18(self.n_directions, context.rng(self.name, "network")).eval().requires_grad_(False)
        network.logits.requires_grad_(True)
        network.shift.requires_grad_(True)
        return {"network": network}

    def groups(self, model: nn.ModuleDict) -> list[dict]:
        network = _network(model)
        heads = [*network.logits.parameters(), *network.shift.parameters()]
        return [*super().groups(model), {"params": heads, "lr": self.head_lr}]

    def loss(self, model: nn.ModuleDict, look: Look, latents: Tensor, drawn: list[int], size: float,
             other: float) -> Tensor:
        with torch.no_grad():
            originals = look(latents)
        edits = look(_vectors(model).shift(latents, size, drawn))
        pairs = torch.cat((originals.repeat(len(drawn), 1, 1, 1), edits), dim=1)
        network = _network(model)
        features = F.normalize(network.features(pairs), dim=1)
        labels = torch.tensor(drawn, device=latents.device).repeat(len(latents))
        return reconstruction_loss(network.logits(features), network.shift(features).squeeze(1), labels,
                                   torch.full_like(features[:, 0], other), self.shift_weight)


def _vectors(model: nn.ModuleDict) -> GlobalModel:
    return cast(GlobalModel, model["directions"])


def _network(model: nn.ModuleDict) -> ResNet18:
    return cast(ResNet18, model["network"])

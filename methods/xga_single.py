"""xGA on one generator: contrastive directions in an external feature space, with nobody to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dirbench.directions import Directions
from dirbench.generator import Generator
from dirbench.method import Context, DirectionMethod
from dirbench.methods._contrastive import many_gan_loss
from dirbench.methods._models import LinearModel
from dirbench.methods.xga import LIKELY, Embed, Embedding, draw, step_changes
from dirbench.sampling import vector_space
from dirbench.training import frozen, loss_notes, train


@dataclass(frozen=True)
class XGASingle(DirectionMethod):
    """xGA's objective without a second generator (Olson et al., CVPR 2023, arXiv:2303.10774, Sec. 4.5 and table 2).

    What is left of eq. 3 is the term within one generator: edits of one direction should change the extractor's
    features alike, whatever the latent, and unlike those of other directions. That is LatentCLR in an external feature
    space, and the paper's way of comparing feature extractors. Nothing is common or unique, so lambda_a and lambda_b
    have no part. Model, temperature, steps and optimizer are those of ``xga``.

    Differs from the paper in nothing that it says; the release has no code for this setting that we know of, so it is
    ``xga``'s loss (checked against the release's numbers) for one set of features.

    Args:
        alpha: edit strength in training. batch: latents a step.
        per_step: directions with gradient in each step; None for all.
        milestones: fractions of the run at which the learning rate drops to a fifth.
    """

    name: ClassVar[str] = "xga-single"
    source: ClassVar[str] = "Olson et al., CVPR 2023, arXiv:2303.10774, Sec. 4.5, table 2"
    needs: ClassVar[tuple[str, ...]] = ("extractor",)
    core: ClassVar[bool] = False
    beats_random_by: ClassVar[float | None] = 0.08
    test_params: ClassVar[dict] = {"n_steps": 60, "batch": 4, "per_step": None, "lr": 0.05, "milestones": ()}

    alpha: float = 3.0
    n_steps: int = 10_000
    batch: int = 2
    per_step: int | None = 5
    temperature: float = 0.5
    lr: float = 1e-3
    weight_decay: float = 1e-3
    milestones: tuple[float, ...] = (0.1, 0.5)
    space: str | None = None

    def __post_init__(self) -> None:
        for field, low, high in (("n_directions", 2, 10**6), ("batch", 2, 10**6), ("per_step", 1, self.n_directions)):
            value = getattr(self, field)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{self.name}: {field}={value}, expected {low} or more"
                                 + (f" and at most n_directions={high}" if field == "per_step" else ""))

    def images(self) -> int:
        return self.n_steps * self.batch * (1 + self.n_directions)

    def discover(self, generator: Generator, context: Context) -> Directions:
        extractor, space = context.need("extractor", self.name), vector_space(generator, self.space, self.name)
        model = LinearModel(self.n_directions, generator.dim(space), context.rng(self.name, "start"))
        model = model.to(generator.device)
        embed = Embedding((generator,), (space,), extractor, context.chunk)

        def loss_at(step: int) -> Tensor:
            with torch.no_grad():
                latents = generator.sample(self.batch, context.rng(self.name, "latents", step), space)
            drawn = draw(self.n_directions, self.per_step, context.rng(self.name, "drawn", step))
            return self.loss(model, latents, drawn, embed)[0]

        with frozen(generator, extractor):
            losses = train(
                model, loss_at, context, name=self.name, n_steps=self.n_steps, lr=self.lr,
                weight_decay=self.weight_decay, milestones=self.milestones, likely=LIKELY,
                key=lambda: f"{self} seed={context.seed} generator={generator.fingerprint()} "
                            f"extractor={extractor.fingerprint()}")
        return model.directions(space, {"alpha": self.alpha, **loss_notes(losses)})

    def loss(self, model: LinearModel, latents: Tensor, drawn: list[int], embed: Embed) -> tuple[Tensor, Tensor]:
        """(loss, contrastive accuracy) on latents [N, D]; N * (1 + K) images; gradients reach ``drawn`` only."""
        changes, _, _ = step_changes([model], [latents], drawn, self.n_directions, self.alpha, embed)
        nothing_shared = torch.zeros(self.n_directions, dtype=torch.bool)
        return many_gan_loss(changes, self.n_directions, nothing_shared, temperature=self.temperature)

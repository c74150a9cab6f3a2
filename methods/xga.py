"""xGA: directions of generators at once, and which of them are common, missing or novel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from dirbench.directions import Directions
from dirbench.fingerprint import state_fingerprint
from dirbench.generator import Generator
from dirbench.method import Context, PairedMethod
from dirbench.methods._contrastive import divergences, many_gan_loss, unit_features
from dirbench.methods._models import LinearModel
from dirbench.oracle import FeatureExtractor
from dirbench.oracles.networks.density_ratio import LOSSES, DensityRatio, uniqueness
from dirbench.sampling import vector_space
from dirbench.training import frozen, loss_notes, train

LIKELY = ("some edit did not change the extractor's features at all, or the generator's activations overflowed (half "
          "precision?)")
Ratios = Mapping[tuple[int, int], DensityRatio]  # (i, j), i < j: of generator i (the reference) to generator j
Embed = Callable[[Sequence[Tensor]], list[Tensor]]  # latents of each generator -> unit features of their images


@dataclass(frozen=True)
class XGA(PairedMethod):
    """Cross-GAN auditing (Olson et al., CVPR 2023, arXiv:2303.10774, Sec. 3 and 4.2).

    Contrastive directions in an external feature space, in which edits of both generators can be compared: the first
    ``n_common`` directions attract each other across the generators (``many_gan_loss``, Sec. 3.1), the others are
    pushed to images that the other generator is unlikely to make (density ratios, Sec. 3.2). Three generators and more
    at once (figure 8): ``dirbench.methods._xga_many``. One alone (table 2): ``xga-single``.

    Defaults are the paper's, with its release's weight decay, learning-rate decays and affine maps. As in the release
    the temperature multiplies, the denominators hold negatives only, and each step moves ``per_step`` directions,
    the others taking part without gradient. Differs from it in one slip repaired: for those others the release
    subtracts the client's originals from the *reference's* edited features (``xga-release`` does so).

    Args:
        alpha: edit strength in training. batch: latents of each generator a step.
        other_weight: the paper's lambda_a, of pairs across the generators.
        unique_weight: the paper's lambda_b, of the density ratios (the release's default is 0, its scripts say 1;
            table 3 has 0, 0.1, 0.2, 0.5, 1 and 5); with 0 no density ratio is needed.
        ratio_loss: what the density ratios are trained with: ``"kliep"``; ``"log"``, the log-loss of appendix A.1; or
            ``"log_release"``, the log-loss with its release's sign (see
            ``dirbench.oracles.networks.density_ratio.ratio_loss``).
        per_step: directions with gradient in each step; None for all.
        milestones: fractions of the run at which the learning rate drops to a fifth.
    """

    name: ClassVar[str] = "xga"
    source: ClassVar[str] = "Olson et al., CVPR 2023, arXiv:2303.10774, Sec. 3"
    needs: ClassVar[tuple[str, ...]] = ("extractor", "density_ratio")
    beats_random_by: ClassVar[float] = 0.06
    test_params: ClassVar[dict] = {"n_steps": 40, "per_step": 3, "lr": 0.05, "milestones": ()}
    still: ClassVar[int | None] = None  # see step_changes

    alpha: float = 3.0
    n_steps: int = 10_000
    batch: int = 2
    per_step: int | None = 5
    other_weight: float = 0.1
    unique_weight: float = 1.0
    ratio_loss: str = "kliep"
    temperature: float = 0.5
    lr: float = 1e-3
    weight_decay: float = 1e-3
    milestones: tuple[float, ...] = (0.1, 0.5)
    space: str | None = None

    def __post_init__(self) -> None:
        k = self.n_directions
        for field, low, high in (("n_directions", 2, 10**6), ("n_common", 0, k), ("batch", 2, 10**6),
                                 ("per_step", 1, k), ("other_weight", 0, 1e9), ("unique_weight", 0, 1e9)):
            value = getattr(self, field)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{self.name}: {field}={value}, expected {low} or more"
                                 + (f" and at most n_directions={k}" if high == k else ""))
        if self.ratio_loss not in LOSSES:
            raise ValueError(f"{self.name}: ratio_loss={self.ratio_loss!r}, expected one of {', '.join(LOSSES)}")
        if not self.unique_weight:
            object.__setattr__(self, "needs", ("extractor",))

    def images(self) -> int:
        return self.n_steps * 2 * self.batch * (1 + self.n_directions)

    def discover_pair(self, reference: Generator, client: Generator, context: Context) -> tuple[Directions, Directions]:
        ratios = {(0, 1): context.need("density_ratio", self.name)} if self.unique_weight else {}
        of_reference, of_client = self.train_on((reference, client), context, ratios, Embedding)
        return of_reference, of_client

    def train_on(self, generators: Sequence[Generator], context: Context, ratios: Ratios,
                 embedding: type[Embedding]) -> list[Directions]:
        """Directions of each generator, trained together; ``ratios`` (empty with ``unique_weight`` 0) for every two."""
        extractor = context.need("extractor", self.name)
        for ratio in ratios.values():
            if ratio.loss != self.ratio_loss:
                raise ValueError(f"{self.name}: ratio_loss={self.ratio_loss!r}, but the density ratio was trained with "
                                 f"{ratio.loss!r}")
        spaces = [vector_space(generator, self.space, self.name) for generator in generators]
        models = [LinearModel(self.n_directions, g.dim(space), context.rng(self.name, "start", side)).to(g.device)
                  for side, (g, space) in enumerate(zip(generators, spaces))]
        embed = embedding(generators, spaces, extractor, context.chunk)

        def loss_at(step: int) -> Tensor:
            with torch.no_grad():
                latents = [g.sample(self.batch, context.rng(self.name, "latents", side, step), space)
                           for side, (g, space) in enumerate(zip(generators, spaces))]
            drawn = draw(self.n_directions, self.per_step, context.rng(self.name, "drawn", step))
            return self.loss(models, latents, drawn, embed, ratios)[0]

        with frozen(*generators, extractor, *ratios.values()):
            losses = train(
                nn.ModuleList(models), loss_at, context, name=self.name, n_steps=self.n_steps, lr=self.lr,
                weight_decay=self.weight_decay, milestones=self.milestones,
                key=lambda: f"{self} seed={context.seed} generators={[g.fingerprint() for g in generators]} "
                            f"extractor={extractor.fingerprint()} "
                            f"ratios={[(pair, state_fingerprint(ratio)) for pair, ratio in ratios.items()]}",
                likely=LIKELY)
        notes = {"alpha": self.alpha, "n_common": self.n_common, **loss_notes(losses)}
        return [model.directions(space, notes) for model, space in zip(models, spaces)]

    def loss(self, models: Sequence[LinearModel], latents: Sequence[Tensor], drawn: list[int], embed: Embed,
             ratios: Ratios) -> tuple[Tensor, Tensor]:
        """(loss, contrastive accuracy) on latents [N, D] of each generator, with N * (1 + K) images of each.

        Gradients reach the ``drawn`` directions only; originals and the other edits are made without. With more
        than two generators a unique direction should leave the others' distributions alike: the mean over them.
        """
        changes, moved, order = step_changes(models, latents, drawn, self.n_directions, self.alpha, embed, self.still)
        loss, accuracy = many_gan_loss(changes, self.n_directions, order < self.n_common, self.other_weight,
                                       self.temperature)
        first = sum(k < self.n_common for k in drawn) * len(latents[0])  # drawn is ascending: unique ones come last
        for (i, j), ratio in ratios.items():
            term = uniqueness(ratio, moved[i][first:], moved[j][first:])
            loss = loss + self.unique_weight / (len(models) - 1) * term
        return loss, accuracy


@dataclass(frozen=True)
class XGARelease(XGA):
    """xGA with its release's slip, so that the published tables can be followed.

    For the directions that a step does not move, the client's divergences start from the reference's edited features:
    their positives and negatives say nothing about the client. Its images of them, which the release makes and does
    not use, are not made.
    """

    name: ClassVar[str] = "xga-release"
    source: ClassVar[str] = "release of Olson et al., CVPR 2023, arXiv:2303.10774"
    core: ClassVar[bool] = False
    still: ClassVar[int] = 0

    def images(self) -> int:
        unused = self.n_directions - (self.n_directions if self.per_step is None else self.per_step)
        return super().images() - self.n_steps * self.batch * unused


def draw(k: int, per_step: int | None, rng: torch.Generator) -> list[int]:
    """The directions that one step moves: ``per_step`` of k, or all for None; ascending."""
    return sorted(torch.randperm(k, generator=rng)[:k if per_step is None else per_step].tolist())


def step_changes(models: Sequence[LinearModel], latents: Sequence[Tensor], drawn: list[int], k: int, alpha: float,
                 embed: Embed, still: int | None = None) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """What one step compares, for each generator: divergences and features of edits of its latents [N, D].

    Args:
        still: the generator whose edited features the divergences of directions that are not ``drawn`` start from;
            None for each generator's own. Only those are made.
    Returns:
        (divergences [K * N, F], direction-major, those of the ``drawn`` directions first and with gradient; features
        [len(drawn) * N, F] of the drawn directions' images; [K] which direction each block of rows is).
    """
    rest, n = [i for i in range(k) if i not in drawn], len(latents[0])
    sources = [i if still is None else still for i in range(len(models))]
    with torch.no_grad():
        seen = embed([torch.cat((x, m.shift(x, alpha, rest))) if rest and i in sources else x
                      for i, (m, x) in enumerate(zip(models, latents))])
    moved = embed([m.shift(x, alpha, drawn) for m, x in zip(models, latents)])
    originals = [f[:n] for f in seen]
    changes = [divergences(f, start) for f, start in zip(moved, originals)]
    if rest:
        changes = [torch.cat((change, divergences(seen[source][n:], start)))
                   for change, source, start in zip(changes, sources, originals)]
    return changes, moved, torch.tensor(drawn + rest)


@dataclass(frozen=True)
class Embedding:
    """Latents of each generator -> unit features of their images, ``chunk`` images at a time."""

    generators: Sequence[Generator]
    spaces: Sequence[str]
    extractor: FeatureExtractor
    chunk: int

    def __call__(self, latents: Sequence[Tensor]) -> list[Tensor]:
        """Unit features [N, F] for each batch of latents [N, D], one a generator."""
        images = [torch.cat([generator.synthesize(part, space).float() for part in x.split(self.chunk)])
                  for generator, space, x in zip(self.generators, self.spaces, latents)]
        if len({batch.shape[1:] for batch in images}) == 1:  # one call serves all
            images = [torch.cat(images)]
        features = torch.cat([unit_features(self.extractor.features(part))
                              for batch in images for part in batch.split(self.chunk)])
        return list(features.split([len(x) for x in latents]))

"""LatentCLR: directions whose effects on the generator's own features can be told apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from dirbench.directions import Directions
from dirbench.generator import Generator
from dirbench.method import Context, DirectionMethod
from dirbench.methods._latentclr_loss import Contrast
from dirbench.methods._models import MODELS, DirectionModel
from dirbench.sampling import vector_space
from dirbench.training import frozen, loss_notes, train


@dataclass(frozen=True)
class LatentCLR(DirectionMethod):
    """Contrastive directions (Yueksel, Simsar, Er & Yanardag, ICCV 2021, arXiv:2104.00820, Sec. 3).

    Edits of one direction should change the features of an early layer alike, whatever the latent, and unlike those
    of other directions: ``Contrast`` of unit changes of unit features, Adam, frozen generator.

    The defaults are published ones, of several places: ``"global"`` vectors are the official configuration's default
    and what xGA (CVPR 2023) trained for its tables, also at the first layer (``conv1``) and with alpha 3, the strength
    that xGA's scores use. The official StyleGAN2 example has ``"nonlinear"`` directions, alpha 1, batch 8 and K = 100
    (BigGAN: K = 32, batch 16, alpha drawn from [-3, 3], which is not offered). Adam's settings, temperature, 10,000
    iterations and decays at 1,000 and 5,000 are the official configuration's. K is 16 here, as in xGA.

    Args:
        model: ``"global"`` (a vector), ``"linear"`` (an affine map of the latent) or ``"nonlinear"``.
        layer: of ``generator.layer_names``, by position or by name; 0 is StyleGAN2's ``conv1``.
        alpha: edit strength in training. batch: latents a step, each edited along all K directions.
        temperature: multiplies the similarity, 40 at most. absolute: opposite changes count as alike.
        reduction: ``"mean"`` or ``"sum"`` over positives and over negatives.
        milestones: fractions of the run at which the learning rate drops to a fifth.
    """

    name: ClassVar[str] = "latentclr"
    source: ClassVar[str] = "Yueksel et al., ICCV 2021, arXiv:2104.00820, Sec. 3"
    why_not: ClassVar[str] = ("its loss rewards changes that are alike for every latent, however faint: on planted "
                              "generators the directions that paint next to nothing win, as they never saturate")
    test_params: ClassVar[dict] = {"n_steps": 40, "batch": 4, "lr": 1e-2}

    model: str = "global"
    layer: int | str = 0
    alpha: float = 3.0
    n_steps: int = 10_000
    batch: int = 8
    lr: float = 1e-3
    weight_decay: float = 1e-3
    milestones: tuple[float, ...] = (0.1, 0.5)
    temperature: float = 0.5
    absolute: bool = True
    reduction: str = "mean"
    space: str | None = None

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ValueError(f"latentclr: model={self.model!r}, expected one of {', '.join(MODELS)}")
        self._contrast()  # refuses what the loss cannot take
        for field in ("n_directions", "batch"):
            if getattr(self, field) < 2:
                raise ValueError(f"latentclr: {field}={getattr(self, field)}, expected 2 or more: the loss compares "
                                 "samples of one direction with each other and with other directions")

    def images(self) -> int:
        return self.n_steps * self.batch * (1 + self.n_directions)

    @property
    def effort(self) -> float:
        return 0.1 if self.layer == 0 else super().effort  # the first layer's maps are a fraction of an image

    def discover(self, generator: Generator, context: Context) -> Directions:
        space, layer = vector_space(generator, self.space, self.name), self._layer(generator)
        rng = context.rng(self.name, "start")
        model = MODELS[self.model](self.n_directions, generator.dim(space), rng).to(generator.device)
        look = _LayerFeatures(generator, layer, space, context.chunk)

        @lru_cache(maxsize=1)
        def originals(block: int) -> list[tuple[Tensor, Tensor]]:
            """Latents and unit features of K steps: as many rows as a step edits, as a layer is quicker with many."""
            steps = min(self.n_directions, self.n_steps - block * self.n_directions)
            with torch.no_grad():
                latents = generator.sample(steps * self.batch, context.rng(self.name, "latents", block), space)
                units = look.originals(latents)
            return list(zip(latents.split(self.batch), units.split(self.batch)))

        def loss_at(step: int) -> Tensor:
            block, within = divmod(step, self.n_directions)
            return self.loss(model, *originals(block)[within], look)

        with frozen(generator):
            losses = train(
                model, loss_at, context, name=self.name, n_steps=self.n_steps, lr=self.lr,
                weight_decay=self.weight_decay, milestones=self.milestones,
                key=lambda: f"{self} seed={context.seed} generator={generator.fingerprint()}",
                likely=f"some edit changed nothing at layer {layer!r} (choose a later one), or activations overflowed")
        return model.directions(space, {"alpha": self.alpha, "layer": layer, **loss_notes(losses)})

    def loss(self, model: DirectionModel, latents: Tensor, units: Tensor, look: _LayerFeatures) -> Tensor:
        """The loss of edits of latents [N, D] whose unit features are ``units`` [N, F]; K * N activations."""
        edits = look.edits(model.shift(latents, self.alpha, range(self.n_directions)))
        return self._contrast().of_edits(edits, units)

    def _contrast(self) -> Contrast:
        return Contrast(self.n_directions, self.temperature, self.absolute, self.reduction)

    def _layer(self, generator: Generator) -> str:
        if isinstance(self.layer, str):
            return generator.check_layer(self.layer)
        names = generator.layer_names
        if not -len(names) <= self.layer < len(names):
            raise ValueError(f"latentclr: layer={self.layer}, but {type(generator).__name__} has layers 0 to "
                             f"{len(names) - 1}: {', '.join(names)}")
        return names[self.layer]


class _LayerFeatures:
    """Features of a layer: its activations as float32 rows, all in the order in which those of originals lie in memory.

    Args:
        chunk: images at a time; of a small layer, activations of as many pixels, as soon as originals said its size.
    """

    def __init__(self, generator: Generator, layer: str, space: str, chunk: int) -> None:
        self.generator, self.layer, self.space, self.chunk = generator, layer, space, chunk
        self.rows, self.channels_last = chunk, False

    def originals(self, latents: Tensor) -> Tensor:
        """Unit features [N, F] of latents [N, D]."""
        first = self._maps(latents[:self.chunk])
        self.rows = max(1, self.chunk * self.generator.resolution // first.shape[-1])
        self.channels_last = first.is_contiguous(memory_format=torch.channels_last)
        rest = self.edits(latents[self.chunk:]) if len(latents) > self.chunk else []
        return F.normalize(torch.cat([self._rows(first), *rest]), dim=1)

    def edits(self, latents: Tensor) -> list[Tensor]:
        """Features of latents [N, D], in parts."""
        return [self._rows(self._maps(part)) for part in latents.split(self.rows)]

    def _maps(self, latents: Tensor) -> Tensor:
        return self.generator.activations(latents, self.layer, self.space)

    def _rows(self, maps: Tensor) -> Tensor:
        return (maps.permute(0, 2, 3, 1) if self.channels_last else maps).flatten(1).float()

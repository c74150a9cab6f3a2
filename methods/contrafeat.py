"""ContraFeat: layer-wise directions whose changes in deep feature maps are consistent, orthogonal and diverse."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from dirbench.directions import Directions
from dirbench.errors import NotApplicable
from dirbench.generator import Generator
from dirbench.method import Context, DirectionMethod
from dirbench.methods._contrafeat_losses import MASKS, Similarity, contrast, diversity, prototype_contrast
from dirbench.methods._layer_attention import LayerAttention, Navigator
from dirbench.methods._linalg import principal_components
from dirbench.oracle import FeatureExtractor
from dirbench.sampling import latent_blocks
from dirbench.training import frozen, loss_notes, train

VARIANTS = ("binary", "prototype")
BETAS = (0.0, 0.99)  # of Adam: the paper's appendix K and the release agree


@dataclass(frozen=True)
class FeatureContrast(DirectionMethod):
    """What ContraFeat shares with its attention trained on top of other directions: the training.

    Defaults are what the names of the release's evaluated runs say: 200 thousand latents in batches of 8, learning
    rate 0.1, scale 0.5, diversity weight 0.01. (Other run names have 0.05, 1 and 0.1. The paper's appendix K says 600
    thousand and a rate of 1.)

    Args:
        variant: ``"binary"`` compares the same edit of two latents (2.5 images a latent, 1.5 of them with gradient);
            ``"prototype"`` compares an edit with a learned picture of it (2 images, 1 with gradient).
        batch: latents a step; even for ``"binary"``, which takes them as pairs.
        scale: edits are uniform in [-scale, scale] times moves of norm sqrt(D) times attention.
        mask, over_depth, absolute: see ``Similarity``.
        attended_layers: rows of w+ that the attention chooses among, from the first; None for all.
        styles: independent w in one starting w+, each for a stretch of layers (the release's runs mix 2 or 16; the
            paper has no mixing, the default).
    """

    needs: ClassVar[tuple[str, ...]] = ("extractor",)
    core: ClassVar[bool] = False

    variant: str = "binary"
    n_steps: int = 25_000
    batch: int = 8
    lr: float = 0.1
    scale: float = 0.5
    diversity_weight: float = 0.01
    mask: str = "squared"
    over_depth: bool = False
    absolute: bool = False
    attended_layers: int | None = None
    styles: int = 1

    def __post_init__(self) -> None:
        for field, known in (("variant", VARIANTS), ("mask", MASKS)):
            if getattr(self, field) not in known:
                raise ValueError(f"{self.name}: {field}={getattr(self, field)!r}, expected one of {', '.join(known)}")
        for field, low in (("n_directions", 2), ("batch", 1), ("styles", 1), ("attended_layers", 2)):
            value = getattr(self, field)
            if value is not None and value < low:
                raise ValueError(f"{self.name}: {field}={value}, expected {low} or more")
        if self.variant == "binary" and self.batch % 2:
            raise ValueError(f"{self.name}: batch={self.batch}, but the binary variant needs an even number: it "
                             "compares latents in pairs")

    def images(self) -> int:
        return self.n_steps * (2 * self.batch if self.variant == "prototype" else 5 * self.batch // 2)

    @abstractmethod
    def start(self, generator: Generator, context: Context) -> tuple[Tensor, Tensor, str]:
        """Coordinates [K, n] (a parameter if they are learned), basis [n, D] and space of the directions."""

    def discover(self, generator: Generator, context: Context) -> Directions:
        if generator.n_layers < 2:
            raise NotApplicable(f"{self.name} learns an attention over layers, and this generator's latents are not "
                                "layer-wise")
        attended = generator.n_layers if self.attended_layers is None else self.attended_layers
        if attended > generator.n_layers:
            raise ValueError(f"{self.name}: attended_layers={attended}, but the generator has only "
                             f"{generator.n_layers} layers")
        extractor = context.need("extractor", self.name)
        with frozen(generator, extractor):
            coordinates, basis, space = self.start(generator, replace(context, progress=lambda done, total: None))
            attention = LayerAttention(self.n_directions, generator.n_layers, attended,
                                       context.rng(self.name, "attention"))
            navigator = Navigator(attention, coordinates, basis)
            parts: list[nn.Module] = [navigator]
            if self.variant == "prototype":
                parts.append(Prototypes(self.n_directions, generator.resolution, context.rng(self.name, "prototypes")))
            model = nn.ModuleList(parts).to(generator.device)
            eye = Eye(generator, extractor, space, context.chunk)
            losses = train(
                model, lambda step: self.step_loss(model, eye, context.rng(self.name, "step", step)), context,
                name=self.name, n_steps=self.n_steps, lr=self.lr,
                groups=[{"params": [p for p in model.parameters() if p.requires_grad], "betas": BETAS}],
                key=lambda: f"{self} seed={context.seed} generator={generator.fingerprint()} "
                            f"extractor={extractor.fingerprint()}",
                likely="the learning rate is too high, or the generator's or extractor's activations overflowed")
        return navigator.directions(space, {"scale": self.scale, "variant": self.variant, **loss_notes(losses)})

    def step_loss(self, model: nn.ModuleList, eye: Eye, rng: torch.Generator) -> Tensor:
        """The scalar loss of one step, everything random drawn from ``rng``."""
        moves, k, n = cast(Navigator, model[0]).moves(), self.n_directions, self.batch
        starts = self.starts(eye.generator, eye.space, rng)
        if self.variant == "prototype":
            ks = torch.randint(k, (n,), generator=rng).to(moves.device)
            scales = self._scales(n, rng).to(moves.device)
            loss = self.prototype_loss(eye, moves, starts, ks, scales, model[1]())
        else:
            ks = torch.rand(n // 2, k, generator=rng).argsort(dim=1)[:, :2].to(moves.device)  # two different ones
            scales = torch.stack([self._scales(n // 2, rng) for _ in range(2)]).to(moves.device)
            loss = self.binary_loss(eye, moves, starts, ks, scales)
        return loss + self.diversity_weight * diversity(moves)

    def binary_loss(self, eye: Eye, moves: Tensor, starts: Tensor, ks: Tensor, scales: Tensor) -> Tensor:
        """Eq. 8 and 11: pair i holds starts i and h + i; both are moved along ``ks[i, 0]`` by ``scales[0, i]``, the
        second also along ``ks[i, 1]`` by ``scales[1, i]``.

        Args:
            moves: [K, L, D]. starts: [2 h, L, D]. ks: [h, 2]. scales: [2, h].
        """
        first, second = starts.chunk(2)
        same, other = scales[:, :, None, None] * moves[ks.T]
        with torch.no_grad():
            before = eye.maps(starts)
        after = eye.maps(torch.cat((first + same, second + same, second + other)))
        h = len(first)
        query, positive, negative = ([a[i * h:(i + 1) * h] - b[min(i, 1) * h:][:h] for a, b in zip(after, before)]
                                     for i in range(3))
        return contrast(query, positive, negative, self.similarity).mean()

    def prototype_loss(self, eye: Eye, moves: Tensor, starts: Tensor, ks: Tensor, scales: Tensor,
                       prototypes: Tensor) -> Tensor:
        """Eq. 10 and 12: start i is moved along ``ks[i]`` by ``scales[i]``; prototypes [K, 3, R, R] in [-1, 1]."""
        with torch.no_grad():
            before = eye.maps(starts)
        after = eye.maps(starts + scales[:, None, None] * moves[ks])
        table = self.similarity.table([a - b for a, b in zip(after, before)], eye.look(prototypes))
        return prototype_contrast(table, ks)

    @property
    def similarity(self) -> Similarity:
        """How changes are compared."""
        return Similarity(self.mask, self.over_depth, self.absolute)

    def starts(self, generator: Generator, space: str, rng: torch.Generator) -> Tensor:
        """w+ [batch, L, D], float32."""
        layers = generator.n_layers
        styles = min(self.styles, layers)
        with torch.no_grad():
            latents = generator.sample(self.batch * styles, rng, space).float()
            if latents.ndim == 2:
                latents = latents[:, None].expand(-1, layers, -1)
            rows = torch.arange(layers, device=latents.device)
            return latents.unflatten(0, (self.batch, styles))[:, rows * styles // layers, rows]

    def _scales(self, n: int, rng: torch.Generator) -> Tensor:
        return self.scale * (2 * torch.rand(n, generator=rng) - 1)


@dataclass(frozen=True)
class ContraFeat(FeatureContrast):
    """Layer-wise directions by contrasting deep features (Zhu, Xu & Tao, AAAI 2023, arXiv:2212.07277, Sec. 3).

    A direction is a vector in the span of w's leading principal components (App. A) with an attention over layers.
    Trained so that a direction changes the feature maps F of different images alike, different directions unlike, with
    a penalty on similar moves (eq. 8, 11, 13 and 14; prototypes: eq. 10 and 12)::

        min of  - S(D_a(w1), D_a(w2)) + S(D_a(w1), D_b(w2)) + weight * sum over i != j of cos^2(move_i, move_j)
        D_k(w) = F(G(w + scale * move_k)) - F(G(w)),   move_k = attention_k x direction_k   (eq. 2 to 5)

    with S the masked squared cosine of ``Similarity``. What comes out are ``Layerwise`` directions; their
    ``scales`` are the norms of the method's own moves (attention times sqrt(D)) in the most attended row.

    Differs from the paper in its feature maps: those of the suite's extractor, all stages, in place of AlexNet's.
    Generators fed with one z a layer have no w: there the subspace is all of z, whose components are all alike.

    Args:
        n_components: of w, that directions are made of (300 or 100 in the release's run names; the two that the
            paper's Table 2 finds balanced); all of them where w has no more.
        n_samples: latents for the principal components (App. A).
    """

    name: ClassVar[str] = "contrafeat"
    source: ClassVar[str] = "Zhu et al., AAAI 2023, arXiv:2212.07277, Sec. 3"
    # On planted z training alone gives the margin (0.31 to 0.45). In w it is the subspace that does, as the paper means
    # it to: the loss ignores how large a change is, so over all components faint directions win, as in LatentCLR.
    beats_random_by: ClassVar[float | None] = 0.1
    test_params: ClassVar[dict] = {"n_steps": 150, "n_samples": 2_000, "n_components": 8}

    n_components: int = 300
    n_samples: int = 1_000_000

    def start(self, generator: Generator, context: Context) -> tuple[Tensor, Tensor, str]:
        space = generator.affine_space
        dim = generator.dim(space)
        if space == "w":
            basis = principal_components(
                lambda: latent_blocks(generator, self.n_samples, context.rng(self.name, "sample"), space),
                min(self.n_components, dim), f"{self.name}: the sample of w", context, self.n_samples).vectors.float()
        else:
            basis = torch.eye(dim)
        rng = context.rng(self.name, "start")
        return nn.Parameter(torch.randn(self.n_directions, len(basis), generator=rng)), basis, space


class Prototypes(nn.Module):
    """A learned picture [3, R, R] of what each direction changes (App. K: as large as an image, through tanh)."""

    def __init__(self, k: int, resolution: int, rng: torch.Generator) -> None:
        super().__init__()
        self.pictures = nn.Parameter(torch.randn(k, 3, resolution, resolution, generator=rng))

    def forward(self) -> Tensor:
        return self.pictures.tanh()


@dataclass(frozen=True)
class Eye:
    """w+ [N, L, D] -> feature maps [N, C, H, W] of their images, one a stage; ``chunk`` images at a time."""

    generator: Generator
    extractor: FeatureExtractor
    space: str
    chunk: int

    def maps(self, latents: Tensor) -> list[Tensor]:
        """Feature maps of the images of w+."""
        return self.look(torch.cat([self.generator.synthesize(part, self.space).float()
                                    for part in latents.split(self.chunk)]))

    def look(self, images: Tensor) -> list[Tensor]:
        """Feature maps of images."""
        parts = [self.extractor.maps(part) for part in images.split(self.chunk)]
        return [torch.cat(stage).float() for stage in zip(*parts)]

"""InterFaceGAN: supervised directions, the ceiling that unsupervised ones are held against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dirbench.directions import Directions, Vectors
from dirbench.errors import DiscoveryError
from dirbench.generator import Generator
from dirbench.method import Context, DirectionMethod
from dirbench.methods._linalg import project_out
from dirbench.sampling import latent_blocks, vector_space

FEW = 20  # samples of the rarer sign below which an attribute cannot be learned from this sample


@dataclass(frozen=True)
class InterFaceGAN(DirectionMethod):
    """Normals of SVM boundaries between latents that score high and low (Shen et al., CVPR 2020).

    Sampled latents are scored by the context's teacher; per attribute the extremes of both signs are split
    into a training and a validation share, and a linear SVM (C = 1) separates them. Each normal is then
    *conditioned*: its part in the span of other attributes' normals is taken out ("conditional
    manipulation").

    The K directions are the attributes that validate best; among equals, those that vary most evenly.
    Attributes that the teacher reads badly, or that hardly occur in the sample, come last whatever their
    accuracy, and only if there are not K others; ``notes["supported"]`` says which they are.

    Which attributes to condition on is the user's choice in the paper; here it is the ``n_conditions``
    others whose scores correlate most with the attribute's. One so close that it would leave less than
    ``min_left`` of the normal is passed over: it is another name for the same thing, and what is left is
    noise.

    Boundaries are those of single latents, in z or in w. A w+ code is edited by adding the same normal to each of its
    rows, as in the official code; ``layers`` does so for some rows only (rows of w+, as in SeFa).

    Defaults that are the official code's: ``selection`` (its ``chosen_num_or_ratio``), ``train_share``, C = 1, and
    500,000 latents. Differs from it in ``min_selected``, which only small samples notice, in leaving
    attributes with fewer examples at their number, and in choosing conditions.

    Args:
        n_samples: latents to synthesise and score.
        space: "z", "w", or None for the generator's own.
        layers: rows of w+ that an edit moves ("all", one, or several); for boundaries in w.
        selection: share of the sample taken at each end if below 1, else a number of latents, 2 or more (one at least
            validates); at most half the sample.
        min_selected: at least so many where ``selection`` is a share.
        train_share: of the selected; the others validate.
        n_conditions: how many attributes each is conditioned on; 0 for plain boundaries, "all" for every one that
            ``min_left`` allows, the most correlated first.
        min_left: in 0..1, the length that a unit normal must keep.
    Raises:
        DiscoveryError: the teacher has fewer than K attributes, or its scores are not finite.
    """

    name: ClassVar[str] = "interfacegan"
    source: ClassVar[str] = "Shen et al., CVPR 2020, arXiv:1907.10786, Sec. 2 and 3"
    needs: ClassVar[tuple[str, ...]] = ("teacher",)
    role: ClassVar[str] = "ceiling"
    beats_random_by: ClassVar[float | None] = 0.4
    test_params: ClassVar[dict] = {"n_samples": 2_000}

    n_samples: int = 500_000
    space: str | None = None
    layers: str | int | tuple[int, ...] = "all"
    selection: float = 0.02
    min_selected: int = 400
    train_share: float = 0.7
    n_conditions: int | str = 2
    min_left: float = 0.5

    def __post_init__(self) -> None:
        if not (0 < self.train_share < 1 and (0 < self.selection <= 0.5 or self.selection >= 2)):
            raise ValueError(f"interfacegan: train_share={self.train_share} must lie between 0 and 1, and "
                             f"selection={self.selection} between 0 and 0.5 (a share) or from 2 on (a number)")
        if self.n_conditions != "all" and (isinstance(self.n_conditions, str) or self.n_conditions < 0):
            raise ValueError(f'interfacegan: n_conditions={self.n_conditions!r}, expected 0 or more, or "all"')
        if not 0 <= self.min_left <= 1:
            raise ValueError(f"interfacegan: min_left={self.min_left}, expected 0 to 1")

    def images(self) -> int:
        return self.n_samples

    def discover(self, generator: Generator, context: Context) -> Directions:
        teacher = context.need("teacher", self.name)
        space = vector_space(generator, self.space, self.name)
        layers = generator.layer_ids(self.layers)
        if layers is not None and space != "w":
            raise ValueError(f"interfacegan: layers={self.layers} are rows of w+, but the boundaries are those of "
                             f'{space}; use space="w", or layers="all"')
        if self.n_samples < 2 * FEW:
            raise ValueError(f"interfacegan: n_samples={self.n_samples}, expected {2 * FEW} or more")
        if len(teacher.names) < self.n_directions:
            raise DiscoveryError(f"interfacegan: {self.n_directions} directions asked for, but the teacher "
                                 f"knows only {len(teacher.names)} attributes; ask for that many or fewer")
        latents, scores = self._score(generator, context, space)
        rarer = torch.minimum((scores > 0).sum(dim=0), (scores < 0).sum(dim=0))  # [M]
        supported = torch.tensor(teacher.readable) & (rarer >= FEW)
        wanted = self.wanted(len(scores))
        found, accuracy = [], []
        for m in range(scores.shape[1]):
            chosen = min(wanted, int(rarer[m])) if supported[m] else wanted
            normal, share = self._boundary(latents, scores[:, m], chosen, context.rng(self.name, "split", m))
            found.append(normal)
            accuracy.append(share)
        normals = torch.stack(found)
        order = sorted(range(len(normals)), key=lambda m: (not supported[m], -accuracy[m], -int(rarer[m]), m))
        order = order[: self.n_directions]
        related = torch.nan_to_num(torch.corrcoef(scores.T.double())).abs()  # NaN where a score never varies
        related[:, ~supported] = -1
        conditions = {m: self._conditions(m, normals, related[m]) for m in order}
        vectors = torch.stack([project_out(normals[m], normals[conditions[m]]) for m in order])
        names = teacher.names
        notes = {"attributes": [names[m] for m in order], "accuracy": [accuracy[m] for m in order],
                 "supported": [bool(supported[m]) for m in order],
                 "conditions": [[names[j] for j in conditions[m]] for m in order]}
        return Vectors(vectors, space, notes=notes, layers=layers, n_layers=generator.n_layers)

    def wanted(self, n: int) -> int:
        """How many of n latents are taken at each end."""
        share = self.selection < 1
        return min(max(int(self.selection * n), self.min_selected) if share else int(self.selection), n // 2)

    @torch.no_grad()
    def _score(self, generator: Generator, context: Context, space: str) -> tuple[Tensor, Tensor]:
        """Latents [N, D] and the teacher's logits [N, M], on the CPU."""
        teacher = context.need("teacher", self.name)
        blocks, parts, done = [], [], 0
        for latents in latent_blocks(generator, self.n_samples, context.rng(self.name, "sample"), space):
            blocks.append(latents.cpu())
            for chunk in latents.split(context.chunk):
                images = generator.synthesize(chunk, space).float()
                parts.append(teacher.logits(images).float().cpu())
                done += len(chunk)
                context.progress(done, self.n_samples)
        scores = torch.cat(parts)
        if not torch.isfinite(scores).all():
            bad = int((~torch.isfinite(scores).all(dim=1)).sum())
            raise DiscoveryError(f"interfacegan: the teacher's scores of {bad} of {len(scores)} images are NaN or "
                                 "infinite; the generator or the teacher is broken")
        return torch.cat(blocks), scores

    def _boundary(self, latents: Tensor, scores: Tensor, chosen: int,
                  rng: torch.Generator) -> tuple[Tensor, float]:
        """Unit normal [D] towards high scores, and its accuracy on the validation share."""
        high, low = extremes(scores, chosen)
        high = high[torch.randperm(chosen, generator=rng)]
        low = low[torch.randperm(chosen, generator=rng)]
        n_train = max(1, int(chosen * self.train_share))
        normal, offset = svm_boundary(latents[high[:n_train]], latents[low[:n_train]])
        right = torch.cat(((latents[high[n_train:]].double() @ normal + offset) > 0,
                           (latents[low[n_train:]].double() @ normal + offset) < 0))
        return normal, right.double().mean().item()

    def _conditions(self, primal: int, normals: Tensor, related: Tensor) -> list[int]:
        """Attributes to condition ``primal`` on, most ``related`` [M] first; those below 0 are never chosen."""
        chosen: list[int] = []
        for j in related.argsort(descending=True, stable=True).tolist():
            if len(chosen) == self.n_conditions or related[j] < 0:  # never equal to "all"
                break
            if j != primal and project_out(normals[primal], normals[[*chosen, j]]).norm() >= self.min_left:
                chosen.append(j)
        return chosen


def extremes(scores: Tensor, chosen: int) -> tuple[Tensor, Tensor]:
    """Indices [chosen] of the highest and of the lowest scores [N], both in falling order of score."""
    order = scores.argsort(descending=True, stable=True)
    return order[:chosen], order[len(order) - chosen:]


def svm_boundary(positive: Tensor, negative: Tensor) -> tuple[Tensor, float]:
    """Unit normal [D], towards ``positive``, and offset of the linear SVM (C = 1) between rows [n, D].

    ``x @ normal + offset`` is the signed distance of x from the boundary, in units of the latent. Float64.
    """
    from sklearn.svm import SVC  # slow to import, and only this method needs it

    rows = torch.cat((positive, negative)).double().numpy()
    labels = [1] * len(positive) + [0] * len(negative)
    # the solver would seed itself from numpy's global state otherwise
    fit = SVC(kernel="linear", C=1.0, random_state=0).fit(rows, labels)
    weight = torch.from_numpy(fit.coef_[0].copy())
    length = weight.norm()
    return weight / length, float(fit.intercept_[0] / length)

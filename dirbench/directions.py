"""Directions: K edits of a latent, in the forms that the literature has, stored without pickle."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

_KINDS: dict[str, type[Directions]] = {}


class Directions(ABC):
    """K edits of a latent of one named space.

    An edit is ``shift(latent, k, strength)``: for a plain vector ``latent + strength * vector``. A subclass is a
    *kind*; it keeps its numbers in ``tensors()`` and is rebuilt from them by ``from_tensors``.

    Attributes:
        space: the latent space that the edits live in (``"z"``, ``"w"`` or ``"w+"``); never omitted.
        scales: [K] natural step of each direction where the method has one (GANSpace's sigma), else ones.
            Vectors are stored at unit length, so that one strength means one step for every method.
        notes: plain facts about how they came to be (for example an explained variance), JSON-able.

    >>> directions = Vectors(torch.eye(3)[:2], space="z")
    >>> directions.shift(torch.zeros(1, 3), k=1, strength=0.5)
    tensor([[0.0000, 0.5000, 0.0000]])
    >>> directions.shift_all(torch.zeros(4, 3), strength=0.5).shape  # 4 latents along 2 directions
    torch.Size([8, 3])
    >>> len(directions.select([1]))
    1
    """

    kind: ClassVar[str]

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        if "kind" in cls.__dict__:
            _KINDS[cls.kind] = cls

    def __init__(self, space: str, scales: Tensor, notes: dict | None = None) -> None:
        self.space, self.scales, self.notes = space, scales.float(), notes or {}

    def __len__(self) -> int:
        return len(self.scales)

    @abstractmethod
    def moves(self, latent: Tensor, ks: Tensor) -> Tensor:
        """Unit-strength moves [len(ks), N, D] (or [len(ks), N, L, D]) of latents [N, D] along directions ``ks``."""

    def shift_all(self, latent: Tensor, strength: float, ks: Tensor | None = None) -> Tensor:
        """Edited latents [len(ks) * N, ...] of latents [N, D] (or w+ [N, L, D]); direction-major.

        All N samples of the first direction come first, then all of the second: the order of every response,
        feature stack and loss in this project. ``strength`` is in units of the latent space.
        """
        ks = torch.arange(len(self), device=latent.device) if ks is None else ks
        moves = self.moves(latent, ks)
        base = latent
        if moves.ndim == 4 and latent.ndim == 2:  # an edit of w that differs by layer makes it a w+
            base = latent[:, None].expand(-1, moves.shape[2], -1)
        elif moves.ndim == 3 and latent.ndim == 3:  # a global move of a w+ moves all of its rows
            moves = moves[:, :, None]
        return (base[None] + strength * moves).flatten(0, 1)

    def shift(self, latent: Tensor, k: int, strength: float) -> Tensor:
        """Latents [N, ...] moved along direction ``k`` by ``strength``."""
        return self.shift_all(latent, strength, torch.tensor([k], device=latent.device))

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Everything but space, scales and notes that is needed to rebuild these directions."""

    @classmethod
    @abstractmethod
    def from_tensors(cls, tensors: dict[str, Tensor], space: str, scales: Tensor, notes: dict) -> Directions:
        """The inverse of ``tensors``."""

    def select(self, ks: list[int]) -> Directions:
        """The directions ``ks`` in that order."""
        rest = {name: t[ks] if name in self.per_direction() else t for name, t in self.tensors().items()}
        return type(self).from_tensors(rest, self.space, self.scales[ks], self.notes)

    def per_direction(self) -> set[str]:
        """Names of the tensors whose first axis counts directions (all of them unless a kind says otherwise)."""
        return set(self.tensors())

    def to(self, device: torch.device | str) -> Directions:
        """The same directions on ``device``."""
        moved = {name: t.to(device) for name, t in self.tensors().items()}
        return type(self).from_tensors(moved, self.space, self.scales.to(device), self.notes)

    def save(self, path: Path) -> None:
        """Writes a safetensors file; maps of a million numbers and more go in half precision."""
        tensors = {n: (t.half() if t.is_floating_point() and t.numel() >= 1_000_000 else t).detach().cpu().contiguous()
                   for n, t in self.tensors().items()}
        tensors["scales"] = self.scales.detach().cpu().contiguous()
        save_file(tensors, path, {"kind": self.kind, "space": self.space, "notes": json.dumps(self.notes)})

    @staticmethod
    def load(path: Path) -> Directions:
        """Directions of whatever kind ``path`` holds, float32. Raises ValueError on a damaged or foreign file."""
        try:
            with safe_open(path, "pt") as file:
                meta = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path}: not a readable directions file ({error})") from error
        if meta.get("kind") not in _KINDS or "scales" not in tensors:
            raise ValueError(f"{path}: holds no directions (kind {meta.get('kind')!r}; known: {', '.join(_KINDS)})")
        tensors = {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}
        scales = tensors.pop("scales")
        return _KINDS[meta["kind"]].from_tensors(tensors, meta["space"], scales, json.loads(meta["notes"]))


def _scales(scales: Tensor | None, k: int) -> Tensor:
    """``scales`` [k], ones where there are none. Raises ValueError for another number of them."""
    if scales is None:
        return torch.ones(k)
    if scales.shape != (k,):
        raise ValueError(f"{k} directions have scales {list(scales.shape)}, expected [{k}]: one number each")
    return scales


class Vectors(Directions):
    """Global directions: one unit vector each, added to the latent, or to chosen rows of w+ only.

    Args:
        vectors: [K, D]; normalised here. A zero or non-finite vector is a ValueError.
        layers: rows of w+ that move (then ``n_layers`` is needed), or None for all.

    >>> Vectors(torch.tensor([[3.0, 4.0]]), space="w").vectors
    tensor([[0.6000, 0.8000]])
    >>> second_row = Vectors(torch.tensor([[1.0, 0.0]]), space="w", layers=(1,), n_layers=2)
    >>> second_row.shift(torch.zeros(1, 2), 0, 2.0)  # a w has become a w+
    tensor([[[0., 0.],
             [2., 0.]]])
    """

    kind = "vectors"

    def __init__(self, vectors: Tensor, space: str, scales: Tensor | None = None, notes: dict | None = None,
                 layers: tuple[int, ...] | None = None, n_layers: int = 0) -> None:
        super().__init__(space, _scales(scales, len(vectors)), notes)
        norms = vectors.norm(dim=1)
        if not (torch.isfinite(vectors).all() and (norms > 0).all()):
            raise ValueError(f"directions must be finite and non-zero; their norms are {norms.tolist()}")
        self.vectors = F.normalize(vectors.double(), dim=1).float()
        if layers is not None and not n_layers:
            raise ValueError(f"directions of the layers {list(layers)} need n_layers, how many rows a w+ has")
        self.layers, self.n_layers = layers, n_layers

    def moves(self, latent: Tensor, ks: Tensor) -> Tensor:
        moves = self.vectors.to(latent)[ks][:, None].expand(-1, len(latent), -1)
        if self.layers is None:
            return moves
        rows = torch.zeros(self.n_layers, 1).to(latent)
        rows[list(self.layers)] = 1
        return moves[:, :, None] * rows

    def tensors(self) -> dict[str, Tensor]:
        out = {"vectors": self.vectors}
        if self.layers is not None:
            out["layers"] = torch.tensor([self.n_layers, *self.layers])
        return out

    def per_direction(self) -> set[str]:
        return {"vectors"}

    @classmethod
    def from_tensors(cls, tensors, space, scales, notes) -> Vectors:
        n_layers, *layers = tensors["layers"].tolist() if "layers" in tensors else (0,)
        return cls(tensors["vectors"], space, scales, notes, tuple(layers) or None, n_layers)


class Conditional(Directions):
    """Directions that are an affine map of the latent, normalised: ``(M_k x + b_k) / |M_k x + b_k|``.

    The linear model of LatentCLR (Yueksel et al., ICCV 2021, Sec. 3) and of xGA (eq. 1; its release has the bias).

    Args:
        weight: [K, D, D]; row-major maps, ``weight[k] @ x``.
        bias: [K, D].

    >>> towards_itself = Conditional(torch.eye(2)[None], torch.zeros(1, 2), space="z")
    >>> towards_itself.shift(torch.tensor([[0.0, 3.0]]), 0, 1.0)
    tensor([[0., 4.]])
    """

    kind = "conditional"

    def __init__(self, weight: Tensor, bias: Tensor, space: str, scales: Tensor | None = None,
                 notes: dict | None = None) -> None:
        super().__init__(space, _scales(scales, len(weight)), notes)
        self.weight, self.bias = weight, bias

    def moves(self, latent: Tensor, ks: Tensor) -> Tensor:
        out = torch.einsum("kij,n...j->kn...i", self.weight.to(latent)[ks], latent)
        bias = self.bias.to(latent)[ks]
        return F.normalize(out + bias.view(len(ks), *[1] * (latent.ndim - 1), -1), dim=-1)

    def tensors(self) -> dict[str, Tensor]:
        return {"weight": self.weight, "bias": self.bias}

    @classmethod
    def from_tensors(cls, tensors, space, scales, notes) -> Conditional:
        return cls(tensors["weight"], tensors["bias"], space, scales, notes)


class Mlp(Directions):
    """Directions that are a small network of the latent with ReLU between its layers, normalised to unit length.

    The nonlinear model of LatentCLR (Yueksel et al., ICCV 2021, Sec. 3), batch norm folded into its linear layers.

    Args:
        weights: one [K, out, in] a layer. biases: one [K, out] a layer but the last, which has none.

    >>> one_layer = Mlp([torch.eye(2)[None]], [], space="z")
    >>> one_layer.shift(torch.tensor([[0.0, 3.0]]), 0, 1.0)
    tensor([[0., 4.]])
    """

    kind = "mlp"

    def __init__(self, weights: list[Tensor], biases: list[Tensor], space: str, scales: Tensor | None = None,
                 notes: dict | None = None) -> None:
        super().__init__(space, _scales(scales, len(weights[0])), notes)
        if len(biases) != len(weights) - 1:
            raise ValueError(f"an mlp of {len(weights)} layers has a bias in all but the last, got {len(biases)}")
        self.weights, self.biases = list(weights), list(biases)

    def moves(self, latent: Tensor, ks: Tensor) -> Tensor:
        x = latent.flatten(0, -2).expand(len(ks), -1, -1)
        for weight, bias in zip(self.weights, self.biases):
            x = torch.baddbmm(bias.to(latent)[ks][:, None], x, weight.to(latent)[ks].transpose(1, 2)).relu()
        x = x @ self.weights[-1].to(latent)[ks].transpose(1, 2)
        return F.normalize(x, dim=2).unflatten(1, latent.shape[:-1])

    def tensors(self) -> dict[str, Tensor]:
        return ({f"weight_{i}": weight for i, weight in enumerate(self.weights)}
                | {f"bias_{i}": bias for i, bias in enumerate(self.biases)})

    @classmethod
    def from_tensors(cls, tensors, space, scales, notes) -> Mlp:
        weights, biases = ([tensors[f"{part}_{i}"] for i in range(len(tensors)) if f"{part}_{i}" in tensors]
                           for part in ("weight", "bias"))
        return cls(weights, biases, space, scales, notes)


class Layerwise(Directions):
    """Directions that move each row of w+ by an amount of its own: attention x vector.

    Strength 1 moves the most attended row by a unit vector and the others by less. So a strength means the same for
    any one row as it does for a global direction (even attention *is* a global direction), and as for ``Vectors`` of
    chosen layers, whose rows move by a unit vector or not at all.

    Args:
        vectors: [K, D]; normalised here. A zero or non-finite vector is a ValueError.
        attention: [K, L], not negative; divided here by the largest in each row, which must be positive.
        space: of the rows ("w", or "z" where a generator takes one z a layer).

    >>> Layerwise(torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 2.0]]), space="w").shift(torch.zeros(1, 2), 0, 1.0)
    tensor([[[0.0000, 0.5000],
             [0.0000, 1.0000]]])
    """

    kind = "layerwise"

    def __init__(self, vectors: Tensor, attention: Tensor, space: str, scales: Tensor | None = None,
                 notes: dict | None = None) -> None:
        super().__init__(space, _scales(scales, len(vectors)), notes)
        norms, peaks = vectors.norm(dim=1), attention.amax(dim=1)
        if not (torch.isfinite(vectors).all() and (norms > 0).all() and torch.isfinite(attention).all()
                and (attention >= 0).all() and (peaks > 0).all()):
            raise ValueError("layer-wise directions must be finite and non-zero and attention not negative; norms are "
                             f"{norms.tolist()}, largest attentions {peaks.tolist()}, smallest {attention.min():.3g}")
        self.vectors = F.normalize(vectors.double(), dim=1).float()
        self.attention = (attention.double() / peaks.double()[:, None]).float()

    def moves(self, latent: Tensor, ks: Tensor) -> Tensor:
        moves = self.attention.to(latent)[ks][:, :, None] * self.vectors.to(latent)[ks][:, None]
        return moves[:, None].expand(-1, len(latent), -1, -1)

    def tensors(self) -> dict[str, Tensor]:
        return {"vectors": self.vectors, "attention": self.attention}

    @classmethod
    def from_tensors(cls, tensors, space, scales, notes) -> Layerwise:
        return cls(tensors["vectors"], tensors["attention"], space, scales, notes)

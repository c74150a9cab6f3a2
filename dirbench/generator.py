"""The interface of a frozen generator: latents in, images in [-1, 1] out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from dirbench.errors import NotApplicable
from dirbench.fingerprint import state_fingerprint

Layers = str | int | Sequence[int]
Label = int | Sequence[float] | Tensor | None  # a class, or weights of a mixture of classes


class Lacking(NotApplicable, ValueError):
    """A family has no such latent space or no layer-wise latents: what asks for them does not exist for it.

    >>> issubclass(Lacking, NotApplicable) and issubclass(Lacking, ValueError)
    True
    """


class Generator(nn.Module, ABC):
    """A generator that direction methods can search, edit and look into.

    A family (StyleGAN2, BigGAN, ...) subclasses this in one file and says:

    * ``latent_dim``: size of z; ``w_dim``: size of w, or 0 where the family has no mapped space.
    * ``n_layers``: rows of w+ (how often w is used), or 0 where latents are not layer-wise.
    * ``resolution``: side of the square image in pixels.
    * ``space``: the latent space that directions live in by default, ``"w"`` or ``"z"``.
    * ``euclidean``: False where a latent plus a vector is no latent (angles, codes, ...): nothing has directions there.
    * ``layer_names``: names of the activations it can return, in the order they are computed.
    * ``n_classes``: how many classes it draws, or 0; ``label``: the class used where a caller passes none.
    * ``family``: its name where its checkpoints can be read (``"stylegan2"``), with ``reads`` and ``from_state_dict``.
    * ``notes``: sentences on what its reader had to put in place of what a file lacks, or could not use of it.

    Latents are ``[N, D]``; style-based families take w+ ``[N, L, D]`` in the same calls.

    >>> class Grey(Generator):  # each image is of one grey, which the first number of z says
    ...     latent_dim, resolution, layer_names = 4, 8, ("grey",)
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.weight = nn.Parameter(torch.eye(4)[:1])
    ...     def activations(self, latent, layer, space=None):
    ...         return (latent @ self.weight.T)[:, :, None, None]
    ...     def synthesize(self, latent, space=None):
    ...         return self.activations(latent, "grey").tanh().expand(-1, 3, 8, 8)
    ...     def affine_weights(self, layers="all"):
    ...         return [self.weight]
    >>> generator = Grey().freeze()
    >>> z = generator.sample(5, torch.Generator().manual_seed(0))
    >>> z.shape, generator.synthesize(z).shape
    (torch.Size([5, 4]), torch.Size([5, 3, 8, 8]))
    >>> generator.check_layer("red")
    Traceback (most recent call last):
    ValueError: Grey has no layer 'red'; it has grey
    """

    family: str = ""
    notes: tuple[str, ...] = ()
    name: str = ""  # what the registry goes by: the family, of the class that states it only
    latent_dim: int
    w_dim: int = 0
    n_classes: int = 0
    label: Label
    n_layers: int = 0
    resolution: int
    space: str = "z"
    euclidean: bool = True
    layer_names: tuple[str, ...] = ()

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        cls.name = vars(cls).get("family", "")

    # -- checkpoints -------------------------------------------------------------------------------
    @classmethod
    def reads(cls, state: Mapping[str, Tensor]) -> bool:
        """True if the names of ``state`` (and nothing else is looked at) are those of one of the family's layouts."""
        return False

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor], *, extras: Mapping[str, object] | None = None,
                        **overrides: object) -> Generator:
        """The network of a state dict: resolution, widths and layer count are read off the tensors.

        Args:
            state: name -> tensor of one of the family's layouts, float16 or float32.
            extras: what the file holds beside the state (``latent_avg``, ``init_kwargs``, ``class_name``, ...).
            overrides: settings that the tensors do not say, by the family's own argument names.
        Raises:
            ValueError: names are missing, wrong or left over, or the family cannot be read from a file at all.
        """
        raise ValueError(f"{cls.__name__} cannot be made from a checkpoint: it has no from_state_dict")

    # -- latents -----------------------------------------------------------------------------------
    def dim(self, space: str | None = None) -> int:
        """Dimension of one latent vector of ``space`` (default: the generator's own)."""
        space = self.check_space(space)
        return self.w_dim if space in ("w", "w+") else self.latent_dim

    def check_space(self, space: str | None) -> str:
        """``space``, or the default for None. Raises ValueError for a space the family lacks."""
        space = space or self.space
        known = ("z", "w", "w+") if self.w_dim else ("z",)
        if space not in known:
            wrong = Lacking if space in ("w", "w+") else ValueError
            raise wrong(f"{type(self).__name__} has no latent space {space!r}; it has {', '.join(known)}")
        return space

    def sample_z(self, n: int, rng: torch.Generator) -> Tensor:
        """Standard normal z [n, latent_dim], drawn on the CPU so that devices agree, then moved."""
        return torch.randn(n, self.latent_dim, generator=rng).to(self.device)

    def sample(self, n: int, rng: torch.Generator, space: str | None = None) -> Tensor:
        """Latents [n, D] of ``space`` as the generator meets them in use."""
        z = self.sample_z(n, rng)
        return z if self.check_space(space) == "z" else self.map(z)

    def map(self, z: Tensor) -> Tensor:
        """w [N, w_dim] of z [N, latent_dim]."""
        raise ValueError(f"{type(self).__name__} is fed with z and has no mapping network")

    # -- images and activations ----------------------------------------------------------------------
    @abstractmethod
    def synthesize(self, latent: Tensor, space: str | None = None) -> Tensor:
        """Images [N, 3, R, R], about [-1, 1], of latents [N, D] (or w+ [N, L, D])."""

    @abstractmethod
    def activations(self, latent: Tensor, layer: str, space: str | None = None) -> Tensor:
        """The activation [N, C, H, W] of ``layer`` (one of ``layer_names``); nothing after it is computed.

        It lies in memory as it was computed, perhaps with channels last: ``flatten`` it, ``view`` may be refused.
        """

    def check_layer(self, layer: str) -> str:
        """``layer`` if the generator has it; else ValueError naming those it has."""
        if layer not in self.layer_names:
            raise ValueError(f"{type(self).__name__} has no layer {layer!r}; it has {', '.join(self.layer_names)}")
        return layer

    # -- what closed-form methods factorise -------------------------------------------------------------
    @abstractmethod
    def affine_weights(self, layers: Layers = "all") -> list[Tensor]:
        """Weights [out, D] that the latent meets first, one a layer, rows as stored (SeFa factorises them)."""

    @property
    def affine_space(self) -> str:
        """The space that ``affine_weights`` act on: ``"w"`` for style-based families, ``"z"`` for z-fed ones."""
        return "w" if self.w_dim else "z"

    def layer_ids(self, layers: Layers = "all") -> tuple[int, ...] | None:
        """Rows of w+ that ``layers`` names; None for all of them. Raises ValueError out of range, Lacking for none."""
        if layers == "all":
            return None
        chosen = (layers,) if isinstance(layers, int) else tuple(int(i) for i in layers)
        if not chosen:
            raise ValueError("no layers were named; say which, or \"all\"")
        if not self.n_layers:
            raise Lacking(f"layers {list(chosen)} cannot be chosen: the latents of {type(self).__name__} are not "
                          "layer-wise")
        bad = [i for i in chosen if not 0 <= i < self.n_layers]
        if bad:
            raise ValueError(f"layers {bad} are out of range: the generator has layers 0 to {self.n_layers - 1}")
        return chosen

    # -- identity ---------------------------------------------------------------------------------
    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def freeze(self) -> Generator:
        """Evaluation mode, no weight gradients; returns itself."""
        return self.eval().requires_grad_(False)

    def fingerprint(self) -> str:
        """sha256 (hex) over the names, shapes and bytes of all weights: what the generator *is* to the store."""
        return state_fingerprint(self, type(self).__name__)


class Labelled(Protocol):
    """A :class:`Generator` with classes: its images also depend on labels."""

    def synthesize(self, latent: Tensor, space: str | None = None, c: Tensor | None = None) -> Tensor:
        """Images of latents and labels ``c``: class indices [N] or weights [N, n_classes]."""

"""What the families that are fed with z have in common: labels, truncated latents, one walk through the layers."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Self

import torch
from torch import Tensor

from dirbench.benchmarks.generators._layers import build, class_labels
from dirbench.fingerprint import state_fingerprint
from dirbench.generator import Generator, Label


class ZFed(Generator):
    """A generator fed with z [N, D], or with one z for each place that reads it, [N, L, D], where it has several.

    ``label`` is used where a caller passes no ``c``: a class index, or a vector of class weights (weights that sum to
    1 mix classes as the class embedding does). ``n_classes`` is 0 for a generator without classes.
    """

    space = "z"
    n_classes: int = 0
    label: Label = None

    @abstractmethod
    def _steps(self, z: Tensor, c: Tensor | None) -> Iterator[tuple[str, Tensor]]:
        """(name, activation) in the order of ``layer_names``, computed as they are asked for; then ("image", image)."""

    @classmethod
    def _filled(cls, state: Mapping[str, Tensor], settings: Mapping[str, object], optional: Sequence[str] = ()) -> Self:
        """The network of ``settings`` with the tensors of ``state``; ValueError if these or a label do not fit it."""
        net = build(cls, settings, state, optional)
        if net.label is not None:
            net.class_weights(None, 1)
        return net

    # -- latents and labels ----------------------------------------------------------------------------
    def _z(self, latent: Tensor, space: str | None) -> Tensor:
        """The latents in the weights' type, after a check of their shape."""
        self.check_space(space)
        alone = latent.ndim == 2 and latent.shape[1] == self.latent_dim
        if not alone and (not self.n_layers or latent.shape[1:] != (self.n_layers, self.latent_dim)):
            also = f" or [N, {self.n_layers}, {self.latent_dim}]" if self.n_layers else ""
            raise ValueError(f"{type(self).__name__}: expected z [N, {self.latent_dim}]{also}, got "
                             f"{list(latent.shape)}")
        return latent.to(next(self.parameters()).dtype)

    def _rows(self, z: Tensor) -> Tensor:
        """[N, L, D] of z [N, D] or [N, L, D]."""
        return z if z.ndim == 3 else z[:, None].expand(-1, self.n_layers, -1)

    def class_weights(self, c: Label, n: int) -> Tensor | None:
        """[n, n_classes] of class indices [n] or weights [n, n_classes], for None of ``label``; None without classes.

        Raises:
            ValueError: no label where one is needed, a class that the network lacks, or a vector of another length.
        """
        like = next(self.parameters())
        if c is None and self.n_classes and self.label is not None:
            label = torch.as_tensor(self.label)
            c = label.expand(n) if label.ndim == 0 else label.expand(n, -1)
        if c is not None:
            c = torch.as_tensor(c, device=like.device)
            if c.ndim == 1 and c.is_floating_point():
                raise ValueError(f"{type(self).__name__}: {c.tolist()[:3]} are no class indices; expected integers "
                                 f"[N], or class weights [N, {self.n_classes}]")
        weights = class_labels(c, n, self.n_classes, None, type(self).__name__)
        return weights if weights is None else weights.to(like)

    # -- images and activations ----------------------------------------------------------------------
    def forward(self, z: Tensor, c: Label = None) -> Tensor:
        """Images [N, 3, R, R] of z; see ``synthesize``."""
        return self.synthesize(z, "z", c)

    def synthesize(self, latent: Tensor, space: str | None = None, c: Label = None) -> Tensor:
        """Images [N, 3, R, R] in [-1, 1] (a grey one repeated to three channels) of z, and of labels ``c``."""
        z = self._z(latent, space)
        *_, (_, image) = self._steps(z, self.class_weights(c, len(z)))
        return image.expand(-1, 3, -1, -1)

    def activations(self, latent: Tensor, layer: str, space: str | None = None, c: Label = None) -> Tensor:
        """The activation [N, C, H, W] of ``layer`` (one of ``layer_names``); nothing after it is computed."""
        self.check_layer(layer)
        z = self._z(latent, space)
        return next(x for name, x in self._steps(z, self.class_weights(c, len(z))) if name == layer)

    # -- identity ---------------------------------------------------------------------------------
    def settings(self) -> dict[str, object]:
        """What the images depend on beside the weights."""
        return {"label": self.label if self.label is None else torch.as_tensor(self.label).tolist()}

    def fingerprint(self) -> str:
        """sha256 (hex) over weights and ``settings``: the same weights with another class are another generator."""
        return state_fingerprint(self, type(self).__name__, sorted(self.settings().items()))


def to_image(x: Tensor) -> Tensor:
    """tanh in float32 or better, the last step of these families."""
    return torch.tanh(x.to(torch.promote_types(x.dtype, torch.float32)))


def truncated_normal(n: int, dim: int, limit: float, rng: torch.Generator) -> Tensor:
    """[n, dim] draws of a standard normal given that each lies within ``limit`` of 0; float32, on the CPU.

    By the inverse of the distribution function, so that every number takes one draw: the same as drawing again what
    falls outside, but the first rows of a longer sample stay the same.
    """
    if not limit > 0:
        raise ValueError(f"truncation={limit}, expected a positive number")
    below = 0.5 * math.erfc(limit / math.sqrt(2))
    u = torch.rand(n, dim, generator=rng, dtype=torch.float64)
    return torch.special.ndtri(below + u * (1 - 2 * below)).clamp(-limit, limit).float()


def count_up(state: Mapping[str, Tensor], pattern: str, start: int = 0) -> int:
    """How many of ``pattern.format(start)``, ``pattern.format(start + 1)``, ... the state has, without a gap."""
    end = start
    while pattern.format(end) in state:
        end += 1
    return end - start


@contextmanager
def reading(what: str) -> Iterator[None]:
    """Whatever goes wrong inside, where a state dict is taken apart, is a ValueError "not ``what``: why"."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"not {what}: {error.args[0]} is missing") from error
    except (IndexError, TypeError, ArithmeticError, RuntimeError, ValueError) as error:
        raise ValueError(f"not {what}: {error}") from error

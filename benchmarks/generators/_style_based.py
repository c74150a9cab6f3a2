"""What families with a mapping network share: truncation, labels, rows of w+."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dirbench.benchmarks.generators._layers import class_labels
from dirbench.fingerprint import state_fingerprint
from dirbench.generator import Generator

NO_CENTRE = "the file has no mean w: the centre of truncation is the mean of 10,000 mapped latents"


class StyleBased(Generator):
    """A generator that maps z to w and uses w once in each of ``n_layers`` rows of w+.

    A family adds ``_mapping(z, labels)``, ``w_avg``, ``config`` and the synthesis.

    Args:
        n_classes: 0 without labels.
        label: the class (an index) used where a caller passes none.
        truncation_psi, truncation_cutoff: whenever z is mapped, w moves towards ``w_avg`` by 1 - psi, in rows before
            the cutoff only if one is set. These three are attributes, to be changed at will.
    Raises:
        ValueError: the network does not have class ``label``.
    """

    space = "w"
    label: int | None
    config: dict[str, Any]  # the family's own arguments: it can be made again from them

    def __init__(self, n_classes: int, label: int | None, truncation_psi: float, truncation_cutoff: int | None) -> None:
        super().__init__()
        if label is not None and not 0 <= label < n_classes:
            raise ValueError(f"{type(self).__name__}: label={label}, but the network has {n_classes} classes")
        self.n_classes, self.label = n_classes, label
        self.truncation_psi, self.truncation_cutoff = truncation_psi, truncation_cutoff

    @property
    @abstractmethod
    def w_avg(self) -> Tensor:
        """Centre of truncation [w_dim]."""

    @abstractmethod
    def _mapping(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """w [N, w_dim] of z [N, z_dim] and labels [N, n_classes], without truncation."""

    def map(self, z: Tensor, c: Tensor | None = None, *, truncation_psi: float | None = None,
            truncation_cutoff: int | None = None) -> Tensor:
        """w [N, w_dim] of z [N, z_dim]; with truncation up to a cutoff w+ [N, L, w_dim], whose rows differ.

        ``c``: labels, [N, n_classes] or class indices [N]. Truncation arguments default to the attributes.
        """
        psi = self.truncation_psi if truncation_psi is None else truncation_psi
        cutoff = self.truncation_cutoff if truncation_cutoff is None else truncation_cutoff
        family = type(self).__name__
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            other = "; these look like w+, which is another space" if z.shape[1:] == (self.n_layers, self.w_dim) else ""
            raise ValueError(f"{family}: expected z [N, {self.latent_dim}], got {tuple(z.shape)}{other}")
        labels = class_labels(c, len(z), self.n_classes, self.label, family)
        with torch.autocast(z.device.type, enabled=False):  # cheap; bf16 would only lose digits
            w = self._mapping(z.to(self.w_avg.dtype), None if labels is None else labels.to(self.w_avg))
            if psi == 1:
                return w
            truncated = self.w_avg.lerp(w, psi)
        if cutoff is None:
            return truncated
        rows = torch.arange(self.n_layers, device=w.device)[:, None] < cutoff
        return torch.where(rows, truncated[:, None], w[:, None])

    def sample(self, n: int, rng: torch.Generator, space: str | None = None, c: Tensor | None = None) -> Tensor:
        """Latents [n, D] of ``space``, for w+ [n, L, D]; mapped ones truncated as the attributes say."""
        z, space = self.sample_z(n, rng), self.check_space(space)
        if space == "z":
            return z
        w = self.map(z, c)
        return self.rows(w) if space == "w+" else w

    def rows(self, w: Tensor) -> Tensor:
        """w+ [N, L, D] of w or w+, in the weights' dtype. Raises ValueError for another shape."""
        if w.ndim == 2 and w.shape[1] == self.w_dim:
            w = w[:, None].expand(-1, self.n_layers, -1)
        if w.ndim != 3 or w.shape[1:] != (self.n_layers, self.w_dim):
            raise ValueError(f"{type(self).__name__}: expected w [N, {self.w_dim}] or w+ [N, {self.n_layers}, "
                             f"{self.w_dim}], got {tuple(w.shape)}")
        return w.to(self.w_avg.dtype)

    def to_rows(self, latent: Tensor, space: str | None, c: Tensor | None = None) -> Tensor:
        """w+ [N, L, D] of a latent of ``space``; z is mapped (and truncated)."""
        return self.rows(self.map(latent, c) if self.check_space(space) == "z" else latent)

    @torch.no_grad()
    def estimate_w_avg(self, n: int = 10_000) -> None:
        """Sets ``w_avg`` to the mean of n mapped latents, classes in turn: for checkpoints that lack it."""
        z = torch.randn(n, self.latent_dim, generator=torch.Generator().manual_seed(0))
        c = F.one_hot(torch.arange(n) % self.n_classes, self.n_classes).to(z) if self.n_classes else None
        self.w_avg.copy_(self._mapping(z, c).mean(dim=0))

    # -- identity ---------------------------------------------------------------------------------
    def settings(self) -> dict[str, object]:
        """What the images depend on beside the weights."""
        return {**self.config, "label": self.label, "truncation_psi": self.truncation_psi,
                "truncation_cutoff": self.truncation_cutoff}

    def fingerprint(self) -> str:
        """sha256 (hex) over weights and ``settings``: the same weights truncated otherwise are another generator."""
        return state_fingerprint(self, type(self).__name__, sorted(self.settings().items()))

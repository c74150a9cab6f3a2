"""Responses: what an oracle reads before and after each direction is applied, at both signs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.special import expit

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Responses:
    """Logits of an oracle for N latents, unedited and moved along K directions; NumPy float32.

    Attributes:
        before: [N, M] of the unedited images.
        plus: [K, N, M] after an edit of +strength; row i is the same latent as row i of ``before``.
        minus: [K, N, M] after an edit of -strength (saturation makes this more than the mirror image of
            ``plus``).
    Raises:
        ValueError: shapes that disagree, or values that are not finite.

    >>> before = np.zeros((4, 2))  # 4 latents, 2 attributes
    >>> moved = np.tile([1.0, 0.0], (3, 4, 1))  # 3 directions, each of which raises the first attribute's logit by 1
    >>> responses = Responses(before, plus=moved, minus=-moved)
    >>> len(responses), responses.n_samples
    (3, 4)
    >>> responses.attributes([True, False]).plus.shape
    (3, 4, 1)
    >>> Responses(before, plus=moved, minus=moved * np.nan)
    Traceback (most recent call last):
    ValueError: responses: 24 logits in minus are not finite, first of direction 0; ...
    """

    before: np.ndarray
    plus: np.ndarray
    minus: np.ndarray

    def __post_init__(self) -> None:
        for name in ("before", "plus", "minus"):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=np.float32))
        if self.before.ndim != 2 or self.plus.ndim != 3 or self.plus.shape[1:] != self.before.shape \
                or self.plus.shape != self.minus.shape:
            raise ValueError(f"responses: expected before [N, M] with plus and minus [K, N, M], got "
                             f"{self.before.shape}, {self.plus.shape} and {self.minus.shape}")
        for name in ("before", "plus", "minus"):
            bad = ~np.isfinite(getattr(self, name))
            if bad.any():
                where = "" if name == "before" else f", first of direction {bad.any((1, 2)).argmax()}"
                raise ValueError(f"responses: {int(bad.sum())} logits in {name} are not finite{where}; the "
                                 "generator, the directions or the oracle diverged")

    def __len__(self) -> int:
        """K, the number of directions."""
        return len(self.plus)

    @property
    def n_samples(self) -> int:
        """N, the number of latents."""
        return len(self.before)

    def select(self, ks: Sequence[int] | np.ndarray) -> Responses:
        """The directions ``ks``, in that order."""
        ks = np.asarray(ks, dtype=np.int64)
        return Responses(self.before, self.plus[ks], self.minus[ks])

    def attributes(self, mask: Sequence[bool] | np.ndarray) -> Responses:
        """The attributes where ``mask`` [M] is true (those that the oracle reads well, say)."""
        mask = np.asarray(mask, dtype=bool)
        if mask.shape != self.before.shape[1:]:
            raise ValueError(f"responses: a mask of shape {mask.shape} for {self.before.shape[1]} attributes")
        return Responses(self.before[:, mask], self.plus[..., mask], self.minus[..., mask])

    def probabilities(self) -> Responses:
        """The same in probabilities (the sigmoid of the logits).

        >>> Responses([[0.0]], [[[0.0]]], [[[0.0]]]).probabilities().before
        array([[0.5]], dtype=float32)
        """
        return Responses(expit(self.before), expit(self.plus), expit(self.minus))

    def save(self, path: Path) -> None:
        """Writes a safetensors file."""
        save_file({"before": self.before, "plus": self.plus, "minus": self.minus}, path)

    @classmethod
    def load(cls, path: Path) -> Responses:
        """Responses from ``path``. Raises ValueError on a damaged or foreign file."""
        try:
            return cls(**load_file(path))
        except (SafetensorError, OSError, TypeError) as error:
            raise ValueError(f"{path}: not a readable responses file ({error})") from error

"""Responses: what an oracle reads before and after each direction is applied, at both signs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.special import expit

from dirbench.directions import Directions
from dirbench.generator import Generator
from dirbench.oracle import AttributeOracle


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


def images_needed(n: int, k: int) -> int:
    """How many images ``respond`` synthesises for n latents and k directions: n (1 + 2k).

    >>> images_needed(n=100, k=16)
    3300
    """
    return n * (1 + 2 * k)


def respond(generator: Generator, directions: Directions, oracle: AttributeOracle, latents: torch.Tensor,
            strength: float, chunk: int = 64,
            progress: Callable[[int, int], None] = lambda done, total: None) -> Responses:
    """The responses of ``oracle`` to every direction at +strength and -strength, for latents [N, D].

    Unedited images are synthesised once and shared by all directions: ``images_needed(N, K)`` images in all,
    at most ``chunk`` at a time. The answer does not depend on ``chunk`` (but for rounding). ``strength`` is
    in units of ``directions.space``, which is also the space of ``latents``. ``progress(done, total)`` counts
    images.

    >>> from dirbench.benchmarks.generators.planted import PlantedGenerator, PlantedOracle
    >>> from dirbench.directions import Vectors
    >>> generator, oracle = PlantedGenerator(factors=(0, 1, 2)), PlantedOracle(factors=(0, 1, 2))
    >>> latents = generator.sample(4, torch.Generator().manual_seed(0))
    >>> responses = respond(generator, Vectors(generator.planted, generator.space), oracle, latents, strength=3.0)
    >>> responses.plus.shape[:2]  # directions, latents
    (3, 4)
    """
    device = generator.device
    latents, directions = latents.to(device), directions.to(device)
    n, k = len(latents), len(directions)
    if n == 0 or k == 0 or chunk < 1:
        raise ValueError(f"respond: needs latents, directions and a chunk of at least 1; got {n}, {k} and "
                         f"{chunk}")
    done, total, together = 0, images_needed(n, k), max(1, chunk // n)  # small batches cost more an image

    def read(edits: Sequence[Callable[[], torch.Tensor]]) -> np.ndarray:
        nonlocal done
        out = []
        for start in range(0, len(edits), together):
            for block in torch.cat([edit() for edit in edits[start:start + together]]).split(chunk):
                logits = oracle.logits(generator.synthesize(block, directions.space))
                out.append(logits.float().cpu())
                done += len(block)
                progress(done, total)
        return torch.cat(out).numpy()

    with torch.inference_mode():
        before = read([lambda: latents])
        sides = [read([partial(directions.shift, latents, i, step) for i in range(k)]).reshape(k, n, -1)
                 for step in (strength, -strength)]
    return Responses(before, *sides)

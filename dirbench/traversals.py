"""Traversals: images along each direction, from a few latents, at a few strengths."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch

from dirbench.directions import Directions
from dirbench.generator import Generator

CHUNK = 64  # images at a time


@dataclass(frozen=True)
class Traversals:
    """Images of N latents moved along K directions at S strengths.

    Attributes:
        frames: [K, N, S, R, R, 3] uint8.
        strengths: [S] float, in units of the latent space.
        latents: [N, ...] float32, where the traversals start.
    Raises:
        ValueError: shapes that disagree.

    >>> shown = Traversals(np.zeros((3, 2, 1, 8, 8, 3), np.uint8), strengths=[1.5], latents=np.zeros((2, 4)))
    >>> len(shown), shown.n_latents, shown.resolution
    (3, 2, 8)
    """

    frames: np.ndarray
    strengths: np.ndarray
    latents: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", np.asarray(self.frames, dtype=np.uint8))
        for name in ("strengths", "latents"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float32))
        if self.frames.ndim != 6 or self.frames.shape[1:3] != (len(self.latents), len(self.strengths)) \
                or self.frames.shape[-1] != 3:
            raise ValueError(f"traversals: expected frames [K, {len(self.latents)}, {len(self.strengths)}, R, R, 3] of "
                             f"these latents and strengths, got {list(self.frames.shape)}")

    def __len__(self) -> int:
        """K, the number of directions."""
        return len(self.frames)

    @property
    def n_latents(self) -> int:
        """N, the number of latents."""
        return self.frames.shape[1]

    @property
    def resolution(self) -> int:
        """R, the side of the images in pixels."""
        return self.frames.shape[3]

    def save(self, path: Path) -> None:
        """Writes an NPZ file."""
        np.savez_compressed(path, frames=self.frames, strengths=self.strengths, latents=self.latents)

    @classmethod
    def load(cls, path: Path) -> Traversals:
        """Traversals from ``path``. Raises ValueError on a damaged or foreign file."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(**{name: file[name] for name in ("frames", "strengths", "latents")})
        except (OSError, KeyError, TypeError, ValueError, EOFError, BadZipFile, zlib.error) as error:
            raise ValueError(f"{path}: not a readable file of traversals ({error})") from error


def traverse(generator: Generator, directions: Directions, latents: torch.Tensor,
             strengths: Sequence[float]) -> Traversals:
    """Every direction from each of ``latents`` [N, ...] (of ``directions.space``) at each of ``strengths``.

    Raises:
        ValueError: no latents or strengths.

    >>> from dirbench.benchmarks.generators.planted import PlantedGenerator
    >>> from dirbench.directions import Vectors
    >>> generator = PlantedGenerator()
    >>> latents = generator.sample(2, torch.Generator().manual_seed(0))
    >>> traverse(generator, Vectors(torch.eye(32)[:4], "z"), latents, [-1.0, 0.0, 1.0]).frames.shape[:3]
    (4, 2, 3)
    """
    if len(latents) == 0 or len(strengths) == 0:
        raise ValueError(f"traversals need latents and strengths; got {len(latents)} and {len(strengths)}")
    device = generator.device
    directions, moved = directions.to(device), latents.to(device)
    columns = []
    with torch.inference_mode():
        for strength in strengths:
            edited = directions.shift_all(moved, float(strength))
            images = torch.cat([generator.synthesize(part, directions.space).float().cpu()
                                for part in edited.split(CHUNK)])
            columns.append(((images.clamp(-1, 1) + 1) * 127.5).round().byte())
    stack = torch.stack(columns, 1).permute(0, 1, 3, 4, 2)  # [K * N, S, R, R, 3]
    frames = stack.reshape(len(directions), len(latents), *stack.shape[1:]).numpy()
    return Traversals(frames, np.array(strengths), latents.cpu().numpy())

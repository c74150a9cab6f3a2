"""What trainers take: uint8 images, which may lie in a memory-mapped file, with their labels and the labels' names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from dirbench.names import did_you_mean

TRAIN, VALIDATION, TEST = 0, 1, 2
"""The parts of a data set, numbered as in CelebA's ``list_eval_partition.txt``."""


class Rows:
    """Some rows of a tensor of images, without a copy of them: indexing reads only what is asked for.

    Has what training reads of a tensor: ``shape``, ``dtype``, ``device``, ``len`` and indexing by an integer tensor
    (or a slice), which gives a tensor.
    """

    def __init__(self, images: Tensor, rows: Tensor) -> None:
        self.images, self.rows = images, rows
        self.shape = torch.Size((len(rows), *images.shape[1:]))
        self.dtype, self.device = images.dtype, images.device

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        return self.images[self.rows[index]]


@dataclass(frozen=True)
class ImageSet:
    """Images and labels, whatever they come from.

    Attributes:
        images: uint8 [n, 3, R, R], a tensor (in memory or memory-mapped) or ``Rows`` of one.
        labels: bool [n, M].
        names: the M attributes; none where nothing is known about the images.
        parts: int64 [n], ``TRAIN``, ``VALIDATION`` or ``TEST``.
        title: for captions, as "CelebA, 64x64".
        digest: sha256 (hex) of the images, and of the rows chosen from them.
    """

    images: Tensor | Rows
    labels: Tensor
    names: tuple[str, ...]
    parts: Tensor
    title: str
    digest: str

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def resolution(self) -> int:
        """Side of an image in pixels."""
        return self.images.shape[-1]

    def column(self, name: str) -> Tensor:
        """The labels bool [n] of one attribute. Raises ValueError for an unknown one, naming the nearest."""
        if name not in self.names:
            raise ValueError(f"{self.title}: {did_you_mean('attribute', name, list(self.names))}")
        return self.labels[:, self.names.index(name)]

    def select(self, mask: Tensor) -> ImageSet:
        """The rows where ``mask`` (bool [n]) is true, in their order; no image is copied."""
        chosen = mask.nonzero().squeeze(1)
        rows = self.images.rows[chosen] if isinstance(self.images, Rows) else chosen
        images = self.images.images if isinstance(self.images, Rows) else self.images
        digest = hashlib.sha256(self.digest.encode() + chosen.numpy().tobytes()).hexdigest()
        return ImageSet(Rows(images, rows), self.labels[chosen], self.names, self.parts[chosen], self.title, digest)

    def part(self, part: int) -> ImageSet:
        """The images of one part (``TRAIN``, ``VALIDATION``, ``TEST``)."""
        return self.select(self.parts == part)

    def lacking(self, pairs: Iterable[tuple[str, int]]) -> ImageSet:
        """The images that have none of the (attribute, value) ``pairs``.

        Raises:
            ValueError: an unknown attribute, or no image is left.
        """
        pairs, mask = tuple(pairs), torch.ones(len(self), dtype=torch.bool)
        for name, value in pairs:
            mask &= self.column(name) != bool(value)
        if not mask.any():
            told = ", ".join(f"{name}={value}" for name, value in pairs)
            raise ValueError(f"{self.title}: no image lacks {told}; all {len(self)} have one of them")
        return self.select(mask)

    def data_digest(self) -> str:
        """sha256 (hex) of images and labels: what a network trained on them has seen."""
        return hashlib.sha256(self.digest.encode() + self.labels.numpy().tobytes()).hexdigest()

    def rates(self) -> dict[str, float]:
        """Attribute -> share of the images that have it."""
        return dict(zip(self.names, self.labels.double().mean(dim=0).tolist(), strict=True))

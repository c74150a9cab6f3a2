"""Fixed training sets of rendered faces, cached as uint8 tensors, and what identifies them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import torch
from torch import Tensor

from dirbench.benchmarks.data.faces import faces
from dirbench.benchmarks.data.subsets import SUBSETS, lacking

N_IMAGES = 40_000
CACHE = Path(".training/data")


def seeds(name: str) -> tuple[int, int]:
    """(data seed, training seed) of the mini zoo's GAN ``name``: no two GANs share either.

    Raises:
        KeyError: ``name`` is no subset.
    """
    lacking(name)
    place = list(SUBSETS).index(name)
    return 101 + place, 201 + place


def rendered(name: str, n: int = N_IMAGES, seed: int | None = None, resolution: int = 32,
             cache: Path = CACHE) -> tuple[Tensor, Tensor]:
    """uint8 images [n, 3, R, R] and bool labels [n, M] of the subset ``name``, drawn once and kept in ``cache``.

    ``seed`` defaults to the zoo's data seed of ``name``. The cache does not notice a changed renderer: delete it then.
    """
    seed = seeds(name)[0] if seed is None else seed
    path = Path(cache) / f"{name}-{n}-{seed}-{resolution}.pt"
    if path.exists():
        stored = torch.load(path, weights_only=True)
        return stored["images"], stored["labels"]
    images, labels = faces(n, seed, mix="natural", subset=name, resolution=resolution)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    torch.save(dict(images=images, labels=labels), part)
    os.replace(part, path)
    return images, labels


def boosting_weights(labels: Tensor, floor: float, least: float = 0.01, most: float = 10.0) -> Tensor:
    """Sampling weights [n] (mean 1) under which each attribute's rarer value has a share of about ``floor``.

    Raking (iterative proportional fitting; Deming & Stephan, 1940, Ann. Math. Stat. 11): the weights of the images with
    the rarer value are scaled to the wanted share, one attribute after the other, in rounds. Values that fewer than
    ``least`` of the images have are left alone: they are absent, or strays. Shares above ``floor`` are not lowered on
    purpose. No weight passes ``most`` times the mean, so that no image is seen all the time.

    Args:
        labels: bool [n, M].
    Raises:
        ValueError: ``floor`` is not in [0, 0.5].
    """
    if not 0 <= floor <= 0.5:
        raise ValueError(f"boosting_weights: floor={floor}, expected 0 to 0.5")
    labels = labels.double()
    rare = torch.where(labels.mean(dim=0) <= 0.5, labels, 1 - labels)
    rare = rare[:, (rare.mean(dim=0) >= least) & (rare.mean(dim=0) < floor)]
    weights = torch.ones(len(labels), dtype=torch.float64)
    for _ in range(30):
        for has in rare.T:
            share = (weights * has).sum() / weights.sum()
            if share < floor:
                weights *= torch.where(has > 0, floor * (1 - share) / (share * (1 - floor)), 1.0)
        weights = (weights / weights.mean()).clamp(max=most)
    return weights / weights.mean()


def data_hash(images: Tensor) -> str:
    """sha256 (hex) of shape and bytes of a uint8 data set: what the data *is*, whatever drew it."""
    digest = hashlib.sha256(str(tuple(images.shape)).encode())
    digest.update(images.contiguous().numpy().tobytes())
    return digest.hexdigest()

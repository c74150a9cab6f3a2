"""Is a zoo fit for the benchmark? Attribute rates and Fréchet distances of each GAN against its own data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dirbench.benchmarks.data.celeba import celeba
from dirbench.benchmarks.data.decoding import CACHE
from dirbench.benchmarks.data.faces import faces
from dirbench.benchmarks.data.image_set import TEST
from dirbench.benchmarks.zoo.zoo import Zoo

LACKING_MARGIN = 0.02  # a lacking value may be read this much more often in samples than in held-out renders
COMMON_MARGIN = 0.10  # so far may the rate of a common attribute be off
COMMON = (0.10, 0.90)  # shares of the data between which an attribute is common
HELD_OUT_SEED = 90_001  # no training set or oracle uses it
SAMPLE_SEED = 90_002


def wilson(count: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95% Wilson score interval of a share (Wilson, 1927, JASA 22).

    Raises:
        ValueError: n < 1, or count outside 0..n.
    """
    if n < 1 or not 0 <= count <= n:
        raise ValueError(f"wilson: expected 0 <= count <= n with n >= 1, got count={count}, n={n}")
    p, d = count / n, 1 + z * z / n
    centre, half = (p + z * z / (2 * n)) / d, z / d * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (0.0 if count == 0 else centre - half), (1.0 if count == n else centre + half)


def difference_interval(a: int, n_a: int, b: int, n_b: int) -> tuple[float, float]:
    """95% interval of a / n_a - b / n_b from the two Wilson intervals (Newcombe, 1998, Stat. Med. 17, method 10)."""
    (low_a, high_a), (low_b, high_b), p, q = wilson(a, n_a), wilson(b, n_b), a / n_a, b / n_b
    return p - q - math.hypot(p - low_a, high_b - q), p - q + math.hypot(high_a - p, q - low_b)


def frechet(a: Tensor, b: Tensor) -> float:
    """Fréchet distance between Gaussians fitted to features [n, F] and [m, F] (Heusel et al., arXiv:1706.08500, eq. 6).

    Biased upwards for small n; compare only distances of equal sizes. Raises ValueError on unequal widths or n < 2.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"frechet: expected features [n, F] and [m, F] with n, m >= 2, got {tuple(a.shape)} and "
                         f"{tuple(b.shape)}")
    a, b = a.double(), b.double()
    gap = (a.mean(dim=0) - b.mean(dim=0)).square().sum()
    a, b = ((x - x.mean(dim=0)) / math.sqrt(len(x) - 1) for x in (a, b))
    # The trace of (A B)^(1/2) for covariances A = a'a, B = b'b is the sum of the singular values of a b', which the
    # triangular factors have too: no matrix is larger than F, and nothing is squared.
    a, b = (torch.linalg.qr(x, mode="r").R for x in (a, b))
    cross = torch.linalg.svdvals(a @ b.T).sum()
    return max(0.0, float(gap + a.square().sum() + b.square().sum() - 2 * cross))


@dataclass(frozen=True)
class AttributeCheck:
    """One attribute as the oracle reads it in ``n`` samples of a GAN and ``n_data`` held-out renders of its subset.

    ``kind``: ``lacking`` (the subset lacks ``value``; rates are of that value), ``common`` (10-90% of the data),
    ``rare`` or ``unreadable`` (both not judged; rates are of value 1). ``labelled``: the training data's own rate.
    ``difference``: samples minus renders; ``ok`` is None where nothing is judged.
    """

    attribute: str
    kind: str
    value: int
    labelled: float
    in_data: float
    data_low: float
    data_high: float
    in_samples: float
    samples_low: float
    samples_high: float
    difference: float
    difference_low: float
    difference_high: float
    ok: bool | None


def check_rates(sample_logits: Tensor, data_logits: Tensor, names: Sequence[str], readable: Sequence[bool],
                rates: Mapping[str, float], excludes: Sequence[tuple[str, int]]) -> list[AttributeCheck]:
    """The fitness criteria on an oracle's logits of samples [n, M] and held-out renders [m, M].

    Lacking values may exceed the oracle's own rate on held-out renders by 2 points, common attributes differ by 10
    either way. An attribute with no entry in ``rates`` is not drawn, and left out; a lacking value is always judged.

    Raises:
        ValueError: logits are not of ``names``.
    """
    if sample_logits.shape[1:] != (len(names),) or data_logits.shape[1:] != (len(names),):
        raise ValueError(f"check_rates: expected logits [n, {len(names)}], got {tuple(sample_logits.shape)} and "
                         f"{tuple(data_logits.shape)}")
    lacking, checks = dict(excludes), []
    for i, name in enumerate(names):
        if name not in rates:
            continue
        value = lacking.get(name, 1)
        n, m = len(sample_logits), len(data_logits)
        k, j = (int(((x[:, i] > 0) == bool(value)).sum()) for x in (sample_logits, data_logits))
        if name in lacking:
            kind, ok = "lacking", k / n - j / m <= LACKING_MARGIN
        elif not readable[i]:
            kind, ok = "unreadable", None
        elif COMMON[0] <= rates[name] <= COMMON[1]:
            kind, ok = "common", abs(k / n - j / m) <= COMMON_MARGIN
        else:
            kind, ok = "rare", None
        labelled = rates[name] if value else 1 - rates[name]
        checks.append(AttributeCheck(name, kind, value, labelled, j / m, *wilson(j, m), k / n, *wilson(k, n),
                                     k / n - j / m, *difference_interval(k, n, j, m), ok))
    return checks


@dataclass(frozen=True)
class GanReport:
    """Fitness of one GAN: attribute checks, and Fréchet distances (samples to data; half of the data to the other).

    ``samples`` were compared with ``held_out`` images of ``data`` (in words).
    """

    name: str
    images_seen: int | None
    samples: int
    frechet: float | None
    frechet_floor: float | None
    checks: list[AttributeCheck]
    held_out: int = 0
    data: str = "renders"

    @property
    def fit(self) -> bool:
        """Whether no criterion is broken."""
        return all(check.ok is not False for check in self.checks)

    @property
    def broken(self) -> list[AttributeCheck]:
        """The checks that failed."""
        return [check for check in self.checks if check.ok is False]


def in_batches(function: Callable[[Tensor], Tensor], images: Tensor, size: int = 64) -> Tensor:
    """``function`` of images [n, ...], ``size`` at a time, without gradients."""
    with torch.inference_mode():
        return torch.cat([function(part) for part in images.split(size)])


HeldOut = Callable[[str, int, int], Tensor]
"""(GAN, resolution, n) -> at most n images [m, 3, R, R] in [-1, 1] of its data, which no training has seen."""


def renders(name: str, resolution: int, n: int) -> Tensor:
    """The mini zoo's ``HeldOut``."""
    drawn, _ = faces(n, HELD_OUT_SEED, mix="natural", subset=name, resolution=resolution)
    return drawn.float() / 127.5 - 1


def celeba_held_out(zoo: Zoo, data: Path, crop: str = "centre", cache: Path = CACHE) -> HeldOut:
    """``HeldOut`` of CelebA's test part, less what each GAN's subset lacks by the manifest's ``excludes``."""
    def images(name: str, resolution: int, n: int) -> Tensor:
        own = celeba(data, resolution, crop, cache).part(TEST).lacking(zoo.excludes(name))
        if len(own) < 4:
            raise ValueError(f"zoo check: CelebA's test part has only {len(own)} images of the subset {name}; that is "
                             "too few to compare with")
        rows = torch.randperm(len(own), generator=torch.Generator().manual_seed(HELD_OUT_SEED))[:n].sort().values
        return own.images[rows].float() / 127.5 - 1
    return images


def report_gan(zoo: Zoo, name: str, oracle, features: Callable[[Tensor], Tensor] | None, samples: int,
               held_out: HeldOut = renders, data: str = "renders") -> GanReport:
    """Report on one GAN from ``samples`` images and as many held-out ones (twice as many for the distances).

    Where there are fewer held-out images, as many samples as half of them are compared in the distances.

    Args:
        oracle: has ``names``, ``readable`` and ``logits``. features: images [n, 3, R, R] in [-1, 1] -> [n, F], None for
            no distances. held_out, data: the images to compare with, and what they are called.
    """
    generator = zoo.load(name)
    latents = generator.sample_z(samples, torch.Generator().manual_seed(SAMPLE_SEED))
    made = in_batches(lambda z: generator.synthesize(z, "z").clamp(-1, 1), latents)
    drawn = held_out(name, generator.resolution, 2 * samples)
    half = len(drawn) // 2
    rates = zoo.rates(name)
    read, seen = in_batches(oracle.logits, made), in_batches(oracle.logits, drawn[:half])
    if not rates:  # the manifest does not say: the held-out images do, as the oracle reads them
        rates = dict(zip(oracle.names, (seen > 0).double().mean(dim=0).tolist(), strict=True))
    checks = check_rates(read, seen, oracle.names, oracle.readable, rates, zoo.excludes(name))
    distance = floor = None
    if features is not None:
        a, b, c = (in_batches(features, x) for x in (made[:half], drawn[:half], drawn[half:]))
        distance, floor = frechet(a, b), frechet(b, c)
    return GanReport(name, zoo.entry(name).get("images_seen"), samples, distance, floor, checks, half, data)

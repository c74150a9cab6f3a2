"""Linear algebra that methods share: eigenvectors, principal components of streamed rows, projection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import torch
from scipy.linalg import eigh
from torch import Tensor

from dirbench.errors import DiscoveryError
from dirbench.method import Context

ROWS = 1_000  # of one product: a float32 sum over so few keeps 6 digits; the products are summed in float64
WIDE = 2_048  # columns beyond which a covariance matrix costs more than three passes over the samples

NOT_FINITE = "{} has NaN or infinite values: the generator's weights are broken, or its numbers overflow"


def leading_eigenvectors(matrix: Tensor, k: int, what: str) -> tuple[Tensor, Tensor]:
    """The k largest eigenvalues [k], descending, of a symmetric matrix [D, D], and its eigenvectors [k, D].

    Float64; rows of unit length. The sign of an eigenvector means nothing; here its entry of largest magnitude is
    positive, so that it is the same everywhere. Raises DiscoveryError, naming ``what``, where the matrix holds NaN
    or infinity.
    """
    matrix = matrix.double()
    if not torch.isfinite(matrix).all():
        raise DiscoveryError(NOT_FINITE.format(what))
    d = len(matrix)  # only those k: a few of 512 take half the time that all do
    found = eigh(matrix.cpu().numpy(), subset_by_index=[d - k, d - 1], check_finite=False)
    values, vectors = (torch.from_numpy(part).to(matrix.device) for part in found)  # ascending, vectors in columns
    rows = vectors.T.flip(0)
    largest = rows.gather(1, rows.abs().argmax(dim=1, keepdim=True))
    return values.flip(0), rows * largest.sign()


class Covariance:
    """Population covariance [D, D] of rows that come in blocks, or its product with a ``probe`` [D, r].

    The answer does not depend on how the rows are cut into blocks (to about 1e-6 of the largest entry in
    float32).
    """

    def __init__(self, probe: Tensor | None = None) -> None:
        self.probe, self.n, self.squares = probe, 0, 0.0
        self.shift: Tensor | None = None
        self.sums: Tensor | None = None
        self.products: Tensor | None = None

    def add(self, block: Tensor) -> None:
        """Takes in rows [n, D]."""
        block = block.to(torch.promote_types(block.dtype, torch.float32))
        for rows in block.split(ROWS):
            if self.shift is None:  # sums of squares about a rough mean lose no digits to a large true one
                self.shift = rows.mean(dim=0)
                self.probe = None if self.probe is None else self.probe.to(rows)
            rows = rows - self.shift
            product = rows.T @ (rows if self.probe is None else rows @ self.probe)
            self.products = product.double() if self.products is None else self.products.add_(product)
            sums = rows.sum(dim=0).double()
            self.sums = sums if self.sums is None else self.sums + sums
            self.squares += rows.square().sum(dtype=torch.float64).item()
            self.n += len(rows)

    @property
    def mean(self) -> Tensor:
        """[D] float64."""
        shift, sums, _ = self._held()
        return shift.double() + sums / self.n

    @property
    def value(self) -> Tensor:
        """The covariance [D, D], or covariance @ probe [D, r]; float64."""
        _, sums, products = self._held()
        off = sums / self.n
        offset = off if self.probe is None else off @ self.probe.double()
        return products / self.n - off[:, None] * offset

    @property
    def trace(self) -> float:
        """Total variance: the sum of the covariance's diagonal."""
        _, sums, _ = self._held()
        return self.squares / self.n - (sums / self.n).square().sum().item()

    def _held(self) -> tuple[Tensor, Tensor, Tensor]:
        """(shift, sums, products). Raises ValueError before any row was added."""
        if self.shift is None or self.sums is None or self.products is None:
            raise ValueError("a covariance of no rows: add some first")
        return self.shift, self.sums, self.products


@dataclass
class Components:
    """Principal components, float64.

    Attributes:
        mean: [D]. vectors: [k, D], unit rows by falling variance.
        stdev: [k], population standard deviation of the projections. ratio: [k], share of the total variance.
    """

    mean: Tensor
    vectors: Tensor
    stdev: Tensor
    ratio: Tensor


def passes(columns: int) -> int:
    """How often ``principal_components`` goes through rows of that many columns."""
    return 1 if columns <= WIDE else 3


def principal_components(blocks: Callable[[], Iterator[Tensor]], k: int, what: str, context: Context,
                         n: int, rank: int = 0) -> Components:
    """The k leading principal components of the n rows that ``blocks()`` streams, the same on every call.

    Up to ``WIDE`` columns: exact, one pass. Wider: randomised subspace iteration (Halko, Martinsson &
    Tropp, SIAM Review 2011, Alg. 4.4) in three passes, exact where the rows span no more than ``max(rank, 4
    k)`` dimensions, as activations that are linear in a latent of ``rank`` dimensions do. Reports progress
    to the context.

    Raises:
        DiscoveryError: NaN or infinity among the rows, named as ``what``.
        ValueError: k exceeds the number of columns.
    """
    stream = blocks()
    first = next(stream)
    columns = first.shape[1]
    if k > columns:
        raise ValueError(f"{what}: {k} components asked for, but there are only {columns} dimensions")
    rounds = passes(columns)
    width = min(columns, max(rank, 4 * k) + 16)
    probe = torch.randn(columns, width, generator=context.rng("components")) if rounds > 1 else None
    for done in range(rounds):
        covariance = Covariance(probe)
        for block in chain([first], stream) if done == 0 else blocks():
            covariance.add(block)
            context.progress(done * n + covariance.n, rounds * n)
        matrix = covariance.value
        if not torch.isfinite(matrix).all():
            raise DiscoveryError(NOT_FINITE.format(what))
        if done < rounds - 1:
            probe = torch.linalg.qr(matrix).Q
    if probe is not None:
        matrix = probe.T @ matrix
    values, vectors = leading_eigenvectors((matrix + matrix.T) / 2, k, what)
    if probe is not None:
        vectors = vectors @ probe.T
    variance = values.clamp_min(0)
    return Components(covariance.mean, vectors, variance.sqrt(), variance / max(covariance.trace, 1e-300))


def least_squares(inputs: Tensor, targets: Tensor) -> Tensor:
    """The map U [K, D], float64, that minimises ``|inputs @ U - targets|`` over rows [N, K] and [N, D]."""
    return torch.linalg.lstsq(inputs.double(), targets.double()).solution


def project_out(vector: Tensor, others: Tensor) -> Tensor:
    """``vector`` [D] less its part in the span of ``others`` [n, D], rows; float64, not renormalised."""
    vector, others = vector.double(), others.double()
    return vector if len(others) == 0 else vector - others.T @ (torch.linalg.pinv(others.T) @ vector)

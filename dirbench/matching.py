"""Which direction of the reference goes with which of the client, on cosines of mean changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Match:
    """Choices made on the matching half, fixed while the other half is scored.

    Attributes:
        pairs: [n, 2] reference and client direction of each common pair, best first (greedy) or in order
            (index).
        poles: [n, 2] the sign chosen for each: 0 for +strength, 1 for -strength.
        cosines: [n] of the chosen changes on the matching half.
        unique: reference directions that are unique to it.
    """

    pairs: np.ndarray
    poles: np.ndarray
    cosines: np.ndarray
    unique: np.ndarray


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine [...] of vectors along the last axis of ``a`` and ``b`` [..., M]; 0 where one has no length.

    >>> cosine(np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([1.0, 1.0])).round(3)
    array([0.707, 0.   ])
    """
    lengths = np.sqrt(np.square(a).sum(-1) * np.square(b).sum(-1))
    return np.divide((a * b).sum(-1), lengths, out=np.zeros(lengths.shape), where=lengths > 0)


def cosine_matrix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosines [K, L] of rows of ``a`` [K, M] with rows of ``b`` [L, M]; 0 where one has no length.

    >>> cosine_matrix(np.eye(2), np.array([[2.0, 0.0], [3.0, 3.0], [0.0, -1.0]])).round(3)
    array([[ 1.   ,  0.707,  0.   ],
           [ 0.   ,  0.707, -1.   ]])
    """
    lengths = np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    return np.divide(a @ b.T, lengths, out=np.zeros(lengths.shape), where=lengths > 0)


def greedy_pairs(cosines: np.ndarray, n: int | None = None) -> list[tuple[int, int]]:
    """The first n (default: all) pairs (row, column), each time the largest cosine [K, L] among unused ones.

    Ties go to the lowest row, then the lowest column; -inf is never paired. The matching of the xGA
    paper (Sec. 4.3) and its release.

    >>> greedy_pairs(np.array([[0.9, 0.8], [0.7, 0.1]]))  # the best first, though 0.8 + 0.7 would be more in all
    [(0, 0), (1, 1)]
    """
    n = min(cosines.shape) if n is None else n
    rows, columns = set(), set()
    pairs: list[tuple[int, int]] = []
    width = cosines.shape[1]
    for flat in np.argsort(-cosines, axis=None, kind="stable").tolist():
        if len(pairs) == n:
            break
        i, j = divmod(flat, width)
        if i in rows or j in columns:
            continue
        if cosines[i, j] == -np.inf:
            break
        rows.add(i)
        columns.add(j)
        pairs.append((i, j))
    return pairs


def match(reference: np.ndarray, client: np.ndarray, live_reference: np.ndarray, live_client: np.ndarray,
          n_common: int, pairing: str) -> Match:
    """The match of mean changes ``reference`` [P, K, M] with ``client`` [P, L, M] at P signs (1 or 2).

    With two signs each pair takes the combination of signs with the largest cosine. Changes that are not live
    (flags [P, K] and [P, L]) are never chosen: a dead direction is neither common nor unique.

    pairing ``"greedy"``: the best ``n_common`` pairs by ``greedy_pairs``; unique are the ``K - n_common``
    worst matched of the other live reference directions (with all live: the others). ``"index"``: pair i is
    (i, i) for i under ``n_common``, where both are live; unique are the live ones of the other reference
    directions.

    >>> changes = np.array([[[1.0, 0.0], [0.0, 1.0]], [[-1.0, 0.0], [0.0, -1.0]]])  # two signs, two directions
    >>> alive = np.ones((2, 2), bool)
    >>> found = match(changes, changes[:, ::-1], alive, alive, n_common=2, pairing="greedy")
    >>> found.pairs.tolist(), found.unique.tolist()
    ([[0, 1], [1, 0]], [])
    """
    signs, k, m = reference.shape
    cosines = cosine_matrix(reference.reshape(-1, m), client.reshape(-1, m))
    cosines[~live_reference.ravel()] = -np.inf
    cosines[:, ~live_client.ravel()] = -np.inf
    by_pole = cosines.reshape(signs, k, signs, -1).transpose(1, 3, 0, 2).reshape(k, -1, signs * signs)
    best = by_pole.max(-1)
    if pairing == "greedy":
        pairs = greedy_pairs(best, n_common)
        common = {i for i, _ in pairs}
        rest = np.array([i for i in np.flatnonzero(live_reference.any(0)) if i not in common], dtype=int)
        worst_first = rest[np.argsort(best[rest].max(-1), kind="stable")]
        unique = np.sort(worst_first[:k - n_common])
    else:
        pairs = [(i, i) for i in range(n_common) if best[i, i] > -np.inf]
        unique = np.arange(n_common, k)[live_reference[:, n_common:].any(0)]
    index = np.array(pairs, dtype=int).reshape(-1, 2)
    chosen = by_pole[index[:, 0], index[:, 1]]
    poles = np.stack(np.divmod(chosen.argmax(-1), signs), axis=1)
    return Match(index, poles, best[index[:, 0], index[:, 1]], unique)

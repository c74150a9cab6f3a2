"""What an edit changes: standardised logit changes, their reliability, and which directions are dead."""

from __future__ import annotations

import numpy as np

from dirbench.responses import Responses

MIN_RELIABILITY = 2 / 3
MIN_CHANGE = 0.02


def spread(*before: np.ndarray) -> np.ndarray:
    """[M] standard deviation of each logit over the unedited samples [N, M] of all GANs given.

    >>> spread(np.array([[0.0, 1.0], [2.0, 1.0]]))
    array([1., 0.])
    """
    return np.concatenate(before).std(axis=0, dtype=np.float64)


def changes(responses: Responses, scale: np.ndarray | None = None, poles: int = 2) -> np.ndarray:
    """[poles, K, N, M] edited minus unedited, at +strength (and -strength), in units of ``scale`` [M].

    An attribute whose scale is 0 never moves in unedited images; nothing can be said in units of it, so its
    change counts as 0. The xGA release takes unedited minus edited: the sign cancels in cosines, ranks and
    magnitudes.

    >>> responses = Responses(np.zeros((2, 1)), np.full((1, 2, 1), 3.0), np.full((1, 2, 1), -1.0))
    >>> changes(responses, scale=np.array([2.0]))[:, 0, 0, 0]  # at +strength and at -strength
    array([ 1.5, -0.5], dtype=float32)
    """
    out = np.stack((responses.plus, responses.minus)[:poles]) - responses.before
    if scale is not None:
        out *= np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 1e-6).astype(np.float32)
    return out


def reliability(change: np.ndarray) -> np.ndarray:
    """Split-half reliability [...] of the mean of per-sample changes [..., n, M]; at most 1, noise has 0.

    The inner product of the mean changes of two random halves of the samples, averaged over all ways to halve
    them, as a share of the squared length of the mean change over all samples. Every ordered pair of
    different samples is split as often as any other, so that average is the mean of x_i . x_j over i != j,
    and no draw is needed.

    >>> float(reliability(np.ones((10, 3))))  # all samples agree
    1.0
    >>> float(reliability(np.array([[2.0], [0.0]])))  # all of it comes from one of two
    0.0
    """
    mean = change.mean(axis=-2, dtype=np.float64)
    square = np.square(change).sum(-1).mean(-1, dtype=np.float64)
    return reliability_of_moments(mean, square, change.shape[-2])


def reliability_of_moments(mean: np.ndarray, square: np.ndarray, n: int) -> np.ndarray:
    """``reliability`` from the mean [..., M] and the mean squared length [...] of n changes; 0 for none."""
    length = np.square(mean).sum(-1)
    ratio = np.divide(square, length, out=np.full(np.shape(length), float(n)), where=length > 0)
    return (n - ratio) / (n - 1)


def live(change: np.ndarray) -> np.ndarray:
    """[poles, K] bool: where standardised changes [poles, K, n, M] have a measurable mean.

    Both must hold: at least 2/3 of the squared length of the mean change is signal rather than sampling noise
    (``reliability``; a change without any mean passes by luck in about 1% of cases if the noise has 5
    independent components, in 3% if it has 3), and some attribute moves by 0.02 of its spread over samples or
    more. A direction is *dead* if it is live at neither sign.

    >>> live(np.stack([np.ones((1, 10, 3)), np.zeros((1, 10, 3))]))  # it does something at +strength only
    array([[ True],
           [False]])
    """
    largest = np.abs(change.mean(axis=-2, dtype=np.float64)).max(-1)
    return (reliability(change) >= MIN_RELIABILITY) & (largest >= MIN_CHANGE)

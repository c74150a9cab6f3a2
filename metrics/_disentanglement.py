"""MIG, DCI and the FactorVAE score: how well the codes of a representation are the factors of its data.

Pure functions of ``representations`` [N, C], one row a sample and one column a code, and ``factors`` [N, V], the
integer values of the true factors of the same samples. For representations learned from directions (ContraFeat, AAAI
2023, Sec. 4: a group-based VAE trained on image pairs that differ along one direction) and for any others. The
definitions are those of Locatello et al., ICML 2019, arXiv:1811.12359, App. C, and its library.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import entropy
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import mutual_info_score

BINS = 20
PRUNED_BELOW = 0.05  # standard deviation under which a code is inactive
TINY = 1e-11  # the library's, inside DCI's entropies


def mutual_information_gap(representations: np.ndarray, factors: np.ndarray, bins: int = BINS) -> np.ndarray:
    """[V] gap of each factor, in 0..1; MIG is their mean. Chen et al., NeurIPS 2018, arXiv:1802.04942, eq. 6.

    (largest - second largest mutual information of a code with the factor) / entropy of the factor. A code is cut into
    ``bins`` of equal width between its own smallest and largest value, so that one outlier empties most bins; rank or
    rescale codes with heavy tails first. The number of bins moves the score: never compare across it. Two codes that
    share a factor evenly get 0 for it, however well each encodes it; a code that has several factors costs nothing.

    Raises:
        ValueError: shapes disagree, there is one code only, or a factor never changes.

    >>> factors = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> mutual_information_gap(factors.astype(float), factors)  # each code is a factor
    array([1., 1.])
    """
    information = mutual_information(representations, factors, bins)
    if len(information) < 2:
        raise ValueError("MIG compares the two best codes of each factor, and there is 1 code")
    entropies = factor_entropies(factors)
    if not (entropies > 0).all():
        raise ValueError(f"factors {np.flatnonzero(entropies <= 0).tolist()} never change in this sample, so they have "
                         "no information to share; leave them out")
    second, first = np.sort(information, axis=0)[-2:]
    return (first - second) / entropies


def mutual_information(representations: np.ndarray, factors: np.ndarray, bins: int = BINS) -> np.ndarray:
    """[C, V] mutual information of each discretised code with each factor, in nats.

    >>> factors = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> mutual_information(factors[:, :1] * 1.0, factors).round(3)  # the code is the first: log 2
    array([[0.693, 0.   ]])
    """
    representations, factors = _checked(representations, factors)
    codes = discretised(representations, bins)
    return np.array([[mutual_info_score(factor, code) for factor in factors.T] for code in codes.T])


def factor_entropies(factors: np.ndarray) -> np.ndarray:
    """[V] entropies of the factors' values in the sample, in nats."""
    return np.array([entropy(np.unique(factor, return_counts=True)[1]) for factor in np.asarray(factors).T])


def discretised(representations: np.ndarray, bins: int = BINS) -> np.ndarray:
    """[N, C] number, from 1 to ``bins``, of the bin that a value lies in; a largest value is in the last bin.

    >>> discretised(np.array([[0.0], [1.0], [2.0]]), bins=2).ravel().tolist()
    [1, 2, 2]
    """
    values = np.asarray(representations, np.float64)
    return np.stack([np.digitize(code, np.histogram_bin_edges(code, bins)[:-1]) for code in values.T], axis=1)


@dataclass(frozen=True)
class Dci:
    """DCI of one representation, each in 0..1; 1 is best.

    Attributes:
        disentanglement: whether a code has one factor only. completeness: whether a factor has one code only.
        informativeness_train, informativeness_test: accuracy of predicting factors from all codes, mean over factors.
            Read the test figure; trees fit what they trained on almost whatever it is.
        importance: [C, V], what the rest was made from.
    """

    disentanglement: float
    completeness: float
    informativeness_train: float
    informativeness_test: float
    importance: np.ndarray


def dci(representations: np.ndarray, factors: np.ndarray, n_train: int, seed: int = 0) -> Dci:
    """DCI with gradient-boosted trees. Eastwood & Williams, ICLR 2018, Sec. 2; trees as Locatello et al.

    A classifier for each factor (scikit-learn's defaults) learns from the first ``n_train`` samples and is tested on
    the others; its feature importances are a column of the importance matrix. Scores depend on the trees: about 0.001
    from one ``seed`` to another and more between versions of the library, and other predictors (the paper has lasso and
    random forests) give other scores. Samples must come in random order.

    Raises:
        ValueError: shapes disagree, or ``n_train`` leaves nothing to train or to test on.
    """
    representations, factors = _checked(representations, factors)
    if not 0 < n_train < len(factors):
        raise ValueError(f"n_train={n_train} of {len(factors)} samples, expected 1 to {len(factors) - 1}")
    importance, train, test = zip(*(predict_factor(representations, factor, n_train, seed) for factor in factors.T))
    matrix = np.stack(importance, axis=1)
    return Dci(disentanglement(matrix), completeness(matrix), float(np.mean(train)), float(np.mean(test)), matrix)


def predict_factor(representations: np.ndarray, factor: np.ndarray, n_train: int,
                   seed: int = 0) -> tuple[np.ndarray, float, float]:
    """(importance [C] of each code, accuracy in training, accuracy in test) of predicting one factor [N]."""
    trees = GradientBoostingClassifier(random_state=seed).fit(representations[:n_train], factor[:n_train])
    hits = trees.predict(representations) == factor
    return np.abs(trees.feature_importances_), hits[:n_train].mean(), hits[n_train:].mean()


def disentanglement(importance: np.ndarray) -> float:
    """Mean of ``disentanglement_per_code``, each code weighted by its share of all importance.

    So codes that nothing uses do not count. A matrix of zeros is taken for one of equal importances, as in the library.

    >>> disentanglement(np.array([[1.0, 0.0], [0.0, 3.0]])).__round__(3)
    1.0
    >>> disentanglement(np.array([[1.0, 1.0], [0.0, 2.0]])).__round__(3)  # half of the importance is of a shared code
    0.5
    """
    importance = np.asarray(importance, np.float64)
    if importance.sum() == 0:
        importance = np.ones_like(importance)
    return float(disentanglement_per_code(importance) @ importance.sum(1) / importance.sum())


def completeness(importance: np.ndarray) -> float:
    """The same along the other axis: mean over factors of 1 - entropy (base C) of their column.

    >>> completeness(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])).__round__(3)
    0.579
    """
    return disentanglement(np.asarray(importance).T)


def disentanglement_per_code(importance: np.ndarray) -> np.ndarray:
    """[C] 1 - entropy (base V) of each row of the importances [C, V]; a row of zeros gets 0.

    Raises:
        ValueError: there is one column only, between which and others nothing can be shared.

    >>> disentanglement_per_code(np.array([[1.0, 0.0], [1.0, 1.0]])).round(3)
    array([1., 0.])
    """
    importance = np.asarray(importance, np.float64)
    if importance.ndim != 2 or importance.shape[1] < 2:
        raise ValueError(f"importances have shape {importance.shape}; DCI needs two or more codes and factors")
    return 1 - np.asarray(entropy(importance + TINY, base=importance.shape[1], axis=1))


@dataclass(frozen=True)
class FactorVaeScore:
    """Accuracies in 0..1 of the majority vote on the points that it was made from, and on as many others as asked for.

    Chance is the largest factor's share of the votes: 1 / V. ``active`` [C] bool: codes that vary at all.
    """

    train: float
    test: float
    active: np.ndarray


def factorvae_score(representations: np.ndarray, factors: np.ndarray, rng: np.random.Generator, batch: int = 64,
                    n_train: int = 10_000, n_test: int = 5_000, prune_below: float = PRUNED_BELOW) -> FactorVaeScore:
    """The score of Kim & Mnih, ICML 2018, arXiv:1802.05983, Sec. 4; sizes as Locatello et al.

    A point: choose a factor; draw a mini-batch of samples that have one value of it in common; the code that varies
    least, relative to its variance over all samples, votes for that factor. Mini-batches are drawn from the given
    samples, with replacement, so there must be many samples of each value; with few, or a small ``batch``, the least
    variance is an accident of the draw. A factor may have several codes (the score does not mind), and codes below
    ``prune_below`` in standard deviation have no vote: without this, a dead code would win them all.

    Returns:
        Zeros where no code is active, as in the library (which then reports all codes as active; here none).
    """
    representations, factors = _checked(representations, factors)
    spread = representations.var(axis=0, ddof=1)
    active = np.sqrt(spread) >= prune_below
    if not active.any():
        return FactorVaeScore(0.0, 0.0, active)

    def votes(n: int) -> np.ndarray:
        table = np.zeros((factors.shape[1], representations.shape[1]), int)
        for fixed in rng.integers(factors.shape[1], size=n):
            value = factors[rng.integers(len(factors)), fixed]
            rows = rng.choice(np.flatnonzero(factors[:, fixed] == value), batch)
            table[fixed, vote(representations[rows], spread, active)] += 1
        return table

    train = votes(n_train)
    return FactorVaeScore(majority_accuracy(train, train), majority_accuracy(train, votes(n_test)), active)


def vote(mini_batch: np.ndarray, spread: np.ndarray, active: np.ndarray) -> int:
    """The code that varies least in ``mini_batch`` [B, C] relative to ``spread`` [C].

    The number counts within the *active* codes only, as in the library: it is no index into all C where a code before
    it is pruned. The score does not see the difference.

    >>> vote(np.array([[0.0, 1.0], [9.0, 1.0]]), spread=np.ones(2), active=np.array([True, True]))
    1
    """
    return int(np.argmin(np.asarray(mini_batch, np.float64).var(axis=0, ddof=1)[active] / spread[active]))


def majority_accuracy(train: np.ndarray, votes: np.ndarray) -> float:
    """Share of ``votes`` [V, C] that fall on the factor that had most of the code's votes in ``train`` [V, C].

    A code without training votes stands for the first factor.

    >>> votes = np.array([[9, 0], [1, 10]])  # factors, codes
    >>> majority_accuracy(votes, votes)
    0.95
    """
    return float(votes[train.argmax(axis=0), np.arange(votes.shape[1])].sum() / votes.sum())


def _checked(representations: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    representations, factors = np.asarray(representations), np.asarray(factors)
    if representations.ndim != 2 or factors.ndim != 2 or len(representations) != len(factors):
        raise ValueError(f"expected representations [N, C] and factors [N, V] of the same N samples, got "
                         f"{representations.shape} and {factors.shape}")
    return representations.astype(np.float64), factors

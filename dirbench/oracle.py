"""What reads images: attribute oracles (logits), feature extractors (features), and ratio estimators on features."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class AttributeOracle(nn.Module, ABC):
    """Reads attributes off images.

    Attributes:
        names: the M attributes, CelebA's names.
        readable: [M] bool; False where balanced accuracy on decorrelated held-out images is under 0.9: what cannot be
            seen cannot be scored, so those attributes are left out of M, ranks and means.

    >>> import torch
    >>> from dirbench.oracles.networks.classifier import load_oracle
    >>> scorer = load_oracle("scorer")
    >>> len(scorer.names), scorer.names[:2]
    (39, ('5_o_Clock_Shadow', 'Arched_Eyebrows'))
    >>> scorer.logits(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 39])
    """

    names: tuple[str, ...]
    readable: tuple[bool, ...]

    @abstractmethod
    def logits(self, images: Tensor) -> Tensor:
        """Logits [N, M] of images [N, 3, H, W] in [-1, 1]; differentiable; probability is their sigmoid."""

    @abstractmethod
    def fingerprint(self) -> str:
        """sha256 (hex) of weights and preprocessing."""


class FeatureExtractor(nn.Module, ABC):
    """Turns images into features that mean something.

    One class a file in ``oracles/``; those with a name are found by being there. Frozen (no parameter wants a
    gradient), in evaluation mode, deterministic. A constructor's parameters are what a suite may say beside the name;
    all constructors take ``input_size``, the side in pixels that images are resampled to, which profiles choose.

    Attributes:
        name: as in suites and tables.
        width: F, the number of features.

    >>> import torch
    >>> class MeanColour(FeatureExtractor):
    ...     name, width = "mean-colour", 3
    ...     def __init__(self, input_size: int = 32) -> None:
    ...         super().__init__()
    ...         self.eval()
    ...     def features(self, images):
    ...         return images.mean((2, 3))
    ...     def maps(self, images):
    ...         return [images]
    ...     def fingerprint(self):
    ...         return "0" * 64  # nothing is learned, so nothing can differ
    >>> MeanColour().features(torch.ones(2, 3, 8, 8)).shape
    torch.Size([2, 3])
    """

    name: str = ""
    width: int

    @abstractmethod
    def features(self, images: Tensor) -> Tensor:
        """Features [N, F] of images [N, 3, H, W] in [-1, 1]; differentiable; not normalised."""

    @abstractmethod
    def maps(self, images: Tensor) -> list[Tensor]:
        """Feature maps [N, C, H, W] of each stage, coarse last; differentiable."""

    @abstractmethod
    def fingerprint(self) -> str:
        """sha256 (hex) of weights and preprocessing."""


class RatioEstimator(nn.Module, ABC):
    """Tells from the features of an image of which of two GANs it is; what paired methods are lent.

    Attributes:
        loss: what it was trained with; methods that were published with one check it.
    """

    loss: str

    @abstractmethod
    def scores(self, features: Tensor) -> Tensor:
        """[N, 2], at least 0, of features [N, F]: high where they are likelier of the reference, and of the client."""

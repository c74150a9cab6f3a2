"""The two frozen judges: attribute oracles (images -> logits) and feature extractors (images -> features)."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class AttributeOracle(nn.Module, ABC):
    """Reads attributes off images.

    Attributes:
        names: the M attributes, CelebA's names.
        readable: [M] bool; False where balanced accuracy on decorrelated held-out images is under 0.9: what cannot be
            seen cannot be scored, so those attributes are left out of M, ranks and means.
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

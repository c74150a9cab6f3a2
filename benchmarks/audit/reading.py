"""One reading of an image: the oracle's logits, if there is an oracle, and the extractor's features beside them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dirbench.fingerprint import state_fingerprint
from dirbench.oracle import AttributeOracle, FeatureExtractor
from dirbench.results.artifacts.code_hash import code_hash

AXES = 128


class Reader(AttributeOracle):
    """Attributes and features of the same images at once, so that an audit synthesises each image once.

    Features are the extractor's, at unit length as xGA compares them, on 128 random orthonormal axes that are the same
    for every audit. Lengths and angles are kept well enough (cosines to about 0.09), files stay small, and each axis
    can be treated as an attribute is: in units of its spread over unedited images.

    Attributes:
        is_feature: [M] bool, which columns are features.
    """

    axes: Tensor

    def __init__(self, oracle: AttributeOracle | None, extractor: FeatureExtractor) -> None:
        super().__init__()
        self.oracle, self.extractor = oracle, extractor
        n = min(AXES, extractor.width)
        draws = torch.randn(extractor.width, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.register_buffer("axes", torch.linalg.qr(draws).Q.float())
        own = oracle.names if oracle else ()
        self.names = (*own, *(f"feature axis {i}" for i in range(n)))
        self.readable = (*(oracle.readable if oracle else ()), *[True] * n)
        self.is_feature = np.arange(len(self.names)) >= len(own)

    @property
    def is_readable_attribute(self) -> np.ndarray:
        """[M] bool, the columns that the oracle reads well."""
        return np.array(self.readable) & ~self.is_feature

    def logits(self, images: Tensor) -> Tensor:
        features = F.normalize(self.extractor.features(images).float(), dim=1) @ self.axes
        return features if self.oracle is None else torch.cat((self.oracle.logits(images).float(), features), dim=1)

    def fingerprint(self) -> str:
        parts = [part for part in (self.oracle, self.extractor) if part is not None]
        fingerprints = [(part.fingerprint(), code_hash(type(part).__module__)) for part in parts]
        return state_fingerprint(torch.nn.Module(), type(self).__name__, self.axes.shape[1], fingerprints)

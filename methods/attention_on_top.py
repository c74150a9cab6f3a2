"""ContraFeat's layer attention, trained on top of the directions that another method found."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dirbench.directions import Vectors
from dirbench.errors import DiscoveryError, NotApplicable
from dirbench.generator import Generator
from dirbench.method import Context, DirectionMethod
from dirbench.methods.contrafeat import FeatureContrast
from dirbench.methods.ganspace import GANSpace
from dirbench.methods.sefa import SeFa


@dataclass(frozen=True)
class AttentionOnTop(FeatureContrast):
    """The base method's K directions stay as they are; only the attention over layers is learned (and prototypes).

    Zhu et al., AAAI 2023, Table 1 (there on 30 directions): does choosing layers help by itself?
    """

    objective_why_not: ClassVar[str] = (
        "its directions are apart before it starts, so little is left to learn: 30 steps gain 0.000 +- 0.002 (seeds) "
        "on SeFa's and 0.005 +- 0.005 on GANSpace's")

    @property
    @abstractmethod
    def base(self) -> DirectionMethod:
        """The method whose global directions are used."""

    def images(self) -> int:
        return super().images() + self.base.images()

    def images_on(self, *generators: Generator) -> int:
        return super().images() + self.base.images_on(*generators)

    def start(self, generator: Generator, context: Context) -> tuple[Tensor, Tensor, str]:
        try:
            found = self.base.discover(generator, context)
        except NotApplicable:
            raise
        except DiscoveryError as error:
            raise DiscoveryError(f"{self.name}: {error}") from error
        assert isinstance(found, Vectors)  # as every base here gives
        return found.vectors, torch.eye(found.vectors.shape[1]), found.space


@dataclass(frozen=True)
class SeFaAttention(AttentionOnTop):
    """SeFa's directions (all layers) with a learned attention (Zhu et al., AAAI 2023, Table 1, "Sefa_dir-att")."""

    name: ClassVar[str] = "sefa+attention"
    source: ClassVar[str] = "Zhu et al., AAAI 2023, arXiv:2212.07277, Table 1"
    beats_random_by: ClassVar[float | None] = 0.5
    test_params: ClassVar[dict] = {"n_steps": 8, "batch": 4}

    @property
    def base(self) -> SeFa:
        return SeFa(n_directions=self.n_directions)


@dataclass(frozen=True)
class GANSpaceAttention(AttentionOnTop):
    """GANSpace's directions with a learned attention (Zhu et al., AAAI 2023, Table 1, "Gsp_dir-att").

    Args:
        n_samples, n_regression: GANSpace's.
    """

    name: ClassVar[str] = "ganspace+attention"
    source: ClassVar[str] = "Zhu et al., AAAI 2023, arXiv:2212.07277, Table 1"
    beats_random_by: ClassVar[float | None] = 0.5
    test_params: ClassVar[dict] = {"n_steps": 8, "batch": 4, "n_samples": 4_000, "n_regression": 2_000}

    n_samples: int = 1_000_000
    n_regression: int = 10_000

    @property
    def base(self) -> GANSpace:
        return GANSpace(n_directions=self.n_directions, n_samples=self.n_samples, n_regression=self.n_regression)

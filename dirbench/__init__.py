"""The public names, in one place: other people's packages import ``dirbench`` only.

A package is found by its entry points in the groups ``dirbench.methods``, ``dirbench.metrics``, ``dirbench.oracles``
(feature extractors) and ``dirbench.generators`` (families of checkpoints), each naming a class or a module.

Names are handed on when they are asked for: the command line answers ``--help`` without importing torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from dirbench.version import __version__

if TYPE_CHECKING:
    from dirbench.api import discover, load_generator, run
    from dirbench.directions import Conditional, Directions, Layerwise, Mlp, Vectors
    from dirbench.errors import DiscoveryError, Inapplicable, NotApplicable
    from dirbench.generator import Generator, Layers
    from dirbench.image_metric import GeneratorInputs, GeneratorMetric, Measured
    from dirbench.method import Context, DirectionMethod, PairedMethod
    from dirbench.metric import Band, Metric, PairInputs, Score, SingleInputs
    from dirbench.oracle import AttributeOracle, FeatureExtractor
    from dirbench.pair_metric import PairMetric
    from dirbench.responses import Responses
    from dirbench.single_metric import SingleMetric

_PLACES = {
    "api": ("discover", "load_generator", "run"),
    "directions": ("Conditional", "Directions", "Layerwise", "Mlp", "Vectors"),
    "errors": ("DiscoveryError", "Inapplicable", "NotApplicable"),
    "generator": ("Generator", "Layers"),
    "image_metric": ("GeneratorInputs", "GeneratorMetric", "Measured"),
    "method": ("Context", "DirectionMethod", "PairedMethod"),
    "metric": ("Band", "Metric", "PairInputs", "Score", "SingleInputs"),
    "oracle": ("AttributeOracle", "FeatureExtractor"),
    "pair_metric": ("PairMetric",),
    "responses": ("Responses",),
    "single_metric": ("SingleMetric",),
}
_PLACE = {name: module for module, names in _PLACES.items() for name in names}

__all__ = ["AttributeOracle", "Band", "Conditional", "Context", "DirectionMethod", "Directions", "DiscoveryError",
           "FeatureExtractor", "Generator", "GeneratorInputs", "GeneratorMetric", "Inapplicable", "Layers", "Layerwise",
           "Measured", "Metric", "Mlp", "NotApplicable", "PairInputs", "PairMetric", "PairedMethod", "Responses",
           "Score", "SingleInputs", "SingleMetric", "Vectors", "__version__", "discover", "load_generator", "run"]


def __getattr__(name: str) -> Any:
    if name not in _PLACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACE[name]}"), name)


def __dir__() -> list[str]:
    return __all__

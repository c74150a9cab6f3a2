"""The public names, in one place: other people's packages import ``dirbench`` only.

A package is found by its entry points in the groups ``dirbench.methods``, ``dirbench.metrics``, ``dirbench.oracles``
(feature extractors) and ``dirbench.generators`` (families of checkpoints), each naming a class or a module.
"""

from benchmarks.generators.base import Generator, Layers
from benchmarks.version import __version__
from methods.base import Context, DirectionMethod, DiscoveryError, NotApplicable, PairedMethod
from methods.directions import Conditional, Directions, Layerwise, Mlp, Vectors
from metrics.base import Inapplicable, Metric, PairInputs, Score, SingleInputs
from metrics.generator import GeneratorInputs, GeneratorMetric, Measured
from metrics.null import Band
from metrics.pair import PairMetric
from metrics.responses import Responses
from metrics.single import SingleMetric
from oracles.base import AttributeOracle, FeatureExtractor

__all__ = ["AttributeOracle", "Band", "Conditional", "Context", "DirectionMethod", "Directions", "DiscoveryError",
           "FeatureExtractor", "Generator", "GeneratorInputs", "GeneratorMetric", "Inapplicable", "Layers", "Layerwise",
           "Measured", "Metric", "Mlp", "NotApplicable", "PairInputs", "PairMetric", "PairedMethod", "Responses",
           "Score", "SingleInputs", "SingleMetric", "Vectors", "__version__"]

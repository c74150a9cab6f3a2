"""The public names, in one place: other people's packages import ``dirbench`` only."""

from benchmarks.generators.base import Generator
from methods.base import Context, DirectionMethod, DiscoveryError, NotApplicable, PairedMethod
from methods.directions import Conditional, Directions, Vectors
from oracles.base import AttributeOracle, FeatureExtractor

__version__ = "0.1.0"

__all__ = ["AttributeOracle", "Conditional", "Context", "DirectionMethod", "Directions", "DiscoveryError",
           "FeatureExtractor", "Generator", "NotApplicable", "PairedMethod", "Vectors", "__version__"]

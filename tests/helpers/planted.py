"""The planted generators of the contract, for tests."""

from dirbench.benchmarks.generators.planted import (
    DIM,
    SIDE,
    PlantedExtractor,
    PlantedGenerator,
    PlantedOracle,
    pattern,
    planted_ratio,
    recovery,
)

__all__ = ["DIM", "SIDE", "PlantedExtractor", "PlantedGenerator", "PlantedOracle", "pattern", "planted_ratio",
           "recovery"]

"""Frozen judges: attribute oracles, feature extractors and density-ratio estimators."""

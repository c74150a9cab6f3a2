"""Feature extractors, one file each; attribute oracles and density ratios are in ``networks``."""

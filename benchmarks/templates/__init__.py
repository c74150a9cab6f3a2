"""Files to begin with, one a kind, as ``run_bench.py new`` writes them: NAME, STEM and CLASS are filled in."""

from benchmarks.templates.generator import GENERATOR, GENERATOR_YAML
from benchmarks.templates.method import METHOD
from benchmarks.templates.metric import METRIC
from benchmarks.templates.suite import SUITE

__all__ = ["GENERATOR", "GENERATOR_YAML", "METHOD", "METRIC", "SUITE"]

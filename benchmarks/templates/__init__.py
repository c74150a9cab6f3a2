"""Files to begin with, one a kind, as ``run_bench.py new`` writes them: NAME, STEM and CLASS are filled in."""

from dirbench.benchmarks.templates.generator import GENERATOR, GENERATOR_YAML
from dirbench.benchmarks.templates.method import METHOD
from dirbench.benchmarks.templates.metric import METRIC
from dirbench.benchmarks.templates.suite import SUITE

__all__ = ["GENERATOR", "GENERATOR_YAML", "METHOD", "METRIC", "SUITE"]

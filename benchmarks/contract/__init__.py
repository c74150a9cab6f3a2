"""What every generator, method and metric must do, as checks that the tests and the command line both run."""

from dirbench.benchmarks.contract.report import Fault, Finding

__all__ = ["Fault", "Finding"]

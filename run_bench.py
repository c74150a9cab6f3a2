#!/usr/bin/env python3
"""The command line of dirbench: ``python run_bench.py --suite celeba_subsets``."""

import os
import sys

# One thread a worker: cells run side by side, and the same sums in the same order give the same numbers.
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

from benchmarks.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

#!/usr/bin/env python3
"""The command line of dirbench: ``python run_bench.py --suite celeba_subsets``."""

import sys

from dirbench.benchmarks.commands import main

if __name__ == "__main__":
    sys.exit(main())

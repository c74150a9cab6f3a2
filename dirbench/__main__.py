"""``python -m dirbench``: the command line."""

import sys

from dirbench.benchmarks.commands import main

if __name__ == "__main__":
    sys.exit(main())

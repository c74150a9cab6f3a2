"""The commands, found by being there: each module without an underscore is one.

``dirbench`` runs them where it is installed, ``run_bench.py`` in a checkout, and ``python -m dirbench`` in both.
A command is called as its file is, with ``-`` for ``_``. Nothing else knows of it, so its module says all there is:

- ``GROUP``: the heading that ``--help`` lists it under, and ``HELP``: one line of what it does
- ``EXAMPLES``: what may follow its name, an example each; its own ``--help`` ends with them
- ``arguments(parser)``: adds its arguments to an ``argparse`` parser
- ``run(args)``: checks all that was given, works then, and returns the exit code (0: done, 1: something is wrong)

Every command line reads all these modules, and ``--help`` has to answer at once. So none imports torch, NumPy, pandas
or what needs them, and ``run`` imports what it works with inside; nowhere else in this project is that done.
"""

from __future__ import annotations

from dirbench.benchmarks.commands._main import main
from dirbench.benchmarks.commands._parser import parser
from dirbench.benchmarks.commands._program import program

__all__ = ["main", "parser", "program"]

"""One thread a test process, as in a run: the same sums in the same order, and no fight over the cores."""

import os

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

from benchmarks.cpu import use_one_thread  # noqa: E402

use_one_thread()

"""How a process of ours uses a CPU: one thread, and memory that stays with it."""

from __future__ import annotations

import ctypes
import os
import sys

import scipy.linalg  # noqa: F401 - loads the library that is limited below
import torch
from threadpoolctl import threadpool_limits

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # options of glibc's mallopt (malloc.h)


def use_one_thread() -> None:
    """One thread for PyTorch, NumPy and SciPy: cells run side by side, and the same sums in the same order give the
    same numbers. Two threads of SciPy's on a busy core wait for each other 20 times as long as they compute.

    With glibc, tensors up to 32 MiB are also made in memory that was freed before (up to 512 MiB of it is kept). By
    default it goes back to the system at once, and fresh pages for every tensor cost a fifth of a StyleGAN2's time.
    """
    torch.set_num_threads(1)
    threadpool_limits(1)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 32 << 20)  # the most that it accepts
        mallopt(_TRIM_THRESHOLD, 512 << 20)


def usable_workers(device: str) -> int:
    """How many processes run cells side by side where nobody says: one a core; one on a GPU, which they would share."""
    if device.startswith("cuda"):
        return 1
    # Not every system says which cores a process may use.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

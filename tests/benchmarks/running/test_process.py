"""What a process does with a CPU's threads and memory."""

import os
import platform
import subprocess
import sys

import pytest
from helpers.tiny import ROOT

COUNT = """
import ctypes
import resource
import torch
from dirbench.benchmarks.running.process import _MMAP_THRESHOLD, use_one_thread

def faults():
    def work():
        for _ in range(10):
            [torch.zeros(4 << 20) for _ in range(4)]  # 16 MiB each, freed together
    work()  # the heap finds its shape within a few rounds; how many differs from process to process
    start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start

ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 1 << 20)  # the least favourable: what is larger goes back at once
before = faults()
use_one_thread()
print(before, faults(), torch.get_num_threads())
"""


def test_one_thread_is_all_that_any_library_has():
    code = """
import numpy, scipy.linalg
from threadpoolctl import threadpool_info
from dirbench.benchmarks.running.process import use_one_thread
use_one_thread()
print({library["num_threads"] for library in threadpool_info()}, len(threadpool_info()))
"""
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    out = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=clean, text=True, capture_output=True, check=True)
    found, count = out.stdout.rsplit(maxsplit=1)
    assert found == "{1}" and int(count) >= 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators keep memory, or do not, by themselves")
def test_freed_memory_is_used_again():
    out = subprocess.run([sys.executable, "-c", COUNT], cwd=ROOT, text=True, capture_output=True, check=True).stdout
    before, after, threads = map(int, out.split())
    assert after < before / 10 and threads == 1

"""How tests run: one thread a process, as in a run (the same sums in the same order), and long modules first."""

import os

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

import pytest  # noqa: E402
import torch  # noqa: E402
from helpers.seeds import shift_seeds  # noqa: E402

from dirbench.benchmarks.running.process import use_one_thread  # noqa: E402

use_one_thread()

LONGEST = ("test_runner", "test_contract", "test_docs_checkpoints", "test_training", "test_generator_contract")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed-shift", type=int, default=0, metavar="N", help="add N to every random seed")


def pytest_configure(config: pytest.Config) -> None:
    if config.option.seed_shift:
        shift_seeds(config.option.seed_shift)


@pytest.fixture(autouse=True)
def same_draws() -> None:
    """What a test draws from the global source does not depend on the tests before it."""
    torch.manual_seed(0)


def pytest_collection_modifyitems(items) -> None:
    """The longest modules first: a process takes a module at a time, and none is left with a long one at the end."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))

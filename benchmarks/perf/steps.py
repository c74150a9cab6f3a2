"""Goal 4: a training step of every method over its floor."""

from __future__ import annotations

from collections.abc import Iterator

from dirbench.benchmarks.perf.floors import floor
from dirbench.benchmarks.perf.report import Row
from dirbench.benchmarks.perf.setup import Setup
from dirbench.benchmarks.perf.timing import Ratio, Turns
from dirbench.method import PairedMethod
from dirbench.plugins import METHODS

VARIANTS = (("latentclr", "last layer", {"layer": -1}),)
"""(method, words, hyperparameters) of further rows: LatentCLR's images are cheap at the first layer only."""


def trained() -> list[str]:
    """Names of the methods that are trained in steps."""
    return sorted(name for name, cls in METHODS.load_all()[0].items() if cls.published_steps())


def measure(setup: Setup, only: str | None = None) -> Iterator[Row]:
    """Step over floor for each method that has one (``only``: for that one), and for ``VARIANTS``."""
    wanted: list[tuple[str, str, dict]] = [(name, "", {}) for name in trained()]
    wanted += [(name, f" ({words})", more) for name, words, more in VARIANTS]
    for name, words, more in sorted(wanted, key=lambda entry: entry[:2]):
        if only not in (None, name):
            continue
        sizes = setup.sizes.methods.get(name, {}) | more
        least = floor(METHODS.build(name, sizes), setup)
        if least is None:
            continue
        method = METHODS.build(name, sizes | {"n_steps": (setup.repeats + 1) * least.steps})
        turns = Turns(least, least.steps)
        context = setup.context(progress=turns)
        if isinstance(method, PairedMethod):
            method.discover_pair(*setup.pair, context)
        else:
            method.discover(setup.pair[0], context)
        yield Row(4, f"training step over its floor: {name}{words}, batch {getattr(method, 'batch', '?')}", 1.15, 1.05,
                  Ratio.of(turns.above, turns.below), at_most=True)


def without_floor(setup: Setup) -> list[str]:
    """Trained methods that no floor is stated for."""
    return [name for name in trained() if floor(METHODS.build(name, setup.sizes.methods.get(name, {})), setup) is None]

"""A method that nobody here wrote, which is right, or wrong in one line."""

METHOD = '''
from dataclasses import dataclass
from typing import ClassVar

import torch

from dirbench import Context, DirectionMethod, Directions, Generator, Vectors


@dataclass(frozen=True)
class Mine(DirectionMethod):
    """Differences of two samples."""

    name: ClassVar[str] = "{name}"
    source: ClassVar[str] = "a stranger's note, 2020"
    why_not: ClassVar[str] = "fed with z, its directions are random ones"

    def discover(self, generator: Generator, context: Context) -> Directions:
        self.check_k(generator.dim())
        one, other = (generator.sample(self.n_directions, context.rng(side)) for side in "ab")
{trouble}        return Vectors((one - other).float().cpu(), generator.space)
'''


def mine(name: str = "strangers-own", trouble: str = "") -> str:
    """The text of its file, with ``trouble`` as a line of its discovery."""
    return METHOD.format(name=name, trouble=f"        {trouble}\n" if trouble else "")

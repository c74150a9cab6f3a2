"""Counts the images that a generator really synthesises, so that planned figures can be tested against it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dirbench.generator import Generator


class Count:
    """``images`` so far; activations count as images, since they cost about as much."""

    images: int = 0


@contextmanager
def count_images(*generators: Generator) -> Iterator[Count]:
    """Counts rows that go through ``synthesize`` and ``activations`` of ``generators`` inside the block.

    >>> import torch
    >>> from dirbench.benchmarks.generators.planted import PlantedGenerator
    >>> generator = PlantedGenerator()
    >>> with count_images(generator) as count:
    ...     images = generator.synthesize(torch.zeros(5, 32))
    >>> count.images
    5
    """
    count = Count()

    def counted(function):
        def call(latent, *args, **kwargs):
            count.images += len(latent)
            return function(latent, *args, **kwargs)
        return call

    for generator in generators:
        for name in ("synthesize", "activations"):
            object.__setattr__(generator, name, counted(getattr(generator, name)))
    try:
        yield count
    finally:
        for generator in generators:
            for name in ("synthesize", "activations"):
                generator.__dict__.pop(name, None)

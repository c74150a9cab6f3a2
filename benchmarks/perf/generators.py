"""Goal 3: what a gradient to the latent costs beside the image itself."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from dirbench.benchmarks.perf.report import Row
from dirbench.benchmarks.perf.setup import Setup
from dirbench.benchmarks.perf.timing import Ratio, interleaved

TIMES = 3  # calls in one measurement


def measure(setup: Setup) -> Iterator[Row]:
    """Forward and backward over forward, frozen weights, for each batch."""
    generator = setup.pair[0]
    for batch in setup.sizes.batches:
        latents = setup.latents(batch)

        def forward(latents=latents) -> None:
            with torch.no_grad():
                generator.synthesize(latents)

        def both(latents=latents) -> None:
            images = generator.synthesize(latents.detach().requires_grad_())
            images.backward(torch.ones_like(images))

        found = interleaved({"both": both, "forward": forward}, setup.repeats, TIMES)
        yield Row(3, f"generator forward and backward / forward, batch {batch}", 2.8, 2.4,
                  Ratio.of(found["both"], found["forward"]), at_most=True)

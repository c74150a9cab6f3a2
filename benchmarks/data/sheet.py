"""A labelled sheet of rendered faces, for the eye: ``python -m dirbench.benchmarks.data.sheet OUT.png``."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dirbench.benchmarks.data.attributes import DRAWN, attribute_index
from dirbench.benchmarks.data.faces import faces, render
from dirbench.benchmarks.data.labels import BEARDS, EXCLUSIONS, sample_labels


def with_without(name: str, n: int, seed: int = 0, mix: str = "natural",
                 resolution: int = 32) -> tuple[Tensor, Tensor]:
    """The same ``n`` faces with the attribute and without it: two float32 [n, 3, R, R] in [-1, 1].

    Pose, colours, background and every attribute that does not exclude ``name`` are the same in both; but
    without its only kind of beard a face is shaven, not fully bearded.

    Raises:
        KeyError: the attribute is not drawn.
    """
    column = attribute_index(name)
    rng = torch.Generator().manual_seed(seed)
    labels = sample_labels(n, rng, mix)
    for first, second in EXCLUSIONS:
        if name in (first, second):
            labels[:, attribute_index(second if name == first else first)] = False
    state, images = rng.get_state(), []
    for value in (True, False):
        labels[:, column] = value
        if name in BEARDS:
            kinds = labels[:, [attribute_index(beard) for beard in BEARDS]]
            labels[:, attribute_index("No_Beard")] = ~kinds.any(dim=1)
        rng.set_state(state)
        images.append(render(labels, rng, resolution))
    return images[0], images[1]


def _strip(images: Tensor) -> np.ndarray:
    """Images [n, 3, R, R] in [-1, 1] side by side: [R, n * R, 3] in [0, 1]."""
    return ((images + 1) / 2).clamp(0, 1).permute(2, 0, 3, 1).flatten(1, 2).numpy()


def labelled_sheet(path: str | Path, n: int = 12, pairs: int = 6, seed: int = 0, mix: str = "natural",
                   resolution: int = 32) -> None:
    """Write a PNG: ``n`` faces with their attributes' names; below, every attribute with and without.

    Args:
        path: file to write; its folder must exist.
        pairs: faces shown for each attribute, the upper row with it and the lower row without.
        mix, seed, resolution: as for ``faces``.
    Raises:
        ValueError: n or pairs below 1.
    """
    if n < 1 or pairs < 1:
        raise ValueError(f"labelled_sheet: n is {n} and pairs is {pairs}, expected both to be at least 1")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    across, groups = 6, 3  # faces in a row of the upper part, attributes in a row of the lower
    upper, lower = -(-n // across), -(-len(DRAWN) // groups)
    heights = (1.3 * upper, 12.0 / groups / pairs * 2.35 * lower)  # inches, on a page 12 wide
    figure = plt.figure(figsize=(12, sum(heights)))
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
    images, labels = faces(n, seed, mix, resolution=resolution)
    for i in range(n):
        corner = (i % across / across, 1 - (i // across + 0.98) / upper)
        axis = parts[0].add_axes((*corner, 0.54 / across, 0.96 / upper))
        axis.imshow(_strip(images[i:i + 1] / 127.5 - 1), interpolation="nearest")
        axis.set_axis_off()
        names = [name for name, value in zip(DRAWN, labels[i].tolist(), strict=True) if value]
        axis.text(1.03, 0.98, "\n".join(names), fontsize=5.5, va="top", transform=axis.transAxes)
    axes = parts[1].subplots(lower, groups, squeeze=False)
    for k, axis in enumerate(axes.flat):
        axis.set_axis_off()
        if k < len(DRAWN):
            halves = with_without(DRAWN[k], pairs, seed + 1 + k, mix, resolution)
            axis.imshow(np.concatenate([_strip(half) for half in halves]), interpolation="nearest")
            axis.set_title(f"{DRAWN[k]}: with (above), without (below)", fontsize=8, pad=2)
    parts[1].subplots_adjust(left=0.01, right=0.99, bottom=0.005, top=0.985, wspace=0.03, hspace=0.12)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    """Command line: ``python -m dirbench.benchmarks.data.sheet OUT.png [--mix ...] [--resolution R] [--seed S]``."""
    parser = argparse.ArgumentParser(description="Draw a labelled sheet of rendered faces.")
    parser.add_argument("out", type=Path, help="PNG to write")
    parser.add_argument("--n", type=int, default=12, help="faces at the top (default 12)")
    parser.add_argument("--mix", choices=("natural", "decorrelated"), default="natural")
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    labelled_sheet(given.out, n=given.n, mix=given.mix, resolution=given.resolution, seed=given.seed)
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()

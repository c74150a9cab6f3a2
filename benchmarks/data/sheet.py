"""A labelled sheet of rendered faces, for the eye: ``python -m benchmarks.data.sheet OUT.png``."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.data.attributes import DRAWN, attribute_index
from benchmarks.data.faces import faces, render
from benchmarks.data.labels import EXCLUSIONS, sample_labels


def with_without(name: str, n: int, seed: int = 0, mix: str = "natural",
                 resolution: int = 32) -> tuple[Tensor, Tensor]:
    """The same ``n`` faces with the attribute and without it: two float32 [n, 3, R, R] in [-1, 1].

    Pose, colours, background and every attribute that does not exclude ``name`` are the same in both.

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
        rng.set_state(state)
        images.append(render(labels, rng, resolution))
    return images[0], images[1]


def _show(axis, image: Tensor, title: str) -> None:
    axis.imshow(((image + 1) / 2).clamp(0, 1).permute(1, 2, 0).numpy(), interpolation="nearest")
    axis.set_title(title, fontsize=5, pad=2)
    axis.set_axis_off()


def labelled_sheet(path: str | Path, n: int = 16, pairs: int = 3, seed: int = 0, mix: str = "natural",
                   resolution: int = 32) -> None:
    """Write a PNG: ``n`` faces with their attributes' names; below, every attribute with and without.

    Args:
        path: file to write; its folder must exist.
        pairs: faces shown for each attribute, the row above with it and the row below without.
        mix, seed, resolution: as for ``faces``.
    Raises:
        ValueError: n or pairs below 1.
    """
    if n < 1 or pairs < 1:
        raise ValueError(f"labelled_sheet: n is {n} and pairs is {pairs}, expected both to be at least 1")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    groups = 4  # attributes side by side
    columns = groups * pairs
    head = -(-n // columns)
    rows = head + 2 * -(-len(DRAWN) // groups)
    figure, axes = plt.subplots(rows, columns, figsize=(1.05 * columns, 0.72 * rows + 1.3 * head), squeeze=False,
                                gridspec_kw={"height_ratios": [2.0] * head + [1.0] * (rows - head)})
    for axis in axes.flat:
        axis.set_axis_off()
    images, labels = faces(n, seed, mix, resolution=resolution)
    for i in range(n):
        names = [name for name, value in zip(DRAWN, labels[i].tolist(), strict=True) if value]
        _show(axes[i // columns, i % columns], images[i] / 127.5 - 1, "\n".join(names))
    for k, name in enumerate(DRAWN):
        row, column = head + 2 * (k // groups), pairs * (k % groups)
        for below, half in enumerate(with_without(name, pairs, seed + 1, mix, resolution)):
            for j in range(pairs):
                title = ("without " if below else "") + name if j == 0 else ""
                _show(axes[row + below, column + j], half[j], title)
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.005, top=0.96, wspace=0.05, hspace=0.28)
    figure.savefig(path, dpi=140)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    """Command line: ``python -m benchmarks.data.sheet OUT.png [--mix ...] [--resolution R] [--seed S]``."""
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

"""The data subsets that the mini zoo's generators are trained on, by what each lacks."""

from __future__ import annotations

import difflib

import torch

from dirbench.benchmarks.data.attributes import DRAWN, attribute_index

SUBSETS: dict[str, tuple[tuple[str, int], ...]] = {
    "full": (),
    "full_b": (),
    "female": (("Male", 1),),
    "male": (("Male", 0),),
    "no_hats": (("Wearing_Hat", 1),),
    "no_glasses": (("Eyeglasses", 1),),
    "no_beards": (("No_Beard", 0),),
    "no_beards_no_hats": (("No_Beard", 0), ("Wearing_Hat", 1)),
    "no_smiles_no_glasses_no_ties": (("Smiling", 1), ("Eyeglasses", 1), ("Wearing_Necktie", 1)),
}
"""Subset name -> the (attribute, value) pairs that no image of the subset has.

The eight of the xGA paper, and ``full_b``: the full data again, the control pair of ``full``.
"""


def lacking(subset: str) -> tuple[tuple[str, int], ...]:
    """The (attribute, value) pairs that ``subset`` lacks.

    Raises:
        KeyError: no subset of that name.
    """
    if subset not in SUBSETS:
        close = difflib.get_close_matches(str(subset), SUBSETS, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise KeyError(f"unknown subset {subset!r}.{hint} Known: {', '.join(SUBSETS)}.")
    return SUBSETS[subset]


def keep(labels: torch.Tensor, subset: str) -> torch.Tensor:
    """Which rows belong to ``subset``: bool [n], true where no lacking value occurs.

    Args:
        labels: bool (or 0/1) [n, len(DRAWN)].
        subset: a key of ``SUBSETS``.
    Raises:
        KeyError: unknown subset. ValueError: labels of another width.
    """
    pairs = lacking(subset)
    if labels.ndim != 2 or labels.shape[1] != len(DRAWN):
        raise ValueError(f"keep: expected labels [n, {len(DRAWN)}] (one column for each of DRAWN), "
                         f"got {tuple(labels.shape)}")
    mask = torch.ones(len(labels), dtype=torch.bool)
    for name, value in pairs:
        mask &= labels[:, attribute_index(name)].bool() != bool(value)
    return mask

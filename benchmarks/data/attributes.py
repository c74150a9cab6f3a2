"""The 40 attribute names of CelebA, and which of them the rendered faces show."""

from __future__ import annotations

import difflib

CELEBA_ATTRIBUTES: tuple[str, ...] = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Attractive", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Lips",
    "Big_Nose", "Black_Hair", "Blond_Hair", "Blurry", "Brown_Hair", "Bushy_Eyebrows", "Chubby",
    "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair", "Heavy_Makeup", "High_Cheekbones", "Male",
    "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes", "No_Beard", "Oval_Face", "Pale_Skin", "Pointy_Nose",
    "Receding_Hairline", "Rosy_Cheeks", "Sideburns", "Smiling", "Straight_Hair", "Wavy_Hair",
    "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick", "Wearing_Necklace", "Wearing_Necktie", "Young",
)
"""CelebA's attributes in the order of ``list_attr_celeba.txt`` (Liu et al., ICCV 2015)."""

NOT_DRAWN: tuple[str, ...] = ("Attractive",)
"""A judgement of the annotators, not a part of a drawing."""

DRAWN: tuple[str, ...] = tuple(name for name in CELEBA_ATTRIBUTES if name not in NOT_DRAWN)
"""The attributes that rendered faces show, in CelebA's order: the columns of every label tensor."""

_INDEX = {name: i for i, name in enumerate(DRAWN)}


def attribute_index(name: str) -> int:
    """Column of ``name`` in the labels of rendered faces (its place in ``DRAWN``).

    Raises:
        KeyError: the attribute is unknown, or is one of CelebA's that is not drawn.
    """
    if name in _INDEX:
        return _INDEX[name]
    if name in CELEBA_ATTRIBUTES:
        raise KeyError(f"attribute {name!r} is one of CelebA's, but rendered faces do not show it "
                       f"(not drawn: {', '.join(NOT_DRAWN)}); choose one of DRAWN")
    lowered = {known.lower(): known for known in DRAWN}
    close = difflib.get_close_matches(str(name).lower(), lowered, n=1)
    hint = f" Did you mean {lowered[close[0]]!r}?" if close else f" Known: {', '.join(DRAWN)}."
    raise KeyError(f"unknown attribute {name!r}.{hint}")

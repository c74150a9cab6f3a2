"""Attribute labels for rendered faces: a CelebA-like mix, and a mix of independent coins.

The rules that hold in **both** mixes, because the opposite cannot be drawn:

- hair colours (Black, Blond, Brown, Gray) exclude each other; a face with none has red hair;
- of Bald, Bangs and Receding_Hairline at most one;
- Straight_Hair and Wavy_Hair exclude each other, and Bald excludes both;
- No_Beard excludes 5_o_Clock_Shadow, Goatee and Mustache. A face without No_Beard and without any of the
  three has a full beard.
"""

from __future__ import annotations

import torch

from dirbench.benchmarks.data.attributes import DRAWN, attribute_index
from dirbench.benchmarks.data.subsets import keep, lacking

MIXES = ("natural", "decorrelated")

HAIR_COLOURS = ("Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")
CROWNS = ("Bald", "Bangs", "Receding_Hairline")
TEXTURES = ("Straight_Hair", "Wavy_Hair")
BEARDS = ("5_o_Clock_Shadow", "Goatee", "Mustache")

EXCLUSIONS: tuple[tuple[str, str], ...] = tuple(
    (a, b) for group in (HAIR_COLOURS, CROWNS, TEXTURES) for i, a in enumerate(group) for b in group[i + 1:]
) + tuple(("Bald", texture) for texture in TEXTURES) + tuple((beard, "No_Beard") for beard in BEARDS)
"""Pairs of attributes that never occur together, in either mix."""

DEPENDENT: tuple[tuple[str, str], ...] = EXCLUSIONS + tuple(
    (a, b) for i, a in enumerate(BEARDS) for b in BEARDS[i + 1:]
) + tuple((a, b) for a in ("Bangs", "Receding_Hairline") for b in TEXTURES)
"""Pairs that are correlated in the decorrelated mix: the exclusions, and what follows from them."""

# Chance of each attribute for (young woman, old woman, young man, old man). Marginal rates follow CelebA's
# (list_attr_celeba.txt), except that its rarest attributes are raised to about 6-12%: a generator trained on
# some hundred thousand images cannot show what it has hardly seen.
_NATURAL: dict[str, tuple[float, float, float, float]] = {
    "Arched_Eyebrows": (0.42, 0.35, 0.10, 0.08),
    "Bags_Under_Eyes": (0.09, 0.30, 0.24, 0.45),
    "Big_Lips": (0.33, 0.18, 0.18, 0.10),
    "Big_Nose": (0.08, 0.25, 0.32, 0.55),
    "Blurry": (0.06, 0.06, 0.06, 0.06),
    "Bushy_Eyebrows": (0.08, 0.04, 0.26, 0.18),
    "Chubby": (0.03, 0.20, 0.07, 0.25),
    "Double_Chin": (0.02, 0.20, 0.05, 0.28),
    "Eyeglasses": (0.05, 0.18, 0.12, 0.30),
    "Male": (0.0, 0.0, 1.0, 1.0),
    "Narrow_Eyes": (0.11, 0.16, 0.11, 0.15),
    "Oval_Face": (0.34, 0.22, 0.26, 0.16),
    "Pale_Skin": (0.09, 0.06, 0.04, 0.04),
    "Pointy_Nose": (0.35, 0.28, 0.18, 0.20),
    "Smiling": (0.54, 0.56, 0.40, 0.42),
    "Wearing_Earrings": (0.30, 0.42, 0.02, 0.01),
    "Wearing_Hat": (0.07, 0.06, 0.18, 0.12),
    "Wearing_Necklace": (0.21, 0.24, 0.01, 0.01),
    "Wearing_Necktie": (0.00, 0.00, 0.16, 0.36),
}
_MALE_RATE, _YOUNG_WOMEN, _YOUNG_MEN = 0.42, 0.88, 0.64

_COLOUR_ODDS = ((0.26, 0.28, 0.28, 0.00), (0.10, 0.30, 0.18, 0.30), (0.38, 0.07, 0.22, 0.01),
                (0.20, 0.05, 0.15, 0.42))  # the rest: red
_CROWN_ODDS = ((0.00, 0.24, 0.03), (0.00, 0.17, 0.08), (0.02, 0.11, 0.11), (0.20, 0.03, 0.32))
_TEXTURE_ODDS = ((0.23, 0.48), (0.15, 0.38), (0.25, 0.15), (0.17, 0.09))
_BEARDED = (0.0, 0.0, 0.44, 0.36)


def _coin(p: torch.Tensor | float, n: int, rng: torch.Generator) -> torch.Tensor:
    return torch.rand(n, generator=rng) < p


def _choice(odds: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """One-hot bool [n, k] with row-wise chances ``odds`` [n, k]; the rest is for none."""
    upper = odds.cumsum(1)
    u = torch.rand(len(odds), 1, generator=rng)
    return (u < upper) & (u >= upper - odds)


def _set_group(labels: torch.Tensor, names: tuple[str, ...], values: torch.Tensor) -> None:
    labels[:, [attribute_index(name) for name in names]] = values


def _natural(n: int, rng: torch.Generator) -> torch.Tensor:
    labels = torch.zeros(n, len(DRAWN), dtype=torch.bool)
    male = _coin(_MALE_RATE, n, rng)
    young = torch.rand(n, generator=rng) < torch.where(male, _YOUNG_MEN, _YOUNG_WOMEN)
    group = 2 * male.long() + (~young).long()
    for name, chances in _NATURAL.items():
        labels[:, attribute_index(name)] = _coin(torch.tensor(chances)[group], n, rng)
    column = lambda name: labels[:, attribute_index(name)]  # a view, written to below
    column("Young")[:] = young
    smiling = column("Smiling")
    column("High_Cheekbones")[:] = _coin(torch.where(smiling, 0.72, 0.18) + 0.08 * (~male), n, rng)
    column("Mouth_Slightly_Open")[:] = _coin(torch.where(smiling, 0.72, 0.27), n, rng)
    makeup = ~male & _coin(torch.where(young, 0.70, 0.45), n, rng)
    column("Heavy_Makeup")[:] = makeup
    column("Wearing_Lipstick")[:] = ~male & _coin(torch.where(makeup, 0.93, 0.55), n, rng)
    column("Rosy_Cheeks")[:] = _coin(torch.where(makeup, 0.22, 0.02), n, rng)
    _set_group(labels, HAIR_COLOURS, _choice(torch.tensor(_COLOUR_ODDS)[group], rng))
    _set_group(labels, CROWNS, _choice(torch.tensor(_CROWN_ODDS)[group], rng))
    texture = _choice(torch.tensor(_TEXTURE_ODDS)[group], rng)
    _set_group(labels, TEXTURES, texture & ~column("Bald")[:, None])
    bearded = _coin(torch.tensor(_BEARDED)[group], n, rng)
    column("No_Beard")[:] = ~bearded
    shares = {"5_o_Clock_Shadow": 0.50, "Goatee": 0.36, "Mustache": 0.30}
    for name in BEARDS:
        column(name)[:] = bearded & _coin(shares[name], n, rng)
    column("Sideburns")[:] = male & _coin(torch.where(bearded, 0.34, 0.04), n, rng)
    return labels


def _decorrelated(n: int, rng: torch.Generator) -> torch.Tensor:
    labels = torch.rand(n, len(DRAWN), generator=rng) < 0.5
    _set_group(labels, HAIR_COLOURS, _choice(torch.full((n, 4), 1 / 5), rng))
    _set_group(labels, CROWNS, _choice(torch.full((n, 3), 1 / 4), rng))
    texture = _choice(torch.full((n, 2), 1 / 3), rng)
    _set_group(labels, TEXTURES, texture & ~labels[:, attribute_index("Bald")][:, None])
    bearded = ~labels[:, attribute_index("No_Beard")]
    for name in BEARDS:
        labels[:, attribute_index(name)] &= bearded
    return labels


def sample_labels(n: int, rng: torch.Generator, mix: str = "natural", subset: str = "full") -> torch.Tensor:
    """Labels of ``n`` faces: bool [n, len(DRAWN)].

    Args:
        rng: CPU generator; the only source of randomness.
        mix: ``natural`` (CelebA-like rates and dependencies) or ``decorrelated`` (a fair coin for every
            attribute, save for the rules in this module's docstring: each hair colour 1/5, each of Bald,
            Bangs, Receding_Hairline 1/4, straight or wavy 1/3 each where not bald, each beard 1/2 where
            there is one).
        subset: rows with a value that the subset lacks are drawn again (rejection sampling).
    Raises:
        ValueError: n below 0 or an unknown mix. KeyError: an unknown subset.
    """
    if n < 0:
        raise ValueError(f"sample_labels: n is {n}, expected 0 or more")
    if mix not in MIXES:
        raise ValueError(f"sample_labels: unknown mix {mix!r}, expected one of {', '.join(MIXES)}")
    draw = _natural if mix == "natural" else _decorrelated
    if not lacking(subset):
        return draw(n, rng)
    kept, have = [torch.zeros(0, len(DRAWN), dtype=torch.bool)], 0
    while have < n:
        rows = draw(max(n, 64), rng)
        kept.append(rows[keep(rows, subset)])
        have += len(kept[-1])
    return torch.cat(kept)[:n]

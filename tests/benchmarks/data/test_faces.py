"""Rendered faces: reproducible, in range, true to their labels and to the stated rules."""

import pytest
import torch

from dirbench.benchmarks.data.attributes import CELEBA_ATTRIBUTES, DRAWN, attribute_index
from dirbench.benchmarks.data.faces import CHUNK, faces, render, sample_labels
from dirbench.benchmarks.data.labels import BEARDS, DEPENDENT, EXCLUSIONS
from dirbench.benchmarks.data.sheet import labelled_sheet, with_without
from dirbench.benchmarks.data.subsets import SUBSETS, keep

pytestmark = pytest.mark.numeric


def _labels(mix, n=20_000, subset="full", seed=0):
    return sample_labels(n, torch.Generator().manual_seed(seed), mix, subset)


def _column(labels, name):
    return labels[:, attribute_index(name)]


def test_names_follow_celeba():
    assert len(CELEBA_ATTRIBUTES) == 40 and list(CELEBA_ATTRIBUTES[1:]) == sorted(CELEBA_ATTRIBUTES[1:])
    assert len(DRAWN) >= 32
    assert [name for name in CELEBA_ATTRIBUTES if name in DRAWN] == list(DRAWN)
    assert [attribute_index(name) for name in DRAWN] == list(range(len(DRAWN)))


def test_unknown_attribute_gets_a_suggestion():
    with pytest.raises(KeyError, match="Did you mean 'Eyeglasses'"):
        attribute_index("eyeglases")
    with pytest.raises(KeyError, match="do not show it"):
        attribute_index("Attractive")


@pytest.mark.parametrize("mix", ["natural", "decorrelated"])
def test_faces_depend_on_seed_and_place_only(mix):
    images, labels = faces(CHUNK + 44, 5, mix, resolution=16)
    again, labels_again = faces(100, 5, mix, resolution=16)
    assert torch.equal(images[:100], again) and torch.equal(labels[:100], labels_again)
    longer, _ = faces(CHUNK + 45, 5, mix, resolution=16)
    assert torch.equal(longer[: CHUNK + 44], images)
    assert not torch.equal(faces(100, 6, mix, resolution=16)[0], again)
    assert not torch.equal(images[:44], images[CHUNK:])  # chunks do not repeat each other


@pytest.mark.parametrize("resolution", [16, 32, 48, 64])
def test_shape_and_range_at_any_resolution(resolution):
    labels = _labels("decorrelated", 40)
    images = render(labels, torch.Generator().manual_seed(1), resolution)
    assert images.shape == (40, 3, resolution, resolution) and images.dtype == torch.float32
    assert images.min() >= -1 and images.max() <= 1 and images.std() > 0.2
    stored, stored_labels = faces(3, 1, resolution=resolution // 2)
    assert stored.dtype == torch.uint8 and stored.shape == (3, 3, resolution // 2, resolution // 2)
    assert stored_labels.dtype == torch.bool and stored_labels.shape == (3, len(DRAWN))


def test_a_finer_grid_draws_the_same_faces():
    coarse = faces(64, 2, resolution=32)[0].float()
    fine = torch.nn.functional.avg_pool2d(faces(64, 2, resolution=64)[0].float(), 2)
    other = faces(64, 3, resolution=32)[0].float()
    same = (coarse - fine).abs().mean()
    assert same < 6 and (coarse - other).abs().mean() > 6 * same


@pytest.mark.parametrize("mix", ["natural", "decorrelated"])
@pytest.mark.parametrize("subset", SUBSETS)
def test_subsets_lack_what_they_say(subset, mix):
    labels = _labels(mix, 2000, subset)
    assert len(labels) == 2000 and keep(labels, subset).all()
    for name, value in SUBSETS[subset]:
        assert (_column(labels, name) != bool(value)).all()
        other = _column(_labels(mix, 2000), name)
        assert (other == bool(value)).any()  # the full data does have it


def test_subsets_lose_what_goes_with_it():
    women, men = _labels("natural", subset="female"), _labels("natural", subset="male")
    for name in ("Goatee", "Mustache", "5_o_Clock_Shadow", "Sideburns", "Wearing_Necktie"):
        assert not _column(women, name).any() and _column(men, name).float().mean() > 0.05
    assert _column(women, "No_Beard").all()
    for name in ("Heavy_Makeup", "Wearing_Lipstick"):
        assert not _column(men, name).any() and _column(women, name).float().mean() > 0.5
    assert not _column(_labels("natural", subset="no_beards"), "Mustache").any()


@pytest.mark.parametrize("mix", ["natural", "decorrelated"])
def test_exclusive_attributes_never_meet(mix):
    labels = _labels(mix)
    for first, second in EXCLUSIONS:
        assert not (_column(labels, first) & _column(labels, second)).any(), (first, second)
    full_beard = ~labels[:, [attribute_index(name) for name in ("No_Beard", *BEARDS)]]
    assert full_beard.all(dim=1).float().mean() > 0.02


# Rates in CelebA's list_attr_celeba.txt; the rarest are raised on purpose, so that generators learn them.
CELEBA_RATES = {
    "Arched_Eyebrows": 0.27, "Bags_Under_Eyes": 0.20, "Bangs": 0.15, "Big_Lips": 0.24, "Big_Nose": 0.23,
    "Black_Hair": 0.24, "Blond_Hair": 0.15, "Brown_Hair": 0.21, "Bushy_Eyebrows": 0.14, "Heavy_Makeup": 0.39,
    "High_Cheekbones": 0.46, "Male": 0.42, "Mouth_Slightly_Open": 0.48, "No_Beard": 0.83, "Oval_Face": 0.28,
    "Pointy_Nose": 0.28, "Smiling": 0.48, "Straight_Hair": 0.21, "Wavy_Hair": 0.32, "Wearing_Earrings": 0.19,
    "Wearing_Lipstick": 0.47, "Wearing_Necklace": 0.12, "Young": 0.77, "5_o_Clock_Shadow": 0.11,
}
RAISED = ("Bald", "Blurry", "Chubby", "Double_Chin", "Eyeglasses", "Goatee", "Gray_Hair", "Mustache",
          "Narrow_Eyes", "Pale_Skin", "Receding_Hairline", "Rosy_Cheeks", "Sideburns", "Wearing_Hat",
          "Wearing_Necktie")


def test_natural_rates_are_like_celebas():
    assert set(CELEBA_RATES) | set(RAISED) == set(DRAWN)
    labels = _labels("natural")
    for name, rate in CELEBA_RATES.items():
        assert abs(_column(labels, name).float().mean() - rate) < 0.07, name  # the farthest: 0.044 +- 0.0035
    for name in RAISED:
        assert 0.025 < _column(labels, name).float().mean() < 0.14, name  # the rarest: 0.0345 +- 0.0013
    assert _column(labels, "Gray_Hair")[_column(labels, "Young")].float().mean() < 0.01
    smiling = _column(labels, "Smiling")
    assert _column(labels, "High_Cheekbones")[smiling].float().mean() > 0.7


def test_decorrelated_attributes_are_independent_coins():
    labels = _labels("decorrelated")
    correlation = torch.corrcoef(labels.T.float())
    dependent = {frozenset(pair) for pair in DEPENDENT}
    bound = 6.5 / len(labels) ** 0.5  # standard errors of a zero correlation, for 800 of them
    for i, first in enumerate(DRAWN):
        for j in range(i):
            if frozenset((first, DRAWN[j])) not in dependent:
                assert abs(correlation[i, j]) < bound, (first, DRAWN[j])
    grouped = {name for pair in DEPENDENT for name in pair} - {"No_Beard"}
    for name in set(DRAWN) - grouped:
        assert abs(_column(labels, name).float().mean() - 0.5) < 0.02, name


@pytest.mark.parametrize("name", DRAWN)
def test_every_attribute_shows(name):
    with_it, without = with_without(name, 24, seed=3)
    changed = (with_it - without).abs().amax(dim=1) > 0.1  # [n, R, R]
    # Hair and beard colour, glasses, ... : at least 6 of 1024 pixels, in every face of two dozen but three.
    assert (changed.sum(dim=(1, 2)) >= 6).sum() >= 21


def test_pictures_follow_labels_only_where_told():
    with_it, without = with_without("Wearing_Hat", 16)
    assert torch.equal(with_it[:, :, 16:], without[:, :, 16:])  # a hat leaves the lower half alone


def test_wrong_requests_are_explained(tmp_path):
    rng = torch.Generator().manual_seed(0)
    with pytest.raises(ValueError, match="unknown mix 'nature'"):
        sample_labels(3, rng, "nature")
    with pytest.raises(KeyError, match="Did you mean 'no_hats'"):
        sample_labels(3, rng, "natural", "no_hat")
    with pytest.raises(ValueError, match=r"got \(2, 5\)"):
        render(torch.zeros(2, 5), rng, 32)
    with pytest.raises(ValueError, match="resolution is 4"):
        faces(1, 0, resolution=4)
    with pytest.raises(ValueError, match="expected labels"):
        keep(torch.zeros(2, 5, dtype=torch.bool), "full")
    with pytest.raises(ValueError, match="seed is -1"):
        faces(1, -1)
    with pytest.raises(ValueError, match="at least 1"):
        labelled_sheet(tmp_path / "sheet.png", n=0)
    assert faces(0, 0)[0].shape == (0, 3, 32, 32)

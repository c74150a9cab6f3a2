"""Directions and traversals: what does not fit is refused with a sentence, where it is made or read."""

import numpy as np
import pytest
import torch

from dirbench.directions import Conditional, Layerwise, Mlp, Vectors
from dirbench.traversals import Traversals

AXES = torch.eye(4)[:3]


@pytest.mark.parametrize("make", [
    lambda scales: Vectors(AXES, "z", scales), lambda scales: Layerwise(AXES, torch.ones(3, 2), "w", scales),
    lambda scales: Conditional(torch.ones(3, 4, 4), torch.ones(3, 4), "z", scales),
    lambda scales: Mlp([torch.ones(3, 4, 4)], [], "z", scales)])
def test_a_direction_has_one_scale(make):
    assert len(make(torch.arange(1.0, 4.0))) == 3
    for scales in (torch.ones(4), torch.ones(3, 1)):
        with pytest.raises(ValueError, match=r"3 directions have scales .*, expected \[3\]: one number each"):
            make(scales)


def test_directions_of_chosen_layers_know_how_many_there_are():
    with pytest.raises(ValueError, match=r"directions of the layers \[1\] need n_layers"):
        Vectors(AXES, "w", layers=(1,))


@pytest.mark.parametrize("damage", [lambda raw: raw[:len(raw) // 2], lambda raw: b"", lambda raw: b"hello",
                                    lambda raw: raw[:60] + bytes(10) + raw[70:]])
def test_damaged_traversals_are_refused_by_name(tmp_path, damage):
    path = tmp_path / "traversals.npz"
    Traversals(np.zeros((3, 2, 1, 8, 8, 3), np.uint8), [1.5], np.zeros((2, 4))).save(path)
    assert len(Traversals.load(path)) == 3
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="traversals.npz: not a readable file of traversals"):
        Traversals.load(path)

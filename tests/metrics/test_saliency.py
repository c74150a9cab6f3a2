"""Saliency from a background direction: the release's masks, loss and error."""


import helpers
import numpy as np
import pytest
import torch
from torch.testing import assert_close

from dirbench.metrics._saliency import (
    difference_masks,
    foreground_probability,
    intensity_masks,
    saliency_error,
    saliency_loss,
    usable,
)

pytestmark = pytest.mark.numeric
with np.load(helpers.GOLDEN / "saliency.npz", allow_pickle=False) as file:
    GOLDEN = {key: torch.from_numpy(file[key]) if file[key].ndim else file[key].item() for key in file.files}


def moved(shift: float) -> torch.Tensor:
    """Images of the fixture's toy generator, its latents moved along the background dimension."""
    latents = GOLDEN["mask_z"].clone()
    latents[:, GOLDEN["mask_background_dim"]] += shift
    return torch.tanh(0.7 * latents @ GOLDEN["mask_G_weight"]).view(-1, 3, 12, 12)


def test_intensity_masks():
    images = moved(GOLDEN["mask_intensity_shift"])
    assert_close(images, GOLDEN["mask_img_shifted"], atol=1e-5, rtol=0)
    masks = intensity_masks(images, GOLDEN["mask_intensity_thr"])
    assert torch.equal(masks, GOLDEN["mask_intensity"].bool())
    assert_close(masks.float().mean((1, 2)), GOLDEN["mask_intensity_area_fraction"])
    assert torch.equal(usable(masks), GOLDEN["mask_intensity_kept_between_0.05_and_0.5"])


def test_difference_masks():
    shift = GOLDEN["mask_diff_shift"]
    masks = difference_masks(moved(shift), moved(-shift), GOLDEN["mask_diff_thr"])
    assert torch.equal(masks, GOLDEN["mask_diff"].bool())
    assert_close(masks.float().mean((1, 2)), GOLDEN["mask_diff_area_fraction"])
    assert torch.equal(usable(masks), GOLDEN["mask_diff_kept_between_0.05_and_0.5"])  # one is exactly half: out


def test_an_image_that_does_not_change_has_no_foreground():
    assert not difference_masks(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4), 0.9).any()


def test_network_outputs_and_loss():
    logits = GOLDEN["unet_two_channel_logits"]
    assert_close(foreground_probability(logits), GOLDEN["unet_probability_foreground"])
    loss = saliency_loss(logits, GOLDEN["ce_loss_temperature10_reference"])
    assert loss.item() == pytest.approx(GOLDEN["ce_loss_temperature10"], rel=1e-5)


def test_error():
    errors = saliency_error(GOLDEN["prediction"], GOLDEN["mask"])
    assert_close(errors, GOLDEN["mae_per_image"], atol=1e-6, rtol=0)
    assert errors.mean().item() == pytest.approx(GOLDEN["mae_mean_over_images"], abs=1e-7)
    assert saliency_error(GOLDEN["mask"], GOLDEN["mask"]).eq(0).all()
    assert saliency_error(1 - GOLDEN["mask"].float(), GOLDEN["mask"]).eq(1).all()
    with pytest.raises(ValueError, match=r"of one shape, got \(4, 24, 20\) and \(4, 20, 24\)"):
        saliency_error(GOLDEN["prediction"], GOLDEN["mask"].mT)

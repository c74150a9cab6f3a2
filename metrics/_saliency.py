"""Weakly supervised saliency from a background direction (Voynov & Babenko, ICML 2020, arXiv:2002.03754, Sec. 5).

An application of a direction rather than a score of all: where an edit fades the background out, what stays dark is
the foreground. Masks made so train a segmentation network, which is scored on photographs. Here are the masks, the
network's loss and the score; the paper's numbers also need BigGAN, ImageNet's labels and the ECSSD photographs.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

THRESHOLD = 0.95  # of eq. 2, for a shift of 26 along the direction (the release's)
AREA = (0.05, 0.5)
TEMPERATURE = 10.0


def intensity_masks(moved: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """Foreground masks [N, H, W] (bool) of images [N, 3, H, W] in [-1, 1] that were moved along the direction (eq. 2).

    True where the mean colour, in 0..1, is below ``threshold``: the direction whitens the background. A bright
    foreground is lost with it.
    """
    return 0.5 * moved.mean(dim=1) + 0.5 < threshold


def difference_masks(forward: Tensor, backward: Tensor, threshold: float) -> Tensor:
    """Foreground masks [N, H, W] (bool) from images [N, 3, H, W] moved forward and backward: the release's other kind.

    True where the change, averaged over colours and scaled to 0..1 over the positions of each sample, is below
    ``threshold``. An image that does not change at all has no such scale, and no foreground.
    """
    change = (forward - backward).mean(dim=1)
    low, high = change.amin(dim=(1, 2), keepdim=True), change.amax(dim=(1, 2), keepdim=True)
    return (change - low) / (high - low) < threshold  # 0 / 0 is NaN, which is not below anything


def usable(masks: Tensor) -> Tensor:
    """[N] bool: masks whose area is strictly between 0.05 and 0.5 of the image; others are not trained on."""
    area = masks.float().mean(dim=(1, 2))
    return (area > AREA[0]) & (area < AREA[1])


def foreground_probability(logits: Tensor) -> Tensor:
    """[N, H, W] of a network's two channels of logits [N, 2, H, W].

    The release takes the sigmoid of the second channel, although ``saliency_loss`` trains a softmax over both at
    another temperature: the two agree in rank only. As released here, for the published error was measured so.
    """
    return logits[:, 1].sigmoid()


def saliency_loss(logits: Tensor, masks: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Cross-entropy per pixel of logits [N, 2, H, W] / ``temperature`` against masks [N, H, W] (Sec. 5.1)."""
    return F.cross_entropy(logits / temperature, masks.long())


def saliency_error(prediction: Tensor, masks: Tensor) -> Tensor:
    """[N] mean absolute difference of soft predictions [N, H, W] in 0..1 from masks (eq. 3); 0 is best.

    The score of a data set is the mean over its images, whatever their sizes: pass images of different size one by one,
    and do not pool their pixels. Predictions are soft: thresholded ones have another error.

    Raises:
        ValueError: the shapes disagree (broadcasting would average over the wrong pixels).
    """
    if prediction.shape != masks.shape or prediction.ndim != 3:
        raise ValueError(f"expected predictions and masks [N, H, W] of one shape, got {tuple(prediction.shape)} and "
                         f"{tuple(masks.shape)}")
    return (prediction.double() - masks.double()).abs().mean(dim=(1, 2))

"""The card of an attribute classifier: how well it reads each attribute on images it was not trained on."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor


def balanced_accuracy(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(balanced accuracy [M] in 0..1, half width [M] of its 95% interval), thresholded at logit 0.

    The interval is normal, from binomial rates with half a success and half a failure added (Jeffreys' prior): at
    a hundred per cent it does not shrink to nothing. NaN where a column of ``labels`` has one value only.

    >>> logits, labels = torch.tensor([[1.0], [1.0], [-1.0], [1.0]]), torch.tensor([[True], [True], [False], [False]])
    >>> balanced_accuracy(logits, labels)[0]  # every positive is found, and half of the others
    tensor([0.7500], dtype=torch.float64)
    """
    rates, variance = [], torch.zeros(labels.shape[1], dtype=torch.float64, device=labels.device)
    for truth in (True, False):
        rows = labels == truth
        n, hits = rows.sum(0).double(), (rows & ((logits > 0) == truth)).sum(0).double()
        rates.append(hits / n)
        smooth = (hits + 0.5) / (n + 1)
        variance = variance + smooth * (1 - smooth) / (n + 1)
    return (rates[0] + rates[1]) / 2, 1.96 * variance.sqrt() / 2


def readings(logits: Tensor, labels: Tensor, names: Sequence[str]) -> dict[str, dict]:
    """Attribute -> balanced accuracy, its interval and the number of positives; None where it cannot be measured."""
    value, half = balanced_accuracy(logits, labels)
    found = {}
    for i, name in enumerate(names):
        numbers = {"balanced_accuracy": value[i].item(), "low": max(0.0, (value[i] - half[i]).item()),
                   "high": min(1.0, (value[i] + half[i]).item())}
        known = not math.isnan(numbers["balanced_accuracy"])
        rounded = {key: round(number, 4) if known else None for key, number in numbers.items()}
        found[name] = {"balanced_accuracy": rounded["balanced_accuracy"], "positives": int(labels[:, i].sum()),
                       "low": rounded["low"], "high": rounded["high"]}
    return found


def data_hash(images: Tensor, labels: Tensor, before: str = "") -> str:
    """sha256 (hex) of images and labels, chained to ``before``."""
    return hashlib.sha256(before.encode() + images.numpy().tobytes() + labels.numpy().tobytes()).hexdigest()


def is_readable(reading: dict, least: float) -> bool:
    """Whether a reading is measured and at least ``least``."""
    return reading["balanced_accuracy"] is not None and reading["balanced_accuracy"] >= least


def card_table(card: dict) -> str:
    """The card as a Markdown page."""
    report, training = card["held_out"], card["training"]
    unread = [name for name, good in zip(card["attributes"], card["readable"], strict=True) if not good]
    title, trained, told = _rendered_words(card) if "decorrelated" in report else _data_words(card)
    heads = [f"{mix}" for mix in report]
    lines = [f"# Oracle `{card['oracle']}`: {title}", "",
             f"{card['parameters']:,} parameters, float16, {card['resolution']}x{card['resolution']} pixels; trained "
             f"on {training['images']:,} {trained}. {told}", "",
             f"Readable (at least {card['readable_from']} on {heads[0]} {_kind(report)}): {sum(card['readable'])} of "
             f"{len(card['readable'])}. Not readable: {', '.join(unread) or 'none'}.", "",
             f"| attribute | {' | '.join(heads)} | positives in {heads[-1]} |", "|---" * (len(heads) + 2) + "|"]
    for name in card["attributes"]:
        cells = [report[mix]["attributes"][name] for mix in report]
        lines.append(f"| {name} | " + " | ".join(map(_cell, cells)) + f" | {cells[-1]['positives']} |")
    return "\n".join(lines) + "\n"


def _kind(report: dict) -> str:
    return "renders" if "decorrelated" in report else "images"


def _cell(reading: dict) -> str:
    if reading["balanced_accuracy"] is None:
        return "not measured"
    return f"{reading['balanced_accuracy']:.3f} [{reading['low']:.3f}, {reading['high']:.3f}]"


def _rendered_words(card: dict) -> tuple[str, str, str]:
    return ("mini zoo (rendered faces)",
            f"rendered faces (seed {card['training']['seed']}, half decorrelated, half natural)",
            f"Numbers below: balanced accuracy on {card['held_out']['natural']['n']:,} held-out renders of each mix, "
            "with 95% intervals, by the stored weights.")


def _data_words(card: dict) -> tuple[str, str, str]:
    training, (part,) = card["training"], card["held_out"].values()
    return (training["data"], f"images, {training['epochs']} times each (network {card['network']}, seed "
            f"{training['seed']})",
            f"Numbers below: balanced accuracy on {part['n']:,} held-out images, with 95% intervals, by the stored "
            "weights, where an attribute is called present if its probability exceeds its share of the training data "
            f"(at 0.5 the rarest would never be called). Accuracy at 0.5, the literature's figure, mean over "
            f"attributes: {part['accuracy']:.4f}.")


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of right answers at probability 0.5, the mean over attributes.

    >>> accuracy(torch.tensor([[1.0], [-1.0]]), torch.tensor([[True], [True]]))
    0.5
    """
    return ((logits > 0) == labels).double().mean().item()


def log_odds(labels: Tensor) -> Tensor:
    """log(p / (1 - p)) [M] of each attribute's rate p, half an image added on either side.

    >>> log_odds(torch.tensor([[True], [False]]))
    tensor([0.], dtype=torch.float64)
    """
    count, n = labels.sum(0).double(), len(labels)
    return torch.log((count + 0.5) / (n - count + 0.5))

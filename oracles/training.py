"""Trains the attribute classifiers of the mini zoo on rendered faces, and writes the card that says how well they read.

Half of the images have attributes drawn independently of each other and half the natural mix: on the natural mix alone
a network reads Male off lipstick and beards. Light blur, noise, colour changes and shifts keep it reading when the
images come from a generator and not from the renderer.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from benchmarks.data.attributes import DRAWN
from benchmarks.data.faces import faces
from methods.registry import did_you_mean
from oracles.classifier import ARCHITECTURES, RESOLUTION, AttributeClassifier

MIXES = ("decorrelated", "natural")
SEEDS = {"scorer": 101, "teacher": 202}
READABLE = 0.9
"""Balanced accuracy on decorrelated held-out renders from which an attribute counts."""

_ROUND = 8192  # images rendered at a time, and seen twice: rendering costs a sixth of a training step then
_PASSES = 2
_BATCH = 128
_HELD_OUT_SEEDS = {"decorrelated": 900_001, "natural": 900_002}


def to_float(images: Tensor) -> Tensor:
    """float32 in [-1, 1] of uint8 images."""
    return images.float() / 127.5 - 1


def augment(images: Tensor, rng: torch.Generator) -> Tensor:
    """Images [n, 3, R, R] in [-1, 1] as a generator might have made them: moved, tinted, softened, noisy; labels keep.

    The blur stays below half a pixel (standard deviation), well under what draws the attribute Blurry.
    """
    n, _, size, _ = images.shape

    def uniform(low: float, high: float, channels: int = 1) -> Tensor:
        return low + (high - low) * torch.rand(n, channels, 1, 1, generator=rng)

    def sometimes() -> Tensor:
        return (torch.rand(n, 1, 1, 1, generator=rng) < 0.5).float()

    flip = torch.rand(n, 1, generator=rng) < 0.5
    columns = torch.arange(size).expand(n, size)
    columns = torch.where(flip, size - 1 - columns, columns)
    columns = (columns + torch.randint(-1, 2, (n, 1), generator=rng)).clamp(0, size - 1)
    rows = (torch.arange(size) + torch.randint(-1, 2, (n, 1), generator=rng)).clamp(0, size - 1)
    index = (torch.arange(n)[:, None, None], slice(None), rows[:, :, None], columns[:, None, :])
    images = images[index].permute(0, 3, 1, 2)  # advanced indexing puts the channels last

    images = images * uniform(0.9, 1.1) * uniform(0.95, 1.05, 3) + uniform(-0.06, 0.06) + uniform(-0.03, 0.03, 3)
    side = uniform(0, 0.12) * sometimes()  # weight of each neighbour: variance 2 * side
    padded = F.pad(images, (1, 1, 0, 0), mode="replicate")
    images = images * (1 - 2 * side) + side * (padded[..., :-2] + padded[..., 2:])
    padded = F.pad(images, (0, 0, 1, 1), mode="replicate")
    images = images * (1 - 2 * side) + side * (padded[..., :-2, :] + padded[..., 2:, :])
    noise = torch.randn(images.shape, generator=rng) * uniform(0, 0.08) * sometimes()
    return (images + noise).clamp(-1, 1)


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose batch norms are folded into the convolutions before them."""
    module = copy.deepcopy(module).eval()
    for owner in [m for m in module.modules() if isinstance(m, nn.Sequential)]:
        layers: list[nn.Module] = []
        for layer in owner:
            if isinstance(layer, nn.BatchNorm2d):
                layers[-1] = fuse_conv_bn_eval(layers[-1], layer)
            else:
                layers.append(layer)
        owner._modules.clear()
        owner.extend(layers)
    return module


def balanced_accuracy(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(balanced accuracy [M] in 0..1, half width [M] of its 95% interval), thresholded at logit 0.

    The interval is normal, from binomial rates with half a success and half a failure added (Jeffreys' prior): at
    a hundred per cent it does not shrink to nothing.
    """
    rates, variance = [], 0
    for truth in (True, False):
        rows = labels == truth
        n, hits = rows.sum(0).double(), (rows & ((logits > 0) == truth)).sum(0).double()
        rates.append(hits / n)
        smooth = (hits + 0.5) / (n + 1)
        variance = variance + smooth * (1 - smooth) / (n + 1)
    return (rates[0] + rates[1]) / 2, 1.96 * variance.sqrt() / 2


def evaluate(oracle: AttributeClassifier, n: int) -> dict[str, dict]:
    """For each mix of held-out renders: balanced accuracy, interval and number of positives per attribute."""
    report = {}
    for mix, seed in _HELD_OUT_SEEDS.items():
        images, labels = faces(n, seed, mix, resolution=RESOLUTION)
        with torch.inference_mode():
            logits = torch.cat([oracle.logits(to_float(chunk)) for chunk in images.split(256)])
        value, half = balanced_accuracy(logits, labels)
        digest = hashlib.sha256(images.numpy().tobytes() + labels.numpy().tobytes()).hexdigest()
        report[mix] = {"n": n, "seed": seed, "data_sha256": digest, "attributes": {
            name: {"balanced_accuracy": round(value[i].item(), 4), "positives": int(labels[:, i].sum()),
                   "low": round(max(0.0, (value[i] - half[i]).item()), 4),
                   "high": round(min(1.0, (value[i] + half[i]).item()), 4)}
            for i, name in enumerate(DRAWN)}}
    return report


def _render_round(seed: int, index: int) -> tuple[Tensor, Tensor]:
    """The images and labels of one round, half of each mix."""
    parts = []
    for i, mix in enumerate(MIXES):
        state = int(np.random.SeedSequence([seed, index, i]).generate_state(1)[0])
        parts.append(faces(_ROUND // 2, state, mix, resolution=RESOLUTION))
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def _schedule(done: float) -> float:
    """Share of the top learning rate after the share ``done`` of training: a short rise, then a cosine to zero."""
    return min(done / 0.05, 1.0) * 0.5 * (1 + math.cos(math.pi * done))


def train_oracle(which: str, out_dir: Path, rounds: int = 10, seed: int | None = None, held_out: int = 8192,
                 learning_rate: float = 3e-3, progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Trains "scorer" or "teacher"; writes weights (float16), card (JSON) and its table (Markdown) into ``out_dir``.

    A pure function of its arguments on one machine and one thread. After each round the state is kept in
    ``<which>.training.pt`` beside the weights: a stopped training goes on from there, with the same result.

    Args:
        rounds: each renders 8,192 new images and goes through them twice.
        seed: default: the oracle's own, which the other does not share.
        held_out: rendered images of each mix that the card's numbers are from.
    Returns:
        The path of the weights.
    Raises:
        ValueError: an unknown oracle, or ``rounds`` below 1.
    """
    if which not in ARCHITECTURES:
        raise ValueError(did_you_mean("oracle", which, list(ARCHITECTURES)))
    if rounds < 1:
        raise ValueError(f"train_oracle: rounds is {rounds}, expected at least 1")
    seed = SEEDS[which] if seed is None else seed
    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    settings = {"which": which, "rounds": rounds, "seed": seed, "learning_rate": learning_rate}

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # initial weights; the only draw not from an explicit source
        network = ARCHITECTURES[which](len(DRAWN), norm=True)
    network = network.to(memory_format=torch.channels_last)
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}],
                                  lr=learning_rate)
    checkpoint = out_dir / f"{which}.training.pt"
    start, data_hash = _resume(checkpoint, settings, network, optimizer)

    steps = _ROUND * _PASSES // _BATCH
    network.train()
    for index in range(start, rounds):
        images, labels = _render_round(seed, index)
        data_hash = hashlib.sha256(data_hash.encode() + images.numpy().tobytes() + labels.numpy().tobytes()).hexdigest()
        rng = torch.Generator().manual_seed(int(np.random.SeedSequence([seed, index]).generate_state(1)[0]))
        order = torch.cat([torch.randperm(_ROUND, generator=rng) for _ in range(_PASSES)])
        for step, rows in enumerate(order.split(_BATCH)):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * _schedule((index * steps + step + 1) / (rounds * steps))
            batch = augment(to_float(images[rows]), rng).contiguous(memory_format=torch.channels_last)
            loss = F.binary_cross_entropy_with_logits(network(batch), labels[rows].float())
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        if not math.isfinite(loss.item()):
            raise RuntimeError(f"train_oracle {which}: the loss is {loss.item()} after round {index + 1}; "
                               f"try a learning rate below {learning_rate}")
        partial = checkpoint.with_suffix(".partial")
        torch.save({"settings": settings, "round": index + 1, "data_hash": data_hash, "network": network.state_dict(),
                    "optimizer": optimizer.state_dict()}, partial)
        partial.replace(checkpoint)
        progress(index + 1, rounds)
    path = _ship(which, network, out_dir, {**settings, "images": rounds * _ROUND, "passes": _PASSES, "batch": _BATCH,
                                           "data_sha256": data_hash}, held_out)
    checkpoint.unlink()
    return path


def _resume(path: Path, settings: dict, network: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, str]:
    """(rounds done, hash of their data) after loading ``path``; (0, "") where it is absent or of another training."""
    if not path.is_file():
        return 0, ""
    state = torch.load(path, weights_only=True)
    if state["settings"] != settings:
        return 0, ""
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return state["round"], state["data_hash"]


def _ship(which: str, network: nn.Module, out_dir: Path, training: dict, held_out: int) -> Path:
    """Writes weights, card and table; the card's numbers are made with exactly the stored half-precision weights."""
    stored = {name: t.detach().half().contiguous() for name, t in fold_batch_norm(network).state_dict().items()}
    final = ARCHITECTURES[which](len(DRAWN), norm=False)
    final.load_state_dict({name: t.float() for name, t in stored.items()})
    report = evaluate(AttributeClassifier(final, DRAWN, (True,) * len(DRAWN)), held_out)
    scores = report["decorrelated"]["attributes"]
    readable = [scores[name]["balanced_accuracy"] >= READABLE for name in DRAWN]
    path = out_dir / f"{which}.safetensors"
    partial = path.with_suffix(".partial")
    save_file(stored, partial, {"oracle": which})
    card = {"oracle": which, "what": "multi-label attribute classifier of the mini zoo (rendered faces)",
            "sha256": hashlib.sha256(partial.read_bytes()).hexdigest(), "resolution": RESOLUTION,
            "parameters": sum(t.numel() for t in stored.values()), "attributes": list(DRAWN), "readable": readable,
            "readable_from": READABLE, "training": training, "held_out": report}
    partial.replace(path)
    (out_dir / f"{which}.json").write_text(json.dumps(card, indent=1) + "\n")
    (out_dir / f"{which}.md").write_text(card_table(card))
    return path


def card_table(card: dict) -> str:
    """The card as a Markdown page."""
    report, training = card["held_out"], card["training"]
    unread = [name for name, good in zip(card["attributes"], card["readable"], strict=True) if not good]
    lines = [f"# Oracle `{card['oracle']}`: mini zoo (rendered faces)", "",
             f"{card['parameters']:,} parameters, float16, {card['resolution']}x{card['resolution']} pixels; trained "
             f"on {training['images']:,} rendered faces (seed {training['seed']}, half decorrelated, half natural). "
             f"Numbers below: balanced accuracy on {report['natural']['n']:,} held-out renders of each mix, with 95% "
             f"intervals, by the stored weights.", "",
             f"Readable (at least {card['readable_from']} on decorrelated renders): {sum(card['readable'])} of "
             f"{len(card['readable'])}. Not readable: {', '.join(unread) or 'none'}.", "",
             "| attribute | decorrelated | natural | positives in natural |", "|---|---|---|---|"]
    for name in card["attributes"]:
        cells = [report[mix]["attributes"][name] for mix in MIXES]
        lines.append(f"| {name} | " + " | ".join(f"{c['balanced_accuracy']:.3f} [{c['low']:.3f}, {c['high']:.3f}]"
                                                 for c in cells) + f" | {cells[1]['positives']} |")
    return "\n".join(lines) + "\n"

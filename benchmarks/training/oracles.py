"""Trains attribute classifiers, on rendered faces or on a labelled data set, and writes their cards.

Of the rendered faces half have attributes drawn independently of each other and half the natural mix: on the natural
mix alone a network reads Male off lipstick and beards. Light blur, noise, colour changes and shifts keep it reading
when the images come from a generator.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dirbench.benchmarks.data.attributes import DRAWN
from dirbench.benchmarks.data.faces import faces
from dirbench.benchmarks.data.image_set import TEST, TRAIN, ImageSet
from dirbench.benchmarks.training.distributed import Group
from dirbench.benchmarks.training.oracle_cards import (
    accuracy,
    balanced_accuracy,
    card_table,
    data_hash,
    is_readable,
    log_odds,
    readings,
)
from dirbench.names import check_name, did_you_mean
from dirbench.oracles.networks.classifier import ARCHITECTURES, NETWORKS, RESOLUTION, AttributeClassifier
from dirbench.oracles.networks.preprocessing import channels_last

__all__ = ["augment", "balanced_accuracy", "fold_batch_norm", "to_float", "train_oracle", "train_oracle_on"]

MIXES = ("decorrelated", "natural")
SEEDS = {"scorer": 101, "teacher": 202}
READABLE = 0.9
"""Balanced accuracy on decorrelated held-out renders from which an attribute counts."""

_ROUND = 8192  # images rendered at a time, and seen twice: rendering costs a sixth of a training step then
_PASSES = 2
_BATCH = 128
_IMAGES_BYTES = 2**28  # of one round of a data set; the next is read when it is used up
_HELD_OUT_SEEDS = {"decorrelated": 900_001, "natural": 900_002}


def to_float(images: Tensor) -> Tensor:
    """float32 in [-1, 1] of uint8 images."""
    return images.float() / 127.5 - 1


def augment(images: Tensor, rng: torch.Generator) -> Tensor:
    """Images [n, 3, R, R] in [-1, 1] as a generator might have made them: moved, tinted, softened, noisy; labels keep.

    The blur stays below half a pixel (standard deviation), well under what draws the attribute Blurry.
    """
    n, _, size, _ = images.shape
    device = images.device

    def uniform(low: float, high: float, channels: int = 1) -> Tensor:
        return (low + (high - low) * torch.rand(n, channels, 1, 1, generator=rng)).to(device)

    def sometimes() -> Tensor:
        return (torch.rand(n, 1, 1, 1, generator=rng) < 0.5).float().to(device)

    flip = torch.rand(n, 1, generator=rng) < 0.5
    columns = torch.arange(size).expand(n, size)
    columns = torch.where(flip, size - 1 - columns, columns)
    columns = (columns + torch.randint(-1, 2, (n, 1), generator=rng)).clamp(0, size - 1)
    rows = (torch.arange(size) + torch.randint(-1, 2, (n, 1), generator=rng)).clamp(0, size - 1)
    index = (torch.arange(n, device=device)[:, None, None], slice(None), rows[:, :, None].to(device),
             columns[:, None, :].to(device))
    images = images[index].permute(0, 3, 1, 2)  # advanced indexing puts the channels last

    images = images * uniform(0.9, 1.1) * uniform(0.95, 1.05, 3) + uniform(-0.06, 0.06) + uniform(-0.03, 0.03, 3)
    side = uniform(0, 0.12) * sometimes()  # weight of each neighbour: variance 2 * side
    padded = F.pad(images, (1, 1, 0, 0), mode="replicate")
    images = images * (1 - 2 * side) + side * (padded[..., :-2] + padded[..., 2:])
    padded = F.pad(images, (0, 0, 1, 1), mode="replicate")
    images = images * (1 - 2 * side) + side * (padded[..., :-2, :] + padded[..., 2:, :])
    if device.type != "cpu":  # noise is drawn on the device, from a seed drawn on the CPU
        seed = int(torch.randint(2**62, (), generator=rng))
        noise = torch.randn(images.shape, generator=torch.Generator(device).manual_seed(seed), device=device)
    else:
        noise = torch.randn(images.shape, generator=rng)
    noise = noise * uniform(0, 0.08) * sometimes()
    return (images + noise).clamp(-1, 1)


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose batch norms are folded into the convolutions before them."""
    module = copy.deepcopy(module).eval()
    for owner in [m for m in module.modules() if isinstance(m, nn.Sequential)]:
        layers: list[nn.Module] = []
        for layer in owner:
            if isinstance(layer, nn.BatchNorm2d):
                before = layers[-1]
                assert isinstance(before, nn.Conv2d)  # as the networks here are built
                layers[-1] = fuse_conv_bn_eval(before, layer)
            else:
                layers.append(layer)
        owner._modules.clear()
        owner.extend(layers)
    return module


@dataclass(frozen=True)
class _Course:
    """One training: what learns, from what, for how long.

    ``build(n_attributes, norm=...)``: the network; ``data(i)``: uint8 images and bool labels of round i, ``per_round``
    of them, each seen ``passes`` times; ``settings``: what must agree for a stopped training to go on.
    """

    name: str
    build: Callable[..., nn.Module]
    names: tuple[str, ...]
    rounds: int
    data: Callable[[int], tuple[Tensor, Tensor]]
    per_round: int
    passes: int
    batch: int
    seed: int
    learning_rate: float
    settings: dict
    group: Group = field(default_factory=Group)


def _schedule(done: float) -> float:
    """Share of the top learning rate after the share ``done`` of training: a short rise, then a cosine to zero."""
    return min(done / 0.05, 1.0) * 0.5 * (1 + math.cos(math.pi * done))


def _state(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _learn(course: _Course, out_dir: Path, progress: Callable[[int, int], None]) -> tuple[nn.Module, str]:
    """(trained network, hash of the data it saw); the state is kept in ``<name>.training.pt`` after each round."""
    group, device = course.group, torch.device(course.group.device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(course.seed)  # initial weights; the only draw not from an explicit source
        network = course.build(len(course.names), norm=True)
    network = channels_last(network.to(device))
    decayed = [p for p in network.parameters() if p.ndim > 1]
    plain = [p for p in network.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.02}, {"params": plain, "weight_decay": 0.0}],
                                  lr=course.learning_rate)
    checkpoint = out_dir / f"{course.name}.training.pt"
    start, seen = _resume(checkpoint, course.settings, network, optimizer)
    group.wait()  # all have read it before the leader writes the next
    learner = group.wrap(network).train()

    batch, total = course.batch, course.per_round * course.passes
    steps = total // batch
    for index in range(start, course.rounds):
        images, labels = course.data(index)
        seen = data_hash(images, labels, seen)
        rng = torch.Generator().manual_seed(_state(course.seed, index))
        order = torch.cat([torch.randperm(course.per_round, generator=rng) for _ in range(course.passes)])
        if group.rank:  # the order is everyone's, what is done to the images is not
            rng = torch.Generator().manual_seed(_state(course.seed, index, group.rank))
        for step, rows in enumerate(order[:steps * batch].split(batch)):
            for parameters in optimizer.param_groups:
                parameters["lr"] = course.learning_rate * _schedule((index * steps + step + 1)
                                                                    / (course.rounds * steps))
            rows = group.share(rows)
            x = augment(to_float(images[rows].to(device)), rng).contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                logits = learner(x)
            loss = F.binary_cross_entropy_with_logits(logits.float(), labels[rows].float().to(device))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        if not math.isfinite(loss.item()):
            raise RuntimeError(f"train_oracle {course.name}: the loss is {loss.item()} after round {index + 1}; "
                               f"try a learning rate below {course.learning_rate}")
        if group.leads:
            partial_file = checkpoint.with_suffix(".partial")
            torch.save({"settings": course.settings, "round": index + 1, "data_hash": seen,
                        "network": network.state_dict(), "optimizer": optimizer.state_dict()}, partial_file)
            partial_file.replace(checkpoint)
            progress(index + 1, course.rounds)
    group.wait()  # the last checkpoint stands before anyone leaves
    return network.cpu(), seen


def _resume(path: Path, settings: dict, network: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, str]:
    """(rounds done, hash of their data) after loading ``path``; (0, "") where it is absent or of another training."""
    if not path.is_file():
        return 0, ""
    state = torch.load(path, weights_only=True, map_location="cpu")
    if state["settings"] != settings:
        return 0, ""
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    return state["round"], state["data_hash"]


# -- on rendered faces --------------------------------------------------------------------------------------
def _render_round(seed: int, index: int) -> tuple[Tensor, Tensor]:
    """The images and labels of one round, half of each mix."""
    parts = [faces(_ROUND // 2, _state(seed, index, i), mix, resolution=RESOLUTION) for i, mix in enumerate(MIXES)]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def _rendered_report(oracle: AttributeClassifier, n: int) -> dict[str, dict]:
    """For each mix of held-out renders: balanced accuracy, interval and number of positives per attribute."""
    report = {}
    for mix, seed in _HELD_OUT_SEEDS.items():
        images, labels = faces(n, seed, mix, resolution=RESOLUTION)
        report[mix] = {"n": n, "seed": seed, "data_sha256": data_hash(images, labels),
                       "attributes": readings(_logits(oracle, images), labels, oracle.names)}
    return report


def _logits(oracle: AttributeClassifier, images) -> Tensor:
    with torch.inference_mode():
        return torch.cat([oracle.logits(to_float(images[i:i + 256])) for i in range(0, len(images), 256)])


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
    seed, out_dir = SEEDS[which] if seed is None else seed, Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    settings = {"which": which, "rounds": rounds, "seed": seed, "learning_rate": learning_rate}
    course = _Course(which, ARCHITECTURES[which], DRAWN, rounds, lambda index: _render_round(seed, index), _ROUND,
                     _PASSES, _BATCH, seed, learning_rate, settings)
    network, seen = _learn(course, out_dir, progress)
    training = {**settings, "images": rounds * _ROUND, "passes": _PASSES, "batch": _BATCH, "data_sha256": seen}
    return _ship(course, network, out_dir, {"what": "multi-label attribute classifier of the mini zoo (rendered faces)",
                                            "resolution": RESOLUTION, "readable_from": READABLE}, training,
                 lambda oracle: _rendered_report(oracle, held_out))


# -- on a data set -----------------------------------------------------------------------------------------
def train_oracle_on(data: ImageSet, name: str, out_dir: Path, network: str = "resnet50", epochs: int = 10,
                    seed: int = 101, batch: int = 128, learning_rate: float = 1e-3, readable_from: float = 0.0,
                    group: Group | None = None, crop: str = "centre",
                    progress: Callable[[int, int], None] = lambda done, total: None) -> Path:
    """Trains a classifier of all of ``data``'s attributes on its training part; the card is from its test part.

    Loss: binary cross-entropy, all attributes equally (Liu et al., ICCV 2015, have CelebA's attributes so). Stopped
    trainings go on, as in ``train_oracle``; several processes (``group``) share each batch, and batch norm sees a
    process's own share.

    Args:
        name: of the files: ``<name>.safetensors``, ``.json``, ``.md``. A suite's ``oracle:`` is the first one's path.
        network: "resnet50" (as in the papers), "resnet18" or "small" (half a million parameters); from random weights.
        readable_from: least balanced accuracy for an attribute to count; 0 counts all that can be measured, as the
            papers do (M = 40).
        crop: how the images were cropped, for the card.
    Returns:
        The path of the weights.
    Raises:
        ValueError: no attributes, an empty part, an unknown network, or settings out of range.
    """
    group = group or Group()
    if network not in NETWORKS:
        raise ValueError(did_you_mean("network", network, list(NETWORKS)))
    check_name(name, "oracle")
    train, test = data.part(TRAIN), data.part(TEST)
    if not data.names or not len(train) or not len(test):
        raise ValueError(f"train_oracle: {data.title} has {len(data.names)} attributes, {len(train)} training and "
                         f"{len(test)} test images; an oracle needs some of each. {_how(bool(data.names))}")
    batch = min(batch, len(train))
    if epochs < 1 or batch < 2:
        raise ValueError(f"train_oracle: epochs={epochs} and a batch of {batch}; expected at least 1 and 2")
    group.check_batch(batch, "train_oracle")
    rounds = max(1, math.ceil(len(train) * 3 * data.resolution**2 / _IMAGES_BYTES))
    per_round = max(batch, len(train) // rounds)
    rounds = len(train) // per_round

    def read(index: int) -> tuple[Tensor, Tensor]:
        epoch, part = divmod(index, rounds)
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(_state(seed, epoch, 1)))
        rows = order[part * per_round:(part + 1) * per_round].sort().values  # the file is read in its order
        return train.images[rows], train.labels[rows]

    out_dir = Path(out_dir)
    out_dir.mkdir(parents=True, exist_ok=True)
    settings = {"data": data.title, "data_sha256": train.data_digest(), "crop": crop, "network": network,
                "epochs": epochs, "seed": seed, "batch": batch, "learning_rate": learning_rate}
    build = partial(NETWORKS[network], resolution=data.resolution)
    course = _Course(name, build, data.names, rounds * epochs, read, per_round, 1, batch, seed, learning_rate, settings,
                     group)
    trained, _ = _learn(course, out_dir, progress)
    if not group.leads:
        return out_dir / f"{name}.safetensors"
    threshold = log_odds(train.labels)

    def report(oracle: AttributeClassifier) -> dict[str, dict]:
        logits = _logits(oracle, test.images)
        return {"held-out": {"n": len(test), "data_sha256": test.data_digest(),
                             "accuracy": round(accuracy(logits, test.labels), 4),
                             "attributes": readings(logits - threshold, test.labels, oracle.names)}}

    return _ship(course, trained, out_dir, {"what": f"multi-label attribute classifier, {data.title}",
                                            "network": network, "resolution": data.resolution,
                                            "readable_from": readable_from}, {**settings, "images": len(train)}, report)


def _how(has_attributes: bool) -> str:
    if not has_attributes:
        return ("Give a list of attributes with --attributes, or put it at the top of the folder or zip as "
                "attributes.csv: a column of file names, then a column of 1 and 0 for each attribute")
    return ("The list's column partition says which images are for training (0), validation (1) and testing (2); "
            "without it every tenth is for testing")


def _ship(course: _Course, network: nn.Module, out_dir: Path, facts: dict, training: dict,
          evaluate: Callable[[AttributeClassifier], dict[str, dict]]) -> Path:
    """Writes weights, card and table; the card's numbers are made with exactly the stored half-precision weights.

    An attribute is readable by the first of ``evaluate``'s reports.
    """
    names = course.names
    stored = {key: t.detach().half().contiguous() for key, t in fold_batch_norm(network).state_dict().items()}
    final = course.build(len(names), norm=False)
    final.load_state_dict({key: t.float() for key, t in stored.items()})
    report = evaluate(AttributeClassifier(final, names, (True,) * len(names), resolution=facts["resolution"]))
    scores = next(iter(report.values()))["attributes"]
    readable = [is_readable(scores[name], facts["readable_from"]) for name in names]
    path = out_dir / f"{course.name}.safetensors"
    unfinished = path.with_suffix(".partial")
    save_file(stored, unfinished, {"oracle": course.name})
    card = {"oracle": course.name, "what": facts["what"],
            "sha256": hashlib.sha256(unfinished.read_bytes()).hexdigest(),
            **{key: facts[key] for key in ("network", "resolution") if key in facts},
            "parameters": sum(t.numel() for t in stored.values()), "attributes": list(names), "readable": readable,
            "readable_from": facts["readable_from"], "training": training, "held_out": report}
    unfinished.replace(path)
    (out_dir / f"{course.name}.json").write_text(json.dumps(card, indent=1) + "\n")
    (out_dir / f"{course.name}.md").write_text(card_table(card))
    (out_dir / f"{course.name}.training.pt").unlink()
    return path

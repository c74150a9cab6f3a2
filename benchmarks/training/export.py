"""From training checkpoints to a zoo: fp16 weights of the averaged generators, and the manifest."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from safetensors.torch import save as as_safetensors

from dirbench.benchmarks.data.attributes import DRAWN
from dirbench.benchmarks.data.subsets import SUBSETS, lacking
from dirbench.benchmarks.generators.stylegan2 import StyleGAN2
from dirbench.benchmarks.training.config import GanConfig
from dirbench.benchmarks.training.data import data_hash, rendered, seeds
from dirbench.benchmarks.training.data_zoo import CelebASource
from dirbench.benchmarks.training.gan import TrainingError
from dirbench.benchmarks.zoo.zoo import MANIFEST, MINI

N_W_AVG = 100_000


@torch.no_grad()
def stored_state(generator: StyleGAN2) -> dict[str, torch.Tensor]:
    """fp16 state of ``generator``, its ``w_avg`` the mean of 100,000 latents mapped by just these fp16 weights."""
    state = {key: value.cpu().contiguous() for key, value in generator.state_dict().items()}
    half = {key: value.half() for key, value in state.items()}
    for key, value in state.items():
        if not half[key].isfinite().all():
            raise TrainingError(f"export: {key} does not fit fp16; its largest value is {value.abs().max()}")
    exact = StyleGAN2.from_state_dict({key: value.float() for key, value in half.items()})
    rng, total = torch.Generator().manual_seed(0), torch.zeros(exact.w_dim, dtype=torch.float64)
    for _ in range(N_W_AVG // 1000):
        total += exact.map(exact.sample_z(1000, rng)).double().sum(dim=0)
    half["mapping.w_avg"] = (total / N_W_AVG).half()
    return half


def export_gan(name: str, checkpoint: Path, folder: Path, cache: Path, source: CelebASource | None = None) -> dict:
    """Write ``<name>.safetensors`` of a training checkpoint into ``folder``; returns its entry for the manifest.

    Raises:
        TrainingError: the checkpoint is missing, or still at half resolution.
    """
    if not checkpoint.exists():
        raise TrainingError(f"export: {checkpoint} is missing; train {name} first")
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    config = GanConfig(**state["config"])
    if state["half"]:
        raise TrainingError(f"export: {name} has seen {state['seen']} images and is still at half resolution; full "
                            f"resolution begins after {config.half_images}")
    generator = config.generator(torch.Generator().manual_seed(0))
    generator.load_state_dict(state["ema"])
    if source is None:
        drawn, labels = rendered(name, state["n_images"], resolution=config.resolution, cache=cache)
        n_data, data_seed, digest = len(drawn), seeds(name)[0], data_hash(drawn)
        rates = dict(zip(DRAWN, labels.double().mean(dim=0).tolist()))
    else:
        images = source(name)
        n_data, data_seed, digest, rates = len(images), None, images.digest, images.rates()
    facts = dict(name=name, subset=name, seed=state["seed"], data_seed=data_seed, images_seen=state["seen"],
                 n_data=n_data, data_sha256=digest, config=config.as_dict())
    header = {key: json.dumps(value) for key, value in facts.items()}
    raw = as_safetensors(stored_state(generator), metadata=header)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    part = path.with_suffix(".part")
    part.write_bytes(raw)
    os.replace(part, path)
    rates = {attribute: round(rate, 5) for attribute, rate in rates.items()}
    return dict(file=path.name, sha256=hashlib.sha256(raw).hexdigest(), bytes=len(raw), images_seen=state["seen"],
                seed=state["seed"], data_seed=data_seed, n_data=n_data, data_sha256=digest,
                excludes=[list(pair) for pair in lacking(name)], rates=rates)


def export_zoo(training: Path, folder: Path = MINI, names: Sequence[str] | None = None,
               source: CelebASource | None = None) -> Path:
    """Write weights and manifest of the mini zoo from the checkpoints in ``training``/mini; returns the manifest.

    With a ``source`` it is the zoo trained on that, from the checkpoints in the folder of its name.

    The manifest is written last, so that a broken-off export is noticed: the old one no longer fits.
    """
    training, names = Path(training), tuple(names or SUBSETS)
    zoo, title = ("mini", "mini zoo (rendered faces)") if source is None else (source.name, source.title)
    gans = {name: export_gan(name, training / zoo / f"{name}.pt", folder, training / "data", source)
            for name in names}
    path = folder / MANIFEST
    part = path.with_suffix(".part")
    part.write_text(yaml.safe_dump(dict(zoo=zoo, title=title, gans=gans), sort_keys=False))
    os.replace(part, path)
    return path

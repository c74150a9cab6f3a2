"""What the commands do with a checkpoint: describe it, draw samples of it, write it as safetensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save_file
from torch import Tensor

from dirbench.benchmarks.checkpoints.errors import CheckpointError
from dirbench.benchmarks.checkpoints.reading import (
    BESIDE,
    Checkpoint,
    check_finite,
    not_finite,
    read_checkpoint,
    sha256_of,
)
from dirbench.benchmarks.commands._images import into_place
from dirbench.benchmarks.generators.families import build
from dirbench.generator import Generator, Labelled

FORMAT = "dirbench-checkpoint-1"


def describe(checkpoint: Checkpoint, generator: Generator) -> dict[str, str]:
    """What a file holds, for printing: {"family": "stylegan2", "latent spaces": "z 512, w 512, w+ 18 x 512", ...}."""
    spaces = [f"z {generator.latent_dim}"]
    if generator.w_dim:
        spaces += [f"w {generator.w_dim}", f"w+ {generator.n_layers} x {generator.w_dim}"]
    elif generator.n_layers:
        spaces.append(f"z for each of {generator.n_layers} layers")
    weights = sum(p.numel() for p in generator.parameters())
    everything = sum(value.numel() for value in checkpoint.state.values())
    dtypes = ", ".join(sorted({str(v.dtype).removeprefix("torch.") for v in checkpoint.state.values()}))
    beside = {k: v for k, v in checkpoint.extras.items() if not isinstance(v, Tensor)}
    warning = not_finite(checkpoint.state)
    return {
        **({"warning": f"{warning}: convert, synthesize, runs and audits refuse it"} if warning else {}),
        "file": f"{checkpoint.path} ({checkpoint.kind})", "sha256": checkpoint.sha256,
        "network": checkpoint.wrapper or "the only one of the file",
        "family": f"{generator.family} ({type(generator).__name__})",
        "resolution": f"{generator.resolution}x{generator.resolution}",
        "latent spaces": ", ".join(spaces) + f" (directions in {generator.space} by default)",
        "classes": str(generator.n_classes) if generator.n_classes else "none",
        "parameters": f"{weights:,} in the network; {everything:,} numbers in {len(checkpoint.state)} tensors of the "
                      f"file, {dtypes}",
        "layers": f"{len(generator.layer_names)}: {', '.join(generator.layer_names)}",
        **{f"says {key}": json.dumps(value)[:400] for key, value in beside.items()
           if key in ("class_name", "init_kwargs", "config", "source_sha256")},
    }


def samples(generator: Generator, n: int) -> Tensor:
    """[n, 3, R, R] images of z drawn with seed 0, classes in turn."""
    z = generator.sample_z(n, torch.Generator().manual_seed(0))
    with torch.inference_mode():
        if not generator.n_classes:
            return torch.cat([generator.synthesize(part, "z") for part in z.split(8)])
        c = (torch.arange(n) % generator.n_classes).to(z.device)
        labelled = cast(Labelled, generator)
        return torch.cat([labelled.synthesize(p, "z", q) for p, q in zip(z.split(8), c.split(8))])


def convert(source: Path, target: Path, family: str | None = None, key: str | None = None) -> dict[str, str]:
    """Writes the generator of ``source`` as safetensors, in its own layout; returns the metadata and the sha256.

    The metadata hold the family, the network's settings, what the source said beside the weights, and its sha256.

    Args:
        key: the place of the generator in ``source``, where the file does not make it clear.
    Raises:
        CheckpointError: ``source`` cannot be read or holds weights that are not finite, ``target`` is ``source``, or
            the written file does not make the same images.
    """
    checkpoint = read_checkpoint(source, key)
    check_finite(checkpoint.state, source)
    if target.exists() and target.samefile(source):
        raise CheckpointError(f"--to {target} is the file to be converted; give another name")
    generator = build(checkpoint, family)
    beside = {k: v for k, v in checkpoint.extras.items() if isinstance(v, Tensor)}
    settings = {"resolution": generator.resolution, "latent_dim": generator.latent_dim, "w_dim": generator.w_dim,
                "n_layers": generator.n_layers, "n_classes": generator.n_classes, **getattr(generator, "config", {})}
    said = {k: v for k, v in checkpoint.extras.items() if not isinstance(v, Tensor)}
    facts = {"format": FORMAT, "family": generator.family, "generator_config": json.dumps(settings),
             "extras": json.dumps(said), "source": checkpoint.path.name,
             "source_sha256": checkpoint.sha256, "source_network": checkpoint.wrapper}
    tensors = checkpoint.state | {f"{BESIDE}{k}": v for k, v in beside.items()}
    tensors = {k: v.detach().clone(memory_format=torch.contiguous_format) for k, v in tensors.items()}

    def write(part: Path) -> None:
        save_file(tensors, part, metadata=facts)
        again = build(read_checkpoint(part), family)
        if not torch.equal(samples(generator, 2), samples(again, 2)):
            raise CheckpointError(f"{source}: converted, it makes other images; nothing was written. Please report it")

    into_place(write, target)
    return {**facts, "sha256": sha256_of(target)}

"""Generator families, found by being there: a file in this folder with a Generator that names its ``family``."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dirbench.benchmarks.checkpoints import Checkpoint, CheckpointError, read_checkpoint
from dirbench.benchmarks.checkpoints.reading import check_finite
from dirbench.benchmarks.generators._layers import fused_setting
from dirbench.benchmarks.generators.said import a_label, finite, flag, positive, whole
from dirbench.files import at_home
from dirbench.generator import Generator
from dirbench.names import did_you_mean
from dirbench.plugins import FAMILIES

# Public layouts that no family reads: names that only they have (and one they lack), and what to say.
UNREAD: tuple[tuple[str, str | None, str], ...] = (
    ("blocks.0.0.bn4.gain.weight", None, "this is BigGAN-deep in ajbrock's layout, which is not read: its public code "
     "joins z and class in one order or the other, and a file does not say in which. BigGAN-deep of Hugging Face is "
     "read; so is any network wrapped as a generator of your own"),
    ("blocks.0.0.bn1.gain.weight", "shared.weight", "this is ajbrock's BigGAN without a class embedding "
     "(shared.weight): it was dropped when the file was written, or the network has one for each layer (G_shared off), "
     "which is not read"),
    ("gen_z.bias", "embeddings.weight", "this is BigGAN-deep of Hugging Face without its class embedding "
     "(embeddings.weight): it was dropped when the file was written, or only the generator inside the network was "
     "saved. Write it again with the embedding"),
)
SHOWN = 4
# What a user's settings must be, where the name says it whatever the family.
KINDS = {"clamp": positive, "mapping_lr": positive, "eps": positive, "truncation": positive, "truncation_psi": finite,
         "truncation_cutoff": whole, "output_scale": positive, "num_critical": whole, "final_tanh": flag,
         "fused_scale": fused_setting, "label": a_label}
OPTIONAL = ("label", "truncation_cutoff", "truncation")  # None says that there is none
# A few names that every checkpoint of a project has, for saying what an unknown one is close to.
TYPICAL: dict[str, tuple[str, ...]] = {
    "StyleGAN2 of NVIDIA": ("synthesis.b4.const", "synthesis.b4.conv1.weight", "synthesis.b8.conv0.affine.weight",
                            "mapping.fc0.weight", "mapping.w_avg"),
    "StyleGAN2 of rosinality": ("input.input", "conv1.conv.modulation.weight", "to_rgb1.conv.weight", "style.1.weight",
                                "convs.0.conv.weight", "noises.noise_0"),
    "StyleGAN or StyleGAN2 of genforce": ("synthesis.layer0.weight", "synthesis.layer1.weight", "mapping.dense0.weight",
                                          "synthesis.output0.weight", "truncation.w_avg"),
    "StyleGAN3": ("synthesis.input.weight", "synthesis.input.freqs", "synthesis.input.affine.weight",
                  "mapping.fc0.weight", "mapping.w_avg"),
    "PGGAN of genforce": ("layer0.weight", "layer1.weight", "output0.weight", "lod"),
    "BigGAN of ajbrock": ("shared.weight", "linear.weight", "blocks.0.0.conv1.weight", "output_layer.2.weight"),
    "BigGAN-deep of Hugging Face": ("embeddings.weight", "generator.gen_z.weight_orig", "generator.conv_to_rgb.bias"),
    "SN-GAN of GANLatentDiscovery": ("model.0.weight", "model.2.conv1.weight", "model.2.model.3.weight"),
    "PGGAN of ptrblck": ("features.0.conv.weight", "features.0.wscale.scale", "output.conv.weight"),
    "a discriminator of NVIDIA, not a generator": ("b4.conv.weight", "b4.fc.weight", "b4.out.weight"),
    "a discriminator of rosinality, not a generator": ("final_linear.1.weight", "final_conv.0.weight"),
}


def recognise(state: Mapping[str, Tensor]) -> type[Generator]:
    """The family whose layout has the names of ``state``.

    Raises:
        CheckpointError: none has, or several; says what the state holds and what it is close to.
    """
    found, broken = FAMILIES.load_all()
    fitting = [cls for cls in found.values() if cls.reads(state)]
    if len(fitting) == 1:
        return fitting[0]
    for name, lacking, sentence in UNREAD:
        if not fitting and name in state and lacking not in state:
            raise CheckpointError(sentence)
    shown = ", ".join(f"{name[:60]} {list(value.shape)}" for name, value in list(state.items())[:SHOWN])
    if fitting:
        names = ", ".join(cls.family for cls in fitting)
        raise CheckpointError(f"its {len(state)} tensors ({shown}, ...) fit several families ({names}): name one as "
                              "family")
    reasons = "".join(f" ({file} could not be loaded: {why})" for file, why in broken.items())
    raise CheckpointError(f"its {len(state)} tensors ({shown}, ...) fit no family of {', '.join(found)}; "
                          f"{closest(state)}{reasons}")


def closest(state: Mapping[str, Tensor]) -> str:
    """'closest is StyleGAN3, whose ... are there but not ...', or that nothing is near."""
    scores = {project: [name in state for name in names] for project, names in TYPICAL.items()}
    best = max(scores, key=lambda project: sum(scores[project]) / len(scores[project]))
    names, there = TYPICAL[best], scores[best]
    if any(there):
        held = [name for name, yes in zip(names, there) if yes]
        lacking = [name for name, yes in zip(names, there) if not yes]
        rest = f", but {', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} missing" if lacking else ""
        return f"closest is {best}: {', '.join(held)} {'is' if len(held) == 1 else 'are'} there{rest}"
    every = {name: project for project, names in TYPICAL.items() for name in names}
    for name in list(state)[:200]:
        near = difflib.get_close_matches(name, every, 1, 0.75)
        if near:
            return f"{name[:60]} is near to {near[0]} of {every[near[0]]}; are names renamed, or a prefix left?"
    return "no name is near to any of theirs. Wrap it as a generator of your own"


def build(checkpoint: Checkpoint, family: str | None = None, **overrides: object) -> Generator:
    """The frozen float32 generator of a checkpoint, on the CPU.

    Args:
        family: where the names alone do not say it; else it is recognised.
        overrides: settings of the family that tensors do not say (``clamp``, ``label``, ``truncation``, ...).
    Raises:
        CheckpointError: it fits no family, or names or shapes are wrong.
    """
    try:
        cls = FAMILIES.get(family) if family else recognise(checkpoint.state)
        _check_settings(cls, overrides)
        state = {name: value.float() if value.is_floating_point() else value
                 for name, value in checkpoint.state.items()}
        return cls.from_state_dict(state, extras=checkpoint.extras, **overrides).freeze()
    except ValueError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from error
    except (RuntimeError, TypeError, LookupError, ArithmeticError, AttributeError, MemoryError) as error:
        raise CheckpointError(f"{checkpoint.path}: has the names of a {cls.family} generator, but shapes that fit no "
                              f"such network ({type(error).__name__}: {str(error)[:200]})") from error


def _check_settings(cls: type[Generator], overrides: Mapping[str, object]) -> None:
    """ValueError naming the nearest for a setting that ``from_state_dict`` (or the class, if that passes on) lacks.

    Also for a value that is none of its setting's kind.
    """
    parameters = dict(inspect.signature(cls.from_state_dict).parameters)
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        parameters |= inspect.signature(cls).parameters
    known = [name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY and name not in ("extras", "rng")]
    for name, value in overrides.items():
        if name not in known:
            raise ValueError(f"{cls.family}: {did_you_mean('setting', name, known)}")
        try:
            if value is not None or name not in OPTIONAL:
                KINDS.get(name, lambda value: value)(value)
        except (TypeError, ValueError) as error:
            none = " (.inf for none)" if name == "clamp" else ""
            raise ValueError(f"{cls.family}: setting {name}: {value!r} is not usable: {error}{none}") from error


def load_generator(path_or_spec: Path | str | Mapping[str, Any], device: torch.device | str = "cpu",
                   **overrides: object) -> Generator:
    """The generator of a checkpoint file, frozen, on ``device``.

    Args:
        path_or_spec: a path, or {"checkpoint": path, "checkpoint_key": optional, "family": optional, settings of the
            family ...}; the key is the generator's place in the file, ``"a.b"``.
        overrides: settings over those of the spec.
    Raises:
        CheckpointError: the file cannot be read, fits no family, or holds weights that are not finite.
    """
    spec: dict[str, Any] = dict(path_or_spec) if isinstance(path_or_spec, Mapping) else {"checkpoint": path_or_spec}
    if "checkpoint" not in spec:
        raise CheckpointError(f"a generator needs the key checkpoint; got {', '.join(map(str, spec)) or 'nothing'}")
    for key in ("checkpoint", "checkpoint_key", "family"):
        if not isinstance(spec.get(key), str | Path | None):
            raise CheckpointError(f"{key}: {spec[key]!r}, expected a text")
    checkpoint = read_checkpoint(at_home(spec.pop("checkpoint")), spec.pop("checkpoint_key", None))
    check_finite(checkpoint.state, checkpoint.path)
    generator = build(checkpoint, spec.pop("family", None), **(spec | overrides))
    check_finite(generator.state_dict(), checkpoint.path)  # what stands beside the weights enters too: latent_avg
    return generator.to(device)

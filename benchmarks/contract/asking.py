"""How the clauses of generators ask one: what it fails to answer is said in a sentence, once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from dirbench.benchmarks.contract.report import Fault, Unusable
from dirbench.benchmarks.running.failures import where
from dirbench.errors import NotApplicable, one_line
from dirbench.generator import Generator

N = 3
Answer = TypeVar("Answer")


def ask(what: str, call: Callable[[], Answer]) -> Answer:
    """What ``call`` returns. Raises Unusable, with the line, where it raises something that is no word of ours."""
    try:
        return call()
    except (Fault, NotApplicable):
        raise
    except Exception as error:  # a stranger's code may raise anything
        raise Unusable(f"{what} fails: {one_line(error)}{where(error)}") from error


def latents_of(gan: Generator, n: int = N, seed: int = 0, space: str | None = None) -> Tensor:
    """Sampled latents [n, D] of ``space``. Raises Unusable where they are something else."""
    with torch.no_grad():
        found = ask(f"sample({n}, rng, {space or gan.space!r})",
                    lambda: gan.sample(n, torch.Generator().manual_seed(seed), space))
    shape = [n, ask("dim()", lambda: gan.dim(space))]
    if not isinstance(found, Tensor) or list(found.shape) != shape:
        raise Unusable(f"sample({n}) of {space or gan.space} gives {_form(found)}, expected {shape}")
    return found


def images_of(gan: Generator, latents: Tensor, space: str | None = None, **more: Tensor) -> Tensor:
    """Images [N, ?, ?, ?] of ``latents``, whatever their size. Raises Unusable where they are something else."""
    made = ask(f"synthesize of latents {list(latents.shape)} of {space or gan.space}",
               lambda: gan.synthesize(latents, space, **more))
    return _batch("synthesize", made, len(latents), "a tensor of images [N, 3, R, R]", "images are")


def activation_of(gan: Generator, latents: Tensor, layer: str, space: str | None = None) -> Tensor:
    """The activation [N, C, H, W] of ``layer``. Raises Unusable where it is something else."""
    made = ask(f"activations of layer {layer}", lambda: gan.activations(latents, layer, space))
    n = len(latents)
    return _batch(f"activations of {layer}", made, n, f"[{n}, C, H, W]", f"the activation {layer} is")


def _batch(call: str, made: object, n: int, expected: str, subject: str) -> Tensor:
    if not isinstance(made, Tensor):
        raise Unusable(f"{call} returns a {type(made).__name__}, expected {expected}")
    if not made.is_floating_point():
        raise Unusable(f"{subject} {made.dtype}, expected torch.float32")
    if made.ndim != 4 or len(made) != n:
        raise Unusable(f"{subject} {list(made.shape)} for {n} latents, expected {expected}")
    return made


def _form(value: object) -> str:
    return str(list(value.shape)) if isinstance(value, Tensor) else f"a {type(value).__name__}"

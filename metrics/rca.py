"""Reconstructor classification accuracy: can a network tell the directions apart by what they do to images?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from dirbench.bootstrap import bootstrap_means, standard_interval
from dirbench.directions import Directions
from dirbench.image_metric import GeneratorInputs, GeneratorMetric, Measured
from dirbench.metric import RESAMPLES, Band, Score
from dirbench.oracles.networks.reconstructors import (
    RECONSTRUCTORS,
    build_reconstructor,
    reconstruction_loss,
    spread_shifts,
)
from dirbench.training import frozen, train


@dataclass(frozen=True)
class RCA(GeneratorMetric):
    """Share of unseen edits whose direction a reconstructor names. Chance: 1 / K.

    A new reconstructor learns from the images before and after an edit which direction was applied and how far, the
    directions held fixed (as the paper does for its random and coordinate ones: so a method that learned with a
    reconstructor of its own gains nothing from it). Then every latent of the suite is edited once along every
    direction, and the accuracy over those K n edits is the score. High: edits look different from each other. It does
    not say that they mean anything; a direction and its copy halve each other, and edits too weak to be seen cannot be
    named. Accuracies fall with K and rise with training: compare within one suite and profile only.

    Shifts are uniform up to ``max_shift``, none nearer to zero than ``min_shift``, both in units of the suite's alpha:
    at alpha = 3 they are the published 6 and 0.5. Targets are balanced, which leaves the expectation as it was.
    Reconstructor, loss and optimiser are the paper's (Sec. 3.3, 4), see ``dirbench.methods.voynov``.

    Args:
        reconstructor: ``"lenet"``, ``"resnet18"``, or ``"auto"``: LeNet up to 64 pixels.
        shift_weight: of the shift's mean absolute error, in units of the latent space, beside the cross-entropy.
    """

    name = "rca"
    source = "Voynov & Babenko, ICML 2020, arXiv:2002.03754, Sec. 4"
    higher_is_better = True
    bounds = (0.0, 1.0)
    test_params: ClassVar[dict[str, Any]] = {"n_steps": 60, "batch": 16, "lr": 2e-3}

    n_steps: int = 100_000
    batch: int = 32
    lr: float = 1e-4
    reconstructor: str = "auto"
    max_shift: float = 2.0
    min_shift: float = 1 / 6
    shift_weight: float = 0.25

    def __post_init__(self) -> None:
        if self.reconstructor not in ("auto", *RECONSTRUCTORS):
            raise ValueError(f"rca: reconstructor={self.reconstructor!r}, expected one of auto, "
                             f"{', '.join(RECONSTRUCTORS)}")
        if self.batch < 2:
            raise ValueError(f"rca: batch={self.batch}, expected 2 or more: the reconstructor has batch norm")
        if self.n_steps < 1 or not 0 <= self.min_shift <= self.max_shift or not self.max_shift:
            raise ValueError(f"rca: n_steps={self.n_steps}, min_shift={self.min_shift}, max_shift={self.max_shift}; "
                             "expected n_steps >= 1 and 0 <= min_shift <= max_shift, max_shift > 0")

    def images(self, k: int, n: int) -> int:
        return self.n_steps * self.batch * 2 + n * (1 + k)

    def measure(self, inputs: GeneratorInputs) -> dict[str, np.ndarray]:
        """``named`` [n, K], the direction that each edit was taken for (of latent i along k); ``shift``, ``guessed``
        [n, K], how far it went and was thought to go, in units of alpha."""
        generator, context, k = inputs.generator, inputs.context, len(inputs.directions)
        device, space = generator.device, inputs.directions.space
        network = build_reconstructor(self.reconstructor, k, generator.resolution, context.rng(self.name, "start"))
        network = network.to(device)

        def images(latents: Tensor) -> Tensor:
            with torch.no_grad():
                return torch.cat([generator.synthesize(part, space) for part in latents.split(context.chunk)])

        def shifts(n: int, rng: torch.Generator) -> Tensor:
            return spread_shifts(torch.rand(n, generator=rng), self.max_shift, self.min_shift)

        def loss_at(step: int) -> Tensor:
            rng = context.rng(self.name, "shifts", step)
            index = torch.randint(k, (self.batch,), generator=rng)
            strength = inputs.alpha * shifts(self.batch, rng)
            with torch.no_grad():
                latents = generator.sample(self.batch, context.rng(self.name, "latents", step), space).float()
                moved = edited(inputs.directions, latents, index, strength)
            logits, predicted = network(images(latents), images(moved))
            return reconstruction_loss(logits, predicted, index.to(device), strength.to(device), self.shift_weight)

        with frozen(generator):
            train(network, loss_at, context, name=self.name, n_steps=self.n_steps, lr=self.lr,
                  key=lambda: f"{self} alpha={inputs.alpha} seed={context.seed} generator={generator.fingerprint()}",
                  likely="the generator's images overflowed (half precision?)")
            named, guessed = [], []
            shift = shifts(len(inputs.latents) * k, context.rng(self.name, "test")).view(-1, k)
            with frozen(network), torch.no_grad():
                for rows in torch.arange(len(inputs.latents)).split(context.chunk):
                    latents = inputs.latents[rows.to(inputs.latents.device)].to(device)
                    before = images(latents)
                    for i in range(k):
                        index = torch.full((len(rows),), i)
                        after = images(edited(inputs.directions, latents, index, inputs.alpha * shift[rows, i]))
                        logits, predicted = network(before, after)
                        named.append(logits.argmax(dim=1).cpu())
                        guessed.append(predicted.cpu() / inputs.alpha)
        return {"named": _rows(named, k).astype(np.int16), "shift": shift.numpy(), "guessed": _rows(guessed, k)}

    def compute(self, inputs: Measured, protocol: str, resamples: int = RESAMPLES) -> Score:
        self.check_protocol(protocol)
        named = inputs.arrays["named"]
        right = (named == np.arange(named.shape[1])).astype(float)
        value, low, high = float(right.mean()), np.nan, np.nan
        if resamples:
            means = bootstrap_means(right, resamples, np.random.default_rng(inputs.seed))
            low, high = standard_interval(value, means.mean(axis=1), self.bounds)
        off = np.abs(inputs.arrays["guessed"] - inputs.arrays["shift"]).mean()
        return Score(value, low, high, len(right), {"by_direction": right.mean(axis=0).tolist(),
                                                    "shift_error_in_alpha": float(off)})

    def chance(self, inputs: Measured, protocol: str) -> Band:
        """1 / K, and where 95% of accuracies lie that come from guessing each of the n K edits."""
        n, k = inputs.arrays["named"].shape
        low, high = stats.binom.interval(0.95, n * k, 1 / k)
        return Band(1 / k, float(low) / (n * k), float(high) / (n * k))


def edited(directions: Directions, latents: Tensor, index: Tensor, strength: Tensor) -> Tensor:
    """Latents [N, ...], each moved along its own direction ``index`` [N] by its own ``strength`` [N].

    w becomes w+ where the directions differ by layer.

    Raises:
        ValueError: no latents.
    """
    out: Tensor | None = None
    for k in index.unique().tolist():
        rows = (index == k).nonzero()[:, 0]
        base = latents[rows.to(latents.device)]
        unit = directions.shift(base, k, 1.0)
        base = base[:, None] if unit.ndim > base.ndim else base
        amount = strength[rows].to(base).view(-1, *[1] * (unit.ndim - 1))
        moved = base + amount * (unit - base)
        out = moved.new_empty(len(latents), *moved.shape[1:]) if out is None else out
        out[rows.to(out.device)] = moved
    if out is None:
        raise ValueError("edited: there are no latents to move")
    return out


def _rows(blocks: list[Tensor], k: int) -> np.ndarray:
    """[n, K] of blocks of rows, K blocks (one a direction) for each chunk of latents."""
    return torch.cat([torch.stack(blocks[i:i + k], dim=1) for i in range(0, len(blocks), k)]).numpy()

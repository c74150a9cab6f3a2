"""The training loop that learned directions share: Adam, milestones, checkpoints, progress, and a stop at NaN."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn

from dirbench.errors import DiscoveryError
from dirbench.method import Context

SAVE_SECONDS = 60.0  # between checkpoints; they hold the model three times (Adam keeps two moments)
CHECK_STEPS = 25  # between looks at the losses: each look makes a GPU wait


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """Evaluation mode and no weight gradients inside, everything as it was after."""
    training = [(part, part.training) for module in modules for part in module.modules()]
    wanted = [(p, p.requires_grad) for module in modules for p in module.parameters()]
    try:
        for module in modules:
            module.eval().requires_grad_(False)
        yield
    finally:
        for part, flag in training:
            part.training = flag
        for parameter, flag in wanted:
            parameter.requires_grad_(flag)


def train(model: nn.Module, loss_at: Callable[[int], Tensor], context: Context, *, name: str, key: Callable[[], str],
          n_steps: int, lr: float, weight_decay: float = 0.0, milestones: Sequence[float] = (), decay: float = 0.2,
          groups: list[dict] | None = None, after_step: Callable[[], None] | None = None,
          likely: str = "the learning rate is too high") -> Tensor:
    """Losses [n_steps] (float32, CPU) of training ``model`` in place with Adam.

    A run that was interrupted continues from ``context.checkpoint`` to the identical answer, provided that
    ``loss_at`` draws from sources seeded by the step. A parameter that a step does not use is left alone by that
    step: no decay, no momentum. The checkpoint file stays; whoever chose its path removes it once the answer is kept.

    Args:
        model: its parameters are trained; they and its buffers are what a checkpoint keeps.
        loss_at: the scalar loss, with its graph, of step 0, 1, ...; it draws what it needs by that number.
        name: of the method, for messages.
        key: says what is trained on what, asked for only where there is a checkpoint; one with another is not used.
        milestones: fractions of the run at which the learning rate is multiplied by ``decay``.
        groups: parameter groups for Adam, where not all have the same settings (default: all parameters).
        after_step: called after each update (an orthonormalisation, say).
        likely: what most probably went wrong where the loss is not finite.
    Raises:
        DiscoveryError: the loss or a parameter is NaN or infinite; names the step.
    """
    optimizer = torch.optim.Adam(groups or [{"params": list(model.parameters())}], lr=lr, weight_decay=weight_decay,
                                 fused=True)
    rates = [group["lr"] for group in optimizer.param_groups]
    turns = [round(fraction * n_steps) for fraction in milestones]
    losses = torch.full((n_steps,), torch.nan)
    mark = key() if context.checkpoint is not None else ""
    start = _resume(context.checkpoint, mark, model, optimizer, losses)
    context.progress(start, n_steps)
    fresh: list[Tensor] = []

    def look(done: int) -> None:
        if not fresh:
            return
        losses[done - len(fresh):done] = torch.stack(fresh).float().cpu()
        fresh.clear()
        bad = (~losses[:done].isfinite()).nonzero()
        if len(bad):
            step = int(bad[0])
            raise DiscoveryError(f"{name}: the loss became {losses[step].item()} at step {step} of {n_steps}; "
                                 f"likely {likely}")

    saved = time.monotonic()
    for step in range(start, n_steps):
        for group, rate in zip(optimizer.param_groups, rates):
            group["lr"] = rate * decay ** sum(step >= turn for turn in turns)
        optimizer.zero_grad(set_to_none=True)
        loss = loss_at(step)
        loss.backward()
        optimizer.step()
        if after_step is not None:
            after_step()
        fresh.append(loss.detach())
        if len(fresh) == CHECK_STEPS:
            look(step + 1)
        if context.checkpoint is not None and time.monotonic() - saved >= SAVE_SECONDS:
            look(step + 1)
            _save(context.checkpoint, mark, step + 1, model, optimizer, losses)
            saved = time.monotonic()
        context.progress(step + 1, n_steps)
    look(n_steps)
    broken = [label for label, tensor in model.state_dict().items() if not torch.isfinite(tensor).all()]
    if broken:
        raise DiscoveryError(f"{name}: {', '.join(broken)} not finite after {n_steps} steps; likely {likely}")
    return losses


def loss_notes(losses: Tensor) -> dict[str, float]:
    """Mean loss over the first and over the last tenth of a run: whether the objective fell."""
    tenth = max(1, len(losses) // 10)
    return {"loss_first": losses[:tenth].mean().item(), "loss_last": losses[-tenth:].mean().item()}


def _save(path: Path, key: str, done: int, model: nn.Module, optimizer: torch.optim.Optimizer, losses: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    torch.save({"key": key, "done": done, "model": dict(model.state_dict()), "optimizer": optimizer.state_dict(),
                "losses": losses}, partial)
    os.replace(partial, path)  # a reader sees the old file or the whole new one


def _resume(path: Path | None, key: str, model: nn.Module, optimizer: torch.optim.Optimizer, losses: Tensor) -> int:
    """Steps already done; 0 with a warning where the file is damaged or belongs to something else."""
    if path is None or not path.exists():
        return 0
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = state["key"]
    except Exception as error:  # a damaged file fails in many ways, and none is worth losing the run for
        warnings.warn(f"{path}: not a readable checkpoint ({type(error).__name__}: {error}); starting again",
                      stacklevel=3)
        return 0
    if found != key:
        warnings.warn(f"{path}: a checkpoint of something else ({found}); starting again", stacklevel=3)
        return 0
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    losses.copy_(state["losses"])
    return state["done"]

"""The same training of one GAN, its batches shared out over several processes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from dirbench.benchmarks.data.image_set import Rows
from dirbench.benchmarks.training.config import GanConfig
from dirbench.benchmarks.training.distributed import Group
from dirbench.benchmarks.training.gan import Trainer


class SharedTrainer(Trainer):
    """A ``Trainer`` that does its share of each batch; gradients are averaged before every optimiser step.

    All processes draw the same random numbers for the whole batch and take their rows of it, so that weights, order
    and checkpoints are the same everywhere, and the result is a single process's but for rounding, as long as a
    share is a multiple of the discriminator's groups of 4. Gradients are averaged by hooks on the optimisers:
    ``DistributedDataParallel`` knows neither two passes before one step nor the gradient of a gradient (R1).

    In the last stage (see ``judged.py``) each process alters and ranks the images of its own share, so that the result
    depends on how many processes there are.

    Raises ValueError where the batch cannot be shared out evenly.
    """

    def __init__(self, images: Tensor | Rows, seed: int, config: GanConfig | None = None, device: str = "cpu",
                 compiled: bool = False, *, group: Group) -> None:
        config = config or GanConfig()
        group.check_batch(config.batch, "train-zoo")
        self.group, self.leads = group, group.leads
        super().__init__(images, seed, config, group.device, compiled)

    def _build(self, half: bool) -> None:
        super()._build(half)
        for optimizer in (self.opt_g, self.opt_d):
            optimizer.register_step_pre_hook(self._average)

    def _join(self, n: int = 64) -> None:
        super()._join(n)
        self.opt_p.register_step_pre_hook(self._average)

    @torch.no_grad()
    def _average(self, optimizer: torch.optim.Optimizer, args: tuple, kwargs: dict) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])  # one message, not one for each weight
        self.group.average([flat])
        for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def _next_real(self) -> Tensor:
        return self.group.share(super()._next_real())

    def _rows(self) -> Tensor:
        return self.group.share(super()._rows())


def trainer_for(group: Group | None) -> Callable[..., Trainer]:
    """What makes the trainer of this process: the plain one where it is alone."""
    return Trainer if group is None or group.world == 1 else partial(SharedTrainer, group=group)

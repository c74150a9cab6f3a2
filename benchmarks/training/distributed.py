"""Several processes, one a device, training one network together: started by ``torchrun``, or just this one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn


@dataclass(frozen=True)
class Group:
    """This process among the others: ``rank`` of ``world``, on ``device``."""

    rank: int = 0
    world: int = 1
    device: str = "cpu"

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def share(self, batch: torch.Tensor) -> torch.Tensor:
        """Every ``world``-th row of ``batch``, from ``rank``: all processes together have each row once."""
        return batch[self.rank::self.world]

    def check_batch(self, batch: int, who: str) -> None:
        """ValueError unless ``batch`` can be shared out evenly."""
        if batch % self.world:
            raise ValueError(f"{who}: a batch of {batch} cannot be shared by {self.world} processes; choose a multiple "
                             f"of {self.world}")

    def wrap(self, network: nn.Module) -> nn.Module:
        """``network`` for training: averages gradients over the processes where there are several."""
        if self.world == 1:
            return network
        return nn.parallel.DistributedDataParallel(
            network, device_ids=[torch.device(self.device)] if self.device.startswith("cuda") else None)

    def average(self, tensors: Iterable[torch.Tensor]) -> None:
        """Replace each tensor by its mean over the processes."""
        for tensor in tensors if self.world > 1 else ():
            dist.all_reduce(tensor)
            tensor /= self.world

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.world > 1:
            dist.barrier()


@contextmanager
def joined(device: str = "cpu") -> Iterator[Group]:
    """The group that ``torchrun`` started (its WORLD_SIZE, RANK, LOCAL_RANK), or this process alone.

    With ``device`` "cuda" each process takes the GPU of its local rank and talks through NCCL, else through Gloo.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Group(device=device)
        return
    if device.startswith("cuda"):
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield Group(dist.get_rank(), world, device)
    finally:
        dist.destroy_process_group()

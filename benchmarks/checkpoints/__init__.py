"""Reading generators' checkpoints without running a byte of code from them."""

from dirbench.benchmarks.checkpoints.errors import CheckpointError
from dirbench.benchmarks.checkpoints.reading import Checkpoint, read_checkpoint

__all__ = ["Checkpoint", "CheckpointError", "read_checkpoint"]

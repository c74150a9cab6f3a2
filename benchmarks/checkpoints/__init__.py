"""Reading generators' checkpoints without running a byte of code from them."""

from benchmarks.checkpoints.errors import CheckpointError
from benchmarks.checkpoints.reading import Checkpoint, read_checkpoint

__all__ = ["Checkpoint", "CheckpointError", "read_checkpoint"]

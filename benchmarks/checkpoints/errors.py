"""The one error of the readers."""


class CheckpointError(ValueError):
    """A file cannot be used as a checkpoint: what was found, what was expected, what to do."""

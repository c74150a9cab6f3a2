"""Metrics, one file each; a file with a ``Metric`` subclass in this folder is a metric, an underscored one a helper."""

"""Metrics, one file each; alignment and statistics beside them."""

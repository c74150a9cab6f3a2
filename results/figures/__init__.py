"""Figures: one file a kind, found by being there; and sheets of pictures."""

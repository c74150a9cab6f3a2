"""Zoos: sets of GANs with a manifest, their checks and cards, and the mini zoo's weights."""

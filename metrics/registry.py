"""Finds metrics: named metric classes of the modules in this folder, and of plugins (group ``dirbench.metrics``)."""

from __future__ import annotations

import metrics
from methods.registry import find_classes, pick
from metrics.base import Metric


def load_all() -> tuple[dict[str, type[Metric]], dict[str, str]]:
    """Every metric and every file that could not be loaded; see ``methods.registry.find_classes``."""
    return find_classes(metrics, (Metric,), "metric")


def get(name: str) -> type[Metric]:
    """The metric class of that name. Raises UnknownName with the nearest known one."""
    return pick(name, "metric", *load_all())


def build(name: str) -> Metric:
    """An instance of the metric of that name. Raises UnknownName."""
    return get(name)()

"""The judges by name, as suites write them."""

from __future__ import annotations

import inspect

import torch

from methods.registry import UnknownName, did_you_mean
from oracles.base import AttributeOracle, FeatureExtractor
from oracles.classifier import ARCHITECTURES, load_oracle
from oracles.efficientnet import EfficientNetLite0

EXTRACTORS: dict[str, type[FeatureExtractor]] = {cls.name: cls for cls in (EfficientNetLite0,)}
ORACLES: tuple[str, ...] = tuple(ARCHITECTURES)


def extractor(name: str, **params: object) -> FeatureExtractor:
    """The feature extractor of that name, on the CPU.

    Raises:
        UnknownName: no such extractor, or no such parameter; the message names the nearest.
        ValueError: its weights are not installed (the message says what to install), or a parameter out of range.
    """
    if name not in EXTRACTORS:
        raise UnknownName(did_you_mean("extractor", name, list(EXTRACTORS)))
    known = list(inspect.signature(EXTRACTORS[name]).parameters)
    for key in params:
        if key not in known:
            raise UnknownName(f"{name}: " + did_you_mean("parameter", key, known))
    return EXTRACTORS[name](**params)


def oracle(name: str, device: torch.device | str = "cpu") -> AttributeOracle:
    """The attribute oracle of that name, on ``device``.

    Raises:
        UnknownName: no such oracle; the message names the nearest. ValueError: its weights are missing or altered.
    """
    return load_oracle(name, device)

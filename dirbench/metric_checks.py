"""What a metric must say of itself to be registered: sentences for what is wrong with it, before anything is run."""

from __future__ import annotations

import math
from typing import Any

from dirbench.checks import (
    abstract_faults,
    build_faults,
    call_faults,
    field_faults,
    is_flag,
    is_text,
    is_texts,
    name_faults,
    type_faults,
)

KINDS = ("single", "pair", "generator")
SHARED = ("name", "source", "higher_is_better", "bounds", "reads_missing", "needs", "protocols", "ordered",
          "tolerance", "paper_table", "also_headline", "on_control", "level_of", "perfect_why_not", "test_params",
          "asks_for_missing", "live_only", "min_live")  # the last three: of pair metrics and of single metrics


def metric_faults(cls: Any) -> list[str]:
    """What is wrong with a metric class; the first kind of fault found, in sentences without the class's name."""
    for faults in (
            lambda: name_faults(cls.name, "metric"),
            lambda: abstract_faults(cls, "metric of its kind"),
            lambda: field_faults(cls, SHARED),
            lambda: type_faults(
                cls, needs=(lambda value: is_text(value) and value in KINDS, f"one of {', '.join(map(repr, KINDS))}"),
                source=(is_text, "a text"), higher_is_better=(is_flag, "True or False"),
                bounds=(_are_bounds, "two numbers, the lower one first (infinities are allowed)"),
                reads_missing=(is_flag, "True or False"), ordered=(is_flag, "True or False"),
                tolerance=(_is_tolerance, "a number from 0, or None"), paper_table=(is_text, "a text"),
                also_headline=(is_texts, "a tuple of protocols"), on_control=(is_text, "a text"),
                level_of=(is_text, "a text"),
                perfect_why_not=(is_text, "a text"), test_params=(lambda value: isinstance(value, dict), "a dict")),
            lambda: _protocol_faults(cls),
            lambda: call_faults(cls, "compute", "inputs", "protocol", "resamples"),
            lambda: call_faults(cls, "images", "k", "n") + call_faults(cls, "measure", "inputs")
            if cls.needs == "generator" else [],
            lambda: build_faults(cls)):
        if found := faults():
            return found
    return []


def _are_bounds(value: object) -> bool:
    if not isinstance(value, tuple | list) or len(value) != 2:
        return False
    return all(isinstance(x, int | float) and not isinstance(x, bool) and not math.isnan(x) for x in value) \
        and value[0] < value[1]


def _is_tolerance(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf)


def _protocol_faults(cls: Any) -> list[str]:
    found = cls.protocols
    if not isinstance(found, tuple) or not found:
        return [f"protocols is {found!r}, expected a tuple of names, such as (\"headline\",)"]
    faults = [fault for name in found for fault in name_faults(name, "protocol")]
    if not faults and len(set(found)) < len(found):
        faults = [f"protocols is {found!r}: a name is there twice"]
    if not faults:
        faults = [f'also_headline has "{name}", which is none of its protocols ({", ".join(found)})'
                  for name in cls.also_headline if name not in found]
    if not faults and cls.needs != "pair":
        faults = [f'the protocol "{name}" ends in "index", which is for directions of two GANs that are paired by '
                  "their index" for name in found if name.endswith("index")]
    return faults

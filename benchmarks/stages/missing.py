"""Which attributes a client's data lack, as far as a zoo says it."""

from __future__ import annotations

from collections.abc import Mapping

from dirbench.benchmarks.stages.work import Work
from dirbench.metric import Metric

VARIES, ABSENT = 0.05, 0.01  # minority shares in the data that make an attribute vary, and be absent


def lacking(names: tuple[str, ...], has: Mapping[str, float], lacks: Mapping[str, float]) -> list[str]:
    """Those of ``names`` that vary in the data of one GAN and are absent from another's.

    Args:
        has, lacks: attribute -> share of the training data that has it.

    >>> lacking(("Male", "Eyeglasses"), {"Male": 0.4, "Eyeglasses": 0.06}, {"Male": 0.5, "Eyeglasses": 0.0})
    ['Eyeglasses']
    """
    a, b = ({name: min(rate, 1 - rate) for name, rate in rates.items()} for rates in (has, lacks))
    return [name for name in names if a.get(name, 0) >= VARIES and b.get(name, 1) <= ABSENT]


def missing(work: Work, pair: tuple[str, ...]) -> tuple[int, ...]:
    """Attributes that vary in the reference's data and are absent from the client's (headline S)."""
    names = work.lab.scoring_oracle.names
    found = lacking(names, *map(work.zoo.rates, pair))
    return tuple(i for i, name in enumerate(names) if name in found)


def excluded(work: Work, pair: tuple[str, ...]) -> tuple[int, ...]:
    """Attributes that the client's subset excludes by its name (S as published)."""
    found = [attribute for attribute, _ in work.zoo.excludes(pair[1])]
    return tuple(i for i, name in enumerate(work.lab.scoring_oracle.names) if name in found)


def not_said(work: Work, gans: tuple[str, ...]) -> dict[str, list]:
    """What the zoo does not say of a pair; nothing where it says all, so that such keys stay what they are."""
    silent = [[gan, key] for gan in gans for key in ("rates", "excludes") if not work.zoo.says(gan, key)]
    return {"not said": silent} if silent else {}


def why_not_scorable(work: Work, metric: Metric, protocol: str, gans: tuple[str, ...]) -> str:
    """Why a metric that asks what is missing cannot know it; "" where it can, or does not ask."""
    if not metric.reads_missing or len(gans) != 2:
        return ""
    published = protocol.startswith("published")
    key, asked = ("excludes", gans[1:]) if published else ("rates", gans)
    silent = [gan for gan in asked if not work.zoo.says(gan, key)]
    if not silent:
        return ""
    what = "what the data exclude" if published else "how often attributes occur in the data"
    return (f"zoo {work.zoo.name} does not say {what} of {', '.join(silent)} ({key}: in its manifest), so it is not "
            "known what is missing")

"""Profiles: how much is spent on a suite. ``dirbench.benchmarks.config.suite`` reads them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from dirbench.names import check_name, check_names
from dirbench.plugins import METHODS, METRICS

Count = Annotated[int, Field(gt=0)]
Half = Annotated[int, Field(ge=2)]  # latents of one half of the data: one has no spread and no split
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # those above are for the runs of chance


class Strict(BaseModel):
    """A part of a YAML file: no unknown keys, no types but those that are asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class InputSize(Strict):
    """The side of the extractor's input in pixels, for extractors that can choose; its own for None."""

    input_size: Count | None = None


class Latents(Strict):
    """How many latents directions are matched on, and how many others they are scored on."""

    match: Half
    score: Half


class Chance(Strict):
    """How many runs of the random method per GAN, each on latents of its own, chance levels are made from.

    ``reference``: of the suite's reference GAN, where not as many as of the others. It is in every pair of most tables,
    so their bands hang on its runs most of all.
    """

    runs: Annotated[int, Field(strict=True, ge=2)]
    reference: Annotated[int, Field(strict=True, ge=2)] | None = None


class Ratio(Strict):
    """Images per GAN that density ratios are trained on, and the training's length."""

    pool: Count
    steps: Count
    batch: Count


class Profile(Strict):
    """How much is spent: sizes and iteration counts, never the mathematics.

    ``gans`` are those of the ``zoo`` of that name that are compared instead of all. On a suite of another zoo, or one
    that has not all of them, nothing is left out.
    """

    profile: str
    title: str
    zoo: str = "mini"
    gans: list[str] | None = None
    pairs: Literal["reference", "all"]
    seeds: list[Seed]
    latents: Latents
    chunk: Count
    chance: Chance
    ratio: Ratio
    bootstrap: Count
    extractor: InputSize = InputSize()
    methods: dict[str, dict[str, Any]] = Field(default_factory=dict)
    metrics: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("profile")
    @classmethod
    def _named(cls, name: str) -> str:
        return check_name(name, "profile")

    @field_validator("gans")
    @classmethod
    def _gans_named(cls, gans: list[str] | None) -> list[str] | None:
        check_names(gans or [], "GAN")
        return gans

    @field_validator("seeds")
    @classmethod
    def _each_once(cls, seeds: list[int]) -> list[int]:
        doubled = [seed for seed in seeds if seeds.count(seed) > 1]
        if doubled:
            raise ValueError(f"{doubled[0]} is there twice; say each seed once")
        return seeds

    @field_validator("methods", "metrics")
    @classmethod
    def _exist(cls, sizes: dict[str, dict[str, Any]], info: ValidationInfo) -> dict[str, dict[str, Any]]:
        for name, params in sizes.items():
            (METHODS if info.field_name == "methods" else METRICS).build(name, params)
        return sizes

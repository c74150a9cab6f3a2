"""Clauses about the reader of a checkpoint: whole states are read exactly, broken ones refused with a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dirbench.benchmarks.checkpoints import read_checkpoint
from dirbench.benchmarks.contract.asking import latents_of
from dirbench.benchmarks.contract.generator_use import SAME, refuses, share
from dirbench.benchmarks.contract.report import demand
from dirbench.benchmarks.generators import families
from dirbench.benchmarks.generators.external_spec import read_spec
from dirbench.generator import Generator
from dirbench.plugins import FAMILIES

State = Mapping[str, Tensor]
# What a checkpoint may lack (ends of names): documented, and put in place of it. The low-passes are constants.
MAY_LACK = ("lod", "w_avg", "resample_filter", "upsample.kernel", "blur.kernel", "filter.kernel")


@dataclass(frozen=True)
class Source:
    """Where a generator was read from.

    Attributes:
        state: name -> tensor, as the file has them.
        read: the generator of such a state, with the file's settings and labels.
        gan: the one of ``state``.
    """

    state: State
    read: Callable[[State], Generator]
    gan: Generator


def source_of(spec: str, gan: Generator) -> Source | None:
    """The source of ``gan`` if ``spec`` means a checkpoint (a file, or a YAML file that names one), else None."""
    path = Path(spec)
    found: dict[str, Any] = dict(read_spec(path)) if path.suffix in (".yaml", ".yml") else {"checkpoint": path}
    if "checkpoint" not in found or "module" in found or not gan.family:
        return None
    checkpoint = read_checkpoint(found.pop("checkpoint"), found.pop("checkpoint_key", None))
    label = getattr(gan, "label", None)
    family = found.pop("family", None) or gan.family
    if hasattr(gan, "clamp"):  # no state says it, and layouts differ in what they mean by saying nothing
        found.setdefault("clamp", gan.clamp)

    def read(state: State) -> Generator:
        made = families.build(replace(checkpoint, state=dict(state)), family, **found)
        if made.n_classes:
            made.label = label
        return made

    return Source(checkpoint.state, read, gan)


def one_family_reads_it(source: Source) -> None:
    cls = type(source.gan)
    demand(cls.family, f"{cls.__name__} does not say its `family`")
    readers = [other.family for other in FAMILIES.load_all()[0].values() if other.reads(source.state)]
    demand(readers == [cls.family],
           f"its state is read by {', '.join(readers) or 'no family'}, expected {cls.family} alone")
    for nothing in ({}, {"foo": torch.zeros(1)}):
        demand(not cls.reads(nothing), f"{cls.__name__}.reads says True for the names {list(nothing)}")


def its_own_state_is_read_again(source: Source) -> None:
    gan, latents = source.gan, latents_of(source.gan)
    image, state = gan.synthesize(latents), gan.state_dict()
    halved = source.read({name: value.half().float() for name, value in state.items()})
    demand(share(halved.synthesize(latents), image) <= 0.05, "its state in half precision gives another image")
    exact = source.read(state)
    demand(torch.equal(exact.synthesize(latents), image), "its own state, read again, gives another image")
    demand(exact.fingerprint() == gan.fingerprint(), "its own state, read again, gives another fingerprint")


def broken_states_are_refused(source: Source) -> None:
    """A name too many, too few, or of another shape: a ValueError, or the same image where it does not matter."""
    refuses(lambda: source.read({**source.state, "left_over.weight": torch.zeros(2)}), "a tensor too many", "left_over")
    latents = latents_of(source.gan)
    image = source.gan.synthesize(latents)
    wrong = [torch.zeros(3, 2), torch.zeros(0), torch.zeros(2, 1, 1, 1, 1, 1), torch.zeros(1, 5)]
    for i, name in enumerate(list(source.state)[::5]):
        without = {key: value for key, value in source.state.items() if key != name}
        for state in (without, {**without, name: wrong[i % 4]}):
            try:
                gan = source.read(state)
            except ValueError as error:
                demand(str(error), f"a state with a broken {name} is refused without a word")
                continue
            if name not in state and name.endswith(MAY_LACK):
                continue
            demand(share(gan.synthesize(latents, gan.space), image) <= SAME, f"a state in which {name} is missing or "
                   "of another shape is read without an error, to another image")
    cls = type(source.gan)
    refuses(lambda: cls.from_state_dict({}), "an empty state")
    try:
        cls.from_state_dict(source.state, no_such_setting=1)
    except (TypeError, ValueError) as error:
        demand("no_such_setting" in str(error), f"the error for a setting that does not exist must name it: {error}")
    else:
        demand(False, "a setting that does not exist (no_such_setting) is accepted")


CLAUSES = (one_family_reads_it, its_own_state_is_read_again, broken_states_are_refused)

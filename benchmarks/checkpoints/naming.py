"""What the name of a place in a file says of the network there: averaged, a generator, or never meant."""

from __future__ import annotations

import re
from typing import NamedTuple

from dirbench.benchmarks.checkpoints import pickles
from dirbench.benchmarks.checkpoints.machine import Opaque


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


AVERAGED = _set("ema emas smooth smoothed running avg average averaged averaging swa shadow polyak gema gs ge")
GENERATOR = _set("g gen generator generators netg gema gs ge")
NEVER = _set("""
    d dis disc discriminator discriminators netd critic e enc encoder nete aug augment augmentation classifier
    opt opts optim optims optimizer optimizers optimiser optimisers scheduler schedulers sched lr scaler gradscaler rng
    loss losses criterion lpips vgg perceptual arcface facenet inception fid""")
PART = _set("mapping synthesis style")  # g_mapping and g_synthesis are one generator
USUAL = _set("""
    state dict statedict model models module modules net nets network networks params parameters weights checkpoint ckpt
    pytorch""")


class Rank(NamedTuple):
    """How surely a place holds the generator; compares as a tuple does."""

    generator: bool  # its place says so
    averaged: bool
    decoder: bool
    classed: bool  # its class says generator
    usual: bool  # every word of its place is one that says nothing: state_dict, model


def words(name: str) -> list[str]:
    """``netG_ema`` -> net, g, ema; ``stylegan3d`` -> stylegan, 3d."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+[a-z]*", name)]


def rank_of(path: tuple[str, ...], network: Opaque | None = None) -> Rank | None:
    """How surely ``path`` (and a network's class) means the generator; None for what is never meant."""
    said = [word for part in path for word in words(part)]
    cls = words(pickles.class_name(network)) if network is not None and pickles.is_network(network) else []
    if NEVER & {*said, *cls}:
        return None
    return Rank(bool(GENERATOR & {*said}), bool(AVERAGED & {*said, *cls}), "decoder" in said, "generator" in cls,
                all(word in USUAL for word in said))


def order(rank: Rank) -> tuple[int, bool, bool, bool]:
    """Averaged generators, averaged networks, generators, decoders, classes of generators, usual names, others."""
    return 2 * rank.averaged + rank.generator, rank.decoder, rank.classed, rank.usual

"""Which zoo a suite is run on, and which oracles may read its images."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from dirbench.benchmarks.config.errors import ConfigError
from dirbench.benchmarks.config.profile import Profile
from dirbench.benchmarks.config.suite import SHIPPED, Suite
from dirbench.benchmarks.zoo.zoo import NAMED, Zoo, ZooError, load_zoo
from dirbench.names import did_you_mean
from dirbench.oracles.networks.classifier import ORACLES

NONE = "none"  # an oracle's name on the command line: nothing is scored


def open_zoo(suite: Suite) -> Zoo:
    """The suite's zoo; its own ``generators`` are one, with the suite's name. Raises ZooError."""
    if not suite.generators:
        return load_zoo(cast(str, suite.zoo))  # a suite without generators of its own names a zoo
    return Zoo(suite.folder, {"zoo": suite.suite, "title": f"{suite.title} (generators brought along)",
                              "gans": suite.generators})


def fit_profile(profile: Profile, suite: Suite) -> Profile:
    """``profile`` for ``suite`` as its file has it: a choice of GANs stays with the zoo that its names are of.

    It is left out, too, where the suite has not all of them. Raises ConfigError for a name that this zoo has not.
    """
    if profile.gans is None:
        return profile
    try:
        own = suite.zoo == profile.zoo or open_zoo(suite).name == profile.zoo
    except ZooError:  # said where the zoo is needed: another may be asked for in its place
        own = False
    for gan in profile.gans if own and not suite.generators else ():
        if gan not in (names := open_zoo(suite).names):
            raise ConfigError(f"profile {profile.profile}: gans: {did_you_mean('GAN', gan, list(names))}")
    own = own and set(profile.gans) <= set(suite.gans)
    return profile if own else profile.model_copy(update={"gans": None})


def oracle_name(oracle: str | None) -> str:
    """An oracle as rows name it: a shipped one's name, a file's without folder and ending, or "none"."""
    return NONE if oracle is None else Path(oracle).stem if oracle.endswith(".safetensors") else oracle


def on_zoo(suite: Suite, zoo: str | None = None, oracle: str | None = None, teacher: str | None = None) -> Suite:
    """``suite`` on another zoo or with other judges; ``None`` leaves the suite's, "none" is no judge.

    Another zoo brings its own judges, where its manifest names them. The shipped ones read the mini zoo's rendered
    faces, so they come along to no other zoo, unless its manifest says that they read its images, too.

    Raises:
        ConfigError: a shipped oracle would score images that it does not know. ZooError: there is no such zoo.
    """
    if zoo:
        suite = suite.model_copy(update={"zoo": zoo, "generators": {}})
    place = open_zoo(suite)
    chosen = {"oracle": oracle or (place.oracle if zoo else None) or suite.oracle or place.oracle,
              "teacher": teacher or (place.teacher if zoo else None) or suite.teacher or place.teacher}
    for what, name in chosen.items():
        if name == NONE:
            chosen[what] = None
        elif name is not None and name not in SHIPPED and not name.endswith(".safetensors"):
            raise ConfigError(f"{what}: {did_you_mean('oracle', name, [*ORACLES, NONE])} A file that train-oracle made "
                              "ends with .safetensors")
        elif name in SHIPPED and place.name not in NAMED and name != getattr(place, what):
            if what == "teacher" and zoo and not teacher:  # the suite's own, for its own zoo: supervised methods rest
                chosen[what] = None
                continue
            raise ConfigError(f"the {what} {name} was trained to read the mini zoo's rendered faces, and zoo "
                              f"{place.name} is none of them: name another with --{what} FILE or as {what}: in "
                              f"{'zoo.yaml' if suite.zoo else 'the suite'} (`train-oracle` makes one)"
                              + (f"; --{what} none finds directions and draws them, without scores"
                                 if what == "oracle" else ""))
    return suite.model_copy(update=chosen)


def check_gans(suite: Suite, gans: list[str], zoo: Zoo) -> None:
    """ConfigError unless ``zoo`` has all of ``gans``, which the suite compares."""
    absent = [gan for gan in gans if gan not in zoo.names]
    if absent:
        raise ConfigError(f"suite {suite.suite} compares {', '.join(absent)}, which zoo {zoo.name} does not have (it "
                          f"has {', '.join(zoo.names)}): call its GANs as the suite does, or write a suite with the "
                          "zoo's names under gans: and controls:")

"""What a file says of its network beside the weights: each setting is used, compared with the weights, or told."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

Names = str | tuple[str, ...]
# Groups that only wrap a generator's settings: their names do not count. A mapping network's are told apart.
WRAPPING = re.compile(r"""init_kwargs|init_args|config|cfg|args|opts?|hyper_parameters|hparams|kwargs|settings|
    train(ing)?_(options|opts|args|config|kwargs)|(model|network|generator|G|synthesis)(_kwargs|_args)?|
    netG|g_ema|G_ema|state_dict""", re.VERBOSE)
# Of other networks and of the training, or written by this project.
OTHERS = re.compile(r"""D|[Dd]_.*|num_D_.*|netD.*|discriminator.*|.*optim.*|.*_opt_kwargs|.*sched.*|loss.*|.*_loss|
    augment.*|ada_.*|data.*|training_set.*|metrics?|callbacks?|loops|logger|teacher|inputs|outputs|geometry|class_name|
    format|family|source.*|generator_config|dirbench.*""", re.VERBOSE)
# Settings of a training, which leave the images of given weights as they are: whole words, then how a name may begin.
TRAINING = re.compile(r"""(.*_)?(lr|epochs?|iters?|itr|steps?|kimg|nimg|ticks?|seeds?|batch|batch_size|batch_gpu|
    betas?|beta\d|decay|ema|workers?|gpus?|device|dir|root|path|file|name|title|notes?|desc|time|version|every|freq|
    interval|fid|score|snap|gamma|state|images?|images_seen|precision|penalty)|
    mixing|path_regularize|path_batch_shrink|r1|weight_decay|amp|distributed|local_rank|world_size|mirror|cond|
    n_(sample|gpu|worker|averaged|critic).*|global_step|commit|sha256|bytes|created|subset|dim_z_effective|g_reg|num_.*acc.*|[GD]_(lr|B[12])|
    (lr|betas?|adam|ema|use_ema|which|ckpt|checkpoint|train|training|val|eval|test|sample|save|log|resume|best|grad|
    tensorboard|wandb|pytorch|lightning|num_workers|num_gpus|num_batch|num_epochs|init|skip_init)([_-].*)?""",
                      re.VERBOSE)
NVIDIA_ORDER = ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels", "mapping_kwargs", "synthesis_kwargs")
SHOWN = 6


class Said:
    """The settings in the ``extras`` of a checkpoint, wherever they lie: at the top, nested, under several names.

    A reader takes what it knows by name; what nobody took becomes a sentence for the user.

    Args:
        extras: what the file holds beside its state.
        family: for messages.

    ``groups`` are the names of the groups that settings lie in; ``trained_here`` is True for what this project's own
    training wrote.
    """

    def __init__(self, extras: Mapping[str, Any] | None, family: str) -> None:
        self.family = family
        self.groups: set[str] = set()
        self._notes: list[str] = []
        self._values: dict[str, list[tuple[str, Any]]] = {}
        self._known: set[str] = set()
        extras = dict(extras or {})
        self.trained_here = "data_sha256" in extras
        positional = extras.pop("init_args", None)
        if isinstance(positional, list | tuple):
            extras["init_args"] = dict(zip(NVIDIA_ORDER, positional))
        self._read(extras, "", "")

    def _read(self, group: Mapping[str, Any], place: str, prefix: str) -> None:
        for key, value in group.items():
            key = str(key)
            if OTHERS.fullmatch(key) or (isinstance(value, Tensor) and value.ndim):
                continue
            value = value.item() if isinstance(value, Tensor) else value
            if isinstance(value, Mapping) and key != "channels":
                self.groups.add(key)
                name = "mapping_kwargs" if key == "mapping" else key
                self._read(value, f"{place}{key}.", prefix if WRAPPING.fullmatch(key) else f"{prefix}{name}.")
            else:
                self._values.setdefault(f"{prefix}{key}", []).append((f"{place}{key}", value))

    def says(self, names: Names) -> bool:
        """Whether a value is there that is not None."""
        return any(value is not None for _, value in self._found(names))

    def _found(self, names: Names) -> list[tuple[str, Any]]:
        names = (names,) if isinstance(names, str) else names
        self._known |= set(names)
        return [pair for name in names for pair in self._values.get(name, [])]

    def take(self, names: Names, kind: Callable[[Any], Any], default: Any) -> Any:
        """The setting of one of these names, ``kind`` applied; ``default`` where the file says nothing.

        Raises:
            ValueError: ``kind`` does not accept it, or two places say two things.
        """
        found = []
        for place, value in self._found(names):
            try:
                found.append((place, value, kind(value)))
            except (TypeError, ValueError, OverflowError) as error:
                raise ValueError(f"the checkpoint's setting {place}={value!r} is not usable: {error}") from error
        for place, value, made in found[1:]:
            if made != found[0][2]:
                raise ValueError(f"the checkpoint says {found[0][0]}={found[0][1]!r} and {place}={value!r}, which are "
                                 "one setting: correct the file, or pass the one that is meant")
        return found[0][2] if found else default

    def only(self, names: Names, *fine: Any) -> None:
        """ValueError where the file says something else than ``fine``, the only thing that is computed here."""
        for place, value in self._found(names):
            held = value.lower() if isinstance(value, str) else list(value) if isinstance(value, tuple) else value
            if held not in fine:
                raise ValueError(f"{self.family}: the checkpoint says {place}={value!r}, and only "
                                 f"{fine[0]!r} can be computed here")

    def size(self, names: Names, found: int, meaning: str) -> None:
        """ValueError where the file says another size than its weights have. None and texts of other use are passed."""
        for place, value in self._found(names):
            if isinstance(value, int | float) and not isinstance(value, bool) and value != found:
                raise ValueError(f"{self.family}: the checkpoint says {place}={value!r}, but its weights have {found} "
                                 f"({meaning}): settings and weights are of two networks")

    def skip(self, *names: str) -> None:
        """These are known, and change nothing in the images of given weights computed in float32."""
        self._known |= set(names)

    def note(self, sentence: str) -> None:
        """Adds a sentence for the user."""
        self._notes.append(sentence)

    def told(self) -> tuple[str, ...]:
        """All sentences, the last about settings that nobody took (words of a training left out)."""
        left = [f"{place}={str(value)[:40]}" for name, values in self._values.items() if name not in self._known
                for place, value in values if not TRAINING.fullmatch(name.rpartition(".")[2]) and value is not None]
        if left and not self.trained_here:  # a zoo's own files say how they were trained
            more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
            self.note(f"the file says {', '.join(left[:SHOWN])}{more}, which {self.family} does not know here and does "
                      "not apply; if it changes images, these are not the network's")
            self._values.clear()
        return tuple(self._notes)


# -- kinds of values -------------------------------------------------------------------------------
def positive(value: Any) -> float:
    """A positive number."""
    if isinstance(value, bool) or value is None or not float(value) > 0:
        raise ValueError("expected a positive number")
    return float(value)


def limit(value: Any) -> float:
    """A limit of activations; None, or the text, as projects write "none", is infinite."""
    return math.inf if value is None or str(value).lower() == "none" else positive(value)


def whole(value: Any) -> int:
    """A whole number from 0."""
    if isinstance(value, bool) or int(value) != float(value) or int(value) < 0:
        raise ValueError("expected a whole number from 0")
    return int(value)


def flag(value: Any) -> bool:
    """True or False, also as 0 or 1 or as text."""
    known = {"true": True, "false": False, "1": True, "0": False}
    if str(value).lower() not in known:
        raise ValueError("expected true or false")
    return known[str(value).lower()]


def finite(value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool | str) or not math.isfinite(value):
        raise ValueError("expected a number")
    return float(value)


def a_label(value: Any) -> Any:
    """A class index, or the weights of a mixture of classes."""
    if isinstance(value, bool | str) or (isinstance(value, float) and value != int(value)):
        raise ValueError("expected the number of a class, or a list of class weights")
    return value


def check_start(shape: tuple[int, ...], family: str, name: str, side: int | None = None) -> None:
    """ValueError unless the map that a network starts from ([..., H, W]) is square, of ``side`` if one is named."""
    height, width = shape[-2:]
    if height != width:
        raise ValueError(f"{family}: {name} is {width} wide and {height} high: only square images are read")
    if side is not None and height != side:
        raise ValueError(f"{family}: {name} is {height}x{width}, expected {side}x{side}, from which these networks "
                         "start")


def check_channels(found: int, family: str) -> int:
    """``found`` if it is 3 or, for grey, 1. Raises ValueError."""
    if found not in (1, 3):
        raise ValueError(f"{family}: images of {found} channels, expected 3 (or 1 for grey)")
    return found

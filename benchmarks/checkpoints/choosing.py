"""Which network of a file is the generator: by what its place in the file is called, or by the key that a user names.

A place is a path of keys, and of prefixes of names where several networks share one state dict (``state_dict`` and
``generator`` for ``{"state_dict": {"generator.fc.weight": ..., "discriminator.fc.weight": ...}}``). Averaged weights
(``g_ema``, ``generator_smooth``, ``model_ema``) come before last ones, named generators before unnamed networks;
discriminators, encoders and optimisers are never meant. Where several are equally good, the user must say.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from dirbench.benchmarks.checkpoints import pickles
from dirbench.benchmarks.checkpoints.errors import CheckpointError
from dirbench.benchmarks.checkpoints.machine import Opaque
from dirbench.benchmarks.checkpoints.naming import AVERAGED, GENERATOR, PART, USUAL, order, rank_of, words

LAYERS_PUT_IN = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_forward_module.",
                 "_original_module.")  # of torch.compile, FSDP and Lightning's Fabric
WRAPPER = "module."  # of DataParallel and of torch's AveragedModel
COUNTS = ("total_ops", "total_params")  # left in every module by thop, which counts operations
ALONE = ("n_averaged", "initted", "step")  # beside averaged weights
MAX_PLACES, MAX_NETWORKS, MAX_DEPTH, MAX_LISTED = 200_000, 300, 8, 16
MAX_PREFIXES, MAX_GROUPS = 4, 64  # how many prefixes a name may have, and how many networks a state dict
CONTAINERS = (dict, list, tuple, Opaque)
A_TENSOR = "a tensor on "
TENSORFLOW = ("dnnlib.tflib", "tfutil", "tensorflow", "keras")
HOW = "say which with --key NAME, or checkpoint_key: NAME in YAML"


@dataclass(frozen=True)
class Around:
    """The entries among which something lies, under ``key``, and what lies around them."""

    outer: Around | None
    entries: Mapping[Any, Any]
    key: str


@dataclass(frozen=True)
class Found:
    """A network in a file.

    Attributes:
        path: keys and prefixes that lead to it.
        state: name -> tensor, names without wrappers' prefixes.
        around: where it lies.
        loose: tensors without a prefix, in a state dict that several networks share.
        network: where the file holds the network itself, what it says of it; else None.
        error: why its state cannot be read.
    """

    path: tuple[str, ...]
    state: dict[str, Tensor]
    around: Around | None = None
    loose: dict[str, Tensor] = field(default_factory=dict)
    network: Opaque | None = None
    error: CheckpointError | None = None

    @property
    def key(self) -> str:
        """As ``--key`` takes it."""
        return ".".join(self.path)

    def beside(self) -> dict[str, Any]:
        """What stands around it in the file, by name; the nearer thing where names are equal."""
        places, around = [], self.around
        while around is not None:
            places.append(around)
            around = around.outer
        out: dict[str, Any] = {}
        for place in reversed(places):
            out.update({k: v for k, v in place.entries.items() if isinstance(k, str) and k != place.key})
        return out | self.loose


def choose(tree: Any, key: str | None = None, names: Iterable[str] | None = None) -> Found:
    """The generator in what a file holds.

    Args:
        key: the place that the user names, ``"a.b"``; what lies there is looked through in the same way.
        names: of the tensors that are needed, where they are known: a network with exactly these comes first.
    Raises:
        CheckpointError: there is none, or several that could be meant; says what is there and how to choose.
    """
    path: tuple[str, ...] = ()
    around: Around | None = None
    if key is not None:
        path, tree, around = _at(tree, str(key))  # YAML reads 0 as a number
    everything, opaque, passed = _search(tree, around)
    found = None
    if names is not None:
        wanted = set(names)
        fitting = [form for one in everything for form in _forms(one) if form.state.keys() == wanted]
        found = _best(fitting, passed) if fitting else None
    if found is None:
        candidates = [part for one in _outermost(everything) for part in split(one)]
        if not candidates:
            raise CheckpointError(_nothing(tree, opaque, passed))
        found = _best(candidates, passed)
        _nothing_better(found, opaque)
    if found.error:
        raise found.error
    _all_dense(found)
    return replace(found, path=path + found.path)


def _all_dense(found: Found) -> None:
    """CheckpointError if a tensor of the state dict is of a kind that is not read: it would be missing in silence."""
    rest = found.around.entries if found.around and not found.around.key else {}  # of the same dict
    for name, value in rest.items():
        if isinstance(value, Opaque) and ("torch._utils._rebuild" in value.name or value.name.startswith(A_TENSOR)):
            raise CheckpointError(f"holds {str(name)[:80]!r} as {value.name[:80]}, a sparse, quantized or rare kind of "
                                  "tensor; expected dense numbers")


def _nothing_better(chosen: Found, opaque: list[tuple[tuple[str, ...], Opaque]]) -> None:
    """CheckpointError if there is an averaged generator that cannot be read: the last one is not used in silence."""
    rank = rank_of(chosen.path)
    if rank and rank.averaged:
        return
    for path, thing in opaque:
        said = {word for part in path for word in words(part)}
        if said & GENERATOR and said & AVERAGED and said <= GENERATOR | AVERAGED | USUAL:
            raise CheckpointError(f"its {'.'.join(path)} {thing.refusal()}; or use {chosen.key or 'another network'}: "
                                  f"{HOW}")


# -- of several, the best -------------------------------------------------------------------------------------
def _best(candidates: list[Found], passed: list[str]) -> Found:
    """The one that its place speaks for. Raises CheckpointError for none and for several."""
    ranked = [(rank, found) for found in candidates if (rank := rank_of(found.path, found.network))]
    if not ranked:
        held = ", ".join(found.key[:60] for found in candidates[:8])
        raise CheckpointError(f"holds only {held}, by name no generator; if one is, {HOW}")
    top = max(order(rank) for rank, _ in ranked)
    best = [found for rank, found in ranked if order(rank) == top]
    if len(best) > 1 and not all(_same(best[0].state, other.state) for other in best[1:]):
        if [found.path for found in best] == [("0",), ("2",)] and passed == ["1"]:
            return best[1]  # G_ema of a tuple (G, D, G_ema), the order in which NVIDIA's code has always written them
        places = ", ".join({found.key[:60] or "its top level": None for found in best[:24]})
        raise CheckpointError(f"holds several networks that could be the generator: {places}; {HOW}")
    return best[0]


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    """Whether two states are the same tensors, not copies."""
    return one.keys() == other.keys() and all(
        value.data_ptr() == other[name].data_ptr() and value.shape == other[name].shape for name, value in one.items())


# -- looking through a file -----------------------------------------------------------------------------------
def _search(tree: Any, around: Around | None) -> tuple[list[Found], list[tuple[tuple[str, ...], Opaque]], list[str]]:
    """(networks and state dicts, opaque things with their places, places that are never meant), outer ones first."""
    found: list[Found] = []
    passed: list[str] = []
    opaque: list[tuple[tuple[str, ...], Opaque]] = []
    waiting: list[tuple[tuple[str, ...], Any, Around | None]] = [((), tree, around)]
    seen: set[int] = set()
    while waiting:
        path, value, around = waiting.pop()
        if id(value) in seen or len(path) > MAX_DEPTH:
            continue
        seen.add(id(value))
        if len(seen) > MAX_PLACES:
            raise CheckpointError(f"has more than {MAX_PLACES} places where a network could be; {HOW}")
        if len(found) > MAX_NETWORKS:
            raise CheckpointError(f"has more than {MAX_NETWORKS} networks that could be the generator; {HOW}")
        if rank_of(path, value if isinstance(value, Opaque) else None) is None:
            passed.append(".".join(path)[:60])
            continue
        if pickles.is_network(value):
            found.append(_network(path, value, around))
            continue
        if isinstance(value, Opaque):
            opaque.append((path, value))
        entries = _entries(value)
        if state := _tensors(entries):
            rest = {k: v for k, v in entries.items() if k not in state}
            found.append(Found(path, state, Around(around, rest, "")))
        waiting += [((*path, str(k)), v, Around(around, entries, str(k))) for k, v in reversed(list(entries.items()))
                    if isinstance(v, CONTAINERS) and (isinstance(k, str) or not isinstance(value, dict))]
    return found, opaque, passed


def _network(path: tuple[str, ...], network: Opaque, around: Around | None) -> Found:
    """A network with its state; what is not asked for may be unreadable."""
    try:
        return Found(path, pickles.flat_state(network), around, network=network)
    except CheckpointError as error:
        return Found(path, {}, around, network=network, error=error)


def _entries(value: Any) -> Mapping[Any, Any]:
    if isinstance(value, (list, tuple)):
        return dict(enumerate(value)) if len(value) <= MAX_LISTED else {}
    if isinstance(value, Opaque):
        return value.content()
    if isinstance(value, dict) and any(isinstance(key, bytes) for key in value):  # texts of Python 2, read as bytes
        return {key.decode("latin1") if isinstance(key, bytes) else key: held for key, held in value.items()}
    return value if isinstance(value, dict) else {}


def _tensors(entries: Mapping[Any, Any]) -> dict[str, Tensor]:
    made = {k: pickles.as_tensor(v) for k, v in entries.items() if isinstance(k, str)}
    return {k: v for k, v in made.items() if v is not None}


def _outermost(everything: list[Found]) -> list[Found]:
    """Networks, not single tensors beside one: of a place and those within it the one with more tensors counts."""
    large = [f for f in everything if f.error or (f.network is not None and f.state)
             or any(v.ndim > 1 for v in f.state.values())] or everything  # an activation is a module without tensors

    def beaten(one: Found) -> bool:
        def inside(inner: Found, outer: Found) -> bool:
            return len(inner.path) > len(outer.path) and inner.path[:len(outer.path)] == outer.path
        size = len(one.state)
        return any((inside(one, other) and len(other.state) >= size) or (inside(other, one) and len(other.state) > size)
                   for other in large if other is not one)

    return [found for found in large if not beaten(found)]


# -- several networks in one state dict ---------------------------------------------------------------------------
def bare(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without what DataParallel, torch.compile and counters of operations put into names and beside them."""
    state = {name: value for name, value in state.items() if name.rpartition(".")[2] not in COUNTS}
    for layer in LAYERS_PUT_IN:
        if any(layer in name for name in state):
            state = {name.replace(layer, ""): value for name, value in state.items()}
    for _ in range(2 * MAX_PREFIXES):
        wrapped = [name for name in state if name.startswith(WRAPPER)]
        if not wrapped or any(name not in ALONE for name in state.keys() - {*wrapped}):
            break
        state = {name.removeprefix(WRAPPER): state[name] for name in wrapped}
    return state


def split(found: Found, depth: int = 0) -> list[Found]:
    """The networks that share one state dict by prefixes of their names, or the one that it is."""
    state = bare(found.state)
    found = replace(found, state=state)
    groups = _groups(state)
    if not groups or depth == MAX_PREFIXES:
        return [found]
    ranks = {group: rank_of((group,)) for group in groups}
    never = [group for group, rank in ranks.items() if rank is None]
    named = [group for group, rank in ranks.items() if rank and not PART & {*words(group)}
             and (rank.generator or rank.averaged or rank.decoder)]
    other = [group for group in groups if group not in never and group not in named]
    if named and (not other or never or _parallel(state, named, other)):
        parts = [part for group in named for part in split(_part(found, group), depth + 1)]
        return parts + [_part(found, group) for group in never]
    if len(other) == 1 and not named:  # one network beside discriminators, or one that holds several
        inner = split(_part(found, other[0]), depth + 1)
        if never or len(inner) > 1 or len(inner[0].path) > len(found.path) + 1:
            return inner
    if never and other:
        kept = {name: value for name, value in state.items() if name.partition(".")[0] not in never}
        return [replace(found, state=kept)]
    return [found]


def _groups(state: Mapping[str, Tensor]) -> list[str]:
    """The first parts of names, if they are so few that each could be a network's."""
    groups = {name.partition(".")[0]: None for name in state if "." in name}
    return list(groups) if len(groups) <= MAX_GROUPS else []


def _parallel(state: Mapping[str, Tensor], named: list[str], other: list[str]) -> bool:
    """Whether another group has the very names of a named one: the last weights beside the averaged ones."""
    def within(group: str) -> frozenset[str]:
        return frozenset(name.removeprefix(f"{group}.") for name in state if name.startswith(f"{group}."))
    networks = {names for names in map(within, named) if any("." in name for name in names)}  # gen_z is but a layer
    return not networks.isdisjoint(map(within, other))


def _part(found: Found, group: str) -> Found:
    """The network whose names begin with ``group.``; tensors without any prefix are beside it."""
    state = {name.removeprefix(f"{group}."): v for name, v in found.state.items() if name.startswith(f"{group}.")}
    loose = {name: value for name, value in found.state.items() if "." not in name}
    inner = pickles.submodule(found.network, group) if found.network is not None else None
    return replace(found, path=(*found.path, group), state=state, loose=found.loose | loose, network=inner)


def _forms(found: Found, depth: int = 0) -> Iterator[Found]:
    """Every state dict that a state dict may stand for: as it is, without wrappers, and each prefix's part."""
    if not rank_of(found.path, found.network):
        return
    yield found
    state = bare(found.state)
    found = replace(found, state=state)
    yield found
    if depth < MAX_PREFIXES:
        for group in _groups(state):
            yield from _forms(_part(found, group), depth + 1)


# -- a user's key ------------------------------------------------------------------------------------------------
def _at(tree: Any, key: str) -> tuple[tuple[str, ...], Any, Around | None]:
    """(path, what lies there, where that is); prefixes of names are found like keys.

    Raises:
        CheckpointError: there is no such place, or no network; says what there is.
    """
    path: tuple[str, ...] = ()
    around: Around | None = None
    left = [part for part in key.split(".") if part]
    if not left:
        raise CheckpointError(f"--key {key!r}: expected a name such as generator, or a.b for b in a")
    while left:
        flat = pickles.flat_state(tree) if pickles.is_network(tree) else _entries(tree)
        entries = {str(k): v for k, v in flat.items() if isinstance(k, (str, int))}
        for n in range(len(left), 0, -1):  # keys may have dots of their own
            name = ".".join(left[:n])
            inside = {k.removeprefix(f"{name}."): v for k, v in entries.items() if k.startswith(f"{name}.")}
            if name in entries or inside:
                break
        else:
            raise CheckpointError(_no_such_key(".".join(left), path, entries))
        part = pickles.submodule(tree, name) if pickles.is_network(tree) else None
        around = Around(around, {k: v for k, v in entries.items() if not k.startswith(f"{name}.")}, name)
        tree = part or entries.get(name, inside)
        path, left = (*path, name), left[n:]
    if not isinstance(tree, CONTAINERS):
        raise CheckpointError(f"has a {type(tree).__name__.lower()} under the key {key!r}; expected a network's "
                              "tensors by name")
    return path, tree, around


def _no_such_key(name: str, path: tuple[str, ...], entries: Mapping[str, Any]) -> str:
    held = {k.partition(".")[0] if isinstance(v, Tensor) else k: None for k, v in entries.items()}
    place = f" in {'.'.join(path)}" if path else ""
    shown = ", ".join(list(held)[:12]) or "nothing"
    return f"has no {name[:80]!r}{place}, as the key asks for; there is {shown}"


# -- nothing found -----------------------------------------------------------------------------------------------
def _nothing(tree: Any, opaque: list[tuple[tuple[str, ...], Opaque]], passed: list[str]) -> str:
    """Why a file without any network has none."""
    for _, thing in opaque:
        if thing.name.startswith(TENSORFLOW) or ".tflib." in thing.name or "build_func_name" in thing.content():
            return (f"holds networks of NVIDIA's TensorFlow code ({thing.name[:80]}), which are not read here. Convert "
                    "the file first: legacy.py of stylegan3 (StyleGAN2), convert_weight.py of rosinality (StyleGAN2) "
                    "and genforce's converters (PGGAN, StyleGAN, StyleGAN2) write what is read")
    if opaque:
        return opaque[0][1].refusal()
    if isinstance(tree, dict) and any(isinstance(v, Tensor) for v in tree.values()):
        return "holds tensors whose names are no texts; expected a generator's state dict"
    if not isinstance(tree, (dict, Opaque)):
        return (f"holds a {type(tree).__name__}; expected NVIDIA's network snapshot, or a generator's state dict, "
                "alone or in a dict")
    entries = _entries(tree)
    held = ", ".join(f"{str(k)[:40]} ({type(v).__name__})" for k, v in list(entries.items())[:8]) or "nothing"
    others = f" ({', '.join(passed[:6])}: by name no generator)" if passed else ""
    return (f"holds no generator: there is {held}{others}; expected tensors by name, or a dict with them under a key "
            f"such as G_ema. If a generator is there, {HOW}")

"""NVIDIA's network snapshots (``network-snapshot-*.pkl``) as plain trees: nothing in them is executed or imported.

Such a file is a pickle of {"G", "D", "G_ema", ...}; each network and submodule is a call of
``torch_utils.persistence._reconstruct_persistent_obj`` with its class name, its attributes and its source text. The
public loader runs that text. Here the call yields a :class:`Module`, the text is not even kept, and the state dict is
what joining the submodules' names with dots gives, as in ``torch.nn.Module.state_dict``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from torch import Tensor

from benchmarks.checkpoints import rebuild
from benchmarks.checkpoints.errors import CheckpointError
from benchmarks.checkpoints.machine import Machine, Table
from benchmarks.checkpoints.rebuild import NumpyArray, NumpyType

NETWORKS = ("G_ema", "G")
MAX_DEPTH, MAX_TENSORS, MAX_NAME, MAX_PLAIN = 50, 100_000, 200, 1000
MAX_MEMBERS = 500_000
EASY_DICT = (("dnnlib.util", "EasyDict"), ("dnnlib", "EasyDict"))


@dataclass(frozen=True)
class Module:
    """A network or submodule as its snapshot describes it: names and tensors, no behaviour.

    Attributes:
        class_name: as written, ``"Generator"``. init_args, init_kwargs: its constructor's arguments, plain.
        parameters, buffers: name -> tensor. modules: name -> submodule.
        passing: names of buffers that are not part of a state dict.
    """

    class_name: str
    init_args: tuple[Any, ...] = ()
    init_kwargs: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Tensor] = field(default_factory=dict)
    buffers: dict[str, Tensor] = field(default_factory=dict)
    modules: dict[str, Module] = field(default_factory=dict)
    passing: Set[str] = frozenset()


def read_snapshot(raw: bytes) -> dict[str, Any]:
    """The snapshot's entries: networks as :class:`Module`, the rest plain.

    Raises:
        CheckpointError: the pickle is damaged, is no snapshot, or asks for any name but those of a snapshot.
    """
    reader = _Reader()
    value = Machine(io.BytesIO(raw), reader.table()).run()
    if not isinstance(value, dict):
        raise CheckpointError(f"holds a {type(value).__name__}; expected NVIDIA's network snapshot, a dict with G_ema")
    return value


def choose_network(snapshot: Mapping[str, Any]) -> tuple[str, Module]:
    """(name, network): ``G_ema``, else ``G``."""
    for name in NETWORKS:
        if isinstance(snapshot.get(name), Module):
            return name, snapshot[name]
    found = ", ".join(str(key)[:40] for key in list(snapshot)[:8]) or "nothing"
    raise CheckpointError(f"holds {found}, but no generator under {' or '.join(NETWORKS)}; expected NVIDIA's network "
                          "snapshot")


def flat_state(module: Module) -> dict[str, Tensor]:
    """name -> tensor of a network and all its submodules, in the order of the public state dict."""
    out: dict[str, Tensor] = {}
    for prefix, part in _walk(module):
        kept = {name: value for name, value in part.buffers.items() if name not in part.passing}
        for name, value in (part.parameters | kept).items():
            out[f"{prefix}{name}"] = value
        if len(out) > MAX_TENSORS:
            raise CheckpointError(f"holds a network of more than {MAX_TENSORS} tensors")
    return out


def _walk(module: Module) -> Iterator[tuple[str, Module]]:
    waiting, seen = [("", 0, module)], 0
    while waiting:
        prefix, depth, part = waiting.pop()
        if depth > MAX_DEPTH or seen + len(part.modules) > MAX_TENSORS:
            raise CheckpointError("holds a network that contains itself, or whose parts have no end")
        seen += 1 + len(part.modules)
        yield prefix, part
        waiting += [(f"{prefix}{name}.", depth + 1, sub) for name, sub in reversed(part.modules.items())]


def plain(value: Any, depth: int = 6) -> Any:
    """``value`` in texts, numbers, lists and dicts only, for JSON; what is none of these, or too much, becomes None."""
    left = MAX_PLAIN

    def walk(value: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth < 0:
            return None
        if isinstance(value, NumpyArray):
            value = value.value.tolist() if value.value is not None and value.value.size <= 100 else None
        if isinstance(value, str):
            return value[:500]
        if value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 2**63):
            return value
        if isinstance(value, (list, tuple)):
            return [walk(item, depth - 1) for item in value[:MAX_PLAIN]]
        if isinstance(value, dict):
            items = islice(value.items(), MAX_PLAIN)
            return {str(key)[:100]: walk(item, depth - 1) for key, item in items}
        return None

    return walk(value, depth)


class _Reader:
    """The table of a snapshot's names."""

    def __init__(self) -> None:
        self.storages: dict[int, tuple[bytes, rebuild.Storage]] = {}
        self.members = 0

    def table(self) -> Table:
        return Table(
            calls={("torch_utils.persistence", "_reconstruct_persistent_obj"): self._module,
                   ("torch.storage", "_load_from_bytes"): self._storage,
                   **rebuild.PLAIN, **rebuild.NUMPY, **rebuild.TENSORS},
            new={pair: rebuild.plain_dict for pair in (*EASY_DICT, ("collections", "OrderedDict"))},
            inert=frozenset({("numpy", "ndarray")}), build=_build)

    def _storage(self, raw: Any) -> rebuild.Storage:
        """Once for each byte string, however often a stream names it: or a small file could cost much memory."""
        if id(raw) not in self.storages:
            self.storages[id(raw)] = raw, rebuild.storage_from_bytes(raw)
        return self.storages[id(raw)][1]

    def _module(self, meta: Any) -> Module:
        if not isinstance(meta, dict) or not isinstance(meta.get("state"), dict) or meta.get("type") != "class":
            raise CheckpointError("describes a network in a way that NVIDIA's code does not write")
        state, name = meta["state"], meta.get("class_name")
        if not isinstance(name, str) or len(name) > MAX_NAME:
            raise CheckpointError("holds a network without a class name")
        args, kwargs = state.get("_init_args"), state.get("_init_kwargs")
        passing = state.get("_non_persistent_buffers_set")
        return Module(name, args if isinstance(args, tuple) else (), kwargs if isinstance(kwargs, dict) else {},
                      self._members(name, state, "_parameters", Tensor), self._members(name, state, "_buffers", Tensor),
                      self._members(name, state, "_modules", Module), passing if isinstance(passing, set) else set())

    def _members(self, who: str, state: dict, key: str, kind: type) -> dict[str, Any]:
        """The entries of ``state[key]``; those that are None have no key in a state dict."""
        found = state.get(key, {})
        if not isinstance(found, dict):
            raise CheckpointError(f"{who}: its {key} are a {type(found).__name__}")
        self.members += len(found)
        if self.members > MAX_MEMBERS:
            raise CheckpointError(f"holds networks with more than {MAX_MEMBERS} parts")
        for name, value in found.items():
            if not isinstance(name, str) or len(name) > MAX_NAME or not (value is None or isinstance(value, kind)):
                raise CheckpointError(f"{who}: its {key} hold {str(name)[:80]!r}, a {type(value).__name__}; expected a "
                                      f"{kind.__name__}")
        return {name: value for name, value in found.items() if value is not None}


def _build(target: Any, state: Any) -> None:
    """numpy's types and arrays take their state; a dict's own attributes (``_metadata``) say nothing about weights."""
    if isinstance(target, (NumpyType, NumpyArray)):
        rebuild.set_numpy_state(target, state)
    elif not isinstance(target, dict):
        raise CheckpointError(f"sets the state of a {type(target).__name__}")

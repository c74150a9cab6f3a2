"""What a pickle becomes: tensors, numbers, texts and containers as they are, networks as plain trees, the rest opaque.

NVIDIA's snapshots (``network-snapshot-*.pkl``) hold each network and submodule as a call of
``torch_utils.persistence._reconstruct_persistent_obj`` with its class name, its attributes and its source text; the
public loader runs that text, here it is not even kept. ``torch.save(network)`` names the classes instead. Either way
the stream gives what a state dict is made of: ``_parameters``, ``_buffers`` and ``_modules`` of each part, whose names
are joined with dots as ``torch.nn.Module.state_dict`` does.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from dirbench.benchmarks.checkpoints import rebuild
from dirbench.benchmarks.checkpoints.errors import CheckpointError
from dirbench.benchmarks.checkpoints.machine import Machine, Opaque, Table
from dirbench.benchmarks.checkpoints.rebuild import NumpyArray, NumpyType

MAX_DEPTH, MAX_TENSORS, MAX_NAME, MAX_PLAIN = 50, 100_000, 200, 1000
PARTS = ("_parameters", "_buffers", "_modules")


def read_pickle(raw: bytes) -> Any:
    """What a bare pickle holds.

    Raises:
        CheckpointError: the pickle is damaged, or asks for what runs code.
    """
    return Machine(io.BytesIO(raw), table()).run()


def table(persistent: Callable[[Any], Any] | None = None) -> Table:
    """The names that mean something in a checkpoint; ``persistent`` gives the storages of a torch file."""
    storages: dict[int, tuple[bytes, rebuild.Storage]] = {}

    def storage(raw: Any) -> rebuild.Storage:
        """Once for each byte string, however often a stream names it: or a small file could cost much memory."""
        if id(raw) not in storages:
            storages[id(raw)] = raw, rebuild.storage_from_bytes(raw)
        return storages[id(raw)][1]

    return Table(calls={("torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent,
                        ("torch.storage", "_load_from_bytes"): storage, ("torch", "Size"): _size,
                        ("torch", "device"): _device, ("copyreg", "_reconstructor"): _old_object,
                        **rebuild.PLAIN, **rebuild.NUMPY, **rebuild.TENSORS},
                 new={("collections", "OrderedDict"): rebuild.plain_dict}, inert=rebuild.STORAGES, build=_build,
                 persistent=persistent, strict=False)


def _persistent(meta: Any) -> Opaque:
    if not isinstance(meta, dict) or not isinstance(meta.get("state"), dict) or meta.get("type") != "class":
        raise CheckpointError("describes a network in a way that NVIDIA's code does not write")
    name = meta.get("class_name")
    if not isinstance(name, str) or len(name) > MAX_NAME:
        raise CheckpointError("holds a network without a class name")
    return Opaque(name, meta["state"], persistent=True)


def _old_object(cls: Any = None, *_: Any) -> Opaque:
    """An object as protocols before 2 write it; of a foreign class always."""
    return Opaque(str(cls)[:MAX_NAME])


def _size(items: Any = ()) -> tuple[int, ...]:
    return tuple(rebuild.count(n, "size") for n in items)


def _device(*parts: Any) -> str:
    return ":".join(str(part)[:20] for part in parts)


def _build(target: Any, state: Any) -> None:
    """numpy's types and arrays take their state; attributes of a dict or a tensor say nothing about weights."""
    if isinstance(target, (NumpyType, NumpyArray)):
        rebuild.set_numpy_state(target, state)
    elif not isinstance(target, (dict, frozenset, Tensor)):
        raise CheckpointError(f"sets the state of a {type(target).__name__}")


# -- networks ----------------------------------------------------------------------------------------
def is_network(value: Any) -> bool:
    """True for what has the parts of a ``torch.nn.Module``, or was written as one by NVIDIA's code."""
    return isinstance(value, Opaque) and isinstance(value.state, dict) and (
        value.persistent or all(isinstance(value.state.get(key), dict) for key in PARTS))


def class_name(network: Opaque) -> str:
    """``"Generator"``, without its module."""
    return network.name.rpartition(".")[2][:MAX_NAME]


def init_kwargs(network: Opaque) -> dict[str, Any]:
    """What a network of NVIDIA's code says of its constructor: ``init_args`` and ``init_kwargs``, plain."""
    if not network.persistent:
        return {}
    return {"init_args": plain(network.state.get("_init_args") or ()),
            "init_kwargs": plain(network.state.get("_init_kwargs") or {})}


def submodule(network: Opaque, name: str) -> Opaque | None:
    """The part of that name, if it is a network."""
    found = _members(network, "_modules", Opaque).get(name)
    return found if is_network(found) else None


def flat_state(network: Opaque) -> dict[str, Tensor]:
    """name -> tensor of a network and all its submodules, in the order of the public state dict."""
    out: dict[str, Tensor] = {}
    for prefix, part in _walk(network):
        passing = part.state.get("_non_persistent_buffers_set") or ()
        kept = {name: value for name, value in _members(part, "_buffers", Tensor).items() if name not in passing}
        for name, value in (_members(part, "_parameters", Tensor) | kept).items():
            out[f"{prefix}{name}"] = value
        if len(out) > MAX_TENSORS:
            raise CheckpointError(f"holds a network of more than {MAX_TENSORS} tensors")
    return out


def _walk(network: Opaque) -> Iterator[tuple[str, Opaque]]:
    waiting, seen = [("", 0, network)], 0
    while waiting:
        prefix, depth, part = waiting.pop()
        modules = _members(part, "_modules", Opaque)
        if depth > MAX_DEPTH or seen + len(modules) > MAX_TENSORS:
            raise CheckpointError("holds a network that contains itself, or whose parts have no end")
        seen += 1 + len(modules)
        yield prefix, part
        for name, sub in reversed(modules.items()):
            if not is_network(sub):
                raise CheckpointError(f"{part.name[:80]}: its part {name!r} {sub.refusal()}")
            waiting.append((f"{prefix}{name}.", depth + 1, sub))


def _members(part: Opaque, key: str, kind: type) -> dict[str, Any]:
    """The entries of a network's ``_parameters`` or the like; those that are None have no key in a state dict."""
    found = part.state.get(key) or {}
    if not isinstance(found, dict):
        raise CheckpointError(f"{part.name[:80]}: its {key} are a {type(found).__name__}")
    if len(found) > MAX_TENSORS:
        raise CheckpointError(f"holds networks with more than {MAX_TENSORS} parts")
    for name, value in found.items():
        if isinstance(value, Opaque) and kind is not Opaque:
            raise CheckpointError(f"{part.name[:80]}: its {str(name)[:80]!r} {value.refusal()}")
        if not isinstance(name, str) or len(name) > MAX_NAME or not (value is None or isinstance(value, kind)):
            raise CheckpointError(f"{part.name[:80]}: its {key} hold {str(name)[:80]!r}, a {type(value).__name__}; "
                                  f"expected a {'network' if kind is Opaque else 'tensor'}")
    return {name: value for name, value in found.items() if value is not None}


# -- what stands beside --------------------------------------------------------------------------------
def as_tensor(value: Any) -> Tensor | None:
    """A tensor, or the tensor of a numpy array of numbers; None for anything else."""
    if isinstance(value, NumpyArray) and value.value is not None:
        return torch.from_numpy(value.value.astype(value.value.dtype.newbyteorder("=")))
    return value if isinstance(value, Tensor) else None


def plain(value: Any, depth: int = 6) -> Any:
    """``value`` in texts, numbers, lists and dicts only, for JSON; what is none of these, or too much, becomes None.

    Of opaque things their entries or attributes are taken: settings are often kept in a class of their own.
    """
    left = MAX_PLAIN

    def walk(value: Any, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or depth < 0:
            return None
        if isinstance(value, NumpyArray):
            value = value.value.tolist() if value.value is not None and value.value.size <= 100 else None
        if isinstance(value, Opaque):
            value = value.content() or None
        if isinstance(value, str):
            return value[:500]
        if value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 2**63):
            return value
        if isinstance(value, (list, tuple)):
            return [walk(item, depth - 1) for item in value[:MAX_PLAIN]]
        if isinstance(value, dict):
            items = islice(value.items(), MAX_PLAIN)
            return {str(key)[:100]: walk(item, depth - 1) for key, item in items if not isinstance(key, Opaque)}
        return None

    return walk(value, depth)

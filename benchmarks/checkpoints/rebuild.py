"""What tensors, storages and numpy values in a pickle stream become, with every declared size checked first."""

from __future__ import annotations

import io
import math
import mmap
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

import numpy as np
import torch
from torch import Tensor

from dirbench.benchmarks.checkpoints.errors import CheckpointError
from dirbench.benchmarks.checkpoints.machine import MAX_STEPS, Global, Machine, Opaque, Table, plain_key

DTYPES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64, "ComplexDoubleStorage": torch.complex128,
    # Their tensors are opaque (rarer numbers, or quantized ones), but the bytes must be found to be passed over.
    "QInt8Storage": torch.int8, "QUInt8Storage": torch.uint8, "QInt32Storage": torch.int32,
    "UntypedStorage": torch.uint8,
}
STORAGES = frozenset((module, name) for name in DTYPES for module in ("torch", "torch.storage"))
MAX_RANK, MAX_ELEMENTS = 16, 1 << 40
MAX_REPEATED = 1 << 16  # numbers of a tensor that says some more than once: one mean latent, expanded to all layers
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # how torch's format before version 1.6 begins
NUMPY_DTYPES = frozenset({"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"})


@dataclass
class Storage:
    """A run of ``numel`` numbers in a file, ``data`` [numel]."""

    key: str
    dtype: torch.dtype
    numel: int
    data: Tensor | None = None


# -- tensors -----------------------------------------------------------------------------------------
def count(value: Any, what: str, limit: int = MAX_ELEMENTS) -> int:
    """``value`` if it is a whole number in 0..limit."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
        shown = f"{value:.3g}" if isinstance(value, int) and abs(value) < 2**1000 else type(value).__name__
        raise CheckpointError(f"a tensor's {what} is {shown}; expected a whole number from 0 to {limit}")
    return value


def numbers(source: bytes | mmap.mmap, dtype: torch.dtype, numel: int, start: int) -> Tensor:
    """[numel] from byte ``start`` of ``source``: in place where a mapped file allows it, else a copy."""
    if not numel:
        return torch.empty(0, dtype=dtype)
    if isinstance(source, mmap.mmap) and start % dtype.itemsize == 0:
        return torch.frombuffer(source, dtype=dtype, count=numel, offset=start)
    return torch.frombuffer(bytearray(source[start:start + numel * dtype.itemsize]), dtype=dtype)


def tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor | Opaque:
    """The tensor that ``torch._utils._rebuild_tensor_v2`` would make, if its storage holds as many numbers."""
    if isinstance(storage, Opaque):
        return Opaque(f"a tensor on {storage.name}")
    if not isinstance(storage, Storage) or storage.data is None:
        raise CheckpointError(f"builds a tensor on a {type(storage).__name__} instead of a storage")
    if not (isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride) <= MAX_RANK):
        raise CheckpointError("a tensor's size and stride are not two equally long tuples")
    size = tuple(count(n, "size") for n in size)
    stride = tuple(count(n, "stride") for n in stride)
    offset, numel = count(offset, "offset"), math.prod(size)
    last = offset + sum((n - 1) * s for n, s in zip(size, stride)) if numel else 0
    if numel > max(storage.numel, MAX_REPEATED) or (numel and last >= storage.numel):
        raise CheckpointError(f"declares a tensor of shape {list(size)} and stride {list(stride)} from number {offset} "
                              f"on, but its storage has {storage.numel} numbers")
    return storage.data.as_strided(size, stride, offset)


def parameter(data: Any, *_: Any) -> Tensor | Opaque:
    """A parameter is its tensor."""
    if not isinstance(data, (Tensor, Opaque)):
        raise CheckpointError(f"makes a parameter of a {type(data).__name__}")
    return data


def with_attributes(function: Any, _: Any, args: Any, *__: Any) -> Any:
    """A tensor that carries Python attributes, ``torch._tensor._rebuild_from_type_v2``: the tensor alone."""
    known = TENSORS.get((function.module, function.name)) if isinstance(function, Global) else None
    if known is None or not isinstance(args, tuple):
        return Opaque(str(function) if isinstance(function, Global) else "a tensor of a class of its own")
    return known(*args)


def storage_from_id(pid: Any) -> Storage | Opaque:
    """The empty storage that a persistent id declares: ("storage", type, key, place, count[, None]).

    Storages of other kinds of numbers are opaque.
    """
    if isinstance(pid, tuple) and len(pid) == 4 and pid[0] == "module" and isinstance(pid[1], Global):
        return Opaque(str(pid[1]))  # a class with its source, in torch's format before 1.6; neither is needed
    if not (isinstance(pid, tuple) and len(pid) in (5, 6) and pid[0] == "storage" and isinstance(pid[1], Global)
            and isinstance(pid[2], str)):
        raise CheckpointError("refers to outside data in a way that torch does not write")
    if (pid[1].module, pid[1].name) not in STORAGES:
        return Opaque(str(pid[1]))
    if len(pid) == 6 and pid[5] is not None:
        raise CheckpointError("holds views of storages, as torch once wrote; save it again with a newer version")
    return Storage(pid[2], DTYPES[pid[1].name], count(pid[4], "number of elements"))


def old_torch_stream(stream: BinaryIO, table: Callable[[Callable[[Any], Any]], Table], size: int,
                     max_steps: int = MAX_STEPS) -> Any:
    """The object in torch's file format before 1.6.

    The five pickles of that format (magic number, protocol, system, object, keys) are read by :class:`Machine`; the
    numbers follow. A storage is made when it is first named, if all of them so far fit into the file.

    Args:
        table: makes the names that the object may mention from the function for its persistent ids.
        size: bytes of the whole stream.
    """
    seen: dict[str, Storage] = {}
    needed = 0

    def persistent(pid: Any) -> Storage | Opaque:
        nonlocal needed
        made = storage_from_id(pid)
        if isinstance(made, Opaque):
            if pid[0] == "storage":
                raise CheckpointError(f"holds numbers of the kind {made.name}, which are not read here")
            return made
        if made.key not in seen:
            needed += 8 + made.numel * made.dtype.itemsize
            if stream.tell() + needed > size:
                raise CheckpointError(f"declares {needed} bytes of tensors, but {size - stream.tell()} are left in the "
                                      "file")
            made.data = torch.empty(made.numel, dtype=made.dtype)
        known = seen.setdefault(made.key, made)
        if (known.dtype, known.numel) != (made.dtype, made.numel):
            raise CheckpointError(f"declares storage {made.key!r} twice, in different ways")
        return known

    plain = Table()
    if Machine(stream, plain, 10).run() != MAGIC or Machine(stream, plain, 10).run() != PROTOCOL:
        raise CheckpointError("does not begin as a file of torch does")
    system = Machine(stream, plain, 100).run()
    if isinstance(system, dict) and system.get("little_endian") is False:
        raise CheckpointError("was written on a big-endian machine; save it again on another")
    value = Machine(stream, table(persistent), max_steps).run()
    keys = Machine(stream, plain, max_steps).run()
    if not isinstance(keys, list) or not all(isinstance(k, str) for k in keys) or sorted(keys) != sorted(seen):
        raise CheckpointError("lists other storages than its tensors use")
    for key in keys:
        _fill(seen[key], stream)
    return value


def _fill(storage: Storage, stream: BinaryIO) -> None:
    """The next numbers of a stream in torch's format before 1.6: how many, and then they."""
    declared, n_bytes = int.from_bytes(stream.read(8), "little"), storage.numel * storage.dtype.itemsize
    raw = stream.read(n_bytes)
    if declared != storage.numel or len(raw) != n_bytes:
        raise CheckpointError(f"declares {storage.numel} numbers for storage {storage.key[:40]!r} and holds "
                              f"{declared}, {len(raw)} bytes of {n_bytes}; truncated?")
    assert storage.data is not None
    storage.data.copy_(numbers(raw, storage.dtype, storage.numel, 0))


def storage_from_bytes(raw: Any) -> Storage:
    """The one storage that a byte string in torch's old format holds, its pickles read with the same restrictions."""
    raw = raw.encode("latin1") if isinstance(raw, str) else raw  # as Python 2 writes bytes
    if not isinstance(raw, bytes):
        raise CheckpointError(f"gives a {type(raw).__name__} instead of bytes as a storage")
    if sys.byteorder != "little":
        raise CheckpointError("storages are little-endian, and this machine is not")
    try:
        value = old_torch_stream(io.BytesIO(raw), lambda p: Table(inert=STORAGES, persistent=p), len(raw), 1000)
    except CheckpointError as error:
        raise CheckpointError(f"a storage's own bytes: {error}") from error
    if not isinstance(value, Storage):
        raise CheckpointError("a storage's own bytes hold something else than one storage")
    return value


# -- containers --------------------------------------------------------------------------------------
def plain_dict(items: Any = ()) -> dict:
    """A dict for an OrderedDict, a Counter and their like."""
    out: dict = {}
    pairs = items.items() if isinstance(items, dict) else items
    if not isinstance(items, (dict, list, tuple)):
        raise CheckpointError(f"makes a dict of a {type(items).__name__}")
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise CheckpointError("makes a dict of something else than (name, value) pairs")
        out[plain_key(pair[0])] = pair[1]
    return out


def default_dict(*_: Any) -> dict:
    """A defaultdict, whose entries follow; what it makes by itself is not needed."""
    return {}


def plain_set(items: Any = ()) -> frozenset:
    """A set of plain values."""
    if not isinstance(items, (list, tuple, set, frozenset)):
        raise CheckpointError(f"makes a set of a {type(items).__name__}")
    return frozenset(plain_key(item) for item in items)


def latin_bytes(text: Any, encoding: Any) -> bytes:
    """Bytes, as protocols before 3 write them."""
    if not isinstance(text, str) or encoding != "latin1":
        raise CheckpointError("encodes something else than bytes")
    return text.encode("latin1")


# -- numpy ---------------------------------------------------------------------------------------------
@dataclass
class NumpyType:
    """A dtype of plain numbers."""

    code: str
    order: Literal["<", ">", "=", "|"] = "="


@dataclass
class NumpyArray:
    """An array that a stream is filling; ``value`` is None until then."""

    value: np.ndarray | None = None


def numpy_type(code: Any, *_: Any) -> NumpyType | Opaque:
    if not isinstance(code, str) or code.lstrip("<|=") not in NUMPY_DTYPES:
        return Opaque(f"numpy values of type {str(code)[:40]} (only plain numbers are read)")
    return NumpyType(code.lstrip("<|="))


def numpy_scalar(kind: Any, raw: Any) -> int | float | bool | Opaque:
    """The Python number of a numpy scalar."""
    return kind if isinstance(kind, Opaque) else _numpy_values(kind, raw, ()).item()


def _numpy_values(kind: Any, raw: Any, shape: Any) -> np.ndarray:
    raw = raw.encode("latin1") if isinstance(raw, str) else raw  # as Python 2 writes bytes
    if not (isinstance(kind, NumpyType) and isinstance(raw, bytes) and isinstance(shape, tuple)
            and len(shape) <= MAX_RANK):
        raise CheckpointError("has a numpy value in a form that numpy does not write")
    dtype = np.dtype(kind.code).newbyteorder(kind.order)
    shape = tuple(count(n, "size") for n in shape)
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise CheckpointError(f"declares a numpy array of shape {list(shape)} and type {kind.code}, but gives "
                              f"{len(raw)} bytes")
    return np.frombuffer(raw, dtype).reshape(shape)


def numpy_from_buffer(raw: Any, kind: Any, shape: Any, order: Any = "C") -> NumpyArray:
    """What protocol 5 writes for an array; without a value if it is not of plain numbers."""
    if isinstance(kind, Opaque):
        return NumpyArray()
    values = _numpy_values(kind, raw, shape)
    return NumpyArray(values.ravel().reshape(shape, order="F") if order == "F" else values)


def set_numpy_state(target: NumpyType | NumpyArray, state: Any) -> None:
    """What BUILD does to a dtype (its byte order) or an array (its content)."""
    if not isinstance(state, tuple):
        raise CheckpointError("has a numpy value in a form that numpy does not write")
    if isinstance(target, NumpyType):
        if len(state) < 2 or state[1] not in ("<", "|", "=", ">") or any(part is not None for part in state[2:5]):
            raise CheckpointError("has a numpy type of plain numbers with fields")
        target.order = state[1]
    else:
        if len(state) != 5:
            raise CheckpointError("has a numpy array in a form that numpy does not write")
        _, shape, kind, fortran, raw = state
        target.value = numpy_from_buffer(raw, kind, shape, "F" if fortran else "C").value


def empty_array(kind: Any, *_: Any) -> NumpyArray | Opaque:
    """``numpy.core.multiarray._reconstruct(numpy.ndarray, (0,), b"b")``: an array to be filled by BUILD."""
    return NumpyArray() if kind == Global("numpy", "ndarray") else Opaque(str(kind)[:80])


NUMPY: dict[tuple[str, str], Callable] = {
    ("numpy", "dtype"): numpy_type, ("numpy.core.multiarray", "scalar"): numpy_scalar,
    ("numpy.core.multiarray", "_reconstruct"): empty_array, ("numpy.core.numeric", "_frombuffer"): numpy_from_buffer,
}
TENSORS: dict[tuple[str, str], Callable] = {
    ("torch._utils", "_rebuild_tensor_v2"): tensor, ("torch._utils", "_rebuild_tensor"): tensor,
    ("torch._utils", "_rebuild_parameter"): parameter, ("torch._utils", "_rebuild_parameter_with_state"): parameter,
    ("torch.nn.parameter", "Parameter"): parameter, ("torch._tensor", "_rebuild_from_type_v2"): with_attributes,
}
PLAIN: dict[tuple[str, str], Callable] = {
    ("collections", "OrderedDict"): plain_dict, ("collections", "Counter"): plain_dict,
    ("collections", "defaultdict"): default_dict, ("builtins", "set"): plain_set, ("builtins", "frozenset"): plain_set,
    ("_codecs", "encode"): latin_bytes,
}

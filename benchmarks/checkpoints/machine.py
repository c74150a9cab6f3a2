"""A pickle machine that can only build plain containers, and what a caller's own table of names builds.

Python's unpickler is not used: overriding its ``find_class`` keeps foreign code out, but a hostile stream can still ask
it for a memo of 2**32 places or for the hash of a tuple a million deep, which ends the process. Here every opcode is
one of a short list, a global is an inert name until the caller's table says what calling it means, keys of dicts are
plain, and all that grows is counted.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from benchmarks.checkpoints.errors import CheckpointError

MAX_STEPS = 2_000_000  # opcodes; a snapshot of the largest public StyleGAN has about 10^5
MAX_COPIED = 2_000_000  # items that calls may copy out of containers, all together
MAX_TEXT = 1 << 22  # bytes of a text; module source is the longest that occurs
_MARK = object()


@dataclass(frozen=True)
class Global:
    """A name that a stream mentions: nothing is imported for it."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Table:
    """What a stream may name.

    Args:
        calls: (module, name) -> function of the call's arguments, for REDUCE.
        new: (module, name) -> function of the arguments, for NEWOBJ.
        inert: (module, name) pairs that may be mentioned, not called.
        build: function of (object, state), for BUILD: changes what ``calls`` or ``new`` made.
        persistent: function of a persistent id, or None where the stream may have none.
    """

    def __init__(self, *, calls: Mapping[tuple[str, str], Callable] | None = None,
                 new: Mapping[tuple[str, str], Callable] | None = None,
                 inert: frozenset[tuple[str, str]] = frozenset(),
                 build: Callable[[Any, Any], None] | None = None,
                 persistent: Callable[[Any], Any] | None = None) -> None:
        self.calls, self.new, self.inert = calls or {}, new or {}, inert
        self.build, self.persistent = build, persistent

    def find(self, module: str, name: str) -> Global:
        """The inert name. Raises CheckpointError unless exactly this pair is listed."""
        if (module, name) not in self.calls and (module, name) not in self.new and (module, name) not in self.inert:
            shown = f"{module[:80]}.{name[:80]}"
            raise CheckpointError(f"asks for {shown!r}, which is not one of the few names that a checkpoint needs; "
                                  "nothing was run. Load it only in a place where it may run code, and save the "
                                  "generator's state dict from there")
        return Global(module, name)


class Machine:
    """Runs one stream; ``run`` gives the object it describes."""

    def __init__(self, stream: BinaryIO, table: Table, max_steps: int = MAX_STEPS) -> None:
        self.stream, self.table, self.max_steps = stream, table, max_steps
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.copied = 0

    def run(self) -> Any:
        """The object, built of dict, list, tuple, set, numbers, texts and what the table makes.

        Raises:
            CheckpointError: the stream is damaged, too large, or asks for anything else; says at which byte.
        """
        where: int | None = 0
        try:
            for step, (opcode, arg, at) in enumerate(pickletools.genops(self.stream)):
                where = at
                if step > self.max_steps:
                    raise CheckpointError(f"has more than {self.max_steps} pickle opcodes; no known checkpoint comes "
                                          "near that many")
                if opcode.name == "STOP":
                    return self._pop()
                handler = _HANDLERS.get(opcode.name)
                if handler is None:
                    raise CheckpointError(f"uses the pickle opcode {opcode.name}, which checkpoints do not need")
                handler(self, arg)
        except CheckpointError as error:
            raise CheckpointError(f"pickle stream, byte {where}: {error}") from error
        except (ValueError, IndexError, KeyError, TypeError, RuntimeError, OverflowError, MemoryError) as error:
            reason = str(error)[:200] or type(error).__name__
            raise CheckpointError(f"pickle stream, about byte {where}: damaged or truncated ({reason})") from error
        raise CheckpointError("pickle stream: ends without its last opcode; the file is truncated")

    # -- stack -------------------------------------------------------------------------------------
    def _pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark stands where a value should")
        return value

    def _top(self, kind: type | tuple[type, ...]) -> Any:
        value = self.stack[-1]
        if not isinstance(value, kind):
            raise ValueError(f"items for a {type(value).__name__}, which takes none")
        return value

    def _to_mark(self) -> list[Any]:
        i = len(self.stack) - 1
        while self.stack[i] is not _MARK:
            i -= 1
            if i < 0:
                raise ValueError("no mark")
        items = self.stack[i + 1:]
        del self.stack[i:]
        return items

    def push(self, value: Any) -> None:
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise CheckpointError(f"holds a text of {len(value)} characters; at most {MAX_TEXT} are read")
        self.stack.append(value)

    def tuple_of(self, n: int) -> None:
        items = [self._pop() for _ in range(n)][::-1]
        self.stack.append(tuple(items))

    # -- memo --------------------------------------------------------------------------------------
    def put(self, index: int) -> None:
        value = self.stack[-1]
        if value is _MARK:
            raise ValueError("a mark cannot be kept")
        self.memo[index] = value

    def get(self, index: int) -> None:
        if index not in self.memo:
            raise ValueError(f"place {index} of the memo is empty")
        self.stack.append(self.memo[index])

    # -- containers ----------------------------------------------------------------------------------
    def set_items(self, items: list[Any]) -> None:
        target = self._top(dict)
        if len(items) % 2:
            raise ValueError("a key without a value")
        for key, value in zip(items[::2], items[1::2]):
            target[plain_key(key)] = value

    def add_items(self, items: list[Any]) -> None:
        self._top(set).update(plain_key(item) for item in items)

    def spend(self, n: int) -> None:
        """Counts ``n`` copied items."""
        self.copied += n
        if self.copied > MAX_COPIED:
            raise CheckpointError("copies the same content again and again")

    # -- names and calls --------------------------------------------------------------------------------
    def stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise ValueError("a global whose name is no text")
        self.stack.append(self.table.find(module, name))

    def _call(self, functions: Mapping[tuple[str, str], Callable]) -> None:
        args, target = self._pop(), self._pop()
        if not isinstance(target, Global) or (target.module, target.name) not in functions:
            shown = str(target) if isinstance(target, Global) else f"a {type(target).__name__}"
            raise CheckpointError(f"calls {shown}, which cannot be called here")
        if not isinstance(args, tuple):
            raise ValueError("a call without a tuple of arguments")
        self.spend(1 + sum(len(a) for a in args if isinstance(a, (list, tuple, dict, set)))
                   + sum(len(a) // 64 for a in args if isinstance(a, str)))
        self.stack.append(functions[target.module, target.name](*args))

    def reduce(self) -> None:
        self._call(self.table.calls)

    def newobj(self) -> None:
        self._call(self.table.new)

    def do_build(self) -> None:
        state, target = self._pop(), self._pop()
        if self.table.build is None:
            raise CheckpointError(f"sets the state of a {type(target).__name__}, which has none here")
        self.spend(len(state) if isinstance(state, (list, tuple, dict)) else 1)
        self.table.build(target, state)  # in place: the memo may hold the object already
        self.stack.append(target)

    def persistent(self) -> None:
        pid = self._pop()
        if self.table.persistent is None:
            raise CheckpointError("refers to data outside itself, which this kind of file does not have")
        self.stack.append(self.table.persistent(pid))


def plain_key(key: Any) -> Any:
    """``key`` if it is a text, a number of up to 32 bits, bytes or None: nothing whose hash can be made slow."""
    if isinstance(key, (str, bytes)) or key is None or (isinstance(key, int) and abs(key) < 2**32):
        return key
    raise CheckpointError(f"has a {type(key).__name__} as key; checkpoints have names and small numbers")


def _global(machine: Machine, arg: str) -> None:
    module, _, name = arg.partition(" ")
    machine.stack.append(machine.table.find(module, name))


def _dict(machine: Machine, _: None) -> None:
    items = machine._to_mark()
    machine.push({})
    machine.set_items(items)


def _appends(machine: Machine, _: None) -> None:
    items = machine._to_mark()
    machine._top(list).extend(items)


def _append(machine: Machine, _: None) -> None:
    value = machine._pop()
    machine._top(list).append(value)


def _set_item(machine: Machine, _: None) -> None:
    value, key = machine._pop(), machine._pop()
    machine.set_items([key, value])


_VALUES = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
           "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "FLOAT", "BINFLOAT")

_HANDLERS: dict[str, Callable[[Machine, Any], object]] = {
    **{name: lambda m, arg: m.push(arg) for name in _VALUES},
    "BYTEARRAY8": lambda m, arg: m.push(bytes(arg)),
    "NONE": lambda m, _: m.push(None), "NEWTRUE": lambda m, _: m.push(True), "NEWFALSE": lambda m, _: m.push(False),
    "PROTO": lambda m, _: None, "FRAME": lambda m, _: None,
    "EMPTY_DICT": lambda m, _: m.push({}), "EMPTY_LIST": lambda m, _: m.push([]),
    "EMPTY_SET": lambda m, _: m.push(set()),
    "EMPTY_TUPLE": lambda m, _: m.push(()), "TUPLE1": lambda m, _: m.tuple_of(1), "TUPLE2": lambda m, _: m.tuple_of(2),
    "TUPLE3": lambda m, _: m.tuple_of(3), "MARK": lambda m, _: m.push(_MARK),
    "TUPLE": lambda m, _: m.push(tuple(m._to_mark())), "LIST": lambda m, _: m.push(m._to_mark()),
    "DICT": _dict, "APPEND": _append, "APPENDS": _appends, "SETITEM": _set_item,
    "SETITEMS": lambda m, _: m.set_items(m._to_mark()), "ADDITEMS": lambda m, _: m.add_items(m._to_mark()),
    "POP": lambda m, _: m.stack.pop(), "DUP": lambda m, _: m.push(m.stack[-1]),
    "POP_MARK": lambda m, _: m._to_mark(),
    "PUT": lambda m, arg: m.put(arg), "BINPUT": lambda m, arg: m.put(arg), "LONG_BINPUT": lambda m, arg: m.put(arg),
    "MEMOIZE": lambda m, _: m.put(len(m.memo)),
    "GET": lambda m, arg: m.get(arg), "BINGET": lambda m, arg: m.get(arg), "LONG_BINGET": lambda m, arg: m.get(arg),
    "GLOBAL": _global, "STACK_GLOBAL": lambda m, _: m.stack_global(),
    "REDUCE": lambda m, _: m.reduce(), "NEWOBJ": lambda m, _: m.newobj(), "BUILD": lambda m, _: m.do_build(),
    "BINPERSID": lambda m, _: m.persistent(),
}

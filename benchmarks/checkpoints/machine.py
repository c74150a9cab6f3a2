"""A pickle machine that can only build plain containers, and what a caller's own table of names builds.

Python's unpickler is not used: overriding its ``find_class`` keeps foreign code out, but a hostile stream can still ask
it for a memo of 2**32 places or for the hash of a tuple a million deep, which ends the process. Here every opcode is
one of a short list, a global is an inert name until the caller's table says what calling it means, keys of dicts are
plain, and all that grows is counted. What is made of any other name is :class:`Opaque`: the name, and the plain content
that the stream gives it. So a path, a date or a foreign network beside the weights is no reason to refuse them.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from dirbench.benchmarks.checkpoints.errors import CheckpointError

MAX_STEPS = 2_000_000  # opcodes; a snapshot of the largest public StyleGAN has about 10^5
MAX_COPIED = 2_000_000  # items that calls may copy out of containers, all together
MAX_TEXT = 1 << 22  # bytes of a text; module source is the longest that occurs
MAX_KEY = 8  # items of a tuple that is a key, and how deep it may be
PYTHON_2 = {"__builtin__": "builtins", "copy_reg": "copyreg"}
_MARK = object()
# Modules and built-in functions that run commands or code: a file that names one is an attack, wherever it stands.
HOSTILE = frozenset({"os", "posix", "nt", "subprocess", "_posixsubprocess", "pty", "commands", "popen2", "sys",
                     "socket", "ctypes", "importlib", "imp", "runpy", "shutil", "webbrowser", "code", "marshal"})
HOSTILE_BUILTINS = frozenset({"eval", "exec", "execfile", "compile", "__import__", "open", "input", "breakpoint",
                              "setattr", "delattr", "globals"})


@dataclass(frozen=True)
class Global:
    """A name that a stream mentions: nothing is imported for it."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Opaque:
    """Something of a class that is not known here: nothing of it was imported or run.

    Attributes:
        name: as the stream has it, ``"package.module.Class"``.
        state: its attributes (name -> value), as far as the stream tells them.
        items: its entries, where it is a kind of dict.
        persistent: True for what NVIDIA's ``torch_utils.persistence`` wrote.
    """

    name: str
    state: Any = None
    items: dict[Any, Any] = field(default_factory=dict)
    persistent: bool = False

    def content(self) -> dict[Any, Any]:
        """Its entries, else its attributes."""
        return self.items or (self.state if isinstance(self.state, dict) else {})

    def refusal(self) -> str:
        """The sentence for where something readable was needed."""
        return (f"asks for {self.name[:160]!r}, which is not one of the few names that a checkpoint needs; nothing was "
                "run. Load it only in a place where it may run code, and save the generator's state dict from there")


def canonical(module: str, name: str) -> tuple[str, str]:
    """One spelling of what has several: Python 2's built-ins, numpy 2's modules, vendored copies of NVIDIA's code."""
    if module in PYTHON_2:
        return PYTHON_2[module], name
    if module.startswith("numpy._core"):
        return "numpy.core" + module.removeprefix("numpy._core"), name
    if name == "_reconstruct_persistent_obj" and module.endswith("persistence"):
        return "torch_utils.persistence", name
    return module, name


class Table:
    """What a stream may name.

    Args:
        calls: (module, name) -> function of the call's arguments, for REDUCE.
        new: (module, name) -> function of the arguments, for NEWOBJ.
        inert: (module, name) pairs that may be mentioned, not called.
        build: function of (object, state), for BUILD: changes what ``calls`` or ``new`` made.
        persistent: function of a persistent id, or None where the stream may have none.
        strict: refuse every other name. Else what is made of it is Opaque, unless the name is an attack's.
    """

    def __init__(self, *, calls: Mapping[tuple[str, str], Callable] | None = None,
                 new: Mapping[tuple[str, str], Callable] | None = None,
                 inert: frozenset[tuple[str, str]] = frozenset(),
                 build: Callable[[Any, Any], None] | None = None,
                 persistent: Callable[[Any], Any] | None = None, strict: bool = True) -> None:
        self.calls, self.new, self.inert = calls or {}, new or {}, inert
        self.build, self.persistent, self.strict = build, persistent, strict

    def find(self, module: str, name: str) -> Global:
        """The inert name. Raises CheckpointError for an attack's, and for one not listed where the table is strict."""
        pair = canonical(module, name)
        listed = pair in self.calls or pair in self.new or pair in self.inert
        hostile = (HOSTILE & {module.partition(".")[0], *name.split(".")[:-1]}
                   or (pair[0] in ("builtins", "io", "_io") and name in HOSTILE_BUILTINS))
        if hostile:
            raise CheckpointError(f"asks for '{module[:80]}.{name[:80]}', which runs commands or code; nothing was "
                                  "run. No checkpoint needs it: do not load this file elsewhere either")
        if self.strict and not listed:
            raise CheckpointError(Opaque(f"{module[:80]}.{name[:80]}").refusal())
        return Global(*pair)


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
        top = self._top((dict, Opaque))
        target = top.items if isinstance(top, Opaque) else top
        if len(items) % 2:
            raise ValueError("a key without a value")
        for key, value in zip(items[::2], items[1::2]):
            target[plain_key(key)] = value

    def append(self, items: list[Any]) -> None:
        target = self._top((list, Opaque))
        if not isinstance(target, Opaque):  # what stands in a foreign list is not asked for
            target.extend(items)

    def add_items(self, items: list[Any]) -> None:
        target = self._top((set, Opaque))
        if not isinstance(target, Opaque):
            target.update(plain_key(item) for item in items)

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
        if not isinstance(args, tuple):
            raise ValueError("a call without a tuple of arguments")
        function = functions.get((target.module, target.name)) if isinstance(target, Global) else None
        if function is None:
            self.stack.append(self._opaque(target))
            return
        self.spend(1 + sum(len(a) for a in args if isinstance(a, (list, tuple, dict, set)))
                   + sum(len(a) // 64 for a in args if isinstance(a, str)))
        self.stack.append(function(*args))

    def _opaque(self, target: Any) -> Opaque:
        """What calling ``target`` would give, uncalled."""
        if self.table.strict or not isinstance(target, (Global, Opaque)):
            shown = str(target) if isinstance(target, Global) else f"a {type(target).__name__}"
            raise CheckpointError(f"calls {shown}, which cannot be called here")
        return Opaque(str(target) if isinstance(target, Global) else target.name)

    def reduce(self) -> None:
        self._call(self.table.calls)

    def newobj(self) -> None:
        self._call(self.table.new)

    def newobj_ex(self) -> None:
        """A new object made with keyword arguments: no class that is known here writes one."""
        _, args = self._pop(), self._pop()
        if not isinstance(args, tuple):
            raise CheckpointError("uses the pickle opcode NEWOBJ_EX without a tuple of arguments")
        self.stack.append(self._opaque(self._pop()))

    def obj(self) -> None:
        """An object of Python 2's older kind of class."""
        items = self._to_mark()
        self.stack.append(self._opaque(items[0] if items else None))

    def do_build(self) -> None:
        state, target = self._pop(), self._pop()
        if isinstance(target, Opaque):
            parts = state if isinstance(state, tuple) else (state,)  # (attributes, attributes in slots)
            target.state = next((part for part in parts if isinstance(part, dict)), None)
            self.stack.append(target)
            return
        if self.table.build is None:
            raise CheckpointError(f"sets the state of a {type(target).__name__}, which has none here")
        self.spend(len(state) if isinstance(state, (list, tuple, dict)) else 1)
        self.table.build(target, state)  # in place: the memo may hold the object already
        self.stack.append(target)

    def persistent(self) -> None:
        pid = self._pop()
        if self.table.persistent is None:
            raise CheckpointError("refers to data outside itself: it is a part of an unpacked torch file (data.pkl: "
                                  "names and shapes without numbers). Use the whole .pt file, or pack the folder "
                                  "that it lay in again without compression: zip -0 -r model.pt FOLDER")
        self.stack.append(self.table.persistent(pid))


def plain_key(key: Any, depth: int = 0) -> Any:
    """``key`` if its hash is quick to make: texts, numbers of up to 64 bits, and small tuples of these.

    Objects stand for themselves, whatever they hold. Raises CheckpointError for others.
    """
    if isinstance(key, (str, bytes, float, Opaque)) or key is None or (isinstance(key, int) and abs(key) < 2**64):
        return key
    if isinstance(key, tuple) and len(key) <= MAX_KEY and depth < MAX_KEY:
        return tuple(plain_key(item, depth + 1) for item in key)
    if isinstance(key, (tuple, int)):
        raise CheckpointError(f"has a {type(key).__name__} as key; checkpoints have names and small numbers")
    return Opaque(type(key).__name__)


def _global(machine: Machine, arg: str) -> None:
    module, _, name = arg.partition(" ")
    machine.stack.append(machine.table.find(module, name))


def _frozen_set(machine: Machine, _: None) -> None:
    machine.stack.append(frozenset(plain_key(item) for item in machine._to_mark()))


def _dict(machine: Machine, _: None) -> None:
    items = machine._to_mark()
    machine.push({})
    machine.set_items(items)


def _appends(machine: Machine, _: None) -> None:
    items = machine._to_mark()
    machine.append(items)


def _append(machine: Machine, _: None) -> None:
    value = machine._pop()
    machine.append([value])


def _set_item(machine: Machine, _: None) -> None:
    value, key = machine._pop(), machine._pop()
    machine.set_items([key, value])


_VALUES = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE",
           "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "FLOAT", "BINFLOAT")
_OLD_TEXTS = ("STRING", "BINSTRING", "SHORT_BINSTRING")  # of Python 2: texts, or bytes (then as long as they like)

_HANDLERS: dict[str, Callable[[Machine, Any], object]] = {
    **{name: lambda m, arg: m.push(arg) for name in _VALUES},
    **{name: lambda m, arg: m.stack.append(arg) for name in _OLD_TEXTS},
    "BYTEARRAY8": lambda m, arg: m.push(bytes(arg)),
    "NONE": lambda m, _: m.push(None), "NEWTRUE": lambda m, _: m.push(True), "NEWFALSE": lambda m, _: m.push(False),
    "PROTO": lambda m, _: None, "FRAME": lambda m, _: None,
    "EMPTY_DICT": lambda m, _: m.push({}), "EMPTY_LIST": lambda m, _: m.push([]),
    "EMPTY_SET": lambda m, _: m.push(set()), "FROZENSET": _frozen_set,
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
    "REDUCE": lambda m, _: m.reduce(), "NEWOBJ": lambda m, _: m.newobj(),
    "NEWOBJ_EX": lambda m, _: m.newobj_ex(), "OBJ": lambda m, _: m.obj(), "BUILD": lambda m, _: m.do_build(),
    "BINPERSID": lambda m, _: m.persistent(),
}

"""Objects of classes that nobody here has: they exist while something is pickled, and are gone when it is read."""

from __future__ import annotations

import contextlib
import sys
import types
from collections.abc import Iterator
from typing import Any

import torch

PERSISTENCE = "torch_utils.persistence"


@contextlib.contextmanager
def modules(*names: str) -> Iterator[list[types.ModuleType]]:
    """Empty modules of these dotted names."""
    made = [".".join(name.split(".")[:i + 1]) for name in names for i in range(name.count(".") + 1)]
    new = {name: types.ModuleType(name) for name in made if name not in sys.modules}
    sys.modules.update(new)
    try:
        yield [sys.modules[name] for name in names]
    finally:
        for name in new:
            del sys.modules[name]


def define(module: types.ModuleType, name: str, base: type = object) -> type:
    """A class without anything of its own in ``module``."""
    cls = type(name, (base,), {"__module__": module.__name__, "__qualname__": name})
    setattr(module, name, cls)
    return cls


class Call:
    """Pickles as a call of ``function`` with ``args``."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.function, self.args = function, args

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.args


class Persistent:
    """Pickles as a network that NVIDIA's code has written."""

    def __init__(self, module: types.ModuleType, state: dict[str, torch.Tensor], class_name: str = "Generator",
                 **more: Any) -> None:
        if not hasattr(module, "_reconstruct_persistent_obj"):
            def _reconstruct_persistent_obj(meta):
                raise AssertionError("called")
            _reconstruct_persistent_obj.__module__ = module.__name__
            _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
            module._reconstruct_persistent_obj = _reconstruct_persistent_obj
        self.function = module._reconstruct_persistent_obj
        attributes = {"_parameters": dict(state), "_buffers": {}, "_modules": {}, "_init_kwargs": {}} | more
        self.meta = {"type": "class", "version": 6, "module_src": "", "class_name": class_name, "state": attributes}

    def __reduce__(self):
        return self.function, (self.meta,)


def whole_network(state: dict[str, torch.Tensor], cls: type) -> torch.nn.Module:
    """A network with the tensors of ``state`` at their names, all of whose parts are of the class ``cls``."""
    root = cls()
    for name, value in state.items():
        *path, leaf = name.split(".")
        part = root
        for key in path:
            if key not in part._modules:
                part.add_module(key, cls())
            part = part._modules[key]
        part.register_parameter(leaf, torch.nn.Parameter(value, requires_grad=False))
    return root

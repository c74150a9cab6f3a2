"""Tensors out of weight files, without running a byte of code from them."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

_WRAPPERS = ("state_dict", "model_state_dict", "model")
_TYPED_LISTS = ("build_boollist", "build_doublelist", "build_intlist", "build_tensorlist", "restore_type_tag")


def check_sha256(files: Iterable[Path], expected: str | None, who: str) -> None:
    """ValueError if the sha256 over the bytes of ``files``, one after the other, is not ``expected`` (None: any)."""
    if expected is None:
        return
    digest, files = hashlib.sha256(), list(files)
    for path in files:
        with path.open("rb") as stream:
            while part := stream.read(1 << 20):
                digest.update(part)
    if (found := digest.hexdigest()) != expected.lower():
        raise ValueError(f"extractor {who}: {', '.join(map(str, files))} has sha256 {found[:16]}..., expected "
                         f"{expected[:16]}...; fetch it again, or correct sha256")


def read_state(path: str | Path, who: str, sha256: str | None = None) -> dict[str, Tensor]:
    """The tensors of a weight file by name, on the CPU.

    Reads safetensors, torch files (``weights_only=True``) and TorchScript archives (their state, not their code). A
    state dict inside ``state_dict``, ``model_state_dict`` or ``model`` is taken out; the prefix ``module.`` of
    parallel training is taken off.

    Raises:
        ValueError: no such file, another sha256 than the expected one, or no tensors to be had without running code.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise ValueError(f"extractor {who}: weights {path} {what}; expected a .pt, .pth or .safetensors file")
    check_sha256([path], sha256, who)
    try:
        loaded = _load(path)
    except Exception as error:  # whatever a damaged or hostile file sets off, the file is at fault
        raise ValueError(
            f"extractor {who}: {path} cannot be read without running code from it ({_first_line(error)}). If you trust "
            f"the file, save its state dict alone: python -c \"import torch; m = torch.load('{path.name}', "
            "map_location='cpu', weights_only=False); torch.save(getattr(m, 'state_dict', lambda: m)(), 'state.pt')\""
        ) from error
    while isinstance(loaded, dict) and (inner := next((k for k in _WRAPPERS if isinstance(loaded.get(k), dict)), None)):
        loaded = loaded[inner]
    state = {k: v for k, v in loaded.items() if isinstance(k, str) and isinstance(v, Tensor)} \
        if isinstance(loaded, dict) else {}
    if not state:
        raise ValueError(f"extractor {who}: {path} holds no named tensors; expected a state dict")
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    return state


class State:
    """A state dict that a network is built from: it says what is missing, and what was not used.

    Args:
        tensors: by name.
        who: the extractor, for messages.
        what: the expected layout in words.
    """

    def __init__(self, tensors: dict[str, Tensor], who: str, what: str) -> None:
        self.tensors, self.who, self.what = tensors, who, what
        self._left = set(tensors)

    def take(self, name: str, *shape: int | None) -> Tensor:
        """The tensor ``name`` in float64, of that shape (None: any size). Raises ValueError."""
        if name not in self.tensors:
            raise self.error(f"it has no {name}; it has {', '.join(list(self.tensors)[:5])}, ...")
        tensor = self.tensors[name]
        if tensor.ndim != len(shape) or any(s not in (None, n) for s, n in zip(shape, tensor.shape)):
            expected = ", ".join("any" if s is None else str(s) for s in shape)
            raise self.error(f"{name} is {list(tensor.shape)}, expected [{expected}]")
        self._left.discard(name)
        return tensor.double()

    def finish(self, *unused: str) -> None:
        """ValueError if tensors are left, but for counters and those whose names start with one of ``unused``."""
        left = sorted(n for n in self._left if not n.endswith("num_batches_tracked") and not n.startswith(unused))
        if left:
            raise self.error(f"it also has {', '.join(left[:5])}{', ...' if len(left) > 5 else ''}")

    def error(self, why: str) -> ValueError:
        """The exception for a file of another layout."""
        return ValueError(f"extractor {self.who}: the weights are no {self.what}: {why}")


def _load(path: Path) -> object:
    if path.suffix == ".safetensors":
        return load_file(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                return _torchscript_state(archive)
    return torch.load(path, map_location="cpu", weights_only=True)


class _Part:
    """What stands for every class of an archive: it has a part's tensors and sub-parts as attributes, and no code."""


def _only_value(value: object, *_: object) -> object:
    return value


def _torchscript_state(archive: zipfile.ZipFile) -> dict[str, Tensor]:
    """State dict of a TorchScript archive.

    Its data are an ordinary ``weights_only`` file beside the code, with each part of the network an object of a class
    that the code defines. The code is left out, and each of those classes is replaced by an empty one.
    """
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as copy:
        for record in archive.infolist():
            name = record.filename.split("/", 1)[-1]
            if name.startswith("data/") or name in ("data.pkl", "version", "byteorder"):
                if record.compress_type != zipfile.ZIP_STORED:
                    raise ValueError(f"record {record.filename} is compressed, as none of torch's are")
                copy.writestr(record.filename, archive.read(record))
    data.seek(0)
    allowed: list[Callable[..., Any] | tuple[Callable[..., Any], str]]
    allowed = [(_only_value, f"torch.jit._pickle.{name}") for name in _TYPED_LISTS]
    allowed += [(_Part, name) for name in torch.serialization.get_unsafe_globals_in_checkpoint(data)
                if name.startswith("__torch__.")]
    data.seek(0)
    with torch.serialization.safe_globals(allowed):
        root = torch.load(data, map_location="cpu", weights_only=True)
    state: dict[str, Tensor] = {}
    _collect(root, "", state)
    return state


def _collect(part: _Part, prefix: str, state: dict[str, Tensor]) -> None:
    for name, value in vars(part).items():
        if isinstance(value, Tensor):
            state[prefix + name] = value
        elif isinstance(value, _Part):
            _collect(value, f"{prefix}{name}.", state)


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:160]}" if text else type(error).__name__

"""Anybody's network as a :class:`Generator`, from ten lines of YAML::

    generator:
      module: mypackage.networks:Generator   # a class; its module is imported, so its code runs: it is yours
      args: {width: 64}                      # of its constructor
      checkpoint: weights.pt                 # read without running code
      checkpoint_key: generator              # where in it the weights lie (a.b for b in a), if it is not clear
      latent_dim: 128
      input_shape: [128, 1, 1]               # as the network takes z; [latent_dim] unless said
      output: tanh                           # where its numbers lie: tanh, sigmoid, 0-255 or linear
      layers: [blocks.0, blocks.1]           # submodules for activations; its convolutions unless said
      first_linear: project                  # the layer that meets z, for SeFa; found by itself where there is one

A class that is a ``Generator`` already needs no more than ``module`` (and ``args``, ``checkpoint``).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dirbench.benchmarks.checkpoints import read_checkpoint
from dirbench.benchmarks.checkpoints.reading import check_finite
from dirbench.benchmarks.config.reading import YamlError, read_yaml
from dirbench.benchmarks.generators.external import External, SpecError
from dirbench.benchmarks.generators.families import load_generator
from dirbench.files import at_home
from dirbench.generator import Generator
from dirbench.names import did_you_mean

SETTINGS = ("latent_dim", "input_shape", "output", "layers", "first_linear")
KEYS = ("module", "args", "checkpoint", "checkpoint_key", *SETTINGS)


def load_external(spec: Mapping[str, Any], folder: Path | None = None) -> Generator:
    """The frozen generator that ``spec`` (see the top of this file) means.

    Args:
        folder: of the file that ``spec`` stands in; its modules can be imported, and paths start there.
    Raises:
        SpecError: an unknown or missing key, a module that cannot be imported, weights that do not fit.
    """
    if not isinstance(spec, Mapping):
        raise SpecError(f"generator: expected keys and values ({', '.join(KEYS)}), got {spec!r}")
    for key in spec:
        if key not in KEYS:
            raise SpecError(did_you_mean("key", str(key), list(KEYS)))
    if "module" not in spec:
        raise SpecError('module: this key is missing; it names a class as "package.module:Class"')
    folder = folder or Path()
    cls = import_class(str(spec["module"]), folder)
    args = spec.get("args") or {}
    if not isinstance(args, Mapping):
        raise SpecError(f"args: {args!r}, expected names and values of the constructor, such as {{width: 64}}")
    with torch.random.fork_rng(devices=[]):  # a constructor draws its first weights from the global source
        torch.manual_seed(0)
        try:
            made = cls(**args)
        except Exception as error:
            raise SpecError(f"args: {cls.__name__}({', '.join(f'{k}={v!r}' for k, v in dict(args).items())}) failed: "
                            f"{type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise SpecError(f"module: {spec['module']} makes a {type(made).__name__}, expected an nn.Module or a Generator")
    if spec.get("checkpoint"):
        if not isinstance(spec["checkpoint"], str | Path):
            raise SpecError(f"checkpoint: {spec['checkpoint']!r}, expected the path of a file")
        _fill(made, folder / at_home(spec["checkpoint"]), spec.get("checkpoint_key"))
    settings = {key: spec[key] for key in SETTINGS if key in spec}
    if isinstance(made, Generator):
        if settings:
            raise SpecError(f"{', '.join(settings)}: {cls.__name__} is a Generator and says this itself")
        made.freeze()
        return made  # whatever a stranger's freeze returns
    if "latent_dim" not in spec:
        raise SpecError("latent_dim: this key is missing; it is the size of z")
    return External(made, **settings).freeze()


def load_any(spec: str) -> Generator:
    """The generator of a checkpoint file, of a YAML file with a specification, or of ``module:Class`` alone.

    Raises:
        SpecError, CheckpointError: it cannot be made; a sentence says why.
    """
    path = at_home(spec)
    if path.suffix in (".yaml", ".yml"):
        found = read_spec(path)
        try:
            return load_external(found, path.parent) if "module" in found else load_generator(found)
        except SpecError as error:
            raise SpecError(f"{_place(path, str(error))}: {error}") from error
    if path.exists() or ":" not in spec:
        return load_generator(path)
    return load_external({"module": spec})


def import_class(name: str, folder: Path) -> type:
    """The class ``package.module:Class``, looked for in ``folder`` too. Raises SpecError."""
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise SpecError(f'module: "{name}", expected "package.module:Class"')
    if (place := str(folder.resolve())) not in sys.path:  # last, and for good: a module may import its like later
        sys.path.append(place)
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise SpecError(f"module: {module_name} cannot be imported: {type(error).__name__}: {error}") from error
    if not callable(getattr(module, attribute, None)):
        classes = [n for n, v in vars(module).items() if isinstance(v, type)]
        raise SpecError("module: " + did_you_mean(f"class of {module_name}", attribute, classes or ["none"]))
    return getattr(module, attribute)


def read_spec(path: Path) -> Mapping[str, Any]:
    """The specification in a YAML file, under the key ``generator`` or alone. Raises SpecError.

    A checkpoint without a module of its own is looked for in the file's folder first, then in the current one.
    """
    try:
        data = read_yaml(path).mapping(", ".join(KEYS))
    except YamlError as error:
        raise SpecError(str(error)) from error
    spec = data.get("generator", data)
    if not isinstance(spec, dict):
        raise SpecError(f"{path}: generator: expected keys and values ({', '.join(KEYS)}), got {spec!r}")
    weights = spec.get("checkpoint")
    if "module" not in spec and isinstance(weights, str) and (path.parent / at_home(weights)).exists():
        return {**spec, "checkpoint": str(path.parent / at_home(weights))}
    return spec


def _place(path: Path, sentence: str) -> str:
    """``path`` and the line of the key that ``sentence`` begins with."""
    key = sentence.partition(":")[0]
    lines = [read_yaml(path).line(place) for place in (("generator", key), (key,))]
    return f"{path}:{max(lines)}"


def _fill(net: nn.Module, path: Path, key: str | None) -> None:
    state = read_checkpoint(path, key, net.state_dict()).state
    masks = {name for name, _ in net.named_buffers()}  # may hold infinity, unlike weights, but nothing may be NaN
    check_finite({k: v.nan_to_num(torch.nan, 0, 0) if k in masks else v for k, v in state.items()}, path)
    try:
        missing, unexpected = net.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise SpecError(f"checkpoint: {path} does not fit {type(net).__name__}: "
                        f"{' '.join(str(error).split())[:300]}") from error
    if missing or unexpected:
        raise SpecError(f"checkpoint: {path} does not fit {type(net).__name__}: missing {_some(missing)}, left over "
                        f"{_some(unexpected)}; see args")


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + " ..." * (len(names) > 4) if names else "nothing"

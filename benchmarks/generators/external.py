"""Anybody's network as a :class:`Generator`: a plain ``nn.Module`` and what a suite needs to know about it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from dirbench.errors import NotApplicable
from dirbench.fingerprint import state_fingerprint
from dirbench.generator import Generator, Layers
from dirbench.names import did_you_mean

OUTPUTS = {"tanh": lambda x: x, "sigmoid": lambda x: 2 * x - 1, "0-255": lambda x: x / 127.5 - 1, "linear": lambda x: x}
IMAGE = "image"  # the only layer of a network that has no convolution to look at
LINEAR = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


class SpecError(ValueError):
    """A generator cannot be made from its specification: which key, what was found, what was expected."""


class _Reached(Exception):
    """The activation that was asked for is there; nothing after it is computed."""


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _shape(value: object, latent_dim: int) -> tuple[int, ...]:
    """One z's shape as a specification has it: whole numbers, or one alone. Raises SpecError."""
    shape = (value,) if _is_size(value) else tuple(value) if isinstance(value, list | tuple) else ()
    if not shape or not all(map(_is_size, shape)):
        raise SpecError(f"input_shape: {value!r}, expected whole numbers from 1, such as [{latent_dim}, 1, 1]")
    return shape


class External(Generator):
    """A plain ``nn.Module`` with z in and images out, fed with z.

    Args:
        net: its forward takes z alone and returns images [N, 3, R, R] or grey [N, 1, R, R].
        latent_dim: size of z. input_shape: of one z as ``net`` takes it (default: [latent_dim]).
        output: where ``net``'s numbers lie. ``tanh`` [-1, 1], ``sigmoid`` [0, 1], ``0-255``, or ``linear``: about
            [-1, 1], without bounds.
        layers: names of submodules whose output is offered as an activation; by default its convolutions but the
            last, in the order in which they run, else the image itself.
        first_linear: name of the linear or convolution layer that z goes into; by default the first that is fed with
            z itself, if there is one.
    Raises:
        SpecError: one trial image shows that one of these is not so.
    """

    space = "z"

    def __init__(self, net: nn.Module, *, latent_dim: int, input_shape: Sequence[int] | None = None,
                 output: str = "tanh", layers: Sequence[str] = (), first_linear: str | None = None) -> None:
        super().__init__()
        if not isinstance(output, str) or output not in OUTPUTS:
            raise SpecError("output: " + did_you_mean("range", str(output), list(OUTPUTS)))
        if not _is_size(latent_dim):
            raise SpecError(f"latent_dim: {latent_dim!r}, expected the size of z, a whole number from 1")
        self.latent_dim, self.output = latent_dim, output
        self.input_shape = _shape(latent_dim if input_shape is None else input_shape, latent_dim)
        layers = (layers,) if isinstance(layers, str) else layers
        if not isinstance(layers, list | tuple):
            raise SpecError(f"layers: {layers!r}, expected names of submodules, such as [blocks.0, blocks.1]")
        if math.prod(self.input_shape) != latent_dim:
            raise SpecError(f"input_shape: {list(self.input_shape)} holds {math.prod(self.input_shape)} numbers, but "
                            f"latent_dim is {latent_dim}")
        if first_linear is not None and not isinstance(first_linear, str):
            raise SpecError(f"first_linear: {first_linear!r}, expected the name of one submodule")
        self.net = net.eval()
        modules = dict(net.named_modules())
        for key, names in (("layers", layers), ("first_linear", [first_linear] if first_linear else [])):
            for name in names:
                if name not in modules:
                    raise SpecError(f"{key}: " + did_you_mean("submodule", str(name), [n for n in modules if n]))
        ran = self._trial()
        convolutions = [name for name, _ in ran if isinstance(modules[name], nn.Conv2d | nn.ConvTranspose2d)]
        self.layer_names = tuple(layers) or tuple(convolutions[:-1]) or (IMAGE,)
        met = [name for name, meets_z in ran if meets_z]
        self.first_linear = first_linear or (met[0] if met else None)
        if first_linear and not isinstance(modules[first_linear], LINEAR):
            raise SpecError(f"first_linear: {first_linear} is a {type(modules[first_linear]).__name__}, expected a "
                            "Linear, Conv2d or ConvTranspose2d")

    @torch.no_grad()
    def _trial(self) -> list[tuple[str, bool]]:
        """(name, is it fed with z itself) of the linear layers and convolutions, in the order in which they run."""
        z = torch.randn(2, self.latent_dim, generator=torch.Generator().manual_seed(0)).to(self._like())
        ran: list[tuple[str, bool]] = []

        def note(name: str):
            def hook(module, inputs, out):
                x = inputs[0] if inputs else None
                same = isinstance(x, Tensor) and x.numel() == z.numel() and torch.equal(x.reshape(z.shape), z)
                ran.append((name, same))
            return hook

        hooks = [module.register_forward_hook(note(name)) for name, module in self.net.named_modules()
                 if isinstance(module, LINEAR)]
        try:
            image = self.net(z.reshape(-1, *self.input_shape))
        except Exception as error:
            raise SpecError(f"{type(self.net).__name__} does not take z as {[2, *self.input_shape]}: "
                            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}; see "
                            "latent_dim and input_shape") from error
        finally:
            for hook in hooks:
                hook.remove()
        if not isinstance(image, Tensor):
            raise SpecError(f"{type(self.net).__name__} returns a {type(image).__name__}, expected a tensor of images; "
                            "wrap it in a class whose forward returns the images alone")
        if image.ndim != 4 or len(image) != 2 or image.shape[1] not in (1, 3) or image.shape[2] != image.shape[3]:
            raise SpecError(f"{type(self.net).__name__} returns {list(image.shape)} for two z, expected square images "
                            "[2, 3, R, R] or [2, 1, R, R]")
        self.resolution = image.shape[-1]
        return ran

    def _like(self) -> Tensor:
        return next(self.net.parameters(), torch.zeros(1))

    @property
    def device(self) -> torch.device:
        """Where the weights are (the CPU for a network without any)."""
        return self._like().device

    def _run(self, latent: Tensor, space: str | None) -> Tensor:
        self.check_space(space)
        if latent.ndim != 2 or latent.shape[1] != self.latent_dim:
            raise ValueError(f"{type(self.net).__name__}: expected z [N, {self.latent_dim}], got {list(latent.shape)}")
        image = self.net(latent.to(self._like().dtype).reshape(-1, *self.input_shape))
        return OUTPUTS[self.output](image.float() if image.dtype != torch.float64 else image)

    def synthesize(self, latent: Tensor, space: str | None = None) -> Tensor:
        """Images [N, 3, R, R], [-1, 1] (about, where ``output`` is linear); grey ones repeated to three channels."""
        return self._run(latent, space).expand(-1, 3, -1, -1)

    def activations(self, latent: Tensor, layer: str, space: str | None = None) -> Tensor:
        """Output [N, C, H, W] of the submodule ``layer`` ([N, C, 1, 1] of a dense one)."""
        if self.check_layer(layer) == IMAGE and IMAGE not in dict(self.net.named_modules()):
            return self._run(latent, space)
        kept: list[Tensor] = []

        def keep(module, inputs, out):
            kept.append(out)
            raise _Reached

        hook = self.net.get_submodule(layer).register_forward_hook(keep)
        try:
            self._run(latent, space)
        except _Reached:
            pass  # by design: the rest of the network is not needed
        finally:
            hook.remove()
        if not kept or not isinstance(kept[0], Tensor) or kept[0].ndim not in (2, 4) or len(kept[0]) != len(latent):
            found = f"gives {list(kept[0].shape)}" if kept and isinstance(kept[0], Tensor) else "gives no tensor"
            raise NotApplicable(f"layer {layer} of {type(self.net).__name__} {found if kept else 'never runs'}, "
                                "expected [N, C, H, W] or [N, C]: it offers no activation")
        return kept[0] if kept[0].ndim == 4 else kept[0][:, :, None, None]

    def affine_weights(self, layers: Layers = "all") -> list[Tensor]:
        """The weight of ``first_linear`` as [out, latent_dim].

        Raises:
            NotApplicable: no layer is fed with z itself, and none was named.
        """
        self.layer_ids(layers)
        who = type(self.net).__name__
        if self.first_linear is None:
            raise NotApplicable(f"{who} has no linear layer that z goes into as it is, so there is nothing to "
                                "factorise; if it has one, name it as first_linear")
        module = self.net.get_submodule(self.first_linear)
        weight = cast(Tensor, module.weight).detach()
        if isinstance(module, nn.Conv2d):
            weight = weight.permute(0, 2, 3, 1)
        elif isinstance(module, nn.ConvTranspose2d):
            weight = weight.permute(1, 2, 3, 0)
        if weight.shape[-1] != self.latent_dim:
            raise NotApplicable(f"{self.first_linear} of {who} takes {weight.shape[-1]} numbers, but z has "
                                f"{self.latent_dim}, so its weight cannot be factorised into directions of z")
        return [weight.reshape(-1, self.latent_dim)]

    def fingerprint(self) -> str:
        """sha256 (hex) over the weights, the file that the network's class is in, ``output`` and ``input_shape``."""
        try:
            source = Path(inspect.getfile(type(self.net))).read_text(encoding="utf-8")
        except (OSError, TypeError):
            source = ""  # made in an interpreter: there is no file
        return state_fingerprint(self, type(self.net).__qualname__, source, self.output, self.input_shape)

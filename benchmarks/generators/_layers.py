"""Building blocks that families share: reading a state dict exactly, class labels, layers of progressive networks."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dirbench.benchmarks.generators.said import check_channels, flag

State = Mapping[str, Tensor]
Widths = Mapping[int, int] | Mapping[str, int]  # of each side; JSON has its keys as text
Network = TypeVar("Network", bound=nn.Module)


# -- reading state dicts ---------------------------------------------------------------------------
class Sizes:
    """Sizes read off a state dict; what is absent or of another rank is a ValueError that names it."""

    def __init__(self, state: State, family: str) -> None:
        self.state, self.family = state, family

    def shape(self, name: str, rank: int) -> tuple[int, ...]:
        """Shape of ``name``, which must have ``rank`` axes."""
        if name not in self.state:
            raise ValueError(f"{self.family} state dict: {name} is missing")
        shape = tuple(self.state[name].shape)
        if len(shape) != rank:
            raise ValueError(f"{self.family} state dict: {name} is {shape}, expected {rank} axes")
        return shape

    def count(self, pattern: str) -> int:
        """How many names match ``pattern``, whose one group is a number; the numbers must be 0, 1, 2, ..."""
        found = sorted({int(match[1]) for name in self.state if (match := re.fullmatch(pattern, name))})
        if not found or found != list(range(len(found))):
            raise ValueError(f"{self.family} state dict: names like {pattern!r} are numbered {found[:20]}, expected "
                             "0, 1, 2, ... without a gap")
        return len(found)


def build(cls: type[Network], settings: Mapping[str, Any], state: State, optional: Iterable[str] = ()) -> Network:
    """``cls(**settings)`` holding ``state``. Memory is taken only when all names and shapes are right.

    Args:
        optional: names that ``state`` may lack; they are left at zero.
    Raises:
        ValueError: settings that ``cls`` does not have or accept; names missing, left over or of the wrong shape.
    """
    family = cls.__name__
    known = [name for name in inspect.signature(cls).parameters if name != "rng"]
    if unknown := sorted(set(settings) - set(known)):
        raise ValueError(f"{family} has no setting {', '.join(unknown)}; it has {', '.join(known)}")
    check_channels(int(settings.get("image_channels", 3)), f"{family} state dict")
    try:
        with torch.device("meta"):  # shapes only: a file cannot make us allocate what it does not hold
            net = cls(**settings)
    except (RuntimeError, TypeError, OverflowError) as error:
        raise ValueError(f"{family} state dict: sizes that no network has ({error})") from error
    expected, optional = net.state_dict(), set(optional)
    missing = [name for name in expected if name not in state and name not in optional]
    left = [name for name in state if name not in expected]
    if missing or left:
        raise ValueError(f"{family} state dict: missing {_some(missing)}, not understood {_some(left)}")
    wrong = [f"{name} is {tuple(state[name].shape)}, expected {tuple(value.shape)}"
             for name, value in expected.items() if name in state and state[name].shape != value.shape]
    if wrong:
        raise ValueError(f"{family} state dict: {_some(wrong)}")
    net = net.to_empty(device="cpu")
    net.load_state_dict(state, strict=False)
    for name in optional - set(state):
        net.get_buffer(name).zero_()
    return net


def _some(items: list[str]) -> str:
    shown = "; ".join(items[:5]) if items else "nothing"
    return f"{shown} and {len(items) - 5} more" if len(items) > 5 else shown


def check_fixed(state: State, suffix: str, value: Tensor, what: str) -> None:
    """ValueError unless every buffer whose name ends in ``suffix`` is ``value`` (the only one applied here)."""
    for name, stored in state.items():
        if name.endswith(suffix) and (stored.shape[-value.ndim:] != value.shape or not torch.allclose(
                stored.float().cpu(), value.expand(stored.shape), atol=1e-4)):
            raise ValueError(f"{name} is not {what}, the only one applied here")


def levels(resolution: int, channels: Widths, family: str) -> dict[int, int]:
    """Width of each side 4, 8, ... ``resolution``, checked; keys may be text, as JSON has them.

    Raises:
        ValueError: the resolution is no power of two from 8, or ``channels`` does not name every side.
    """
    if resolution < 8 or resolution & (resolution - 1):
        raise ValueError(f"{family}: resolution={resolution}, expected a power of two from 8")
    sides = [2**i for i in range(2, resolution.bit_length())]
    widths = {int(side): int(width) for side, width in channels.items()}
    if sorted(widths) != sides:
        raise ValueError(f"{family}: channels names resolutions {sorted(widths)}, expected {sides}")
    return {side: widths[side] for side in sides}


# -- labels ----------------------------------------------------------------------------------------
def class_labels(c: Tensor | None, n: int, c_dim: int, label: int | None, family: str) -> Tensor | None:
    """Labels [n, c_dim] of ``c`` (such labels, or class indices [n]), else of class ``label``; None without classes.

    Raises:
        ValueError: classes exist and neither is given, or a label is out of range or of another shape.
    """
    if not c_dim:
        if c is not None and c.numel():
            raise ValueError(f"{family}: labels were given to a network without classes")
        return None
    if c is None:
        if label is None:
            raise ValueError(f"{family}: this network has {c_dim} classes: pass labels c, or set .label to the class "
                             "to use where none is given")
        c = torch.full((n,), int(label))
    if c.ndim == 1:
        if c.numel() and not 0 <= int(c.min()) <= int(c.max()) < c_dim:
            raise ValueError(f"{family}: classes {int(c.min())} to {int(c.max())}, expected 0 to {c_dim - 1}")
        c = F.one_hot(c, c_dim)
    if c.shape != (n, c_dim):
        raise ValueError(f"{family}: labels {tuple(c.shape)}, expected [{n}, {c_dim}] or class indices [{n}]")
    return c


# -- layers ----------------------------------------------------------------------------------------
def unit_rms(x: Tensor) -> Tensor:
    """x [N, C, ...] divided by its root mean square over C (pixel normalisation)."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def normal(*shape: int, rng: torch.Generator) -> nn.Parameter:
    """A parameter drawn from N(0, 1)."""
    return nn.Parameter(torch.randn(*shape, generator=rng))


class Equalised(nn.Module):
    """Weight and bias of a dense or convolutional layer that scales its weight when used.

    Args:
        shape: of the weight as stored, output channels first. gain: over sqrt(fan-in), the weight's factor.
        lr: learning-rate multiplier, a factor of weight and bias. bias: size, if not that of the first axis.
    """

    def __init__(self, *shape: int, gain: float = math.sqrt(2), lr: float = 1.0, rng: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(*shape, generator=rng) / lr)
        self.bias = nn.Parameter(torch.zeros(shape[0]))
        self.scale, self.lr = gain * lr / math.sqrt(math.prod(shape[1:])), lr

    def conv(self, x: Tensor, padding: int = 0) -> Tensor:
        """The convolution, without bias."""
        return F.conv2d(x, self.weight * self.scale, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        """A dense layer on [N, D], or a 1x1 convolution on [N, C, H, W], with bias."""
        if x.ndim == 2:
            return F.linear(x, self.weight * self.scale, self.bias * self.lr)
        return F.conv2d(x, self.weight * self.scale, self.bias)


def is_fused(fused_scale: bool | str, side: int) -> bool:
    """Whether the layer that upsamples to ``side`` stores its kernel for a transposed convolution."""
    return side >= 128 if fused_scale == "auto" else bool(fused_scale)


def fused_setting(value: bool | str) -> bool | str:
    """``fused_scale`` as genforce configurations have it. Raises ValueError for anything else."""
    return value if value == "auto" else flag(value)


def upsampling_conv(x: Tensor, weight: Tensor, fused: bool) -> Tensor:
    """[N, I, H, W] -> [N, O, 2H, 2W]: nearest-neighbour enlargement, then a 3x3 convolution ``weight`` [O, I, 3, 3].

    Both at once, as a transposed convolution with the kernel's four one-pixel shifts added up (half of the work).
    ``fused`` kernels are stored for that form, where a kernel acts mirrored.
    """
    kernel = weight.transpose(0, 1)
    kernel = F.pad(kernel if fused else kernel.flip(2, 3), (1, 1, 1, 1))
    kernel = kernel[..., 1:, :] + kernel[..., :-1, :]
    return F.conv_transpose2d(x, kernel[..., 1:] + kernel[..., :-1], stride=2, padding=1)


def enlarge(image: Tensor, factor: int = 2) -> Tensor:
    """Nearest-neighbour enlargement of [N, C, H, W]."""
    return image.repeat_interleave(factor, 2).repeat_interleave(factor, 3) if factor > 1 else image


def progressive_image(features: Iterable[Tensor], outputs: Mapping[int, Callable[[Tensor], Tensor]], lod: float,
                      top: int, family: str) -> Tensor:
    """The image at level of detail ``lod``: 0 is the full network, each unit drops the last resolution.

    Between integers, the images of two neighbouring resolutions are blended (Karras et al., ICLR 2018, fig. 2).

    Args:
        features: the last activation of each resolution, from 4x4 on; read no further than needed.
        outputs: layers to the image, by resolution index. top: index of the last resolution.
    Raises:
        ValueError: ``lod`` is outside of 0 to ``top``, or needs an output layer that the network lacks.
    """
    if not 0 <= lod <= top:
        raise ValueError(f"{family}: lod={lod}, expected 0 (full resolution) to {top} (4x4)")
    last, first, share = top - math.floor(lod), top - math.ceil(lod), lod - math.floor(lod)
    if lacking := {first, last} - set(outputs):
        raise ValueError(f"{family}: lod={lod} needs the image layers of resolutions {sorted(4 << k for k in lacking)},"
                         " which this checkpoint does not hold")
    read = enumerate(islice(features, last + 1))
    image, *larger = [outputs[level](x) for level, x in read if level in (first, last)]
    if larger:
        image = torch.lerp(larger[0], enlarge(image), share)
    return enlarge(image, 1 << (top - last))

"""BigGAN-deep as a :class:`Generator`: bottleneck blocks, the whole z in every layer, statistics by truncation.

Brock, Donahue & Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", ICLR 2019
(arXiv:1809.11096), Sec. 4.2 and appendix B; names and conventions of huggingface/pytorch-pretrained-BigGAN.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dirbench.benchmarks.generators.biggan_layers import SelfAttention, fold_stored_pair, normalise, upsample
from dirbench.benchmarks.generators.said import Said, flag, positive, whole
from dirbench.benchmarks.generators.z_fed import Label, ZFed, reading, to_image, truncated_normal
from dirbench.generator import Layers

BOTTOM = 4  # side of the first activation
NORMS = ("bn_0", "bn_1", "bn_2", "bn_3")
ATTENTION = ("snconv1x1_theta", "snconv1x1_phi", "snconv1x1_g", "snconv1x1_o_conv")
LAYOUT = "a BigGAN-deep generator in the Hugging Face layout"
TAIL = 2.0  # truncated latents are standard normal within +-2, times the truncation


class BigGANDeep(ZFed):
    """BigGAN-deep generator; latents z, images in [-1, 1].

    Every layer reads [z, class embedding], so z may also be [N, L, D]: one row for the first dense layer, then one
    for each block.

    Args:
        z_dim: size of z, and of the class embedding. n_classes: number of classes.
        widths: channels at the bottom and after each block. upsampling: which blocks double the side.
        attention: before which block self-attention stands, or None.
        n_stats: rows of the table of batch-norm statistics, for truncations from 0 to 1 in even steps.
        outputs: of the last convolution, of which the first three are the image.
        eps: of the norms.
        truncation: in (0, 1]; ``sample_z`` is a normal within +-2 times it, and statistics are looked up by it.
        label: see :class:`ZFed`.

    Weights are empty until a state is loaded; spectral norm is in the weights.
    """

    family = "biggan_deep"

    def __init__(self, *, z_dim: int, n_classes: int, widths: Sequence[int], upsampling: Sequence[bool],
                 attention: int | None = None, n_stats: int = 51, outputs: int = 3, eps: float = 1e-4,
                 truncation: float = 1.0, label: Label = None) -> None:
        super().__init__()
        if len(upsampling) != len(widths) - 1:
            raise ValueError(f"BigGANDeep: upsampling={list(upsampling)}, expected one flag for each of "
                             f"{len(widths) - 1} blocks")
        self.latent_dim, self.n_layers = z_dim, len(widths)
        self.n_classes, self.label, self.eps = n_classes, label, eps
        self.truncation = truncation
        self.resolution = BOTTOM * 2 ** sum(upsampling)
        condition = 2 * z_dim
        with torch.device("meta"):
            self.embeddings = nn.Linear(n_classes, z_dim, bias=False)
            self.generator = net = _Network()
            net.gen_z = nn.Linear(condition, widths[0] * BOTTOM**2)
            net.layers = nn.ModuleList(_Block(n_in, n_out, up, condition, n_stats, eps)
                                       for n_in, n_out, up in zip(widths, widths[1:], upsampling, strict=False))
            if attention is not None:
                net.layers.insert(attention, SelfAttention(widths[attention], ATTENTION, (1,)))
            net.bn = _Norm(widths[-1], n_stats)
            net.conv_to_rgb = nn.Conv2d(widths[-1], outputs, 3, padding=1)
        self.layer_names = ("generator.gen_z", *(f"generator.layers.{i}" for i in range(len(net.layers))))

    @classmethod
    def reads(cls, state: Mapping[str, Tensor]) -> bool:
        """True for the names of huggingface/pytorch-pretrained-BigGAN."""
        return {"embeddings.weight", "generator.gen_z.bias", "generator.bn.running_means"} <= state.keys()

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor], *, extras: Mapping[str, object] | None = None,
                        **overrides: object) -> BigGANDeep:
        """The network of a state in the Hugging Face layout, every size read off the tensors.

        The state does not say which blocks double the side: that project's ``config`` in ``extras`` does, else it is
        every second one (the 2nd, the 4th, ...), as in all released models, unless ``upsampling`` is among the
        ``overrides`` (others: truncation, label, and eps, else the config's, else 1e-4). Weights without
        ``weight_orig`` are taken as they are.

        Raises:
            ValueError: names are missing or left over, shapes do not fit each other, or ``extras`` tell of another
                network.
        """
        said = Said(extras, "BigGANDeep")
        with reading(LAYOUT):
            state = fold_stored_pair(state)
            blocks, attention = [], None
            for i in range(len(state)):
                stem = f"generator.layers.{i}"
                if f"{stem}.gamma" in state and attention is None:
                    attention = i
                elif f"{stem}.conv_0.weight" in state:
                    blocks.append(stem)
                else:
                    break
            widths = [state[f"{blocks[0]}.conv_0.weight"].shape[1],
                      *(len(state[f"{block}.conv_3.weight"]) for block in blocks)]
            embedding, n_classes = state["embeddings.weight"].shape
            if state["generator.gen_z.weight"].shape[1] != 2 * embedding:
                raise ValueError(f"gen_z reads {state['generator.gen_z.weight'].shape[1]} numbers, expected "
                                 f"{2 * embedding}: z and a class embedding of its size")
            if len(state["generator.gen_z.bias"]) != widths[0] * BOTTOM**2:
                raise ValueError(f"the map that it starts from has {len(state['generator.gen_z.bias'])} numbers in "
                                 f"{widths[0]} channels, expected {BOTTOM}x{BOTTOM}: only square images are read")
            sizes: dict[str, Any] = {
                "z_dim": embedding, "n_classes": n_classes, "widths": widths, "attention": attention,
                "n_stats": len(state["generator.bn.running_means"]),
                "outputs": len(state["generator.conv_to_rgb.weight"])}
            if sizes["outputs"] < 3:
                raise ValueError(f"images of {sizes['outputs']} channels, expected 3")
        sizes["upsampling"] = _compare(said, sizes)
        with reading(LAYOUT):
            net = cls._filled(state, sizes | {"eps": said.take("eps", positive, 1e-4)} | overrides)
        net.notes = said.told()
        return net

    # -- latents -----------------------------------------------------------------------------------
    def sample_z(self, n: int, rng: torch.Generator) -> Tensor:
        """z [n, D]: truncation x a standard normal within +-2 (the public code's sampling); CPU draws, then moved."""
        self._lookup()
        return (self.truncation * truncated_normal(n, self.latent_dim, TAIL, rng)).to(self.device)

    def settings(self) -> dict[str, object]:
        return {**super().settings(), "truncation": self.truncation, "eps": self.eps,
                "upsampling": [layer.up for layer in self.generator.layers if isinstance(layer, _Block)]}

    def _lookup(self) -> tuple[int, float]:
        """Row i and fraction t of the statistics for ``truncation``; computed as the public code does, to the bit."""
        if not 0 < self.truncation <= 1:
            raise ValueError(f"BigGANDeep: truncation={self.truncation}, expected a number above 0 and up to 1")
        step = 1 / (len(self.generator.bn.running_means) - 1)
        fraction, row = math.modf(self.truncation / step)
        return int(row), fraction

    # -- layers -------------------------------------------------------------------------------------
    def _steps(self, z: Tensor, c: Tensor | None) -> Iterator[tuple[str, Tensor]]:
        net, at = self.generator, self._lookup()
        embedding = self.embeddings(c)
        conditions = iter([torch.cat([row, embedding], dim=1) for row in self._rows(z).unbind(1)])
        x = net.gen_z(next(conditions)).view(len(z), BOTTOM, BOTTOM, -1).permute(0, 3, 1, 2).contiguous()
        yield "generator.gen_z", x
        for i, layer in enumerate(net.layers):
            x = layer(x, next(conditions), at) if isinstance(layer, _Block) else layer(x)
            yield f"generator.layers.{i}", x
        mean, var = net.bn.statistics(at)
        x = normalise(x, mean, var, self.eps, net.bn.weight, net.bn.bias).relu()
        assert net.conv_to_rgb.bias is not None  # as made above
        yield "image", to_image(F.conv2d(x, net.conv_to_rgb.weight[:3], net.conv_to_rgb.bias[:3], padding=1))

    def affine_weights(self, layers: Layers = "all") -> list[Tensor]:
        """Weights [out, D] that read z: of the first dense layer, then of each block's norms (scales and offsets).

        Columns of the class embedding are left out.
        """
        blocks = [layer for layer in self.generator.layers if isinstance(layer, _Block)]
        readers = [[self.generator.gen_z],
                   *([m for name in NORMS for m in (getattr(b, name).scale, getattr(b, name).offset)] for b in blocks)]
        chosen = self.layer_ids(layers)
        return [torch.cat([m.weight.detach()[:, :self.latent_dim] for m in readers[i]])
                for i in (range(self.n_layers) if chosen is None else chosen)]


class _Statistics(nn.Module):
    """Means and variances [C] of a norm, for each of a row of truncations."""

    running_means: Tensor
    running_vars: Tensor

    def __init__(self, channels: int, n_stats: int) -> None:
        super().__init__()
        self.register_buffer("running_means", torch.zeros(n_stats, channels))
        self.register_buffer("running_vars", torch.ones(n_stats, channels))

    def statistics(self, at: tuple[int, float]) -> tuple[Tensor, Tensor]:
        """Mean and variance at (row i, fraction t): t of row i and 1 - t of the next, as released models do it.

        The other way round would be the usual interpolation, but gives other images than theirs.
        """
        row, t = at
        mean, var = (table[row] * t + table[row + 1] * (1 - t) if t else table[row]
                     for table in (self.running_means, self.running_vars))
        return mean, var


class _Norm(_Statistics):
    """Batch norm with a weight and bias of its own."""

    def __init__(self, channels: int, n_stats: int) -> None:
        super().__init__(channels, n_stats)
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))


class _ConditionalNorm(_Statistics):
    """Batch norm whose scale (less 1) and offset are linear in the condition."""

    def __init__(self, channels: int, condition: int, n_stats: int, eps: float) -> None:
        super().__init__(channels, n_stats)
        self.eps = eps
        self.scale = nn.Linear(condition, channels, bias=False)
        self.offset = nn.Linear(condition, channels, bias=False)

    def forward(self, x: Tensor, condition: Tensor, at: tuple[int, float]) -> Tensor:
        mean, var = self.statistics(at)
        return normalise(x, mean, var, self.eps, 1 + self.scale(condition), self.offset(condition))


class _Block(nn.Module):
    """Bottleneck block, a quarter as wide inside; the shortcut keeps the first channels where the width falls."""

    bn_0: _ConditionalNorm
    bn_1: _ConditionalNorm
    bn_2: _ConditionalNorm
    bn_3: _ConditionalNorm

    def __init__(self, n_in: int, n_out: int, up: bool, condition: int, n_stats: int, eps: float) -> None:
        super().__init__()
        self.up, self.n_out, inner = up, n_out, n_in // 4
        for name, width in zip(NORMS, (n_in, inner, inner, inner)):
            self.add_module(name, _ConditionalNorm(width, condition, n_stats, eps))
        self.conv_0 = nn.Conv2d(n_in, inner, 1)
        self.conv_1 = nn.Conv2d(inner, inner, 3, padding=1)
        self.conv_2 = nn.Conv2d(inner, inner, 3, padding=1)
        self.conv_3 = nn.Conv2d(inner, n_out, 1)

    def forward(self, x: Tensor, condition: Tensor, at: tuple[int, float]) -> Tensor:
        h = self.conv_0(self.bn_0(x, condition, at).relu())
        h = self.bn_1(h, condition, at).relu()
        h = self.conv_1(upsample(h) if self.up else h)
        h = self.conv_2(self.bn_2(h, condition, at).relu())
        h = self.conv_3(self.bn_3(h, condition, at).relu())
        kept = x[:, :self.n_out]
        return h + (upsample(kept) if self.up else kept)


class _Network(nn.Module):
    """What a state's names have as ``generator``; :class:`BigGANDeep` fills it."""

    gen_z: nn.Linear
    layers: nn.ModuleList
    bn: _Norm
    conv_to_rgb: nn.Conv2d


def _compare(said: Said, sizes: Mapping[str, Any]) -> list[bool]:
    """Which blocks double the side, as the file says (else every second one), if it agrees with the weights.

    Raises:
        ValueError: settings and weights are of two networks.
    """
    widths, other = sizes["widths"], "settings and weights are of two networks"
    said.size(("z_dim", "class_embed_dim"), sizes["z_dim"], "numbers of z, and of the class embedding")
    said.size(("num_classes", "n_classes"), sizes["n_classes"], "classes")
    said.size("n_stats", sizes["n_stats"], "rows of batch-norm statistics")
    position = said.take("attention_layer_position", whole, sizes["attention"])
    if position != sizes["attention"] and not (sizes["attention"] is None and position >= len(widths) - 1):
        raise ValueError(f"BigGANDeep: the checkpoint says attention_layer_position={position}, but its weights have "
                         f"attention before layer {sizes['attention']}: {other}")
    layers = said.take("layers", _layers, None)
    width = said.take("channel_width", whole, widths[-1])
    if layers is not None:
        planned = [layers[0][1] * width, *(out * width for _, _, out in layers)] if layers else []
        if planned != widths:
            raise ValueError(f"BigGANDeep: the checkpoint says layers and channel_width of widths {planned}, but its "
                             f"weights have {widths}: {other}")
    flags = [i % 2 == 1 for i in range(len(widths) - 1)] if layers is None else [up for up, _, _ in layers]
    said.size("output_dim", BOTTOM << sum(flags), "pixels a side")
    said.skip("architectures", "model_type", "torch_dtype", "transformers_version")
    return flags


def _layers(value: Any) -> list[tuple[bool, int, int]]:
    """(doubles the side, channels before, after, in units of the width) of each block."""
    return [(flag(up), whole(before), whole(after)) for up, before, after in value]

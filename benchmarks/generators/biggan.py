"""BigGAN as a :class:`Generator`: hierarchical z, one class embedding shared by all layers.

Brock, Donahue & Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", ICLR 2019
(arXiv:1809.11096), Sec. 3 and appendix B; names and conventions of ajbrock/BigGAN-PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from benchmarks.generators.base import Layers
from benchmarks.generators.biggan_layers import SelfAttention, fold_power_step, normalise, upsample
from benchmarks.generators.z_fed import Label, ZFed, count_up, reading, to_image, truncated_normal

FINAL_EPS = 1e-5  # of the last norm, whatever the others have
ATTENTION = ("theta", "phi", "g", "o")


class BigGAN(ZFed):
    """BigGAN generator; latents z, images in [-1, 1].

    z is cut into as many chunks as there are places that read it: the first dense layer takes the first, every block
    takes the class embedding and the next. So z may also be [N, L, D], one row a place, which takes its chunk of it.

    Args:
        chunk: size of a chunk of z. n_classes, embedding: number of classes and size of the class embedding.
        widths: channels at the bottom and after each block; the side doubles with each. bottom: side at the bottom.
        attention: numbers of the blocks that self-attention follows.
        eps: of the conditional norms.
        truncation: the threshold of truncated sampling, or None (paper, Sec. 3.1: values of z beyond it are drawn
            again). It shapes ``sample_z`` only; the network does not know it.
        label: see :class:`ZFed`.

    Weights are empty until a state is loaded; spectral norm is in the weights.
    """

    family = "biggan"

    def __init__(self, *, chunk: int, n_classes: int, embedding: int, widths: Sequence[int], bottom: int = 4,
                 attention: Sequence[int] = (), eps: float = 1e-5, truncation: float | None = None,
                 label: Label = None) -> None:
        super().__init__()
        self.chunk, self.bottom = chunk, bottom
        self.n_classes, self.label, self.truncation = n_classes, label, truncation
        self.n_layers = len(widths)
        self.latent_dim = chunk * self.n_layers
        self.resolution = bottom * 2 ** (len(widths) - 1)
        with torch.device("meta"):
            self.shared = nn.Embedding(n_classes, embedding)
            self.linear = nn.Linear(chunk, widths[0] * bottom**2)
            self.blocks = nn.ModuleList(
                nn.ModuleList([_Block(n_in, n_out, embedding + chunk, eps)]
                              + [SelfAttention(n_out, ATTENTION, ())] * (i in attention))
                for i, (n_in, n_out) in enumerate(pairwise(widths)))
            self.output_layer = nn.Sequential(_Norm(widths[-1]), nn.ReLU(), nn.Conv2d(widths[-1], 3, 3, padding=1))
        inside = [f"blocks.{i}.{j}" for i, stage in enumerate(self.blocks) for j in range(len(stage))]
        self.layer_names = ("linear", *inside)

    @classmethod
    def reads(cls, state: Mapping[str, Tensor]) -> bool:
        """True for the names of ajbrock/BigGAN-PyTorch's generator."""
        return {"shared.weight", "linear.weight", "blocks.0.0.bn1.gain.weight", "output_layer.2.weight"} <= state.keys()

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor], *, extras: Mapping[str, object] | None = None,
                        **overrides: object) -> BigGAN:
        """The network of a state in the ajbrock layout, every size read off the tensors.

        Statistics may lie one level deeper (``bn1.bn.stored_mean`` or ``running_mean``, as cross-replica and "my"
        batch norm store them); weights without ``u0`` are taken as they are. ``overrides``: eps, truncation, label.

        Raises:
            ValueError: names are missing or left over, shapes do not fit each other, or z is not hierarchical.
        """
        with reading("a BigGAN generator in the ajbrock layout"):
            state = fold_power_step(_flat_statistics(state))
            blocks = count_up(state, "blocks.{}.0.conv1.weight")
            widths = [state["blocks.0.0.conv1.weight"].shape[1],
                      *(len(state[f"blocks.{i}.0.conv1.weight"]) for i in range(blocks))]
            rows, chunk = state["linear.weight"].shape
            n_classes, embedding = state["shared.weight"].shape
            if state["blocks.0.0.bn1.gain.weight"].shape[1] != embedding + chunk:
                raise ValueError(
                    f"the norms of its blocks read {state['blocks.0.0.bn1.gain.weight'].shape[1]} numbers, expected "
                    f"{embedding} of the class embedding and a chunk of {chunk} of z: only hierarchical z can be read")
            sizes = {"chunk": chunk, "n_classes": n_classes, "embedding": embedding, "widths": widths,
                     "bottom": math.isqrt(rows // widths[0]),
                     "attention": [i for i in range(blocks) if f"blocks.{i}.1.gamma" in state]}
            return cls._filled(state, sizes | overrides)

    # -- latents -----------------------------------------------------------------------------------
    def sample_z(self, n: int, rng: torch.Generator) -> Tensor:
        """Standard normal z [n, D], truncated as ``truncation`` says; drawn on the CPU, then moved."""
        if self.truncation is None:
            return super().sample_z(n, rng)
        return truncated_normal(n, self.latent_dim, self.truncation, rng).to(self.device)

    def settings(self) -> dict[str, object]:
        return {**super().settings(), "truncation": self.truncation}

    # -- layers -------------------------------------------------------------------------------------
    def _steps(self, z: Tensor, c: Tensor | None) -> Iterator[tuple[str, Tensor]]:
        chunks = [row.split(self.chunk, dim=1)[i] for i, row in enumerate(self._rows(z).unbind(1))]
        embedding = c @ self.shared.weight
        x = self.linear(chunks[0]).view(len(z), -1, self.bottom, self.bottom)
        yield "linear", x
        for i, stage in enumerate(self.blocks):
            condition = torch.cat([embedding, chunks[i + 1]], dim=1)
            for j, module in enumerate(stage):
                x = module(x) if j else module(x, condition)
                yield f"blocks.{i}.{j}", x
        yield "image", to_image(self.output_layer(x))

    def affine_weights(self, layers: Layers = "all") -> list[Tensor]:
        """Weights [out, D] that read z: of the first dense layer, then of each block's norms (gain and bias).

        Each reads its own chunk of z, the other columns are zero; columns of the class embedding are left out.
        """
        chosen = self.layer_ids(layers)
        out = []
        for i in range(self.n_layers) if chosen is None else chosen:
            if i == 0:
                weight = self.linear.weight.detach()
            else:
                block = self.blocks[i - 1][0]
                maps = (block.bn1.gain, block.bn1.bias, block.bn2.gain, block.bn2.bias)
                weight = torch.cat([m.weight.detach()[:, -self.chunk:] for m in maps])
            full = weight.new_zeros(len(weight), self.latent_dim)
            full[:, i * self.chunk:(i + 1) * self.chunk] = weight
            out.append(full)
        return out


class _ConditionalNorm(nn.Module):
    """Batch norm whose gain (less 1) and bias are linear in the condition."""

    def __init__(self, channels: int, condition: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.gain = nn.Linear(condition, channels, bias=False)
        self.bias = nn.Linear(condition, channels, bias=False)
        self.register_buffer("stored_mean", torch.zeros(channels))
        self.register_buffer("stored_var", torch.ones(channels))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return normalise(x, self.stored_mean, self.stored_var, self.eps, 1 + self.gain(condition),
                         self.bias(condition))


class _Norm(nn.Module):
    """Batch norm with a gain and bias of its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("stored_mean", torch.zeros(channels))
        self.register_buffer("stored_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return normalise(x, self.stored_mean, self.stored_var, FINAL_EPS, self.gain, self.bias)


class _Block(nn.Module):
    """Residual block that doubles the side."""

    def __init__(self, n_in: int, n_out: int, condition: int, eps: float) -> None:
        super().__init__()
        self.bn1, self.bn2 = _ConditionalNorm(n_in, condition, eps), _ConditionalNorm(n_out, condition, eps)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, padding=1)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1)
        self.conv_sc = nn.Conv2d(n_in, n_out, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.conv1(upsample(self.bn1(x, condition).relu()))
        h = self.conv2(self.bn2(h, condition).relu())
        return h + upsample(self.conv_sc(x))  # a 1x1 convolution and repeated pixels change places for nothing


def _flat_statistics(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``state`` with statistics of a norm within a norm (``x.bn.stored_mean``) where they are otherwise (``x``).

    A positive ``accumulation_counter`` there means that "standing" statistics are sums over so many batches.
    """
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        stem, _, leaf = name.rpartition(".")
        if not stem.endswith(".bn"):
            out[name] = value
        elif leaf not in ("accumulation_counter", "num_batches_tracked"):
            batches = float(state.get(f"{stem}.accumulation_counter", torch.zeros(1)).max())
            out[f"{stem.removesuffix('.bn')}.{leaf.replace('running_', 'stored_')}"] = value / max(batches, 1.0)
    return out

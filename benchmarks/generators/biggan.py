"""BigGAN as a :class:`Generator`: hierarchical z, one class embedding shared by all layers.

Brock, Donahue & Simonyan, "Large Scale GAN Training for High Fidelity Natural Image Synthesis", ICLR 2019
(arXiv:1809.11096), Sec. 3 and appendix B; names and conventions of ajbrock/BigGAN-PyTorch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn

from dirbench.benchmarks.generators.biggan_layers import SelfAttention, fold_power_step, normalise, upsample
from dirbench.benchmarks.generators.said import Said, check_channels, positive, whole
from dirbench.benchmarks.generators.z_fed import Label, ZFed, count_up, reading, to_image, truncated_normal
from dirbench.generator import Layers

FINAL_EPS = 1e-5  # of the last norm, whatever the others have
ATTENTION = ("theta", "phi", "g", "o")
LARGEST_SN_EPS = 1e-4
LAYOUT = "a BigGAN generator in the ajbrock layout"


class BigGAN(ZFed):
    """BigGAN generator; latents z, images in [-1, 1].

    z is cut into as many chunks as there are places that read it: the first dense layer takes the first, every block
    takes the class embedding and the next. So z may also be [N, L, D], one row a place, which takes its chunk of it.

    Args:
        chunk: size of a chunk of z. n_classes, embedding: number of classes and size of the class embedding.
        widths: channels at the bottom and after each block; the side doubles with each. bottom: side at the bottom.
        attention: numbers of the blocks that self-attention follows.
        eps: of the conditional norms. image_channels: 3, or 1 for grey (``synthesize`` repeats it to three).
        truncation: the threshold of truncated sampling, or None (paper, Sec. 3.1: values of z beyond it are drawn
            again). It shapes ``sample_z`` only; the network does not know it.
        label: see :class:`ZFed`.

    Weights are empty until a state is loaded; spectral norm is in the weights.
    """

    family = "biggan"

    def __init__(self, *, chunk: int, n_classes: int, embedding: int, widths: Sequence[int], bottom: int = 4,
                 attention: Sequence[int] = (), eps: float = 1e-5, image_channels: int = 3,
                 truncation: float | None = None, label: Label = None) -> None:
        super().__init__()
        self.chunk, self.bottom, self.eps = chunk, bottom, eps
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
            to_rgb = nn.Conv2d(widths[-1], image_channels, 3, padding=1)
            self.output_layer = nn.Sequential(_Norm(widths[-1]), nn.ReLU(), to_rgb)
        inside = [f"blocks.{i}.{j}" for i, stage in enumerate(self._stages()) for j in range(len(stage))]
        self.layer_names = ("linear", *inside)

    @classmethod
    def reads(cls, state: Mapping[str, Tensor]) -> bool:
        """True for the names of ajbrock/BigGAN-PyTorch's generator."""
        names = {"shared.weight", "linear.weight", "blocks.0.0.bn1.gain.weight", "output_layer.2.weight"}
        return names <= state.keys() and "blocks.0.0.bn4.gain.weight" not in state  # which BigGAN-deep has

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor], *, extras: Mapping[str, object] | None = None,
                        **overrides: object) -> BigGAN:
        """The network of a state in the ajbrock layout, every size read off the tensors.

        Statistics may lie one level deeper (``bn1.bn.stored_mean`` or ``running_mean``, as cross-replica and "my"
        batch norm store them); weights without ``u0`` are taken as they are. ``overrides``: eps (else ``BN_eps`` of
        that project's ``config`` in ``extras``, else 1e-5), truncation, label.

        Raises:
            ValueError: names are missing or left over, shapes do not fit each other, z is not hierarchical, or
                ``extras`` tell of another network, or of one that is not computed here.
        """
        said = Said(extras, "BigGAN")
        with reading(LAYOUT):
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
            bottom = math.isqrt(rows // widths[0])
            if bottom**2 * widths[0] != rows:
                raise ValueError(f"the map that it starts from has {rows} numbers in {widths[0]} channels, which make "
                                 "no square: only square images are read")
            sizes = {"chunk": chunk, "n_classes": n_classes, "embedding": embedding, "widths": widths,
                     "bottom": bottom, "attention": [i for i in range(blocks) if f"blocks.{i}.1.gamma" in state],
                     "image_channels": check_channels(len(state["output_layer.2.weight"]), "BigGAN")}
        _compare(said, sizes)
        with reading(LAYOUT):
            net = cls._filled(state, sizes | {"eps": said.take(("BN_eps", "eps"), positive, 1e-5)} | overrides)
        net.notes = said.told()
        return net

    # -- latents -----------------------------------------------------------------------------------
    def sample_z(self, n: int, rng: torch.Generator) -> Tensor:
        """Standard normal z [n, D], truncated as ``truncation`` says; drawn on the CPU, then moved."""
        if self.truncation is None:
            return super().sample_z(n, rng)
        return truncated_normal(n, self.latent_dim, self.truncation, rng).to(self.device)

    def settings(self) -> dict[str, object]:
        return {**super().settings(), "truncation": self.truncation, "eps": self.eps}

    # -- layers -------------------------------------------------------------------------------------
    def _stages(self) -> list[nn.ModuleList]:
        """Each block, with the self-attention that may follow it."""
        return [cast(nn.ModuleList, stage) for stage in self.blocks]

    def _steps(self, z: Tensor, c: Tensor | None) -> Iterator[tuple[str, Tensor]]:
        chunks = [row.split(self.chunk, dim=1)[i] for i, row in enumerate(self._rows(z).unbind(1))]
        assert c is not None  # every BigGAN has classes
        embedding = c @ self.shared.weight
        x = self.linear(chunks[0]).view(len(z), -1, self.bottom, self.bottom)
        yield "linear", x
        for i, stage in enumerate(self._stages()):
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
                block = cast(_Block, self._stages()[i - 1][0])
                maps = (block.bn1.gain, block.bn1.bias, block.bn2.gain, block.bn2.bias)
                weight = torch.cat([m.weight.detach()[:, -self.chunk:] for m in maps])
            full = weight.new_zeros(len(weight), self.latent_dim)
            full[:, i * self.chunk:(i + 1) * self.chunk] = weight
            out.append(full)
        return out


class _ConditionalNorm(nn.Module):
    """Batch norm whose gain (less 1) and bias are linear in the condition."""

    stored_mean: Tensor
    stored_var: Tensor

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

    stored_mean: Tensor
    stored_var: Tensor

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


def _compare(said: Said, sizes: Mapping[str, Any]) -> None:
    """ValueError where ajbrock's ``config`` tells of another network than the weights, or of none computed here."""
    slots, bottom = len(sizes["widths"]), sizes["bottom"]
    said.only("model", "biggan")
    said.only("G_shared", True)
    said.only("hier", True)
    said.only("norm_style", "bn")
    said.only("G_kernel_size", 3)
    said.only(("G_nl", "G_activation"), "relu", "inplace_relu")
    said.only("G_activation.negative_slope", 0)  # the module itself is kept there: its attributes are read
    said.only("z_var", 1)
    if said.take("SN_eps", positive, 1e-12) > LARGEST_SN_EPS:  # it only keeps a norm of zero from being divided by
        raise ValueError(f"BigGAN: the checkpoint says that SN_eps is above {LARGEST_SN_EPS}, which would change its "
                         "spectral norm, and is not computed here")
    said.size(("n_classes", "num_classes"), sizes["n_classes"], "classes")
    said.size("bottom_width", bottom, "pixels at the bottom")
    said.size("resolution", bottom << slots - 1, "pixels a side")
    shared, z_dim = said.take("shared_dim", whole, 0), said.take("dim_z", whole, None)
    if shared or z_dim:  # 0: as wide as z
        said.size("shared_dim" if shared else "dim_z", sizes["embedding"], "numbers of the class embedding")
    if z_dim and z_dim // slots != sizes["chunk"]:
        raise ValueError(f"BigGAN: the checkpoint says dim_z={z_dim}, which {slots} places share in chunks of "
                         f"{z_dim // slots}, but its weights read chunks of {sizes['chunk']}: settings and weights "
                         "are of two networks")
    found = [bottom << i + 1 for i in sizes["attention"]]
    asked = said.take(("G_attn", "attention"), _resolutions, found)
    if [side for side in asked if bottom < side <= bottom << slots - 1] != found:
        raise ValueError(f"BigGAN: the checkpoint says G_attn={asked}, but its weights have attention at {found}: "
                         "settings and weights are of two networks")
    said.skip("G_ch", "G_param", "G_init", "num_G_SVs", "num_G_SV_itrs", "cross_replica", "mybn", "G_mixed_precision",
              "G_fp16", "skip_init", "no_optim", "G_lr", "adam_eps", "SN_eps", "BN_eps", "z_chunk_size", "num_slots",
              "G_depth", "G_ortho", "G_eval_mode", "G_batch_size", "BN_sync", "hashname", "experiment_name", "shuffle",
              "load_in_mem", "parallel", "pin_memory", "use_multiepoch_sampler", "toggle_grads", "split_D", "arch",
              "accumulate_stats", "sv_log_interval", "ema_start", "use_ema", "num_inception_images", "gpu",
              "num_save_copies", "num_best_copies", "pbar", "name_suffix", "config_from_name", "load_weights",
              "logstyle", "no_fid", "G_activation.inplace", "G_activation.training")


def _resolutions(text: Any) -> list[int]:
    """[32, 64] of ajbrock's "32_64"; "0" is none."""
    return sorted(int(part) for part in str(text).split("_") if int(part))


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

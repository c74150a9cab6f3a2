"""StyleGAN2 as a :class:`Generator`, to train and to search.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020 (arXiv:1912.04958), skip
architecture; names and conventions of the ADA release (arXiv:2006.06676), NVlabs/stylegan2-ada-pytorch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from benchmarks.generators._layers import levels
from benchmarks.generators._style_based import StyleBased
from benchmarks.generators.base import Layers
from benchmarks.generators.layouts import LAYOUTS, detect_layout, to_ada
from benchmarks.generators.stylegan2_layers import LOWPASS, Block, MappingNetwork, StyledConv

NOISE_MODES = ("const", "random", "none")


class StyleGAN2(StyleBased):
    """StyleGAN2 generator (skip architecture); latents z, w or w+, images about [-1, 1], not clipped.

    Args:
        z_dim, w_dim: sizes of z and w. c_dim: number of classes, 0 without labels.
        resolution: side of the image, a power of two from 8.
        channels: width of each resolution, ``{4: 64, 8: 64, ...}`` (keys may be text, as JSON has them).
        mapping_layers, mapping_hidden, mapping_embed: depth, hidden width and label embedding of the mapping
            network (widths default to w_dim). mapping_lr: its learning-rate multiplier.
        clamp: limit of activations, as ADA's released networks have it; ``math.inf`` for none.
        label, truncation_psi, truncation_cutoff: see :class:`StyleBased`.
        rng: source of the initial weights (default: seed 0).
    Raises:
        ValueError: the resolution is no power of two from 8, or ``channels`` does not name every resolution.
    """

    family = "stylegan2"

    def __init__(self, *, z_dim: int = 512, w_dim: int = 512, c_dim: int = 0, resolution: int,
                 channels: Mapping[int | str, int], mapping_layers: int = 8,
                 mapping_hidden: int | None = None, mapping_embed: int | None = None,
                 mapping_lr: float = 0.01, clamp: float = 256.0, image_channels: int = 3,
                 label: int | None = None, truncation_psi: float = 1.0, truncation_cutoff: int | None = None,
                 rng: torch.Generator | None = None) -> None:
        super().__init__(c_dim, label, truncation_psi, truncation_cutoff)
        channels = levels(resolution, channels, "StyleGAN2")
        rng = rng or torch.Generator().manual_seed(0)
        self.config = dict(
            z_dim=z_dim, w_dim=w_dim, c_dim=c_dim, resolution=resolution, channels=channels,
            mapping_layers=mapping_layers, mapping_hidden=mapping_hidden or w_dim,
            mapping_embed=mapping_embed or w_dim, mapping_lr=mapping_lr, clamp=clamp,
            image_channels=image_channels)
        self.latent_dim, self.w_dim, self.c_dim, self.resolution = z_dim, w_dim, c_dim, resolution
        self.n_layers = 2 * len(channels)
        self.clamp = clamp
        self.mapping = MappingNetwork(z_dim, w_dim, c_dim, mapping_layers, self.config["mapping_hidden"],
                                      self.config["mapping_embed"], mapping_lr, rng)
        self.synthesis = nn.Module()
        for side, width in channels.items():
            block = Block(channels.get(side // 2, 0), width, w_dim, side, image_channels, rng)
            self.synthesis.add_module(f"b{side}", block)
        self.layer_names = tuple(name for name, _ in self._convs())

    @classmethod
    def reads(cls, state: Mapping[str, Tensor]) -> bool:
        """True for the names of any of ``layouts.LAYOUTS``."""
        return any(all(name in state for name in layout.names) for layout in LAYOUTS.values())

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor], *, extras: Mapping[str, object] | None = None,
                        clamp: float | None = None, mapping_lr: float | None = None, label: int | None = None,
                        truncation_psi: float = 1.0, truncation_cutoff: int | None = None) -> StyleGAN2:
        """The network of a state dict in any of ``layouts.LAYOUTS``, every size read off the tensors.

        The state does not say the clamp nor the mapping network's learning-rate multiplier: they come from the
        arguments, else from constructor arguments in ``extras``, else they are as in that project's released files
        (ADA: 256, others none; 0.01). Without a centre of truncation, it is the mean of 10,000 mapped latents.

        Raises:
            ValueError: names are missing or left over, or the low-pass is not (1, 3, 3, 1).
        """
        said = _settings(extras or {})
        if cls.reads(state):  # else: what is missing of the ADA layout is said below
            said = {"clamp": LAYOUTS[detect_layout(state)].clamp, **said}
            state = to_ada(state, extras=extras)
        clamp = said.get("clamp", 256.0) if clamp is None else clamp
        mapping_lr = said.get("mapping_lr", 0.01) if mapping_lr is None else mapping_lr
        found = (re.fullmatch(r"synthesis\.b(\d+)\.torgb\.weight", name) for name in state)
        sides = sorted(int(match[1]) for match in found if match)
        layers = sum(bool(re.fullmatch(r"mapping\.fc\d+\.weight", name)) for name in state)
        try:
            embed, c_dim = state["mapping.embed.weight"].shape if "mapping.embed.weight" in state else (0, 0)
            first = state["mapping.fc0.weight"]
            w_dim = state["synthesis.b4.torgb.affine.weight"].shape[1]
            channels = {s: state[f"synthesis.b{s}.torgb.weight"].shape[1] for s in sides}
            _check_shapes(state, channels, w_dim, layers)
            net = cls(
                z_dim=first.shape[1] - embed, w_dim=w_dim,
                c_dim=c_dim, resolution=sides[-1], mapping_layers=layers, mapping_lr=mapping_lr, channels=channels,
                mapping_hidden=len(first) if layers > 1 else None, mapping_embed=embed or None,
                clamp=clamp, image_channels=len(state["synthesis.b4.torgb.weight"]),
                label=label, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)
            for name, value in state.items():
                kept = not name.endswith("resample_filter")
                if not kept and not torch.allclose(value.float().cpu(), LOWPASS, atol=1e-4):
                    raise ValueError(f"{name} is not the (1, 3, 3, 1) low-pass, the only one applied here")
            missing, unexpected = net.load_state_dict(state, strict=False)
        except (KeyError, IndexError, RuntimeError) as error:
            raise ValueError("not a StyleGAN2 state dict in the ADA layout with skip architecture: "
                             f"{type(error).__name__}: {error}") from error
        wanted = [name for name in missing if name != "mapping.w_avg"]
        if wanted or unexpected:
            raise ValueError(f"StyleGAN2 state dict: missing {wanted}, not understood {unexpected}; only the "
                             "skip architecture in the ADA layout can be read")
        if missing:
            net.estimate_w_avg()
        return net

    # -- latents -----------------------------------------------------------------------------------
    @property
    def w_avg(self) -> Tensor:
        """Centre of truncation [w_dim]."""
        return self.mapping.w_avg

    def _mapping(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return self.mapping(z, labels)

    def settings(self) -> dict[str, object]:
        """What the images depend on beside the weights."""
        return {**super().settings(), "clamp": self.clamp}

    # -- images and activations ----------------------------------------------------------------------
    def forward(self, z: Tensor, c: Tensor | None = None, *, noise_mode: str = "const",
                rng: torch.Generator | None = None) -> Tensor:
        """Images [N, 3, R, R] of z; see ``synthesize``."""
        return self.synthesize(z, "z", c, noise_mode=noise_mode, rng=rng)

    def synthesize(self, latent: Tensor, space: str | None = None, c: Tensor | None = None, *,
                   noise_mode: str = "const", rng: torch.Generator | None = None) -> Tensor:
        """Images [N, 3, R, R], about [-1, 1] and not clipped, of z or w [N, D] or w+ [N, L, D].

        ``noise_mode``: ``"const"`` (stored noise), ``"none"``, or ``"random"`` (from ``rng``, on its device).
        Computes in the weights' dtype or autocast's; the image is summed up in at least float32.
        """
        image = None
        rows = self.to_rows(latent, space, c)
        for i, (name, x) in enumerate(self._layers(rows, noise_mode, rng)):
            if not name.endswith("conv1"):
                continue
            block = self._block(name)
            with torch.autocast(x.device.type, enabled=False):
                part = block.torgb(x, rows[:, i + 1], self.clamp)
                part = part.to(torch.promote_types(part.dtype, torch.float32))
                image = part if image is None else part + block.enlarge(image)
        return image.contiguous()

    def activations(self, latent: Tensor, layer: str, space: str | None = None,
                    c: Tensor | None = None) -> Tensor:
        """Output [N, C, H, W] of a styled convolution (``"b4.conv1"``, ``"b8.conv0"``, ...); stored noise.

        On a CPU with channels last in memory: a copy would cost its gradient a tenth of the first layer's time.
        """
        self.check_layer(layer)
        rows = self.to_rows(latent, space, c)
        return next(x for name, x in self._layers(rows, "const", None) if name == layer)

    def _convs(self) -> Iterator[tuple[str, StyledConv]]:
        for name, block in self.synthesis.named_children():
            if hasattr(block, "conv0"):
                yield f"{name}.conv0", block.conv0
            yield f"{name}.conv1", block.conv1

    def _layers(self, rows: Tensor, mode: str,
                rng: torch.Generator | None) -> Iterator[tuple[str, Tensor]]:
        """(name, output) of the styled convolutions, lazily, so that a caller can stop early."""
        if mode not in NOISE_MODES or (mode == "random" and rng is None):
            raise ValueError(f"StyleGAN2: noise_mode={mode!r} with rng={rng}; expected one of "
                             f"{', '.join(NOISE_MODES)}, and an rng for 'random'")
        kind = rows.device.type
        x = self.synthesis.b4.const[None]
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        if kind == "cpu":  # upsampling convolutions are twice as quick, band matrices apply without copies
            x = x.contiguous(memory_format=torch.channels_last)
        for i, (name, conv) in enumerate(self._convs()):
            with torch.autocast(kind, enabled=False):
                x = conv(x, rows[:, i], dtype, self.clamp, mode, rng)
            yield name, x

    def _block(self, name: str) -> Block:
        return getattr(self.synthesis, name.split(".")[0])

    # -- styles ------------------------------------------------------------------------------------
    def affine_weights(self, layers: Layers = "all") -> list[Tensor]:
        """Style affine weights [C, w_dim] as stored, one for each row of w+, the last the final ToRGB's.

        A ToRGB below the last shares its row with the next block's first convolution, which stands for it.
        """
        affines = [conv.affine for _, conv in self._convs()]
        affines.append(self._block(self.layer_names[-1]).torgb.affine)
        chosen = self.layer_ids(layers)
        return [affines[i].weight.detach() for i in (range(self.n_layers) if chosen is None else chosen)]

    def styles(self, latent: Tensor, space: str | None = None, c: Tensor | None = None) -> dict[str, Tensor]:
        """Output [N, C] of every style affine, keyed ``"b4.conv1"``, ``"b4.torgb"``, ...: the space s."""
        rows, out = self.to_rows(latent, space, c), {}
        for i, (name, conv) in enumerate(self._convs()):
            out[name] = conv.affine(rows[:, i])
            if name.endswith("conv1"):
                out[name.replace("conv1", "torgb")] = self._block(name).torgb.affine(rows[:, i + 1])
        return out


def _check_shapes(state: Mapping[str, Tensor], channels: Mapping[int, int], w_dim: int, depth: int) -> None:
    """ValueError unless tensors whose shape is a product of sizes have it: sizes that lie would cost all memory."""
    wanted: dict[str, tuple[int, ...]] = {}
    hidden, features = len(state["mapping.fc0.weight"]), state["mapping.fc0.weight"].shape[1]
    for i in range(depth):
        wanted[f"mapping.fc{i}.weight"] = (w_dim if i == depth - 1 else hidden, features)
        features = hidden
    for side, width in channels.items():
        block, below = f"synthesis.b{side}", channels.get(side // 2)
        wanted[f"{block}.torgb.affine.weight"] = (width, w_dim)
        for conv, n_in in (("conv0", below), ("conv1", width)):
            if n_in is not None:
                wanted |= {f"{block}.{conv}.weight": (width, n_in, 3, 3), f"{block}.{conv}.noise_const": (side, side),
                           f"{block}.{conv}.affine.weight": (n_in, w_dim)}
    for name, shape in wanted.items():
        if name in state and tuple(state[name].shape) != shape:
            raise ValueError(f"StyleGAN2 state dict: size mismatch for {name}: {tuple(state[name].shape)}, but the "
                             f"other tensors ask for {shape}")
    absent = [name for name in wanted if name not in state]
    if absent:
        raise ValueError(f"StyleGAN2 state dict: missing {absent[:4]}; only the skip architecture in the ADA layout "
                         "can be read")


def _settings(extras: Mapping[str, object]) -> dict[str, float]:
    """{"clamp", "mapping_lr"} as far as the constructor arguments of NVIDIA's Generator in ``extras`` name them."""
    found: dict[str, float] = {}
    arguments = extras.get("init_kwargs") or {}
    for group, name, ours in (("synthesis_kwargs", "conv_clamp", "clamp"),
                              ("mapping_kwargs", "lr_multiplier", "mapping_lr")):
        inner = arguments.get(group) if isinstance(arguments, Mapping) else None
        if not isinstance(inner, Mapping) or name not in inner:
            continue
        value = inner[name]
        if ours == "clamp" and value is None:
            value = math.inf
        if not isinstance(value, (int, float)) or not value > 0:
            raise ValueError(f"StyleGAN2: the checkpoint's {group} say {name}={value!r}, expected a positive number")
        found[ours] = float(value)
    return found

"""StyleGAN2 as a :class:`Generator`, to train and to search.

Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020 (arXiv:1912.04958), skip
architecture; names and conventions of the ADA release (arXiv:2006.06676), NVlabs/stylegan2-ada-pytorch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from dirbench.benchmarks.generators import stylegan2_reading
from dirbench.benchmarks.generators._layers import Widths, levels
from dirbench.benchmarks.generators._style_based import NO_CENTRE, StyleBased
from dirbench.benchmarks.generators.layouts import layout_of
from dirbench.benchmarks.generators.stylegan2_layers import Block, MappingNetwork, StyledConv
from dirbench.generator import Layers

NOISE_MODES = ("const", "random", "none")


class StyleGAN2(StyleBased):
    """StyleGAN2 generator (skip architecture); latents z, w or w+, images about [-1, 1], not clipped.

    Args:
        z_dim, w_dim: sizes of z and w. c_dim: number of classes, 0 without labels.
        resolution: side of the image, a power of two from 8.
        channels: width of each resolution, ``{4: 64, 8: 64, ...}`` (keys may be text, as JSON has them).
        mapping_layers, mapping_hidden, mapping_embed: depth, hidden width and label embedding of the mapping
            network (widths default to w_dim). mapping_lr: its learning-rate multiplier.
        joint: z and the label's numbers are normalised together (genforce's networks), not each apart (NVIDIA's).
        clamp: limit of activations, as ADA's released networks have it; ``math.inf`` for none.
        image_channels: 3, or 1 for grey (``synthesize`` repeats it to three).
        label, truncation_psi, truncation_cutoff: see :class:`StyleBased`.
        rng: source of the initial weights (default: seed 0).
    Raises:
        ValueError: the resolution is no power of two from 8, or ``channels`` does not name every resolution.
    """

    family = "stylegan2"

    def __init__(self, *, z_dim: int = 512, w_dim: int = 512, c_dim: int = 0, resolution: int,
                 channels: Widths, mapping_layers: int = 8,
                 mapping_hidden: int | None = None, mapping_embed: int | None = None,
                 mapping_lr: float = 0.01, joint: bool = False, clamp: float = 256.0, image_channels: int = 3,
                 label: int | None = None, truncation_psi: float = 1.0, truncation_cutoff: int | None = None,
                 rng: torch.Generator | None = None) -> None:
        super().__init__(c_dim, label, truncation_psi, truncation_cutoff)
        channels = levels(resolution, channels, "StyleGAN2")
        rng = rng or torch.Generator().manual_seed(0)
        self.config = dict(
            z_dim=z_dim, w_dim=w_dim, c_dim=c_dim, resolution=resolution, channels=channels,
            mapping_layers=mapping_layers, mapping_hidden=mapping_hidden or w_dim,
            mapping_embed=mapping_embed or w_dim, mapping_lr=mapping_lr, joint=joint, clamp=clamp,
            image_channels=image_channels)
        self.latent_dim, self.w_dim, self.c_dim, self.resolution = z_dim, w_dim, c_dim, resolution
        self.n_layers = 2 * len(channels)
        self.clamp = clamp
        self.mapping = MappingNetwork(z_dim, w_dim, c_dim, mapping_layers, self.config["mapping_hidden"],
                                      self.config["mapping_embed"], mapping_lr, rng, joint)
        self.synthesis = nn.Module()
        for side, width in channels.items():
            block = Block(channels.get(side // 2, 0), width, w_dim, side, image_channels, rng)
            self.synthesis.add_module(f"b{side}", block)
        self.layer_names = tuple(name for name, _ in self._convs())

    @classmethod
    def reads(cls, state: Mapping[str, Tensor]) -> bool:
        """True for the names of any of ``layouts.LAYOUTS``."""
        return layout_of(state) is not None

    @classmethod
    def from_state_dict(  # type: ignore[override]  # these overrides and no others, as ``families`` tells users
            cls, state: Mapping[str, Tensor], *, extras: Mapping[str, object] | None = None,
            clamp: float | None = None, mapping_lr: float | None = None, label: int | None = None,
            truncation_psi: float = 1.0, truncation_cutoff: int | None = None) -> StyleGAN2:
        """The network of a state dict in any of ``layouts.LAYOUTS``, every size read off the tensors.

        The state does not say the clamp nor the mapping network's learning-rate multiplier: they come from the
        arguments, else from constructor arguments in ``extras``, else they are as in that project's released files
        (ADA: 256, others none; 0.01). Without a centre of truncation, it is the mean of 10,000 mapped latents; without
        noise inputs there is no noise; where only their constants are gone, draws of seed 0 stand for them. Low-passes
        are constants. ``notes`` says which of this was so.

        Raises:
            ValueError: names are missing or left over, the low-pass is not (1, 3, 3, 1), images are not square or have
                two or more than three channels, or ``extras`` tell of another network than the weights.
        """
        settings, state, said = stylegan2_reading.read(state, extras, clamp, mapping_lr)
        try:
            net = cls(**settings, label=label, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)
            missing, unexpected = net.load_state_dict(state, strict=False)
        except (KeyError, IndexError, RuntimeError) as error:
            raise ValueError("not a StyleGAN2 state dict in the ADA layout with skip architecture: "
                             f"{type(error).__name__}: {error}") from error
        wanted = [name for name in missing if name != "mapping.w_avg" and not name.endswith("resample_filter")]
        if wanted or unexpected:
            raise ValueError(f"StyleGAN2 state dict: missing {wanted}, not understood {unexpected}; only the "
                             "skip architecture in the ADA layout can be read")
        if "mapping.w_avg" in missing:
            net.estimate_w_avg()
            said.note(NO_CENTRE)
        net.notes = said.told()
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
        assert image is not None  # every block has a conv1
        return image.expand(-1, 3, -1, -1).contiguous()

    def activations(self, latent: Tensor, layer: str, space: str | None = None,
                    c: Tensor | None = None) -> Tensor:
        """Output [N, C, H, W] of a styled convolution (``"b4.conv1"``, ``"b8.conv0"``, ...); stored noise.

        On a CPU with channels last in memory: a copy would cost its gradient a tenth of the first layer's time.
        """
        self.check_layer(layer)
        rows = self.to_rows(latent, space, c)
        return next(x for name, x in self._layers(rows, "const", None) if name == layer)

    def _convs(self) -> Iterator[tuple[str, StyledConv]]:
        for name, module in self.synthesis.named_children():
            block = cast(Block, module)
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
        x = self._block("b4").const[None]
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

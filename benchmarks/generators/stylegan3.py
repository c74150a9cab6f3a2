"""StyleGAN3, configurations T and R, as a :class:`Generator`.

Karras et al., "Alias-Free Generative Adversarial Networks", NeurIPS 2021 (arXiv:2106.12423); names and conventions
of NVlabs/stylegan3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from dirbench.benchmarks.generators._layers import State, build
from dirbench.benchmarks.generators._style_based import NO_CENTRE, StyleBased
from dirbench.benchmarks.generators.said import Said
from dirbench.benchmarks.generators.stylegan2_layers import Dense, MappingNetwork
from dirbench.benchmarks.generators.stylegan3_layers import FourierInput, Geometry, Layer, Step, schedule
from dirbench.benchmarks.generators.stylegan3_reading import FAMILY, layer_sizes, lowpass_names, read
from dirbench.generator import Layers

TRANSFORM = "synthesis.input.transform"


class StyleGAN3(StyleBased):
    """StyleGAN3 generator; latents z, w or w+, images about [-1, 1], not clipped.

    Row 0 of w+ feeds the Fourier input, row i + 1 layer i, the last row the layer to the image.

    Args:
        z_dim, w_dim: sizes of z and w. n_classes: 0 without labels.
        resolution: side of the image, a power of two.
        channels: width of each layer but the last, L0, L1, ... (the input has the width of L0).
        mapping_layers, mapping_lr: depth and learning-rate multiplier of the mapping network.
        conv_kernel, radial: 3 and False in configuration T; 1 and True (radial downsampling) in R.
        num_critical, first_cutoff, first_stopband, last_stopband_rel, margin_size: see :func:`schedule`.
        filter_size: taps of a low-pass for each unit of its factor.
        clamp: limit of activations; ``math.inf`` for none. output_scale: factor of the image.
        label, truncation_psi, truncation_cutoff: see :class:`StyleBased`.
        rng: source of the initial weights (default: seed 0).
    Raises:
        ValueError: the resolution is no power of two, or the settings give no schedule.

    The buffer ``synthesis.input.transform`` moves and rotates the image (inverse 3x3 transform of the plane).
    """

    family = "stylegan3"

    def __init__(self, *, z_dim: int = 512, w_dim: int = 512, n_classes: int = 0, resolution: int,
                 channels: Sequence[int], mapping_layers: int = 2, mapping_lr: float = 0.01, conv_kernel: int = 3,
                 radial: bool = False, num_critical: int = 2, first_cutoff: float = 2.0,
                 first_stopband: float = 2**2.1, last_stopband_rel: float = 2**0.3, margin_size: int = 10,
                 filter_size: int = 6, clamp: float = 256.0, output_scale: float = 0.25, image_channels: int = 3,
                 label: int | None = None, truncation_psi: float = 1.0, truncation_cutoff: int | None = None,
                 rng: torch.Generator | None = None) -> None:
        super().__init__(n_classes, label, truncation_psi, truncation_cutoff)
        if resolution < 8 or resolution & (resolution - 1):
            raise ValueError(f"StyleGAN3: resolution={resolution}, expected a power of two from 8")
        rng, channels = rng or torch.Generator().manual_seed(0), [int(width) for width in channels]
        self.config = dict(
            z_dim=z_dim, w_dim=w_dim, n_classes=n_classes, resolution=resolution, channels=channels,
            mapping_layers=mapping_layers, mapping_lr=mapping_lr, conv_kernel=conv_kernel, radial=radial,
            num_critical=num_critical, first_cutoff=first_cutoff, first_stopband=first_stopband,
            last_stopband_rel=last_stopband_rel, margin_size=margin_size, filter_size=filter_size, clamp=clamp,
            output_scale=output_scale, image_channels=image_channels)
        self.latent_dim, self.w_dim, self.resolution = z_dim, w_dim, resolution
        self.clamp, self.output_scale = clamp, output_scale
        n = len(channels)
        self.n_layers = n + 2
        self.steps: list[Step] = schedule(resolution, n, num_critical, first_cutoff, first_stopband, last_stopband_rel,
                                          margin_size)
        self.mapping = MappingNetwork(z_dim, w_dim, n_classes, mapping_layers, w_dim, w_dim, mapping_lr, rng)
        self.synthesis = nn.Module()
        self.synthesis.input = FourierInput(w_dim, channels[0], self.steps[0], rng)
        names, widths = [], [*channels, image_channels]
        for i, step in enumerate(self.steps):
            before, rgb = max(i - 1, 0), i == n
            kernel = 1 if rgb else conv_kernel
            geometry = Geometry.of(self.steps[before], step, kernel, filter_size, radial and i < n - num_critical, rgb)
            names.append(f"L{i}_{step.size}_{widths[i]}")
            self.synthesis.add_module(names[-1], Layer(widths[before], widths[i], w_dim, kernel, geometry, rgb, rng))
        self.layer_names, self._rgb = tuple(names[:-1]), names[-1]

    # -- checkpoints -------------------------------------------------------------------------------
    @classmethod
    def reads(cls, state: State) -> bool:
        """True for names of NVlabs/stylegan3."""
        return {"synthesis.input.freqs", "synthesis.input.affine.weight", "mapping.fc0.weight"} <= set(state)

    @classmethod
    def from_state_dict(cls, state: State, *, extras: Mapping[str, Any] | None = None, **overrides: Any) -> StyleGAN3:
        """The network of a state dict: sizes, widths, kernels, filters and their taps read off the tensors.

        The tensors do not say (and the init arguments in ``extras``, or ``overrides``, may): ``conv_clamp``
        (``clamp``; default 256), ``output_scale`` (0.25), ``mapping_kwargs.lr_multiplier`` (``mapping_lr``; 0.01), and
        what makes the schedule: ``num_critical`` (2; read off R's filters), ``first_cutoff`` (2), ``first_stopband``
        (2^2.1), ``last_stopband_rel`` (2^0.3). The schedule is checked against the sizes in the layers' names.
        A state without ``mapping.w_avg`` gets the mean of 10,000 mapped latents; one without any low-passes, which
        are constants, gets those of its schedule; one without the user's transform gets none.

        Raises:
            ValueError: names are missing, left over, or of a shape or size that does not fit; ``extras`` tell of
                another network, or of one that is not computed here.
        """
        said = Said(extras, FAMILY)
        settings = read(state, said)
        planned, n = settings | overrides, len(settings["channels"])
        steps = schedule(planned["resolution"], n, *(planned[k] for k in (
            "num_critical", "first_cutoff", "first_stopband", "last_stopband_rel", "margin_size")))
        sizes = layer_sizes(state)
        if [step.size for step in steps] != sizes:
            raise ValueError(
                f"StyleGAN3 state dict: layers of sizes {sizes}, but the schedule makes {[s.size for s in steps]}; "
                f"pass num_critical={planned['num_critical']}, first_cutoff, first_stopband or last_stopband_rel as "
                "the network was trained with")
        lowpasses = lowpass_names(state)
        net = build(cls, planned, state, optional=("mapping.w_avg", TRANSFORM, *lowpasses))
        for name in set(lowpasses) - set(state):
            layer, _, which = name.rpartition(".")
            up, down = cast(Layer, net.get_submodule(layer)).geometry.filters()
            net.get_buffer(name).copy_(up if which == "up_filter" else down)
        if TRANSFORM not in state:
            net.get_buffer(TRANSFORM).copy_(torch.eye(3))
            said.note("the file has no transform of the plane: images are neither moved nor turned")
        if "mapping.w_avg" not in state:
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

    # -- images and activations ----------------------------------------------------------------------
    def synthesize(self, latent: Tensor, space: str | None = None, c: Tensor | None = None) -> Tensor:
        """Images [N, 3, R, R], about [-1, 1] and not clipped, of z or w [N, D] or w+ [N, L, D].

        ``c``: labels of z, [N, n_classes] or class indices [N].
        """
        rows = self.to_rows(latent, space, c)
        *_, (_, x) = self._features(rows)
        image = getattr(self.synthesis, self._rgb)(x, rows[:, -1], self.clamp) * self.output_scale
        return image.expand(-1, 3, -1, -1)

    def activations(self, latent: Tensor, layer: str, space: str | None = None, c: Tensor | None = None) -> Tensor:
        """Output [N, C, H, W] of ``layer`` (``"L0_36_512"``, ...), margins included."""
        self.check_layer(layer)
        return next(x for name, x in self._features(self.to_rows(latent, space, c)) if name == layer)

    def _features(self, rows: Tensor) -> Iterator[tuple[str, Tensor]]:
        """(name, output) of the layers, lazily, so that a caller can stop early."""
        x = cast(FourierInput, self.synthesis.input)(rows[:, 0])
        for i, name in enumerate(self.layer_names):
            x = getattr(self.synthesis, name)(x, rows[:, i + 1], self.clamp)
            yield name, x

    # -- styles ------------------------------------------------------------------------------------
    def _affines(self) -> dict[str, Dense]:
        return {name: getattr(self.synthesis, name).affine for name in ("input", *self.layer_names, self._rgb)}

    def affine_weights(self, layers: Layers = "all") -> list[Tensor]:
        """Affine weights [C, w_dim] as stored, one for each row of w+: the input's (C = 4), then the styles'."""
        chosen, affines = self.layer_ids(layers), list(self._affines().values())
        return [affines[i].weight.detach() for i in (range(self.n_layers) if chosen is None else chosen)]

    def styles(self, latent: Tensor, space: str | None = None, c: Tensor | None = None) -> dict[str, Tensor]:
        """Output [N, C] of every affine, keyed ``"input"``, ``"L0_36_512"``, ...: the space s."""
        rows = self.to_rows(latent, space, c)
        return {name: affine(rows[:, i]) for i, (name, affine) in enumerate(self._affines().items())}

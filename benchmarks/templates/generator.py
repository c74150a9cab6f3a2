"""The generator that ``new generator`` writes, and the YAML that names it."""

GENERATOR = '''\
"""CLASS: a generator of your own with a mapped space w. Replace the network, keep what the methods ask for."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dirbench import Generator, Layers


class CLASS(Generator):
    """A small StyleGAN-like network: z is mapped to w, and w steers each of its layers."""

    latent_dim, w_dim = 64, 64  # sizes of z and of w
    space = "w"  # where directions live; "z" for a network without a mapping (then w_dim = n_layers = 0)
    n_layers = 4  # how often w is used: rows of w+
    resolution = 32  # side of the square image, pixels
    layer_names = ("b4", "b8", "b16", "b32")  # activations that can be looked at, in the order they are computed

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.mapping = nn.Sequential(nn.Linear(self.latent_dim, self.w_dim), nn.LeakyReLU(0.2),
                                     nn.Linear(self.w_dim, self.w_dim))
        self.start = nn.Parameter(torch.randn(width, 4, 4))
        self.styles = nn.ModuleList(nn.Linear(self.w_dim, width) for _ in range(self.n_layers))
        self.convolutions = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(self.n_layers))
        self.to_image = nn.Conv2d(width, 3, 1)
        for style in self.styles:
            nn.init.normal_(style.weight, std=0.3)
        for layer in (*self.convolutions, self.to_image):
            nn.init.kaiming_normal_(layer.weight)

    def map(self, z: Tensor) -> Tensor:
        """w [N, w_dim] of z [N, latent_dim]."""
        if z.shape[1:] != (self.latent_dim,):
            raise ValueError(f"expected z [N, {self.latent_dim}], got {list(z.shape)}")
        return self.mapping(z.to(self.start.dtype))

    def synthesize(self, latent: Tensor, space: str | None = None) -> Tensor:
        """Images [N, 3, 32, 32] in [-1, 1] of z or w [N, D], or of w+ [N, 4, D]."""
        image = torch.tanh(self.to_image(self._run(latent, space, self.layer_names[-1])))
        return image if image.dtype == torch.float64 else image.float()

    def activations(self, latent: Tensor, layer: str, space: str | None = None) -> Tensor:
        """What comes out of one layer, [N, C, H, W]; nothing after it is computed."""
        return self._run(latent, space, self.check_layer(layer))

    def affine_weights(self, layers: Layers = "all") -> list[Tensor]:
        """The matrix [out, w_dim] that w meets in each layer: what SeFa factorises."""
        chosen = self.layer_ids(layers)
        return [self.styles[i].weight.detach() for i in (range(self.n_layers) if chosen is None else chosen)]

    def _run(self, latent: Tensor, space: str | None, last: str) -> Tensor:
        rows = self._rows(self.map(latent) if self.check_space(space) == "z" else latent)
        x = self.start.expand(len(rows), -1, -1, -1)
        for i, name in enumerate(self.layer_names):
            x = x if i == 0 else F.interpolate(x, scale_factor=2, mode="nearest")
            x = self.convolutions[i](x * (1 + self.styles[i](rows[:, i]))[:, :, None, None])
            x = F.leaky_relu(x, 0.2)
            x = x * x.square().mean(dim=1, keepdim=True).add(1e-8).rsqrt()  # no layer grows out of hand
            if name == last:
                break
        return x  # no random number, no batch norm: the same latent gives the same image in any batch

    def _rows(self, w: Tensor) -> Tensor:
        """w+ [N, 4, D] of w [N, D] or w+."""
        rows = w[:, None].expand(-1, self.n_layers, -1) if w.ndim == 2 else w
        if rows.shape[1:] != (self.n_layers, self.w_dim):
            raise ValueError(f"expected latents [N, {self.w_dim}] or [N, {self.n_layers}, {self.w_dim}], got "
                             f"{list(w.shape)}")
        return rows.to(self.start.dtype)
'''
GENERATOR_YAML = '''\
# For check-generator and audit; in a suite the same keys stand under generators: NAME:
generator:
  module: STEM:CLASS             # STEM.py lies beside this file; its code runs, it is yours
  args: {width: 32}              # of its constructor
  # checkpoint: weights.pt       # a state dict of it, read without running code; without one its weights are random
'''

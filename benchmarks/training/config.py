"""Settings of one training run, and the networks that they describe."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field

import torch

from dirbench.benchmarks.generators.stylegan2 import StyleGAN2
from dirbench.benchmarks.training.discriminator import Discriminator


@dataclass(frozen=True)
class GanConfig:
    """Sizes and settings of one training run. Defaults are the mini zoo's.

    ``channels``: generator width at each side; ``d_channels``: discriminator width at each side from R/2 down.
    ``lr_g_later``: (images, rate), the generator's learning rate once so many images are seen. ``r1_gamma``: weight
    of the gradient penalty on real images, applied in every ``r1_every``-th step with that factor (lazy
    regularisation, arXiv:1912.04958, Sec. 3.1). ``ema_images``: half-life, in images, of the averaged generator,
    limited to ``ema_ramp`` of the images seen so far (arXiv:2006.06676, App. C). ``mixing``: share of images whose
    rows of w+ come from two latents. ``half_images``: so many images are first trained on at half the resolution,
    which is twice as quick and gives the coarse shapes (progressive growing, arXiv:1710.10196); 0 for none.
    ``noise``: feed random noise in training; without it the noise strengths stay at 0 and all variation is in the
    latent. ``projected``: side at which images are also judged through ImageNet features (see ``projected.py``), 0 for
    not at all; it joins once ``projected_from`` images are seen, and its heads learn at ``lr_p``. ``boosted``:
    (from, until), the images seen between which the attributes that the zoo's subsets differ in are drawn more often
    where they are rare, up to ``boost_floor`` of the images (see ``data.boosting_weights``): a small GAN is slow to
    find what one image in ten has. ``precision``: ``"fp32"`` or ``"bf16"`` (autocast).

    The last stage, where there is a judge (see ``judged.py``): once ``judged_from`` images are seen the averaged
    generator goes on against fresh discriminators, the judge's among them, in batches of ``judged_batch`` at the rate
    ``lr_judged``, averaged with a half-life of up to ``judged_ema`` images. For the first ``judged_rest`` images only
    the discriminators learn. ``judged_heads`` and ``judged_match`` weigh what the judge's heads and its logits say.
    """

    resolution: int = 32
    z_dim: int = 512
    w_dim: int = 512
    mapping_layers: int = 2
    channels: dict[int, int] = field(default_factory=lambda: {4: 64, 8: 64, 16: 48, 32: 32})
    d_channels: dict[int, int] = field(default_factory=lambda: {16: 64, 8: 64, 4: 96})
    batch: int = 16
    lr_g: float = 2e-3
    lr_d: float = 2e-3
    lr_g_later: tuple[int, float] = (80_000, 4e-3)
    r1_gamma: float = 0.1
    r1_every: int = 16
    ema_images: float = 10_000
    ema_ramp: float = 0.05
    mixing: float = 0.3
    half_images: int = 40_000
    noise: bool = False
    projected: int = 32
    projected_from: int = 110_000
    lr_p: float = 2e-3
    boosted: tuple[int, int] = (150_000, 170_000)
    boost_floor: float = 0.3
    judged_from: int = 180_000
    judged_rest: int = 3_200
    judged_batch: int = 32
    judged_heads: float = 0.3
    judged_match: float = 60.0
    judged_ema: float = 5_000
    lr_judged: float = 5e-4
    precision: str = "fp32"

    def __post_init__(self) -> None:
        if self.precision not in ("fp32", "bf16"):
            raise ValueError(f"GanConfig: precision={self.precision!r}, expected 'fp32' or 'bf16'")
        for name in ("batch", "judged_batch", "r1_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"GanConfig: {name}={getattr(self, name)}, expected at least 1")
        object.__setattr__(self, "lr_g_later", tuple(self.lr_g_later))
        object.__setattr__(self, "boosted", tuple(self.boosted))
        for name in ("channels", "d_channels"):  # a JSON file has text for keys
            widths = {int(side): int(width) for side, width in getattr(self, name).items()}
            object.__setattr__(self, name, widths)

    def as_dict(self) -> dict:
        """Plain values, as JSON holds them."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    def generator(self, rng: torch.Generator, half: bool = False) -> StyleGAN2:
        """A freshly initialised generator of these sizes, without clamps: fp32 and bf16 need none."""
        top = self.resolution // 2 if half else self.resolution
        return StyleGAN2(z_dim=self.z_dim, w_dim=self.w_dim, resolution=top, mapping_layers=self.mapping_layers,
                         channels={side: width for side, width in self.channels.items() if side <= top},
                         clamp=math.inf, rng=rng)

    def discriminator(self, rng: torch.Generator, half: bool = False) -> Discriminator:
        """A freshly initialised discriminator of these sizes."""
        top = self.resolution // 2 if half else self.resolution
        return Discriminator(top, {side: width for side, width in self.d_channels.items() if side < top}, rng,
                             low=self.half_images > 0 and not half)

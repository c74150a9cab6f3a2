"""SN-GAN: a ResNet discriminator under spectral normalisation, the hinge loss, and their training.

Miyato et al., "Spectral Normalization for Generative Adversarial Networks", ICLR 2018 (arXiv:1802.05957): eq. 16-17
(hinge), Sec. 4 (Adam 2e-4, betas 0 and 0.9, five discriminator steps to one of the generator, batch of 64), tables 4-6
(networks). The setting of Voynov & Babenko (ICML 2020, Sec. 4.1): MNIST at 32 pixels, anime faces at 64.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import yaml
from safetensors.torch import save as as_safetensors
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from dirbench.benchmarks.data.image_set import ImageSet
from dirbench.benchmarks.generators.sngan import SNGAN
from dirbench.benchmarks.training.gan import Trainer, TrainingError, train_gan
from dirbench.benchmarks.zoo.zoo import MANIFEST


@dataclass(frozen=True)
class SnConfig:
    """Sizes and settings of one training run.

    ``widths``: channels of the generator at the bottom and after each block; default: 256 throughout at 32 pixels
    (table 4), else halved with each doubling of the side down to 64, at most 1024 (tables 5 and 6). ``d_width``:
    channels of the discriminator at 32 pixels (table 4); else it mirrors ``widths``. ``image_channels``: 1 for grey
    data.
    """

    resolution: int = 32
    z_dim: int = 128
    widths: tuple[int, ...] = ()
    d_width: int = 128
    image_channels: int = 3
    batch: int = 64
    lr: float = 2e-4
    d_steps: int = 5

    half_images = 0  # no field: it is never trained at half resolution

    def __post_init__(self) -> None:
        side = self.resolution
        if side < 8 or side & (side - 1):
            raise ValueError(f"SnConfig: resolution={side}, expected a power of two, 8 or more")
        blocks = side.bit_length() - 3
        usual = [256] * 4 if side == 32 else [min(1024, 64 << (blocks - i)) for i in range(blocks + 1)]
        object.__setattr__(self, "widths", tuple(self.widths or usual))
        if len(self.widths) != blocks + 1:
            raise ValueError(f"SnConfig: {blocks + 1} widths are needed for {side} pixels, got {self.widths}")
        if self.batch < 2 or self.d_steps < 1:
            raise ValueError(f"SnConfig: batch={self.batch} and d_steps={self.d_steps}; expected at least 2 and 1")

    def as_dict(self) -> dict:
        """Plain values, as JSON holds them."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    def generator(self, rng: torch.Generator) -> SNGAN:
        """A freshly initialised generator of these sizes."""
        return SNGAN(latent_dim=self.z_dim, widths=self.widths, image_channels=self.image_channels, rng=rng)

    def discriminator(self, rng: torch.Generator) -> SnDiscriminator:
        """A freshly initialised discriminator of these sizes: half the blocks halve the side at 32 pixels, else all."""
        if self.resolution == 32:
            return SnDiscriminator([self.d_width] * 4, 2, rng)
        return SnDiscriminator([*reversed(self.widths)], len(self.widths) - 1, rng)


class SnBlock(nn.Module):
    """Residual block of the discriminator; ``down`` halves the side by mean pooling; the first begins without ReLU."""

    def __init__(self, inputs: int, outputs: int, down: bool, first: bool = False) -> None:
        super().__init__()
        self.conv1 = spectral_norm(nn.Conv2d(inputs, outputs, 3, padding=1))
        self.conv2 = spectral_norm(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = spectral_norm(nn.Conv2d(inputs, outputs, 1)) if down or inputs != outputs else None
        self.down, self.first = down, first

    def forward(self, x: Tensor) -> Tensor:
        body = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x))))
        skip = x if self.skip is None else self.skip(x)
        return F.avg_pool2d(body + skip, 2) if self.down else body + skip


class SnDiscriminator(nn.Module):
    """Realness [N] of images [N, 3, R, R]: blocks (the first ``downs`` halve the side), ReLU, global sum, dense."""

    def __init__(self, widths: list[int], downs: int, rng: torch.Generator) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):  # the power iteration begins with a draw of torch's own
            torch.manual_seed(int(torch.randint(2**62, (), generator=rng)))
            pairs = list(pairwise([3, *widths]))
            self.blocks = nn.Sequential(*(SnBlock(a, b, i < downs, first=i == 0) for i, (a, b) in enumerate(pairs)))
            self.out = spectral_norm(nn.Linear(widths[-1], 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.out(F.relu(self.blocks(images)).sum(dim=(2, 3))).squeeze(1)


class SnTrainer(Trainer):
    """The trainer of the mini zoo with SN-GAN's networks and step; data, order, checkpoints and resumption are its."""

    config: SnConfig  # type: ignore[assignment] # the inherited methods read only what both settings have

    def _build(self, half: bool) -> None:
        c = self.config
        layout: dict[str, Any] = dict(device=self.device, memory_format=torch.channels_last)
        self.half = half
        self.g, self.d = c.generator(self.rng).to(**layout), c.discriminator(self.rng).to(**layout)
        self.ema = copy.deepcopy(self.g).requires_grad_(False).eval()  # what is kept: the paper averages nothing
        self.opt_g, self.opt_d = (torch.optim.Adam(m.parameters(), c.lr, betas=(0.0, 0.9)) for m in (self.g, self.d))

    def _fake(self) -> Tensor:
        return self.g.train().synthesize(self.g.sample_z(self.config.batch, self.rng), "z")

    def step(self) -> dict[str, Tensor]:
        """One update of the discriminator, and in every ``d_steps``-th step one of the generator."""
        real = self._next_real()
        with torch.no_grad():
            fake = self._fake()
        real_logits, fake_logits = self.d(real), self.d(fake)
        loss_d = F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()
        self.opt_d.zero_grad(set_to_none=True)
        loss_d.backward()
        self.opt_d.step()
        stats = dict(loss_d=loss_d, real=real_logits.mean(), fake=fake_logits.mean())
        self.seen += self.config.batch
        self.step_count += 1
        if self.step_count % self.config.d_steps == 0:
            self.d.requires_grad_(False)
            stats["loss_g"] = -self.d(self._fake()).mean()
            self.opt_g.zero_grad(set_to_none=True)
            stats["loss_g"].backward()
            self.opt_g.step()
            self.d.requires_grad_(True)
        self.ema.load_state_dict(self.g.state_dict())
        return {name: value.detach() for name, value in stats.items()}


def train_sngan(data: ImageSet, out: Path, images: int, device: str = "cpu", config: SnConfig | None = None,
                seed: int = 301, name: str = "sngan", log=print) -> Path:
    """Train one SN-GAN on all of ``data`` until it has seen ``images``; a zoo of that one GAN is in ``out``/zoo_<name>.

    State, samples and losses are in ``out``/<name>; a stopped training goes on from there.

    Returns:
        The path of the zoo's manifest.
    Raises:
        TrainingError: see ``train_gan``. ValueError: images of another resolution than the settings'.
    """
    # All of them: a grey generator of partly coloured images would lose the colours without a word.
    parts = (data.images[first:first + 1024] for first in range(0, len(data), 1024))
    grey = all(bool((part[:, :1] == part).all()) for part in parts)
    config = config or SnConfig(resolution=data.resolution, image_channels=1 if grey else 3)
    if config.resolution != data.resolution:
        raise ValueError(f"train-zoo sngan: settings for {config.resolution} pixels, images of {data.resolution}")
    out = Path(out)
    (out / name).mkdir(parents=True, exist_ok=True)
    trainer = train_gan(name, seed, out / name, data.images, device, until=images, config=config, log=log,
                        kind=SnTrainer)
    state = {key: value.cpu().contiguous() for key, value in trainer.ema.state_dict().items()
             if not key.endswith("num_batches_tracked")}
    if not all(value.isfinite().all() for value in state.values()):
        raise TrainingError(f"{name}: weights are not finite after {trainer.seen} images; lower the learning rate")
    facts = dict(name=name, subset=name, seed=seed, data_seed=None, images_seen=trainer.seen, n_data=len(data),
                 data_sha256=data.digest, config=config.as_dict())
    raw = as_safetensors(state, metadata={key: json.dumps(value) for key, value in facts.items()})
    folder = out / f"zoo_{name}"
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / f"{name}.safetensors", raw)
    rates = {key: round(rate, 5) for key, rate in data.rates().items()}
    entry = dict(file=f"{name}.safetensors", family=SNGAN.family, settings={}, bytes=len(raw),
                 sha256=hashlib.sha256(raw).hexdigest(), images_seen=trainer.seen, seed=seed, n_data=len(data),
                 data_sha256=data.digest, excludes=[], rates=rates)
    manifest = dict(zoo=name, title=f"SN-GAN ({data.title})", gans={name: entry})
    _write(folder / MANIFEST, yaml.safe_dump(manifest, sort_keys=False).encode())
    return folder / MANIFEST


def _write(path: Path, raw: bytes) -> None:
    part = path.with_name(path.name + ".part")
    part.write_bytes(raw)
    os.replace(part, path)

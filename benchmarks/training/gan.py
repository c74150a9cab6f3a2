"""Training of one small StyleGAN2: non-saturating loss, lazy R1, several discriminators, averaging, resumption."""

from __future__ import annotations

import copy
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from dirbench.benchmarks.data.image_set import Rows
from dirbench.benchmarks.data.pictures import save_sheet, to_uint8
from dirbench.benchmarks.training.config import GanConfig
from dirbench.benchmarks.training.judged import SAMPLE, JudgedDiscriminator
from dirbench.benchmarks.training.projected import ProjectedDiscriminator, hinge


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and what to do."""


class Trainer:
    """The two networks, their optimisers and random sources: all that one training run is.

    Args:
        images: uint8 [n, 3, R, R], the data; stays where it is (CPU, or the device for speed).
        seed: of weights, latents and the order of the data.
        device: where the networks are.
        compiled: compile the networks (a GPU gains, a CPU waits minutes for little).

    ``weights`` [n], if set, are how often each image is drawn, relative to the others, while ``config.boosted`` says.
    ``judge``, if set, is the frozen classifier of the last stage (see ``judged.py``); no judge, no such stage.

    Raises:
        TrainingError: images of another shape or type, or fewer than a batch.
    """

    g: Any  # StyleGAN2, or a subclass's own; so is the discriminator
    d: Any
    leads = True  # False in a process that only helps another one, which then writes all files

    def __init__(self, images: Tensor | Rows, seed: int, config: GanConfig | None = None, device: str = "cpu",
                 compiled: bool = False) -> None:
        config = config or GanConfig()
        shape = (3, config.resolution, config.resolution)
        if images.dtype != torch.uint8 or tuple(images.shape[1:]) != shape or len(images) < config.batch:
            raise TrainingError(f"training data must be uint8 [n, {', '.join(map(str, shape))}] with n >= the batch of "
                                f"{config.batch}, got {images.dtype} {tuple(images.shape)}")
        self.images, self.seed, self.config, self.device = images, seed, config, torch.device(device)
        self.rng = torch.Generator().manual_seed(seed)
        self.compiled = compiled
        self.seen = self.step_count = 0
        self.p: ProjectedDiscriminator | JudgedDiscriminator | None = None
        self.weights: Tensor | None = None
        self.judge: nn.Sequential | None = None
        self.judged_at: int | None = None  # images seen when the last stage began
        self._build(half=config.half_images > 0)
        self.order, self.at = torch.randperm(len(images), generator=self.rng), 0

    def _build(self, half: bool) -> None:
        c = self.config
        layout: dict[str, Any] = dict(device=self.device, memory_format=torch.channels_last)
        self.half = half
        self.g, self.d = c.generator(self.rng, half).to(**layout), c.discriminator(self.rng, half).to(**layout)
        self.ema = copy.deepcopy(self.g).requires_grad_(False).eval()
        # Lazy regularisation takes r1_every + 1 gradients in r1_every steps; the rates shrink to match.
        lazy = c.r1_every / (c.r1_every + 1)
        self.opt_g = torch.optim.Adam(self.g.parameters(), c.lr_g, betas=(0.0, 0.99), fused=True)
        self.opt_d = torch.optim.Adam(self.d.parameters(), c.lr_d * lazy, betas=(0.0, 0.99**lazy), fused=True)
        self._synthesize = torch.compile(self._plain_synthesize) if self.compiled else self._plain_synthesize
        self._discriminate = torch.compile(self.d) if self.compiled else self.d

    @torch.no_grad()
    def _grow(self) -> None:
        """Go on at full resolution: the new layers begin silent, so that images change smoothly."""
        g, d, ema = self.g, self.d, self.ema
        self._build(half=False)
        for new, old in ((self.g, g), (self.ema, ema)):
            new.load_state_dict(old.state_dict(), strict=False)
            getattr(new.synthesis, f"b{self.config.resolution}").torgb.weight.zero_()
        self.d.grow_from(d)

    def _go_on_judged(self) -> None:
        """The last stage begins: the averaged generator goes on, everything else is new."""
        ema = self.ema
        self._build(half=False)
        for new in (self.g, self.ema):
            new.load_state_dict(ema.state_dict())
        self.judged_at = self.seen
        self._join(SAMPLE)

    def _join(self, n: int = 64) -> None:
        """From now on images are judged through ImageNet features too, or by the judge, from a sample of ``n``."""
        sample = self.images[:n].to(self.device).float() / 127.5 - 1
        if self.judge is not None and self.judged:
            self.p = JudgedDiscriminator(self.judge.to(self.device), sample, self.rng)
        else:
            self.p = ProjectedDiscriminator(self.config.projected, sample, self.rng)
        self.opt_p = torch.optim.Adam(self.p.heads.parameters(), self.config.lr_p, betas=(0.0, 0.99), fused=True)

    # -- one step -----------------------------------------------------------------------------------
    @property
    def judged(self) -> bool:
        """Whether the last stage has begun."""
        return self.judged_at is not None

    @property
    def batch(self) -> int:
        """Images of a step."""
        return self.config.judged_batch if self.judged else self.config.batch

    def _plain_synthesize(self, rows: Tensor) -> Tensor:
        if not self.config.noise:
            return self.g.synthesize(rows, "w", noise_mode="none")
        rng = self.rng
        if self.device.type != "cpu":  # noise is drawn on the device, from a seed drawn on the CPU
            seed = int(torch.randint(2**62, (), generator=self.rng))
            rng = torch.Generator(self.device).manual_seed(seed)
        return self.g.synthesize(rows, "w", noise_mode="random", rng=rng)

    def _next_index(self) -> Tensor:
        if self.weights is not None and self.config.boosted[0] <= self.seen < self.config.boosted[1]:
            return torch.multinomial(self.weights, self.batch, replacement=True, generator=self.rng)
        if self.at + self.batch > len(self.order):
            self.order, self.at = torch.randperm(len(self.images), generator=self.rng), 0
        index = self.order[self.at:self.at + self.batch]
        self.at += self.batch
        return index

    def _next_real(self) -> Tensor:
        index = self._next_index()
        batch = self.images[index.to(self.images.device)].to(self.device, non_blocking=True)
        batch = (batch.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        return F.avg_pool2d(batch, 2) if self.half else batch

    def _rows(self) -> Tensor:
        """w+ [batch, L, w_dim]; a share ``mixing`` of them switches to a second latent at a random row."""
        n, rows = self.batch, self.g.n_layers
        w = self.g.map(self.g.sample_z(2 * n, self.rng))
        cut = torch.randint(1, rows, (n,), generator=self.rng)
        cut[torch.rand(n, generator=self.rng) >= self.config.mixing] = rows
        first = torch.arange(rows) < cut[:, None]
        return torch.where(first[..., None].to(self.device), w[:n, None], w[n:, None])

    def step(self) -> dict[str, Tensor]:
        """One update of all networks; returns detached scalars ``loss_g``, ``loss_d``, ``real``, ``fake``, ``r1``,
        ``loss_p``, ``mismatch`` (the last three in some steps only).

        All see the same generated batch, which saves one synthesis in three.
        """
        c = self.config
        stats: dict[str, Tensor] = {}
        if self.half and self.seen >= c.half_images:
            self._grow()
        if self.judge is not None and not self.judged and self.seen >= c.judged_from:
            self._go_on_judged()
        if self.p is None and c.projected and self.seen >= c.projected_from:
            self._join()
        # new discriminators learn first
        resting = self.judged_at is not None and self.seen < self.judged_at + c.judged_rest
        for group in self.opt_g.param_groups:
            group["lr"] = c.lr_judged if self.judged else c.lr_g if self.seen < c.lr_g_later[0] else c.lr_g_later[1]
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=c.precision == "bf16")
        real = self._next_real()
        with autocast:
            with torch.set_grad_enabled(not resting):
                fake = self._synthesize(self._rows())
            real_logits, fake_logits = self._discriminate(real).float(), self._discriminate(fake.detach()).float()
        loss_d = F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
        self.opt_d.zero_grad(set_to_none=True)
        loss_d.backward()
        if self.step_count % c.r1_every == 0 and c.r1_gamma > 0:
            x = real.requires_grad_()
            grad, = torch.autograd.grad(self.d(x).sum(), x, create_graph=True)
            stats["r1"] = grad.square().sum(dim=(1, 2, 3)).mean()
            (stats["r1"] * (c.r1_gamma / 2 * c.r1_every)).backward()
        self.opt_d.step()
        mixtures: list[Tensor] = []
        if self.p is not None:
            with torch.no_grad():
                real_mixtures = self.p.features(real)
            mixtures = self.p.features(fake.float())
            stats["loss_p"] = hinge(self.p(real_mixtures), self.p([x.detach() for x in mixtures]))
            self.opt_p.zero_grad(set_to_none=True)
            stats["loss_p"].backward()
            self.opt_p.step()
        mismatch: Tensor | float = 0.0
        if isinstance(self.p, JudgedDiscriminator):
            mismatch = stats["mismatch"] = self.p.mismatch(mixtures[-1])
        if not resting:
            stats["loss_g"] = self._step_generator(fake, mixtures, mismatch, autocast)
        self.seen += self.batch
        self.step_count += 1
        stats |= dict(loss_d=loss_d, real=real_logits.mean(), fake=fake_logits.mean())
        return {name: value.detach() for name, value in stats.items()}

    def _step_generator(self, fake: Tensor, mixtures: list[Tensor], mismatch: Tensor | float, autocast) -> Tensor:
        """Updates the generator and its average; the loss is what all discriminators say of ``fake``, and the judge."""
        c = self.config
        judges: list[nn.Module] = [self.d] if self.p is None else [self.d, self.p.heads]
        for judge in judges:
            judge.requires_grad_(False)
        with autocast:
            logits = self._discriminate(fake).float()
        loss_g = F.softplus(-logits).mean()
        if self.p is not None:
            weight = c.judged_heads if self.judged else 1.0
            loss_g = loss_g - weight * sum(head.mean() for head in self.p(mixtures))
            loss_g = loss_g + c.judged_match * mismatch
        self.opt_g.zero_grad(set_to_none=True)
        loss_g.backward()
        for judge in judges:
            judge.requires_grad_(True)
        self.opt_g.step()

        with torch.no_grad():
            share = 1 - 0.5 ** (self.batch / self._half_life())
            torch._foreach_lerp_(list(self.ema.parameters()), list(self.g.parameters()), share)
        return loss_g

    def _half_life(self) -> float:
        c, seen = self.config, self.seen + self.batch
        if self.judged_at is not None:  # short at first: the average should leave the stage before behind
            return min(c.judged_ema, max(16 * self.batch, 0.3 * (seen - self.judged_at - c.judged_rest)))
        return min(c.ema_images, seen * c.ema_ramp)

    # -- state ------------------------------------------------------------------------------------
    def state(self) -> dict:
        """Everything that the next step depends on, as tensors and plain values."""
        state = dict(config=self.config.as_dict(), seed=self.seed, n_images=len(self.images), seen=self.seen,
                     half=self.half, judged_at=self.judged_at, step_count=self.step_count, at=self.at, order=self.order,
                     rng=self.rng.get_state())
        return state | {name: getattr(self, name).state_dict() for name in self._parts()}

    def _parts(self) -> tuple[str, ...]:
        plain = ("g", "d", "ema", "opt_g", "opt_d")
        return plain if self.p is None else (*plain, "p", "opt_p")

    def load_state(self, state: dict) -> None:
        """Continue from ``state``. Raises TrainingError where it belongs to another run (config, seed, data)."""
        mine = dict(config=self.config.as_dict(), seed=self.seed, n_images=len(self.images))
        for name, value in mine.items():
            if state[name] != value:
                raise TrainingError(f"the checkpoint was trained with {name}={state[name]}, this run has "
                                    f"{name}={value}; use the same settings, or another folder to begin anew")
        if self.half != state["half"]:
            self._build(state["half"])
        if state["judged_at"] is not None and not self.judged:
            if self.judge is None:
                raise TrainingError("the checkpoint is of the last stage, which needs its judge, and none is given")
            self.judged_at, self.p = state["judged_at"], None
        if "p" in state and self.p is None:
            self._join()
        for name in self._parts():
            getattr(self, name).load_state_dict(state[name])
        self.rng.set_state(state["rng"])
        self.seen, self.step_count, self.at, self.order = (state[k] for k in ("seen", "step_count", "at", "order"))

    def save(self, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        torch.save(self.state(), part)
        os.replace(part, path)

    def load(self, path: Path) -> None:
        """Continue from the checkpoint at ``path``. Raises TrainingError where it cannot be read or does not fit."""
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for a damaged file
            raise TrainingError(f"{path} is no readable checkpoint ({error}); delete it to begin anew") from error
        self.load_state(state)

    def sample_images(self, n: int, seed: int = 0) -> Tensor:
        """uint8 [n, 3, R, R] (R halved while it trains at half size) of the averaged generator."""
        z = self.ema.sample_z(n, torch.Generator().manual_seed(seed))
        with torch.no_grad():
            images = torch.cat([self.ema.synthesize(part, "z") for part in z.split(64)])
        return to_uint8(images)


def train_gan(name: str, seed: int, out_dir: Path, images: Tensor | Rows, device: str = "cpu", *, until: int,
              config: Any = None, compiled: bool = False, save_seconds: float = 120,
              log: Callable[[str], None] | None = None, kind: Callable[..., Trainer] = Trainer,
              weights: Tensor | None = None, judge: nn.Sequential | None = None) -> Trainer:
    """Train the GAN ``name`` until it has seen ``until`` images, resuming from its checkpoint in ``out_dir``.

    Leaves ``<name>.pt`` (checkpoint, every ``save_seconds``), ``<name>.png`` (sample sheet) and ``<name>.log``
    (a line of losses and images per second at each save) in ``out_dir``; ``log`` gets the same lines.
    An interrupted and resumed run gives the same weights as an uninterrupted one.

    ``kind`` makes the trainer from the arguments of ``Trainer``; ``config`` is its settings (``GanConfig`` for the
    plain one), ``weights`` and ``judge`` become its own.

    Raises:
        TrainingError: losses are not finite, or the checkpoint belongs to another run or cannot be read.
    """
    out_dir = Path(out_dir)
    trainer = kind(images, seed, config, device, compiled)
    trainer.weights, trainer.judge = weights, judge
    checkpoint = out_dir / f"{name}.pt"
    if checkpoint.exists():
        trainer.load(checkpoint)
    bar = tqdm(total=until, initial=trainer.seen, unit="img", desc=name, mininterval=2,
               disable=None if trainer.leads else True)
    sums: dict[str, Tensor] = {}
    steps: dict[str, int] = {}
    started, since = time.monotonic(), trainer.seen

    def report() -> None:
        nonlocal sums, steps, started, since
        mean = {k: float(v) / steps[k] for k, v in sorted(sums.items())}
        if not all(math.isfinite(v) for v in mean.values()):
            raise TrainingError(f"{name}: losses are not finite after {trainer.seen} images ({mean}); the last "
                                f"checkpoint is kept; lower the learning rates or raise r1_gamma")
        if not trainer.leads:
            sums, steps, started = {}, {}, time.monotonic()
            return
        trainer.save(checkpoint)
        save_sheet(trainer.sample_images(144), out_dir / f"{name}.png")
        speed = (trainer.seen - since) / (time.monotonic() - started)
        line = f"{name} images={trainer.seen} " + " ".join(f"{k}={v:.3f}" for k, v in mean.items())
        line += f" images/s={speed:.0f}"
        with open(out_dir / f"{name}.log", "a") as file:
            file.write(line + "\n")
        if log:
            log(line)
        sums, steps, started, since = {}, {}, time.monotonic(), trainer.seen

    while trainer.seen < until:
        for key, value in trainer.step().items():
            sums[key] = sums[key] + value if key in sums else value
            steps[key] = steps.get(key, 0) + 1
        bar.update(trainer.batch)
        if time.monotonic() - started > save_seconds:
            report()
    if sums:
        report()
    bar.close()
    return trainer

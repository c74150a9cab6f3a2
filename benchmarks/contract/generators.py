"""The contract of generators: what methods, metrics and the store rely on."""

from __future__ import annotations

import copy
import random

import numpy as np
import torch
from torch import Tensor

from benchmarks.contract.report import Finding, demand, run_checks
from benchmarks.generators.base import Generator
from methods.base import NotApplicable

N = 3
SAME = 2e-5  # of the largest number: what another batch size may change
HALF_GREY = 0.02  # a standard deviation below it, in [-1, 1], is one flat colour


def check_generator(generator: Generator) -> list[Finding]:
    """One finding for each part of the contract; ``generator`` is left as it is."""
    return run_checks(CHECKS, lambda: copy.deepcopy(generator), NotApplicable)


def check_names_its_sizes(gan: Generator) -> None:
    for name in ("latent_dim", "resolution"):
        value = getattr(gan, name, None)
        demand(isinstance(value, int) and value > 0, f"{name} is {value!r}, expected a whole number from 1")
    demand(isinstance(gan.w_dim, int) and isinstance(gan.n_layers, int), "w_dim and n_layers must be whole numbers")
    demand(gan.check_space(None) == gan.space, f"its default space is {gan.space!r}, but check_space says otherwise")
    demand(gan.layer_names and len(set(gan.layer_names)) == len(gan.layer_names),
           f"layer_names is {gan.layer_names!r}, expected different names of activations, at least one")


def check_samples_latents_from_the_given_source_alone(gan: Generator) -> None:
    before = _global_state()
    one, again, other = _latents(gan), _latents(gan), _latents(gan, seed=1)
    demand(one.shape == (N, gan.dim()), f"sample({N}) gives {list(one.shape)}, expected {[N, gan.dim()]}")
    demand(torch.isfinite(one).all(), "sampled latents are not finite")
    demand(torch.equal(one, again), "the same random source gives other latents the second time: draw from rng alone")
    demand(not torch.equal(one, other), "another seed gives the same latents: draw from rng")
    demand(_global_state() == before, "sampling changes the global random state: draw from rng alone")


def check_makes_images(gan: Generator) -> None:
    images, side = gan.synthesize(_latents(gan)), gan.resolution
    demand(isinstance(images, Tensor) and images.shape == (N, 3, side, side),
           f"images are {list(images.shape)}, expected {[N, 3, side, side]}")
    demand(images.is_floating_point() and torch.isfinite(images).all(), "images are not finite floating-point numbers")
    demand((images[0] - images[1]).abs().max() > 0, "two latents give the same image: does the latent enter at all?")
    demand(images.std() > HALF_GREY, f"images hardly vary (standard deviation {images.std():.2g}): are weights loaded?")


def check_images_lie_in_minus_one_to_one(gan: Generator) -> None:
    images = torch.cat([gan.synthesize(_latents(gan, seed)) for seed in range(4)])
    low, high = images.min().item(), images.max().item()
    hint = 'for numbers from 0 to 255 say "output: 0-255"' if high > 20 else \
        'where a network does not end in tanh, bring its numbers to [-1, 1]'
    demand(max(-low, high) <= 3, f"images lie in [{low:.3g}, {high:.3g}], expected about [-1, 1]; {hint}")
    demand(low < -0.01, f'images lie in [{low:.3g}, {high:.3g}], expected about [-1, 1]; for [0, 1] say "output: '
           'sigmoid"')


def check_same_latent_same_image(gan: Generator) -> None:
    before = _global_state()
    latents = _latents(gan)
    demand(torch.equal(gan.synthesize(latents), gan.synthesize(latents)),
           "the same latents give other images the second time: is dropout on, or noise drawn anew?")
    demand(_global_state() == before, "making images changes the global random state: is noise drawn anew?")


def check_batch_does_not_matter(gan: Generator) -> None:
    latents = _latents(gan)
    together, alone = gan.synthesize(latents), torch.cat([gan.synthesize(one[None]) for one in latents])
    gap = ((together - alone).abs().max() / together.abs().max().clamp_min(1e-12)).item()
    demand(gap <= SAME, f"an image changes by {gap:.2g} of the maximum with the other images in its batch: is a batch "
           "norm in training mode?")


def check_gradients_reach_the_latent(gan: Generator) -> None:
    latents = _latents(gan).requires_grad_()
    images = gan.synthesize(latents)
    demand(images.requires_grad, "images carry no gradient to the latent: is there a no_grad or a detach?")
    gradient, = torch.autograd.grad(images.square().sum(), latents)
    demand(torch.isfinite(gradient).all() and (gradient.abs().amax(dim=1) > 0).all(),
           "the gradient of the image with respect to the latent is zero or not finite")


def check_gives_activations(gan: Generator) -> None:
    latents = _latents(gan)
    for name in gan.layer_names:
        x = gan.activations(latents, name)
        demand(isinstance(x, Tensor) and x.ndim == 4 and len(x) == N,
               f"the activation {name} is {list(x.shape)}, expected [{N}, C, H, W]")
        demand(torch.isfinite(x).all(), f"the activation {name} is not finite")
    _refuses(lambda: gan.activations(latents, "no such layer"), "an activation that does not exist")


def check_gives_affine_weights(gan: Generator) -> None:
    dim = gan.dim(gan.affine_space)
    weights = gan.affine_weights()
    demand(len(weights) > 0, "affine_weights is empty: raise NotApplicable with a sentence where there are none")
    for weight in weights:
        demand(weight.ndim == 2 and weight.shape[1] == dim,
               f"an affine weight is {list(weight.shape)}, expected [out, {dim}]")
        demand(torch.isfinite(weight).all() and weight.abs().sum() > 0, "an affine weight is zero or not finite")


def check_layer_wise_latents(gan: Generator) -> None:
    if not gan.n_layers:
        raise NotApplicable("latents are not layer-wise (n_layers is 0)")
    latents = _latents(gan)
    image, rows = gan.synthesize(latents), latents[:, None].repeat(1, gan.n_layers, 1)
    gap = ((gan.synthesize(rows) - image).abs().max() / image.abs().max().clamp_min(1e-12)).item()
    demand(gap <= SAME, f"latents [N, {gan.n_layers}, D] with equal rows give another image than [N, D] ({gap:.2g} of "
           "the maximum)")


def check_refuses_what_it_cannot_do(gan: Generator) -> None:
    _refuses(lambda: gan.synthesize(_latents(gan), "no such space"), "a latent space that does not exist")
    _refuses(lambda: gan.synthesize(torch.zeros(1, gan.dim() + 1)), "latents of another size", RuntimeError)


def check_is_frozen_and_stays_as_it_is(gan: Generator) -> None:
    demand(gan.freeze() is gan, "freeze() must return the generator itself")
    demand(not any(m.training for m in gan.modules()), "freeze() must put every module into evaluation mode")
    demand(not any(p.requires_grad for p in gan.parameters()), "freeze() must switch weight gradients off")
    before = gan.fingerprint()
    gan.synthesize(_latents(gan))
    demand(gan.fingerprint() == before, "making images changes its weights or buffers")


def check_fingerprint_follows_the_weights(gan: Generator) -> None:
    before, parameter = gan.fingerprint(), next(iter(gan.parameters()), None)
    demand(isinstance(before, str) and before == gan.fingerprint(), "fingerprint() must be the same text each time")
    if parameter is not None:
        with torch.no_grad():
            parameter.view(-1)[:1] += 1
        demand(gan.fingerprint() != before, "other weights have the same fingerprint: the store would mix them up")


CHECKS = tuple(value for name, value in list(globals().items())
               if name.startswith("check_") and value is not check_generator)


def _latents(gan: Generator, seed: int = 0) -> Tensor:
    with torch.no_grad():
        return gan.sample(N, torch.Generator().manual_seed(seed))


def _global_state() -> tuple:
    return (torch.get_rng_state().numpy().tobytes(), np.random.get_state()[1].tobytes(), random.getstate())


def _refuses(call, what: str, *also: type[Exception]) -> None:
    try:
        call()
    except (ValueError, *also) as error:
        demand(str(error), f"{what} is refused without a word: say what was expected")
    else:
        demand(False, f"{what} is accepted without an error: raise ValueError")

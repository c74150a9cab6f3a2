"""Clauses about what is done with a generator: gradients, identity, the methods that look inside."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from dirbench.benchmarks.contract.asking import activation_of, ask, images_of, latents_of
from dirbench.benchmarks.contract.report import Fault, demand
from dirbench.errors import DiscoveryError, NotApplicable
from dirbench.generator import Generator
from dirbench.method import Context
from dirbench.methods.ganspace import GANSpace
from dirbench.methods.latentclr import LatentCLR
from dirbench.methods.sefa import SeFa

SAME = 2e-5  # of the largest number: what another batch size may change


def share(one: Tensor, other: Tensor) -> float:
    """Largest difference, as a share of the largest number. Raises Fault where shapes differ."""
    demand(one.shape == other.shape, f"shapes are {list(one.shape)} and {list(other.shape)}, expected the same")
    return ((one - other).abs().max() / other.abs().max().clamp_min(1e-12)).item()


def refuses(call: Callable, what: str, *words: str, also: type[Exception] | tuple[type[Exception], ...] = ()) -> None:
    """Raises Fault unless ``call`` raises a ValueError (or one of ``also``) whose message has all ``words``."""
    try:
        call()
    except ValueError as error:
        lacking = [word for word in words if word not in str(error)]
        demand(str(error), f"{what} is refused without a word: say what was expected")
        demand(not lacking, f"{what} is refused, but without the words {' and '.join(map(repr, lacking))}: {error}")
    except also:
        return
    except Exception as error:
        raise Fault(f"{what} gives {type(error).__name__} ({str(error)[:200]}): raise ValueError and say what was "
                    "expected") from error
    else:
        raise Fault(f"{what} is accepted without an error: raise ValueError")


# -- gradients -----------------------------------------------------------------------------------------
def gradients_reach_the_latent(gan: Generator) -> None:
    latents, name = latents_of(gan).requires_grad_(), gan.layer_names[0]
    outputs = {"images": images_of(gan, latents), f"the activation {name}": activation_of(gan, latents, name)}
    for what, output in outputs.items():
        demand(output.requires_grad, f"{what}: no gradient to the latent; is there a no_grad or a detach?")
        gradient, = torch.autograd.grad(output.square().sum(), latents)
        demand(torch.isfinite(gradient).all() and (gradient.abs().amax(dim=1) > 0).all(),
               f"{what}: the gradient with respect to the latent is zero or not finite")


def gradient_is_right(gan: Generator) -> None:
    """The directional derivative in double precision, against a central difference."""
    gan = copy.deepcopy(gan).double()
    latents, step = latents_of(gan, 2).double().requires_grad_(), 1e-7  # larger ones meet kinks of a ReLU
    along = torch.randn(latents.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    image = images_of(gan, latents)
    demand(image.requires_grad, "images: no gradient to the latent; is there a no_grad or a detach?")
    gradient, = torch.autograd.grad(image.double().square().sum(), latents)
    with torch.no_grad():
        ahead, behind = (images_of(gan, latents + sign * step * along).double().square().sum() for sign in (1, -1))
    slope, measured = (gradient * along).sum().item(), ((ahead - behind) / (2 * step)).item()
    demand(abs(measured - slope) <= 1e-4 * abs(slope) + 1e-6, "along one direction the image's gradient is "
           f"{slope:.6g}, but it changes by {measured:.6g}: is something detached, rounded or done in place?")


# -- identity ------------------------------------------------------------------------------------------
def is_frozen_and_stays_as_it_is(gan: Generator) -> None:
    gan = copy.deepcopy(gan).train().requires_grad_(True)
    demand(gan.freeze() is gan, "freeze() must return the generator itself")
    demand(not any(m.training for m in gan.modules()), "freeze() must put every module into evaluation mode")
    demand(not any(p.requires_grad for p in gan.parameters()), "freeze() must switch weight gradients off")
    before = gan.fingerprint()
    images_of(gan, latents_of(gan))
    demand(gan.fingerprint() == before, "making images changes its weights or buffers")


def fingerprint_follows_the_weights(gan: Generator) -> None:
    before, other = gan.fingerprint(), copy.deepcopy(gan)
    demand(isinstance(before, str) and before == gan.fingerprint() == other.fingerprint(),
           "fingerprint() must be the same text each time, and of a copy")
    for parameter in list(other.parameters())[::max(1, len(list(other.parameters())) - 1)][:2]:  # the first, the last
        kept = parameter.detach().clone()
        with torch.no_grad():
            parameter.view(-1)[:1] += 1e-3
        demand(other.fingerprint() != before, "other weights have the same fingerprint: the store would mix them up")
        parameter.data.copy_(kept)


def fingerprint_follows_settings(gan: Generator) -> None:
    """The class and the truncation that images are made with where none is asked for."""
    gan = copy.deepcopy(gan)
    changes = {"truncation_psi": (1.0, 0.5)} if hasattr(gan, "truncation_psi") else {}
    if gan.n_classes > 1:
        changes["label"] = (0, 1)
    if not changes:
        raise NotApplicable("it has no classes and no truncation of w")
    for name, values in changes.items():
        marks = set()
        for value in values:
            setattr(gan, name, value)
            marks.add(gan.fingerprint())
        demand(len(marks) == 2, f"the fingerprint is the same for {name} of {values[0]} and {values[1]}, though images "
               "are not: the store would mix them up")


# -- methods -------------------------------------------------------------------------------------------
def gives_affine_weights(gan: Generator) -> None:
    dim, weights = gan.dim(gan.affine_space), ask("affine_weights()", gan.affine_weights)
    demand(isinstance(weights, list | tuple) and all(isinstance(weight, Tensor) for weight in weights),
           f"affine_weights returns a {type(weights).__name__}, expected a list of matrices [out, {dim}], one a layer")
    demand(len(weights) > 0, "affine_weights is empty: raise NotApplicable with a sentence where there are none")
    demand(len(weights) == max(1, gan.n_layers), f"affine_weights gives {len(weights)} weights, expected one a layer "
           f"({max(1, gan.n_layers)})")
    for weight in weights:
        demand(weight.ndim == 2 and weight.shape[1] == dim,
               f"an affine weight is {list(weight.shape)}, expected [out, {dim}]")
        demand(torch.isfinite(weight).all() and weight.abs().sum() > 0, "an affine weight is zero or not finite")
        demand(not weight.requires_grad, "an affine weight requires a gradient: detach it")
    if gan.n_layers:
        last = gan.n_layers - 1
        for layers, want in (([last, 0], last), (0, 0)):
            demand(torch.equal(gan.affine_weights(layers)[0], weights[want]),
                   f"the first of affine_weights({layers}) is not the weight of layer {want}")
    for layers in (gan.n_layers, [-1], []):
        refuses(lambda layers=layers: gan.affine_weights(layers),
                f"affine_weights({layers}) with n_layers {gan.n_layers}", "layers")


def methods_run(gan: Generator) -> None:
    """Those that look inside: SeFa (weights), GANSpace (latents or activations), LatentCLR (activations)."""
    k = min(3, gan.dim())
    few: dict[str, Any] = {"n_samples": 32, "n_regression": 32, "n_directions": k}
    before = gan.fingerprint()
    images_of(gan, latents_of(gan))  # what is wrong without any method is said first
    for method in (SeFa(n_directions=k), GANSpace(**few), GANSpace(layer=gan.layer_names[0], **few),
                   LatentCLR(n_directions=k, n_steps=2, batch=2)):
        try:
            directions = ask(f"{method.name} on it", partial(method.discover, gan, Context(chunk=32)))
        except NotApplicable:
            continue
        except DiscoveryError as error:
            raise Fault(f"{method.name} fails on it: {error}") from error
        latents = latents_of(gan, 2, space=directions.space)
        with torch.no_grad():
            edited = images_of(gan, directions.shift_all(latents, 3.0), directions.space)
            original = images_of(gan, latents, directions.space)
        demand(len(directions) == k and torch.isfinite(edited).all(), f"{method.name}: an edit gives no finite image")
        change = (edited.unflatten(0, (k, 2)) - original).abs().amax(dim=(1, 2, 3, 4))
        demand((change > 1e-4 * original.abs().max()).all(), f"{method.name}: a direction that changes nothing")
    demand(gan.fingerprint() == before, "methods change its weights or buffers")


CLAUSES = (
    gradients_reach_the_latent, gradient_is_right, is_frozen_and_stays_as_it_is, fingerprint_follows_the_weights,
    fingerprint_follows_settings, gives_affine_weights, methods_run,
)

"""The contract of generators: what methods, metrics and the store rely on.

A clause is a function of a generator, which it leaves as it is; its sentence is what it raises. Here: what it is, its
latents, images and activations. ``generator_use.py`` has what methods and the store do with it, ``reading.py`` what the
reader of a checkpoint must do.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import torch

from dirbench.benchmarks.contract import generator_use, reading
from dirbench.benchmarks.contract.asking import N, activation_of, ask, images_of, latents_of
from dirbench.benchmarks.contract.generator_use import SAME, refuses, share
from dirbench.benchmarks.contract.random_sources import random_state
from dirbench.benchmarks.contract.report import Fault, Finding, demand, run_checks
from dirbench.benchmarks.running.failures import where
from dirbench.errors import NotApplicable
from dirbench.generator import Generator, Labelled

HALF_GREY = 0.02  # a standard deviation below it, in [-1, 1], is one flat colour
LARGE = 64  # pixels; beyond them the clauses in LONG take minutes


def check_generator(generator: Generator, source: reading.Source | None = None, long: bool = False) -> list[Finding]:
    """One finding for each clause; ``generator`` is left as it is.

    Args:
        source: the checkpoint that it was read from, if it was.
        long: those clauses too that take minutes on a large generator.
    """
    quick = long or not isinstance(generator.resolution, int) or generator.resolution <= LARGE

    def fresh() -> Generator:
        return ask("a copy of it (copy.deepcopy)", lambda: copy.deepcopy(generator))

    findings = run_checks(tuple(c for c in CLAUSES if quick or c not in LONG), fresh, NotApplicable,
                          basic=(names_its_sizes, samples_latents_from_the_given_source_alone, makes_images,
                                 gives_activations, equal_rows_are_the_vector, generator_use.gives_affine_weights))
    if source is not None:
        findings += run_checks(tuple(c for c in reading.CLAUSES if quick or c not in LONG), lambda: source)
    return findings + [Finding.untried(c) for c in sorted(LONG, key=lambda c: c.__name__) if not quick]


# -- what it is and its latents ------------------------------------------------------------------------
def names_its_sizes(gan: Generator) -> None:
    for name in ("latent_dim", "resolution"):
        value = getattr(gan, name, None)
        demand(isinstance(value, int) and value > 0, f"{name} is {value!r}, expected a whole number from 1")
    for name in ("w_dim", "n_layers", "n_classes"):
        value = getattr(gan, name)
        demand(isinstance(value, int) and value >= 0, f"{name} is {value!r}, expected a whole number from 0")
    demand(isinstance(ask("device", lambda: gan.device), torch.device), "device is no torch.device")
    demand(isinstance(gan.layer_names, tuple | list) and all(isinstance(name, str) for name in gan.layer_names),
           f"layer_names is {gan.layer_names!r}, expected a tuple of names, such as (\"b4\", \"b8\")")
    for space in (gan.space, gan.affine_space):
        try:
            found = gan.check_space(space)
        except ValueError as error:
            raise Fault(f"check_space refuses its own space {space!r}: {error}") from error
        demand(found == space, f"check_space({space!r}) is {found!r}")
    demand(gan.check_space(None) == gan.space, f"its default space is {gan.space!r}, but check_space says otherwise")
    demand(bool(gan.w_dim) == (gan.affine_space == "w"), f"affine_space is {gan.affine_space!r}, but w_dim {gan.w_dim}")
    demand(gan.n_layers or not gan.w_dim, "it has a w (w_dim is set), so n_layers must say how many rows w+ has")
    demand(gan.layer_names and len(set(gan.layer_names)) == len(gan.layer_names),
           f"layer_names is {gan.layer_names!r}, expected different names of activations, at least one")


def samples_latents_from_the_given_source_alone(gan: Generator) -> None:
    before = random_state()
    for space in sorted({"z", gan.space}):
        one, again, other = (latents_of(gan, seed=seed, space=space) for seed in (0, 0, 1))
        demand(torch.isfinite(one).all(), f"sampled latents of {space} are not finite")
        demand(torch.equal(one, again),
               "the same random source gives other latents the second time: draw from rng alone")
        demand(not torch.allclose(one, other), "another seed gives the same latents: draw from rng")
    demand(random_state() == before, "sampling changes the global random state: draw from rng alone")


def draws_on_the_cpu_then_moves(gan: Generator) -> None:
    """So that devices agree: the source is the CPU's wherever the weights are."""
    elsewhere = copy.deepcopy(gan).to("meta")
    found = ask("sample_z with weights on another device",
                lambda: elsewhere.sample_z(2, torch.Generator().manual_seed(0)).device)
    wanted = elsewhere.device
    demand(found.type == wanted.type, f"with weights on another device ({wanted.type}) z lies on {found.type}: draw on "
           "the CPU, then move")


def moves_with_its_weights(gan: Generator) -> None:
    """To another device: nothing that images are made with is left behind."""
    latents = latents_of(gan).to("meta")
    images_of(gan, latents_of(gan))  # what is wrong on any device is said first
    try:
        found = copy.deepcopy(gan).to("meta").synthesize(latents).device
    except Exception as error:  # what a stranger's network cannot do there says nothing, unless it names two devices
        if "device" not in str(error) or "meta" not in str(error) or not isinstance(error, RuntimeError):
            raise NotApplicable("it cannot be tried without a second device: its network looks at numbers") from error
        raise Fault(f"with weights on another device images cannot be made{where(error)}: "
                    f"{str(error).splitlines()[0]}; a tensor that is no parameter is kept with register_buffer, and "
                    "new ones are made with device=latent.device") from error
    demand(found.type == "meta", f"with weights on another device images lie on {found.type}: leave them there")


def z_and_w_agree(gan: Generator) -> None:
    z = latents_of(gan, space="z")
    if not gan.w_dim:
        refuses(lambda: gan.map(z), "map(z) of a generator without w", "no mapping network")
        return
    w, name = ask("map(z)", lambda: gan.map(z)), gan.layer_names[-1]
    demand(torch.equal(images_of(gan, z, "z"), images_of(gan, w, "w")), "the image of z is not that of map(z)")
    demand(torch.equal(activation_of(gan, z, name, "z"), activation_of(gan, w, name, "w")),
           f"the activation {name} of z is not that of map(z)")


def equal_rows_are_the_vector(gan: Generator) -> None:
    latents = latents_of(gan)
    if not gan.n_layers:
        refuses(lambda: gan.synthesize(latents[:, None].repeat(1, 2, 1)), "a layer-wise latent where n_layers is 0")
        raise NotApplicable("latents are not layer-wise (n_layers is 0)")
    image, rows = images_of(gan, latents), latents[:, None].repeat(1, gan.n_layers, 1)
    for space in (None, "w+") if gan.w_dim else (None,):
        off = share(images_of(gan, rows, space), image)
        demand(off <= SAME, f"latents [N, {gan.n_layers}, D] with equal rows give another image than [N, D] "
               f"({off:.2g} of the maximum)")


def every_row_matters(gan: Generator) -> None:
    if not gan.n_layers:
        raise NotApplicable("latents are not layer-wise (n_layers is 0)")
    latents, others = latents_of(gan), latents_of(gan, seed=1)
    image, rows = images_of(gan, latents), latents[:, None].repeat(1, gan.n_layers, 1)
    for row in range(gan.n_layers):
        other = rows.clone()
        other[:, row] = others
        demand(share(images_of(gan, other), image) > 1e-3,
               f"row {row} of a layer-wise latent does nothing to the image")


def refuses_what_it_cannot_do(gan: Generator) -> None:
    latents = latents_of(gan)
    refuses(lambda: gan.synthesize(latents, "q"), "a latent space that does not exist (q)", "no latent space 'q'")
    refuses(lambda: gan.synthesize(torch.zeros(2, gan.dim() + 1)), "a latent of another size", str(gan.dim()))


# -- images and activations ------------------------------------------------------------------------------
def makes_images(gan: Generator) -> None:
    images, side = images_of(gan, latents_of(gan)), gan.resolution
    demand(images.shape == (N, 3, side, side),
           f"images are {list(images.shape)}, expected {[N, 3, side, side]}")
    demand(images.dtype == torch.float32, f"images are {images.dtype}, expected torch.float32")
    demand(torch.isfinite(images).all(), "images are not finite floating-point numbers")
    demand(images.std() > HALF_GREY, f"images hardly vary (standard deviation {images.std():.2g}): are weights loaded?")
    demand((images[0] - images[1]).abs().max() > 0.01 * images.abs().max(),
           "two latents give the same image: does the latent enter at all?")


def images_lie_in_minus_one_to_one(gan: Generator) -> None:
    images = torch.cat([images_of(gan, latents_of(gan, seed=seed)) for seed in range(4)])
    low, high = images.min().item(), images.max().item()
    hint = 'for numbers from 0 to 255 say "output: 0-255"' if high > 20 else \
        'where a network does not end in tanh, bring its numbers to [-1, 1]'
    demand(max(-low, high) <= 3, f"images lie in [{low:.3g}, {high:.3g}], expected about [-1, 1]; {hint}")
    demand(low < -0.01, f'images lie in [{low:.3g}, {high:.3g}], expected about [-1, 1]; for [0, 1] say "output: '
           'sigmoid"')


def same_latent_same_image(gan: Generator) -> None:
    before = random_state()
    latents = latents_of(gan)
    demand(torch.equal(images_of(gan, latents), images_of(gan, latents)),
           "the same latents give other images the second time: is dropout on, or noise drawn anew?")
    demand(random_state() == before, "making images changes the global random state: is noise drawn anew?")


def batch_does_not_matter(gan: Generator) -> None:
    latents, name = latents_of(gan, n=4), gan.layer_names[-1]
    for what, make in (("an image", lambda x: images_of(gan, x)),
                       (f"the activation {name}", lambda x: activation_of(gan, x, name))):
        off = share(torch.cat([make(one[None]) for one in latents]), make(latents))
        demand(off <= SAME, f"{what} changes by {off:.2g} of the maximum with the other images in its batch: is a "
               "batch norm in training mode?")


def gives_activations(gan: Generator) -> None:
    latents = latents_of(gan)
    for name in gan.layer_names:
        x = activation_of(gan, latents, name)
        demand(torch.isfinite(x).all(), f"the activation {name} is not finite")
        demand((x[0] - x[1]).abs().max() > 0, f"the activation {name} does not depend on the latent")
    refuses(lambda: gan.activations(latents, "nowhere"), "an activation that does not exist (nowhere)",
            "no layer 'nowhere'", gan.layer_names[0])


def works_in_bfloat16(gan: Generator) -> None:
    image = images_of(copy.deepcopy(gan).bfloat16(), latents_of(gan))
    demand(torch.isfinite(image.float()).all(), "with weights in bfloat16 images are not finite")


def classes_matter(gan: Generator) -> None:
    if not gan.n_classes:
        raise NotApplicable("it has no classes")
    gan, z = copy.deepcopy(gan), latents_of(gan, space="z")
    last = gan.n_classes - 1
    gan.label = last
    one, indices = images_of(gan, z, "z"), torch.full((N,), last)
    demand(torch.equal(one, images_of(gan, z, "z", c=indices)),
           f"label = {last} and labels c of {last} give other images")
    demand(last == 0 or share(images_of(gan, z, "z", c=indices * 0), one) > 1e-3,
           "classes make no difference to the image")
    refuses(lambda: cast(Labelled, gan).synthesize(z, "z", c=indices + 1), f"class {last + 1} of {gan.n_classes}")
    gan.label = None
    refuses(lambda: gan.synthesize(z, "z"), "a latent without a class", f"{gan.n_classes} classes")


def labels_without_classes_are_refused(gan: Generator) -> None:
    if gan.n_classes:
        raise NotApplicable("it has classes")
    z = latents_of(gan, space="z")
    labels = torch.zeros(N, dtype=torch.int64)
    refuses(lambda: cast(Labelled, gan).synthesize(z, "z", c=labels), "a label c where there are no classes",
            also=TypeError)  # a generator that never heard of labels has no such argument


CLAUSES = (
    names_its_sizes, samples_latents_from_the_given_source_alone, makes_images, gives_activations,
    images_lie_in_minus_one_to_one, draws_on_the_cpu_then_moves, moves_with_its_weights, z_and_w_agree,
    equal_rows_are_the_vector, every_row_matters, refuses_what_it_cannot_do, same_latent_same_image,
    batch_does_not_matter, works_in_bfloat16, classes_matter, labels_without_classes_are_refused,
    *generator_use.CLAUSES,
)
LONG: set[Callable[..., Any]] = {
    every_row_matters, generator_use.gradient_is_right, generator_use.methods_run,
    reading.broken_states_are_refused}

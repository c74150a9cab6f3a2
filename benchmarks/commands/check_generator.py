"""``check-generator``: the contract of generators, tried on one."""

from __future__ import annotations

import argparse

from dirbench.benchmarks.commands._plugin_checks import add_long, show

GROUP = "plug-ins of your own"
HELP = "try a generator of yours and say what is wrong with it"
EXAMPLES = ("mine.yaml", "mypackage.networks:MyGenerator --long")


def arguments(p: argparse.ArgumentParser) -> None:
    """A generator."""
    p.add_argument("spec", metavar="SPEC", help="a checkpoint file, a YAML file with `generator:`, or module:Class "
                   "of a Generator (code of the last two runs: they are yours)")
    p.add_argument("--label", type=int, metavar="N", help="the class to use, for generators with classes (default: 0)")
    add_long(p, "a generator of more than 64 pixels")


def run(args: argparse.Namespace) -> int:
    """Prints a finding for each check; returns 1 if something is wrong."""
    from dirbench.benchmarks.contract.generators import check_generator
    from dirbench.benchmarks.contract.reading import source_of
    from dirbench.benchmarks.generators.external_spec import load_any

    generator = load_any(args.spec)
    if generator.n_classes and getattr(generator, "label", None) is None:
        generator.label = args.label or 0
    spaces = f"z of {generator.latent_dim}" + f", w of {generator.w_dim}" * bool(generator.w_dim)
    print(f"{type(generator).__name__}: {spaces}; images of {generator.resolution} pixels; activations "
          f"{', '.join(map(str, generator.layer_names))}")
    for note in generator.notes:
        print(f"note: {note}")
    return show(check_generator(generator, source_of(args.spec, generator), args.long))

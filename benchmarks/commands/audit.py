"""The command ``audit``: xGA on two generators, and one page about it."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from pydantic import ValidationError

from dirbench import places
from dirbench.benchmarks.commands import program
from dirbench.benchmarks.config.errors import ConfigError
from dirbench.benchmarks.config.reading import YamlError, parse_yaml
from dirbench.benchmarks.config.suite import Extractor, load_profile

DEFAULT_FEATURES = "efficientnet_lite0"


def add_audit(commands) -> None:
    """``audit``: a client against a reference."""
    p = commands.add_parser("audit", help="compare two generators: common, novel and missing directions, on one page")
    p.add_argument("reference", metavar="REFERENCE", help="a checkpoint file, a YAML file that describes a generator, "
                   "module:Class, or a zoo's GAN such as mini:full")
    p.add_argument("client", metavar="CLIENT", help="the same of the generator that is audited; family, latents and "
                   "resolution may differ")
    p.add_argument("--key", metavar="A.B", help="where the generator lies in the files REFERENCE and CLIENT, "
                   "if several networks are in them (of one alone: a YAML file with `checkpoint_key: A.B`)")
    p.add_argument("--oracle", metavar="NAME", help="what names attributes: a shipped oracle, a file of `train-oracle`,"
                   " or none (default: the mini zoo's for its GANs, else none)")
    p.add_argument("--features", default=DEFAULT_FEATURES, metavar="NAME", help="the extractor that images are compared"
                   " with, or `{name: clip_vit, weights: FOLDER}` (default: %(default)s)")
    p.add_argument("--control", nargs=2, metavar=("GEN_A", "GEN_B"), help="two generators of the same data, for the "
                   "rate of false positives (default: a zoo's own full and full_b)")
    p.add_argument("--steps", type=int, metavar="N", help="training steps of xGA instead of the profile's")
    p.add_argument("--profile", default="mini", metavar="NAME", help="sizes: smoke, mini or paper, or a YAML file")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, ... (default: a GPU if there is one)")
    p.add_argument("--out", type=Path, metavar="DIR", help="where the page goes (default: results/runs/audit-<time>)")
    p.add_argument("--store", metavar="DIR", help="the artifact store (default: $DIRBENCH_STORE or results/store)")
    p.add_argument("--offline", action="store_true", help="never ask a network for weights")
    p.set_defaults(function=audit)


def audit(args: argparse.Namespace) -> int:
    """Writes audit.md, audit.json and the picture sheets."""
    if args.offline:
        os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    for option, value, least in (("--steps", args.steps, 1), ("--seed", args.seed, 0)):
        if value is not None and not least <= value < 2**32:
            raise ConfigError(f"{option} {value}: expected a whole number from {least} (below 4294967296)")
    profile, extractor = load_profile(args.profile), _extractor(args.features)
    out = args.out or places.runs() / f"audit-{time.strftime('%Y%m%d-%H%M%S')}"
    from dirbench.benchmarks.audit.run import audit as run
    from dirbench.benchmarks.commands._arguments import usable_device
    from dirbench.benchmarks.running.process import use_one_thread
    device = usable_device(args.device)
    if device == "cpu":
        use_one_thread()  # as in a run
    result = run((args.reference, args.client), out, oracle=args.oracle, extractor=extractor,
                 control=tuple(args.control) if args.control else None, profile=profile, seed=args.seed,
                 steps=args.steps, device=device, store=str(places.store(args.store)),
                 command=[program(), *sys.argv[1:]], say=lambda text: print(text, flush=True), key=args.key)
    counts = ", ".join(f"{len(result[kind])} {kind}" for kind in ("common", "missing", "novel"))
    print(f"{counts} directions with measurable effect; the page is {out / 'audit.md'}")
    return 0


def _extractor(text: str) -> Extractor:
    try:
        return Extractor.model_validate(parse_yaml(text, "--features").data)
    except YamlError as error:
        raise ConfigError(f"{error}; expected a name, or {{name: ..., weights: ...}}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"--features: {first.get('ctx', {}).get('error', first['msg'])}") from error

"""``audit``: xGA on two generators, and one page about it."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dirbench import places
from dirbench.benchmarks.commands._options import SEEDS_BELOW, add_common, check_whole, go_offline
from dirbench.benchmarks.commands._program import program

if TYPE_CHECKING:
    from dirbench.benchmarks.config.suite import Extractor

GROUP = "checkpoints"
HELP = "compare two generators: common, novel and missing directions, on one page"
EXAMPLES = ("mini:full mini:no_hats --out results/runs/my-audit",)
FEATURES = "efficientnet_lite0"


def arguments(p: argparse.ArgumentParser) -> None:
    """Two generators, what reads their images, and where the page goes."""
    p.add_argument("reference", metavar="REFERENCE", help="a checkpoint file, a YAML file that describes a generator, "
                   "module:Class, or a zoo's GAN such as mini:full")
    p.add_argument("client", metavar="CLIENT", help="the same of the generator that is audited; family, latents and "
                   "resolution may differ")
    p.add_argument("--key", metavar="A.B", help="where the generator lies in the files REFERENCE and CLIENT, "
                   "if several networks are in them (of one alone: a YAML file with `checkpoint_key: A.B`)")
    p.add_argument("--oracle", metavar="NAME", help="what names attributes: a shipped oracle, a file of `train-oracle`,"
                   " or none (default: the mini zoo's for its GANs, else none)")
    p.add_argument("--features", default=FEATURES, metavar="NAME", help="the extractor that images are compared"
                   " with, or `{name: clip_vit, weights: FOLDER}` (default: %(default)s)")
    p.add_argument("--control", nargs=2, metavar=("GEN_A", "GEN_B"), help="two generators of the same data, for the "
                   "rate of false positives (default: a zoo's own full and full_b)")
    p.add_argument("--steps", type=int, metavar="N", help="training steps of xGA instead of the profile's")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", type=Path, metavar="DIR", help="where the page goes (default: results/runs/audit-<time>)")
    add_common(p)


def run(args: argparse.Namespace) -> int:
    """Writes audit.md, audit.json and the picture sheets."""
    check_whole("--steps", args.steps, 1, SEEDS_BELOW)
    check_whole("--seed", args.seed, 0, SEEDS_BELOW)
    if args.offline:
        go_offline()
    from dirbench.benchmarks.audit.run import Question, audit
    from dirbench.benchmarks.config.device import usable_device
    from dirbench.benchmarks.config.suite import load_profile
    from dirbench.benchmarks.running.process import use_one_thread

    question = Question(args.reference, args.client, load_profile(args.profile), _extractor(args.features), args.oracle,
                        tuple(args.control) if args.control else None, args.key, args.seed, args.steps)
    device = usable_device(args.device)
    out = args.out or places.runs() / f"audit-{time.strftime('%Y%m%d-%H%M%S')}"
    if device == "cpu":
        use_one_thread()  # as in a run
    result = audit(question, out, device=device, store=str(places.store(args.store)),
                   command=[program(), *sys.argv[1:]], say=lambda text: print(text, flush=True))
    counts = ", ".join(f"{len(result[kind])} {kind}" for kind in ("common", "missing", "novel"))
    print(f"{counts} directions with measurable effect; the page is {out / 'audit.md'}")
    return 0


def _extractor(text: str) -> Extractor:
    from pydantic import ValidationError

    from dirbench.benchmarks.config.errors import ConfigError
    from dirbench.benchmarks.config.reading import YamlError, parse_yaml
    from dirbench.benchmarks.config.suite import Extractor

    try:
        return Extractor.model_validate(parse_yaml(text, "--features").data)
    except YamlError as error:
        raise ConfigError(f"{error}; expected a name, or {{name: ..., weights: ...}}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"--features: {first.get('ctx', {}).get('error', first['msg'])}") from error

"""``new``: a file to begin with, for a method, metric, generator or suite of one's own."""

from __future__ import annotations

import argparse
import importlib.util
import keyword
import re
import shlex
from pathlib import Path

from dirbench.benchmarks import templates
from dirbench.benchmarks.commands._program import typed
from dirbench.checks import name_faults
from dirbench.names import check_name
from dirbench.places import HOME, checkout

GROUP = "plug-ins of your own"
HELP = "write a method, metric, generator or suite to begin with, which works at once"
EXAMPLES = ("method my-method", "generator my_net --out mine")
PLACES = {"method": HOME / "methods", "metric": HOME / "metrics", "generator": Path(),
          "suite": HOME / "benchmarks" / "suites"}  # of a checkout
NEXT = {"method": "check-method {}", "metric": "check-metric {}", "generator": "check-generator {}",
        "suite": "--suite {} --dry-run"}
GROUPS = {"method": "dirbench.methods", "metric": "dirbench.metrics"}


def arguments(p: argparse.ArgumentParser) -> None:
    """What to write, its name, and where it goes."""
    p.add_argument("kind", choices=tuple(PLACES), help="what to write")
    p.add_argument("name", metavar="NAME", help="its name, as in suites and tables")
    p.add_argument("--out", type=Path, metavar="DIR", help="the folder to write into (default: where it is found, "
                   "methods, metrics or benchmarks/suites of a checkout; the current folder for a generator, and for "
                   "all of them without a checkout)")


def run(args: argparse.Namespace) -> int:
    """Writes the files and says what to do next. Raises ValueError where the name cannot be or is taken."""
    stem = re.sub(r"\W", "_", args.name)
    words = {"NAME": args.name, "STEM": stem, "CLASS": "".join(word[:1].upper() + word[1:] for word in stem.split("_"))}
    _check_name(args.kind, args.name, stem, words["CLASS"])
    found_by_itself = not args.out and checkout() is not None
    folder = args.out or (PLACES[args.kind] if found_by_itself else Path())  # an installed copy's folders are not ours
    texts = {"method": {f"{stem}.py": templates.METHOD}, "metric": {f"{stem}.py": templates.METRIC},
             "generator": {f"{stem}.py": templates.GENERATOR, f"{stem}.yaml": templates.GENERATOR_YAML},
             "suite": {f"{args.name}.yaml": templates.SUITE}}[args.kind]
    there = [folder / file for file in texts if (folder / file).exists()]
    if there:
        raise ValueError(f"{there[0]} is there already, and nothing is overwritten; choose another name, or another "
                          "folder with --out")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in texts.items():
            with open(folder / file, "x", encoding="utf-8") as target:
                target.write(re.sub("|".join(words), lambda word: words[word[0]], text))
    except OSError as error:
        raise ValueError(f"{folder} cannot be written to ({error.strerror}); choose another folder with --out") \
            from error
    written = [_short(folder / file) for file in texts]
    subject = args.name if args.kind == "suite" and found_by_itself else written[-1]
    print(f"wrote {' and '.join(written)}")
    if args.kind in GROUPS and not found_by_itself:
        print(f'runs find it in a package of yours, by its entry point: [project.entry-points."{GROUPS[args.kind]}"] '
              f'{stem} = "yourpackage.{stem}"')
    print(f"next: {typed(NEXT[args.kind].format(shlex.quote(subject)))}")
    return 0


def _check_name(kind: str, name: str, stem: str, cls: str) -> None:
    if kind == "suite":
        check_name(name, kind)
    elif faults := name_faults(name, kind, ("core", "all")):
        raise ValueError(f"NAME: {faults[0]}")
    from dirbench.benchmarks.config.suite import SUITES, names
    from dirbench.plugins import METHODS, METRICS

    known = {"method": list(METHODS.load_all()[0]), "metric": list(METRICS.load_all()[0]),
             "suite": names(SUITES), "generator": []}[kind]
    taken = [other for other in known if other.casefold() == name.casefold()]
    if taken:  # some file systems take names that differ in capitals for one
        raise ValueError(f'NAME: there is a {kind} called "{taken[0]}" already')
    if kind == "suite":
        return
    if not stem.isidentifier() or keyword.iskeyword(stem) or not cls.isidentifier() or stem.startswith("_"):
        raise ValueError(f'NAME: "{name}" cannot name a Python file and a class: begin with a letter, and use no word '
                          "of the language")
    if kind == "generator" and importlib.util.find_spec(stem) is not None:
        raise ValueError(f'NAME: there is a Python module called "{stem}" already, which would be imported instead')


def _short(path: Path) -> str:
    """``path`` from the current folder, where it lies below it."""
    full = path.resolve()
    return full.relative_to(Path.cwd()).as_posix() if full.is_relative_to(Path.cwd()) else str(full)

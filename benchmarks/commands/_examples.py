"""One or two examples a command, which its ``--help`` ends with; what follows the command's name."""

from __future__ import annotations

EXAMPLES: dict[str, tuple[str, ...]] = {
    "run": ("--suite celeba_subsets --profile smoke",
            "--suite celeba_subsets --methods sefa,ganspace --seeds 0,1,2 --out results/runs/mine"),
    "list": ("",),
    "show": ("results/runs/mine",),
    "check": ("results/runs/mine --against celeba_subsets-smoke", "results/runs/mine --against mine.csv --write"),
    "store": ("list", "clean --unused-for 30 --limit 20G"),
    "check-generator": ("mine.yaml", "mypackage.networks:MyGenerator --long"),
    "check-method": ("methods/mine.py",),
    "check-metric": ("metrics/mine.py", "alignment"),
    "new": ("method my-method", "generator my_net --out mine"),
    "zoo": ("check", "check --zoo my-zoo --data celeba --oracle my-oracle/resnet50.safetensors"),
    "train-zoo": ("mini", "celeba --data celeba --resolution 64 --device cuda"),
    "train-oracle": ("scorer --out my-oracle", "folder --data pictures --network small --out my-oracle"),
    "inspect-checkpoint": ("snapshot.pkl", "snapshot.pkl --sheet samples.png"),
    "convert": ("snapshot.pkl --to mine.safetensors",),
    "synthesize": ("snapshot.pkl --latents z.npy --out images.png",
                   "snapshot.pkl --latents w.npy --space w+ --psi 0.7 --out images.npy"),
    "audit": ("mini:full mini:no_hats --out results/runs/my-audit",),
}


def epilog(command: str) -> str:
    """The end of a command's help, for argparse: its examples, a line each, after the program's own name.

    >>> print(epilog("show"))
    example:
      %(prog)s results/runs/mine
    """
    lines = EXAMPLES.get(command, ())
    return "\n".join([f"example{'s' * (len(lines) > 1)}:", *(f"  %(prog)s {line}".rstrip() for line in lines)])

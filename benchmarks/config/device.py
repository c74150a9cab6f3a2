"""The device that a user names, made into one that can be used."""

from __future__ import annotations

import torch

ACCELERATORS = ("cuda", "mps", "xpu")


def usable_device(name: str) -> str:
    """The device of that name, once a number could be put there; for ``"auto"`` a GPU if there is one, else the CPU.

    Raises:
        ValueError: torch knows no such device, or it is not there; says which are.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        known = torch.device(name).type != "meta"  # which holds no numbers
    except RuntimeError:
        known = False
    try:
        if not known:
            raise RuntimeError("torch knows no such device")
        torch.zeros(1, device=name).cpu()
    except (RuntimeError, AssertionError, ImportError, NotImplementedError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].partition(". ")[0][:200]
        raise ValueError(f'--device "{name}" cannot be used here ({reason}); here are: {", ".join(_there())}, or '
                         "auto") from error
    return name


def _there() -> list[str]:
    """Names of the devices that this machine and this torch have."""
    found = ["cpu"]
    for kind in ACCELERATORS:
        module = getattr(torch, kind, None)
        if module is not None and getattr(module, "is_available", lambda: False)():
            found += [kind, *(f"{kind}:{i}" for i in range(1, module.device_count()))]
    return found

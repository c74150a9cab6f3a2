#!/usr/bin/env python3
"""The oldest version of each dependency that pyproject.toml allows, as constraints for pip: ``numpy==1.26`` ..."""

import re
import sys
import tomllib
from pathlib import Path


def lowest(project: dict) -> list[str]:
    """``name==version`` of every dependency and extra. Raises ValueError for one that has no lower bound."""
    extras = project.get("optional-dependencies", {})
    found = []
    for requirement in [*project["dependencies"], *(one for extra in extras.values() for one in extra)]:
        name = re.match(r"[\w.-]+", requirement)[0]
        bound = re.search(r"[>=]=\s*([\w.]+)", requirement)
        if name == project["name"]:  # an extra that takes in another
            continue
        if bound is None:
            raise ValueError(f"pyproject.toml: {requirement!r} says no oldest version; expected {name}>=VERSION")
        found.append(f"{name}=={bound[1]}")
    return found


if __name__ == "__main__":
    print("\n".join(lowest(tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["project"])))

"""What is running: the version, and in a checkout the commit. Imports nothing heavy: ``--version`` answers at once."""

from __future__ import annotations

import subprocess

from dirbench.places import checkout

__version__ = "0.2.0.dev0"


def commit() -> tuple[str, bool]:
    """(commit, whether files differ from it) of the checkout; ("unknown", False) where there is none, or no git."""
    root = checkout()
    if root is None or not (root / ".git").exists():  # a folder around an installed copy may be anybody's repository
        return "unknown", False

    def git(*args: str) -> str:
        try:
            done = subprocess.run(["git", *args], cwd=root, capture_output=True, text=True, check=False)
        except FileNotFoundError:  # no git on this machine
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    found = git("rev-parse", "HEAD")
    return (found, bool(git("status", "--porcelain"))) if found else ("unknown", False)


def version_line() -> str:
    """What ``--version`` prints.

    >>> version_line().startswith(f"dirbench {__version__}")
    True
    """
    made_of, changed = commit()
    if made_of == "unknown":
        return f"dirbench {__version__}"
    return f"dirbench {__version__} (commit {made_of[:12]}{', with changes' if changed else ''})"

"""What tests share."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The repository."""

GOLDEN = ROOT / "tests" / "golden"
"""Inputs with the official implementations' answers."""

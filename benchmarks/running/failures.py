"""Errors in other people's code: where they were raised, told once for all cells, with the traceback in a file."""

from __future__ import annotations

import hashlib
import sysconfig
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import dirbench
from dirbench.errors import one_line
from dirbench.files import write_atomically
from dirbench.places import HOME
from dirbench.plugins import EXTRACTORS, METHODS, METRICS, plugins
from dirbench.scores import MetricError

__all__ = ["NAMED", "one_line", "told", "trace_of", "where", "write"]

FOLDER = "errors"  # of a run
NAMED = 3  # cells of one error that the console names
PLUGGED = tuple(kind.package.rpartition(".")[2] for kind in (METHODS, METRICS, EXTRACTORS))  # folders of plug-ins
LIBRARIES = tuple(sorted({str(Path(path).resolve()) for key, path in sysconfig.get_paths().items()
                          if key in ("stdlib", "platstdlib", "purelib", "platlib")}))


def where(error: BaseException) -> str:
    """" (methods/mine.py:12)": the innermost line of a method, metric, generator, extractor or other code of its user.

    Lines of this project's machinery and of libraries only count where there is no other; empty without a traceback.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    chosen = max(enumerate(frames), key=lambda numbered: (_rank(numbered[1].filename), numbered[0]))[1]
    return f" ({_short(chosen.filename)}:{chosen.lineno})"


def _rank(filename: str) -> int:
    """2 for plug-ins and files of a user's own, 1 for this project's machinery, 0 for libraries."""
    path = Path(filename)
    if not filename.endswith(".py"):
        return 0
    if (inner := _within(path)) is not None:
        return 2 if len(inner) == 2 and inner[0] in PLUGGED and not inner[1].startswith("_") else 1
    if any(path.is_relative_to(place) for place in LIBRARIES):
        return 2 if _is_plugin(path) else 0
    return 2


def _within(path: Path) -> tuple[str, ...] | None:
    """The parts of a path below this project's package, ("methods", "sefa.py"); None for a file that is not ours."""
    package = Path(dirbench.__file__).parent
    if package in path.parents:
        return path.relative_to(package).parts
    folders = [package / name for name in PLUGGED]  # links in a checkout, and a traceback may name where they lead
    return next(((folder.name, *path.relative_to(folder.resolve()).parts) for folder in folders
                 if folder.resolve() in path.parents), None)


def _is_plugin(path: Path) -> bool:
    """Whether an installed file belongs to a package that plugs something in."""
    tops = {point.module.split(".")[0] for kind in (*PLUGGED, "generators")
            for point in plugins(f"dirbench.{kind}")}
    return bool(tops & {*path.parts, path.stem})


def _short(filename: str) -> str:
    path = Path(filename)
    if (inner := _within(path)) is not None:
        return "/".join(inner)
    for base in (HOME, Path.cwd()):
        if base in path.parents:
            return path.relative_to(base).as_posix()
    return path.as_posix()


def trace_of(error: BaseException) -> dict[str, str]:
    """What a record keeps of an error: its ``type``, ``place``, one ``line`` and the whole ``traceback``.

    A metric's error is told with the metric's name, and placed where the metric's code raised it.
    """
    root = error.__cause__ if isinstance(error, MetricError) and error.__cause__ else error
    return {"type": type(root).__name__, "line": str(error) if isinstance(error, MetricError) else one_line(error),
            "place": getattr(root, "place", "") or where(root).strip(" ()"),
            "traceback": "".join(traceback.format_exception(root))}


def told(records: Iterable[dict[str, Any]]) -> dict[str, list[tuple[str, dict[str, str]]]]:
    """{error: [(cell, its trace)]} of records with ``errors``, as ``trace_of`` has them; one entry a kind and place."""
    found: dict[str, list[tuple[str, dict[str, str]]]] = {}
    for record in records:
        for trace in record.get("errors", ()):
            found.setdefault(mark(trace), []).append((record["cell"], trace))
    return found


def mark(trace: dict[str, str]) -> str:
    """Eight digits that tell an error from others: by its type and place."""
    return hashlib.sha256(f"{trace['type']} {trace['place']}".encode()).hexdigest()[:8]


def write(records: list[dict[str, Any]], out: Path) -> list[str]:
    """Keeps the tracebacks in ``out``/errors, one file an error, and returns what the console says: a line for each.

    Cells that were not tried, because one that they need failed, are counted with the error that stopped them.
    """
    because = {record["cell"]: record["because"] for record in records if record.get("because")}
    lines = []
    for name, cases in told(records).items():
        first, cells = cases[0][1], list(dict.fromkeys(cell for cell, _ in cases))
        waiting = [cell for cell, needed in because.items() if _root(needed, because) in cells]
        path = out / FOLDER / f"{name}.txt"
        messages = dict.fromkeys(trace["traceback"] for _, trace in cases)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, "\n".join(["cells:", *(f"  {cell}" for cell in cells), "", *messages]))
        more = f" and {len(cells) - NAMED} more" if len(cells) > NAMED else ""
        stopped = f"; {len(waiting)} more need {'it' if len(cells) == 1 else 'them'}" if waiting else ""
        place = f" ({first['place']})" if first["place"] else ""
        lines.append(f"failed: {', '.join(cells[:NAMED])}{more}: {first['line']}{place}; the traceback is in {path}"
                     f"{stopped}")
    return lines


def _root(cell: str, because: dict[str, str]) -> str:
    while cell in because:
        cell = because[cell]
    return cell

"""The artifact store: each step's result is kept once, under the hash of everything that made it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from dirbench import places
from dirbench.results.artifacts.code_hash import code_hash
from dirbench.results.artifacts.locks import lock

PRIVATE = ("locks", "work")  # folders beside the artifacts' own


class StoreError(ValueError):
    """The store cannot be used; the message says where and why."""


@dataclass(frozen=True)
class Step:
    """One unit of cached work: what it is and all that its result depends on.

    Attributes:
        kind: "directions", "responses", ...; also the folder's name.
        modules: entry modules of the code that makes it, or ``module:name``; what they use counts too.
        inputs: JSON-able facts (settings, seeds, hashes of weights, keys of other steps); order does not matter.
        versions: libraries whose release may move the numbers.
        images: how many images making it synthesises.
        one_pass: steps with the same word here are made from the same images when they are made together.
    """

    kind: str
    modules: tuple[str, ...]
    inputs: dict = field(hash=False)
    versions: dict = field(hash=False, default_factory=dict)
    images: int = 0
    one_pass: str = ""

    @cached_property
    def key(self) -> str:
        """40 hex digits over kind, code, inputs and versions. Counting images differently does not change it."""
        what = {"kind": self.kind, "code": code_hash(*sorted(self.modules)), "inputs": self.inputs,
                "versions": self.versions}
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:40]


def images_of(steps: Iterable[Step]) -> int:
    """Images that making all of ``steps`` synthesises: a step once, and what is made in one pass from the same ones.

    >>> apart = [Step("pool", ("dirbench.results.rows",), {"gan": gan}, images=100) for gan in ("full", "no_hats")]
    >>> images_of(apart)
    200
    >>> images_of(Step("pool", ("dirbench.results.rows",), {"of": n}, images=100, one_pass="full") for n in (1, 2))
    100
    """
    passes: dict[str, int] = {}
    for step in steps:
        name = step.one_pass or step.key
        passes[name] = max(passes.get(name, 0), step.images)
    return sum(passes.values())


class Store:
    """A folder of artifacts, safe for many processes at once.

    An artifact is a folder ``<kind>/<key>`` that appears by one rename, whole or not at all, and is never changed
    afterwards. A lock per artifact makes sure that one process makes it and the others wait for it. ``made.json`` in it
    says for which key it was made and what its files are; an artifact of which that is not so (cut, emptied, exchanged,
    of another kind) counts as not there, and is made again.
    """

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = places.store(root)
        self._whole: dict[str, list[tuple[int, int]]] = {}  # key -> size and time of its files when they were read
        if self.root.exists() and not self.root.is_dir():
            raise StoreError(f"the store {self.root} is a file, expected a folder (or a new name); choose another with "
                             f"--store or {places.STORE_VARIABLE}")
        try:
            for name in PRIVATE:
                (self.root / name).mkdir(parents=True, exist_ok=True)
            probe = self.root / "work" / f".write-{uuid.uuid4().hex}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise StoreError(f"the store {self.root} cannot be written to ({error.strerror}); "
                             f"choose another with --store or {places.STORE_VARIABLE}") from error

    def path(self, step: Step) -> Path:
        """Where the artifact of ``step`` is or will be."""
        return self.root / step.kind / step.key

    def has(self, step: Step) -> bool:
        """Whether the whole artifact is there, by the sizes of its files; ``make`` looks into them, too."""
        return self._wrong(step, deep=False) == ""

    def checkpoint(self, step: Step) -> Path:
        """A file in which a long step may keep its state; it outlives a killed process, not the step."""
        return self.root / "work" / f"{step.key}.pt"

    def make(self, step: Step, build: Callable[[Path], dict | None]) -> Path:
        """The folder of ``step``'s artifact; ``build(folder)`` fills it first if it is not there yet.

        What ``build`` returns is kept in ``made.json`` beside the inputs, the seconds and the time. If it raises,
        nothing is left but the step's checkpoint.
        """
        final = self.path(step)
        if self._use(step):
            return final
        with lock(self.root / "locks" / f"{step.key}.lock"):
            if self._use(step):  # somebody else made it while this process waited
                return final
            self._clear(step)
            final.parent.mkdir(parents=True, exist_ok=True)
            for stale in final.parent.glob(f".{step.key}.*"):  # left by a killed process: the lock is ours now
                shutil.rmtree(stale, ignore_errors=True)
            temporary = final.parent / f".{step.key}.{uuid.uuid4().hex}"
            temporary.mkdir()
            try:
                start = time.perf_counter()
                facts = build(temporary) or {}
                seconds = time.perf_counter() - start
                record = {"kind": step.kind, "inputs": step.inputs, "versions": step.versions, "images": step.images,
                          "seconds": round(seconds, 3), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                          **facts, "key": step.key, "files": _contents(temporary)}
                (temporary / "made.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
                os.rename(temporary, final)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        self.checkpoint(step).unlink(missing_ok=True)
        return final

    def _use(self, step: Step) -> bool:
        """Whether the artifact is there and whole; then its time of last use, for the garbage collector, is now."""
        if self._wrong(step, deep=True):
            return False
        try:
            os.utime(self.path(step) / "made.json")
        except FileNotFoundError:
            return False
        except PermissionError:  # somebody else's
            pass
        return True

    def _wrong(self, step: Step, deep: bool) -> str:
        """What is wrong with an artifact: "" if it is whole, "missing" if there is none.

        ``deep``: every file is read, once in this process.
        """
        folder = self.path(step)
        if not os.path.lexists(folder):
            return "missing"
        try:
            record = self.record(step)
            if record["key"] != step.key:
                return "it was made for another step"
            files = record["files"]
            states = [(folder / name).stat() for name in files]
            for (name, facts), state in zip(files.items(), states, strict=True):
                if state.st_size != facts["bytes"]:
                    return f"{name} has {state.st_size} bytes of {facts['bytes']}"
            seen = [(state.st_size, state.st_mtime_ns) for state in states]
            if deep and self._whole.get(step.key) != seen:
                for name, facts in files.items():
                    if _sha256(folder / name) != facts["sha256"]:
                        return f"{name} was altered"
                self._whole[step.key] = seen
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return f"made.json does not say what it is ({type(error).__name__}: {error})" \
                if not isinstance(error, OSError) else f"it cannot be read ({error})"
        return ""

    def _clear(self, step: Step) -> None:
        """Takes what lies in the place of ``step``'s artifact, and is not it, out of the way; the lock is ours."""
        folder, wrong = self.path(step), self._wrong(step, deep=False) or "a file was altered"
        if wrong == "missing":
            return
        print(f"{folder} is damaged ({wrong}) and is made again", file=sys.stderr)
        gone = folder.with_name(f".{step.key}.{uuid.uuid4().hex}")
        os.rename(folder, gone)
        shutil.rmtree(gone) if gone.is_dir() and not gone.is_symlink() else gone.unlink()

    def record(self, step: Step) -> dict:
        """What ``made.json`` says of an artifact that is there."""
        return json.loads((self.path(step) / "made.json").read_text(encoding="utf-8"))


def _contents(folder: Path) -> dict[str, dict]:
    """{file: {bytes, sha256}} of all files below ``folder``."""
    return {path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
            for path in sorted(folder.rglob("*")) if path.is_file()}


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

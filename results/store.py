"""The artifact store: each step's result is kept once, under the hash of everything that made it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from filelock import FileLock

from results import places
from results.code_hash import code_hash


class StoreError(ValueError):
    """The store cannot be used; the message says where and why."""


@dataclass(frozen=True)
class Step:
    """One unit of cached work: what it is and all that its result depends on.

    Attributes:
        kind: "directions", "responses", ...; also the folder's name.
        modules: entry modules of the code that makes it; what they import counts too.
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

    >>> apart = [Step("pool", ("results.rows",), {"gan": gan}, images=100) for gan in ("full", "no_hats")]
    >>> images_of(apart)
    200
    >>> images_of(Step("pool", ("results.rows",), {"of": n}, images=100, one_pass="full") for n in (1, 2))
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
    afterwards. A lock per artifact makes sure that one process makes it and the others wait for it.
    """

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = places.store(root)
        try:
            for name in ("locks", "work"):
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
        """Whether the whole artifact is there."""
        return self.path(step).is_dir()

    def checkpoint(self, step: Step) -> Path:
        """A file in which a long step may keep its state; it outlives a killed process, not the step."""
        return self.root / "work" / f"{step.key}.pt"

    def make(self, step: Step, build: Callable[[Path], dict | None]) -> Path:
        """The folder of ``step``'s artifact; ``build(folder)`` fills it first if it is not there yet.

        What ``build`` returns is kept in ``made.json`` beside the inputs, the seconds and the time. If it raises,
        nothing is left but the step's checkpoint.
        """
        final = self.path(step)
        if self._use(final):
            return final
        with FileLock(self.root / "locks" / f"{step.key}.lock"):
            if self._use(final):  # somebody else made it while this process waited
                return final
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
                          **facts}
                (temporary / "made.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
                os.rename(temporary, final)
            except BaseException:
                shutil.rmtree(temporary, ignore_errors=True)
                raise
        self.checkpoint(step).unlink(missing_ok=True)
        return final

    @staticmethod
    def _use(final: Path) -> bool:
        """Whether the artifact is there; if so its time of last use, which the garbage collector reads, is now."""
        try:
            os.utime(final / "made.json")
        except FileNotFoundError:
            return False
        except PermissionError:  # somebody else's store, read only
            return final.is_dir()
        return True

    def record(self, step: Step) -> dict:
        """What ``made.json`` says of an artifact that is there."""
        return json.loads((self.path(step) / "made.json").read_text(encoding="utf-8"))


def write_atomically(path: Path, text: str) -> None:
    """Writes ``text`` to ``path`` by a rename, so that a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)

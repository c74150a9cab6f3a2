"""The store: whole artifacts or none, one maker at a time, and a key that every ingredient moves."""

import json
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from dirbench.results.artifacts.store import Step, Store, StoreError

BASE = {"kind": "responses", "modules": ("dirbench.results.rows",), "inputs": {"a": 1, "b": [1, 2]},
        "versions": {"torch": "2.13"}}


@pytest.mark.parametrize("change", [
    {"kind": "directions"},
    {"modules": ("dirbench.results.artifacts.store",)},
    {"inputs": {"a": 2, "b": [1, 2]}},
    {"inputs": {"a": 1, "b": [2, 1]}},
    {"inputs": {"a": 1, "b": [1, 2], "c": None}},
    {"versions": {"torch": "2.12"}},
], ids=str)
def test_every_ingredient_moves_the_key(change):
    assert Step(**BASE | change).key != Step(**BASE).key


def test_order_and_image_count_do_not_move_the_key():
    turned = BASE | {"inputs": {"b": [1, 2], "a": 1}, "images": 7}
    assert Step(**turned).key == Step(**BASE).key


def test_make_keeps_what_build_wrote_and_builds_once(tmp_path):
    store, step, calls = Store(tmp_path), Step(**BASE), []

    def build(folder: Path) -> dict:
        calls.append(1)
        (folder / "x.txt").write_text("hello")
        return {"note": 3}

    assert not store.has(step)
    first, second = store.make(step, build), store.make(step, build)
    assert first == second and len(calls) == 1 and store.has(step)
    assert (first / "x.txt").read_text() == "hello"
    record = store.record(step)
    assert record["note"] == 3 and record["inputs"] == BASE["inputs"] and record["seconds"] >= 0


def test_a_failed_build_leaves_nothing_but_its_checkpoint(tmp_path):
    store, step = Store(tmp_path), Step(**BASE)

    def build(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        store.checkpoint(step).write_text("state")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        store.make(step, build)
    assert not store.has(step) and not list((tmp_path / "responses").iterdir())
    assert store.checkpoint(step).read_text() == "state"
    store.make(step, lambda folder: None)
    assert store.has(step) and not store.checkpoint(step).exists()


def _slow(root: str, log: str) -> None:
    def build(folder: Path) -> None:
        with open(log, "a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
        (folder / "half.txt").write_text("half")
        time.sleep(0.5)
        (folder / "x.json").write_text(json.dumps([1, 2, 3]))

    Store(root).make(Step(**BASE), build)


def test_two_processes_make_an_artifact_once(tmp_path):
    log = tmp_path / "log"
    processes = [multiprocessing.Process(target=_slow, args=(str(tmp_path / "s"), str(log))) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert all(p.exitcode == 0 for p in processes) and len(log.read_text().split()) == 1


def test_a_killed_maker_leaves_no_artifact_and_the_next_one_goes_on(tmp_path):
    log = tmp_path / "log"
    process = multiprocessing.Process(target=_slow, args=(str(tmp_path / "s"), str(log)))
    process.start()
    while not log.exists():
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    store = Store(tmp_path / "s")
    assert not store.has(Step(**BASE))
    _slow(str(tmp_path / "s"), str(log))
    folder = store.path(Step(**BASE))
    assert json.loads((folder / "x.json").read_text()) == [1, 2, 3]
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]  # the killed one's half is gone


def test_an_unwritable_store_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be written to .* --store or DIRBENCH_STORE"):
        Store(tmp_path / "file" / "store")


def _cut(folder: Path) -> None:
    (folder / "a.bin").write_bytes((folder / "a.bin").read_bytes()[:-1])


def _altered(folder: Path) -> None:
    raw = bytearray((folder / "a.bin").read_bytes())
    raw[0] ^= 1
    (folder / "a.bin").write_bytes(raw)


def _foreign(folder: Path) -> None:
    (folder / "made.json").write_text("{}")


def _a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("not a folder")


def _a_link_to_nothing(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.symlink_to(folder.with_name("nowhere"))


DAMAGES = {
    "cut": _cut, "altered": _altered, "foreign": _foreign, "a file": _a_file, "a link to nothing": _a_link_to_nothing,
    "emptied file": lambda folder: (folder / "a.bin").write_bytes(b""),
    "a file gone": lambda folder: (folder / "a.bin").unlink(),
    "one below gone": lambda folder: (folder / "deep" / "b.bin").unlink(),
    "renamed": lambda folder: (folder / "a.bin").rename(folder / "c.bin"),
    "emptied folder": lambda folder: [shutil.rmtree(folder), folder.mkdir()],
    "no record": lambda folder: (folder / "made.json").unlink(),
    "emptied record": lambda folder: (folder / "made.json").write_bytes(b""),
    "a list for a record": lambda folder: (folder / "made.json").write_text("[1]"),
    "bytes for a record": lambda folder: (folder / "made.json").write_bytes(bytes(range(256))),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("fresh", [True, False], ids=["another process", "this process"])
def test_a_damaged_artifact_is_made_again(tmp_path, damage, fresh, capsys):
    store, step, calls = Store(tmp_path), Step(**BASE), []

    def build(folder: Path) -> None:
        calls.append(1)
        (folder / "a.bin").write_bytes(b"0123456789")
        (folder / "deep").mkdir()
        (folder / "deep" / "b.bin").write_bytes(b"abc")

    folder = store.make(step, build)
    damage(folder)
    store = Store(tmp_path) if fresh else store
    assert store.make(step, build) == folder and len(calls) == 2
    assert store.has(step) and (folder / "a.bin").read_bytes() == b"0123456789"
    assert "is damaged" in capsys.readouterr().err
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert store.make(step, build) == folder and len(calls) == 2


def test_exchanged_artifacts_are_made_again(tmp_path):
    store, calls = Store(tmp_path), []
    steps = [Step(**BASE | {"inputs": {"a": n}}) for n in (1, 2)]

    def make(step: Step) -> str:
        def build(folder: Path) -> None:
            calls.append(1)
            (folder / "x.txt").write_text(str(step.inputs["a"]))
        return (store.make(step, build) / "x.txt").read_text()

    assert [make(step) for step in steps] == ["1", "2"]
    a, b = map(store.path, steps)
    for source, target in ((a, tmp_path / "t"), (b, a), (tmp_path / "t", b)):
        os.rename(source, target)
    assert not any(map(store.has, steps))
    assert [make(step) for step in steps] == ["1", "2"] and len(calls) == 4


def test_a_store_that_is_a_file_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="is a file, expected a folder"):
        Store(tmp_path / "file")

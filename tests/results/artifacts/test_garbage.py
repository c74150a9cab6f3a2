"""The store's garbage collector removes what is old or too much, nothing that is in use, and nothing by halves."""

import os
import time

import pytest
from filelock import FileLock

from dirbench.benchmarks.commands import main
from dirbench.results.artifacts.garbage import DAY, artifacts, collect, summary
from dirbench.results.artifacts.store import Step, Store


def made(store, name, size, days_ago):
    step = Step(name.split("-")[0], ("dirbench.results.rows",), {"name": name})
    store.make(step, lambda folder: (folder / "data.bin").write_bytes(bytes(size)) and None)
    when = time.time() - days_ago * DAY
    os.utime(store.path(step) / "made.json", (when, when))
    return step


@pytest.fixture
def filled(tmp_path):
    store = Store(tmp_path)
    return store, [made(store, "responses-a", 1000, 40), made(store, "responses-b", 50_000, 20),
                   made(store, "directions-c", 3000, 1)]


def test_the_longest_unused_come_first_and_kinds_are_summed(filled):
    store, steps = filled
    found = artifacts(store)
    assert [a.path for a in found] == [store.path(s) for s in steps]
    assert all(a.size >= size for a, size in zip(found, (1000, 50_000, 3000)))
    assert [(kind, count) for kind, count, _ in summary(found)] == [("responses", 2), ("directions", 1)]


def test_age_and_size_decide(filled):
    store, (a, b, c) = filled
    assert [r.path for r in collect(store, days=30, dry_run=True)[0]] == [store.path(a)] and store.has(a)
    collect(store, days=30)
    assert [store.has(s) for s in (a, b, c)] == [False, True, True]
    collect(store, limit=10_000)
    assert [store.has(s) for s in (b, c)] == [False, True]
    assert not [p for p in store.root.glob("*/.*") if p.is_dir()]


def test_use_keeps_an_artifact(filled):
    store, (a, *_) = filled
    store.make(a, lambda folder: pytest.fail("made again"))
    assert not collect(store, days=30)[0]
    assert store.has(a)


def test_what_is_locked_stays_and_what_is_removed_can_be_made_again(filled):
    store, (a, *_) = filled
    with FileLock(store.root / "locks" / f"{a.key}.lock"):
        assert not collect(store, days=30)[0]
    assert store.has(a)
    collect(store, days=30)
    again = []
    store.make(a, lambda folder: again.append(folder))
    assert again and store.has(a)


def test_leftovers_of_killed_processes_go_after_a_day(filled):
    store, (a, *_) = filled
    half, fresh, checkpoint = (store.root / "responses" / f".{a.key}.0123", store.root / "responses" / ".new.4567",
                               store.checkpoint(a))
    for folder in (half, fresh):
        folder.mkdir()
        (folder / "part.bin").write_bytes(bytes(500))
    checkpoint.write_bytes(bytes(700))
    for path in (half, checkpoint):
        os.utime(path, (time.time() - 2 * DAY,) * 2)
    assert collect(store, days=1000) == ([], 1200)
    assert not half.exists() and not checkpoint.exists() and fresh.exists()


def test_the_command_lists_and_cleans(filled, capsys):
    store, (a, b, c) = filled
    assert main(["store", "list", "--store", str(store.root)]) == 0
    assert "responses" in capsys.readouterr().out
    assert main(["store", "clean", "--store", str(store.root)]) == 2
    assert "--unused-for DAYS" in capsys.readouterr().err
    assert main(["store", "clean", "--store", str(store.root), "--unused-for", "10", "--dry-run"]) == 0
    assert "would remove 2 artifacts" in capsys.readouterr().out and store.has(a)
    assert main(["store", "clean", "--store", str(store.root), "--limit", "10k"]) == 0
    assert [store.has(s) for s in (a, b, c)] == [False, False, True]
    with pytest.raises(SystemExit):
        main(["store", "clean", "--limit", "much"])


@pytest.mark.parametrize("size", ["20", "0.5", "1e3", "-5", "20X"])
def test_a_size_without_a_unit_is_refused_since_it_would_empty_the_store(size, filled, capsys):
    store, steps = filled
    with pytest.raises(SystemExit):
        main(["store", "clean", "--store", str(store.root), f"--limit={size}"])
    assert "expected a number and a unit" in capsys.readouterr().err
    assert all(map(store.has, steps))


@pytest.mark.parametrize("command", [["list"], ["clean", "--limit", "0"]], ids=" ".join)
def test_a_folder_that_is_no_store_is_refused_and_left_as_it_is(command, tmp_path, capsys):
    (tmp_path / "project" / ".git").mkdir(parents=True)
    for place, words in (("projekt", "no such folder"), (".", "it has no locks/ and work/")):
        assert main(["store", *command, "--store", str(tmp_path / place)]) == 2
        assert words in capsys.readouterr().err
    assert [p.relative_to(tmp_path).as_posix() for p in sorted(tmp_path.rglob("*"))] == ["project", "project/.git"]


def test_the_usual_store_need_not_be_there_yet(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DIRBENCH_STORE", str(tmp_path / "later"))
    assert main(["store", "list"]) == 0
    assert "not there yet" in capsys.readouterr().out and not (tmp_path / "later").exists()


def test_hidden_files_of_others_beside_a_store_are_never_collected(filled):
    """Whoever put the store into a project's folder must not lose that project's history."""
    store, _ = filled
    theirs = [store.root / "project" / ".git", store.root / "project" / ".env", store.root / "work" / "thesis.tex"]
    theirs[0].mkdir(parents=True)
    for path in theirs[1:]:
        path.write_text("mine")
    for path in theirs:
        os.utime(path, (time.time() - 9 * DAY,) * 2)
    collect(store, days=1000)
    assert all(path.exists() for path in theirs)

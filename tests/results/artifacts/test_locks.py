"""Locks: the system's where there are some, files where there are none, and a run works with both."""

import errno
import os

import pytest

from dirbench.results.artifacts import locks
from dirbench.results.artifacts.store import Step, Store

STEP = Step("responses", ("dirbench.results.rows",), {"a": 1})


@pytest.fixture(params=[errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL], ids=errno.errorcode.get)
def no_locks(request, monkeypatch):
    """A file system that answers every flock so."""
    fcntl = pytest.importorskip("fcntl")

    def refused(*args):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refused)
    locks._has_locks.cache_clear()
    yield
    locks._has_locks.cache_clear()


def test_a_lock_keeps_others_out(tmp_path):
    with locks.lock(tmp_path / "x.lock"), pytest.raises(locks.Timeout), locks.lock(tmp_path / "x.lock", timeout=0):
        pass


def test_so_does_a_file_where_there_are_no_locks(tmp_path, no_locks):
    with locks.lock(tmp_path / "x.lock"):
        assert (tmp_path / "x.lock").exists()
        with pytest.raises(locks.Timeout), locks.lock(tmp_path / "x.lock", timeout=0):
            pass
    with locks.lock(tmp_path / "x.lock", timeout=0):
        pass  # it was given back
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_store_works_without_locks(tmp_path, no_locks):
    store, built = Store(tmp_path), []
    for _ in range(2):
        store.make(STEP, lambda folder: built.append((folder / "x.txt").write_text("hello")))
    assert store.has(STEP) and len(built) == 1


def test_what_is_no_matter_of_locks_is_raised(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        locks.lock(tmp_path / "file" / "x.lock")

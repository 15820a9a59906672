"""One process a data directory."""

import os

import pytest

from ledger.errors import DatabaseInUse, StorageError
from ledger.lock import DirectoryLock


def test_the_second_holder_is_refused_and_told_who_holds_it(tmp_path):
    with DirectoryLock(tmp_path), pytest.raises(DatabaseInUse, match=rf"another process \(pid {os.getpid()}\)"):
        DirectoryLock(tmp_path)


def test_a_released_directory_can_be_held_again(tmp_path):
    lock = DirectoryLock(tmp_path)
    lock.release()
    lock.release()
    DirectoryLock(tmp_path).release()


def test_a_released_directory_names_no_process_that_may_be_another_by_now(tmp_path):
    """Operators type `kill $(cat LOCK)`."""
    with DirectoryLock(tmp_path):
        assert (tmp_path / "LOCK").read_text() == f"{os.getpid()}\n"
    assert (tmp_path / "LOCK").read_text() == ""


def test_the_death_of_the_holder_releases_the_directory(tmp_path):
    child = os.fork()
    if child == 0:
        DirectoryLock(tmp_path)
        os._exit(0)
    os.waitpid(child, 0)
    DirectoryLock(tmp_path).release()


def test_a_missing_directory_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="cannot open"):
        DirectoryLock(tmp_path / "nowhere")

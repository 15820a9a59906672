"""The vote journal: what was synced comes back, a torn tail goes, damage is never skipped, a fault is for ever."""

import errno
import os
from pathlib import Path

import pytest

from ledger import files
from ledger.errors import DatabaseInUse, DataLost, StorageError
from ledger.journal import Journal

RECORDS = [b"vote one", b"", b"\x00" * 20, b"vote four, a little longer than the others"]
HEADER_BYTES = 36
FRAME_BYTES = 24


def write(path: Path, records: list[bytes]) -> bytes:
    journal, found = Journal.open(path)
    assert found == []
    journal.append(records)
    journal.sync()
    journal.close()
    return path.read_bytes()


def read(path: Path) -> list[bytes]:
    journal, records = Journal.open(path)
    journal.close()
    return records


def test_records_come_back_in_order_and_later_ones_follow_them(tmp_path):
    path = tmp_path / "votes.journal"
    write(path, RECORDS)
    journal, records = Journal.open(path)
    assert records == RECORDS
    assert journal.size_bytes == path.stat().st_size
    journal.append([b"five"])
    journal.append([])
    journal.sync()
    assert journal.size_bytes == path.stat().st_size
    journal.close()
    assert read(path) == [*RECORDS, b"five"]


def test_a_file_cut_at_any_byte_keeps_exactly_the_complete_records(tmp_path):
    path = tmp_path / "votes.journal"
    whole = write(path, RECORDS)
    ends = [HEADER_BYTES]
    for record in RECORDS:
        ends.append(ends[-1] + FRAME_BYTES + len(record))
    assert ends[-1] == len(whole)
    for size in range(HEADER_BYTES, len(whole) + 1):
        path.write_bytes(whole[:size])
        complete = sum(end <= size for end in ends) - 1
        journal, records = Journal.open(path)
        assert records == RECORDS[:complete], size
        journal.append([b"after the crash"])
        journal.sync()
        journal.close()
        assert read(path) == [*RECORDS[:complete], b"after the crash"], size


def test_a_file_cut_inside_its_header_is_lost(tmp_path):
    path = tmp_path / "votes.journal"
    whole = write(path, RECORDS)
    for size in range(HEADER_BYTES):
        path.write_bytes(whole[:size])
        with pytest.raises(DataLost, match="offset 0"):
            Journal.open(path)


def test_one_flipped_bit_anywhere_is_data_lost_and_the_file_is_left_as_it_was(tmp_path):
    path = tmp_path / "votes.journal"
    whole = write(path, RECORDS)
    for position in range(len(whole)):
        for bit in range(8):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(DataLost, match="damaged at offset"):
                Journal.open(path)
            assert path.read_bytes() == damaged


def test_the_error_names_the_offset_of_the_damaged_record(tmp_path):
    path = tmp_path / "votes.journal"
    whole = bytearray(write(path, RECORDS))
    second = HEADER_BYTES + FRAME_BYTES + len(RECORDS[0])
    whole[second + 10] ^= 1
    path.write_bytes(whole)
    with pytest.raises(DataLost, match=f"offset {second}: record 1"):
        Journal.open(path)


def test_zeros_after_the_last_record_are_a_torn_tail(tmp_path):
    path = tmp_path / "votes.journal"
    whole = write(path, RECORDS)
    for zeros in (1, 23, 24, 4096):
        path.write_bytes(whole + bytes(zeros))
        assert read(path) == RECORDS
        assert path.read_bytes() == whole


def test_anything_else_after_the_last_record_is_data_lost(tmp_path):
    path = tmp_path / "votes.journal"
    whole = write(path, RECORDS)
    path.write_bytes(whole + bytes(30) + b"\x01")
    with pytest.raises(DataLost):
        Journal.open(path)


@pytest.mark.parametrize("order", [[1, 0, 2, 3], [0, 0, 1, 2, 3], [0, 2, 3]], ids=["moved", "repeated", "left out"])
def test_a_record_out_of_its_place_is_data_lost(tmp_path, order):
    path = tmp_path / "votes.journal"
    whole = write(path, RECORDS)
    frames, offset = [], HEADER_BYTES
    for record in RECORDS:
        frames.append(whole[offset : offset + FRAME_BYTES + len(record)])
        offset += len(frames[-1])
    path.write_bytes(whole[:HEADER_BYTES] + b"".join(frames[index] for index in order))
    with pytest.raises(DataLost):
        Journal.open(path)


def test_a_record_of_an_older_generation_is_data_lost(tmp_path):
    path = tmp_path / "votes.journal"
    old = write(path, [b"first"])
    journal, _ = Journal.open(path)
    journal.rewrite([])
    journal.close()
    path.write_bytes(path.read_bytes() + old[HEADER_BYTES:])
    with pytest.raises(DataLost):
        Journal.open(path)


def test_rewrite_keeps_only_what_it_is_given_and_raises_the_generation(tmp_path):
    path = tmp_path / "votes.journal"
    write(path, RECORDS)
    journal, _ = Journal.open(path)
    journal.rewrite([b"kept"])
    assert journal.generation == 2
    assert journal.size_bytes == path.stat().st_size
    journal.append([b"later"])
    journal.sync()
    journal.close()
    assert read(path) == [b"kept", b"later"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["votes.journal"]


class Crash(BaseException):
    """The process dies here."""


@pytest.mark.parametrize(
    ("step", "expected"),
    [("write", RECORDS), ("fsync", RECORDS), ("rename", RECORDS), ("directory", [b"kept"])],
)
def test_a_crash_at_any_step_of_a_rewrite_leaves_the_old_records_or_the_new(tmp_path, monkeypatch, step, expected):
    path = tmp_path / "votes.journal"
    write(path, RECORDS)
    journal, _ = Journal.open(path)

    def die(*_arguments, **_keywords):
        raise Crash

    targets = {
        "write": ("ledger.journal.write_all", die),
        "fsync": ("ledger.journal.os.fsync", die),
        "rename": ("pathlib.Path.rename", die),
        "directory": ("ledger.journal.sync_directory", die),
    }
    with monkeypatch.context() as patch:
        patch.setattr(*targets[step])
        with pytest.raises(Crash):
            journal.rewrite([b"kept"])
    journal.close()
    assert read(path) == expected
    assert [entry.name for entry in tmp_path.iterdir()] == ["votes.journal"]


def failing(*_arguments):
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_after_one_failed_flush_the_journal_refuses_for_ever(tmp_path, monkeypatch):
    path = tmp_path / "votes.journal"
    journal, _ = Journal.open(path)
    journal.append([b"vote"])
    with monkeypatch.context() as patch:
        patch.setattr("ledger.journal.os.fdatasync", failing)
        with pytest.raises(StorageError, match="could not flush"):
            journal.sync()
    with pytest.raises(StorageError, match="could not flush"):
        journal.sync()
    with pytest.raises(StorageError, match="could not flush"):
        journal.append([b"another"])
    with pytest.raises(StorageError, match="could not flush"):
        journal.rewrite([])
    journal.close()


def test_a_full_disk_tears_the_tail_poisons_the_journal_and_a_restart_heals_it(tmp_path, monkeypatch):
    path = tmp_path / "votes.journal"
    journal, _ = Journal.open(path)
    journal.append([b"before"])
    journal.sync()
    real_write, room = os.write, [30]

    def short_write(descriptor, data):
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = real_write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "write", short_write)
        with pytest.raises(StorageError, match="No space left"):
            journal.append([b"x" * 100])
    with pytest.raises(StorageError, match="No space left"):
        journal.append([b"again"])
    journal.close()
    assert read(path) == [b"before"]


def test_open_flushes_what_it_read_before_it_returns_it(tmp_path, monkeypatch):
    path = tmp_path / "votes.journal"
    write(path, RECORDS)
    monkeypatch.setattr("ledger.journal.os.fsync", failing)
    with pytest.raises(StorageError, match="cannot read the journal"):
        Journal.open(path)


def test_a_journal_that_is_open_cannot_be_opened_again(tmp_path):
    path = tmp_path / "votes.journal"
    journal, _ = Journal.open(path)
    with pytest.raises(DatabaseInUse, match="another process has"):
        Journal.open(path)
    journal.rewrite([b"kept"])  # a new file, locked as well
    with pytest.raises(DatabaseInUse):
        Journal.open(path)
    journal.close()
    assert read(path) == [b"kept"]


def test_another_format_is_named_and_refused(tmp_path, monkeypatch):
    path = tmp_path / "votes.journal"
    monkeypatch.setattr("ledger.journal.FORMAT_VERSION", 2)
    write(path, [])
    monkeypatch.undo()
    with pytest.raises(StorageError, match="has format 2, this program reads format 1"):
        Journal.open(path)


def test_a_record_beyond_the_limit_is_refused_and_writes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "votes.journal"
    monkeypatch.setattr("ledger.journal.RECORD_BYTES_MAX", 10)
    journal, _ = Journal.open(path)
    with pytest.raises(StorageError, match="11 bytes, at most 10"):
        journal.append([b"fits", b"x" * 11])
    journal.append([b"x" * 10])
    journal.close()
    assert read(path) == [b"x" * 10]


def test_a_closed_journal_says_so(tmp_path):
    journal, _ = Journal.open(tmp_path / "votes.journal")
    journal.close()
    journal.close()
    with pytest.raises(StorageError, match="is closed"):
        journal.append([b"vote"])


def test_a_missing_directory_is_a_storage_error(tmp_path):
    with pytest.raises(StorageError, match="cannot open the journal"):
        Journal.open(tmp_path / "nowhere" / "votes.journal")

"""A full disk: what counts as one, when there is room again, and a real node that comes back from it by itself."""

from __future__ import annotations

import asyncio
import errno
import http.client
import json
import os
import resource
import time

import plyvel
import pytest

from contracts import examples
from ledger.database import translated
from ledger.errors import DiskFull, StorageError
from ledger.genesis import load_genesis
from ledger.journal import Journal
from ledger.keys import load_signing_key
from network.client import Client
from network.room import PROBE_FILE, has_room, wait_for_room
from network.testnet import Testnet, make_testnet

DEADLINE_S = 60


def failing(number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_write_without_room_is_a_full_disk(tmp_path, monkeypatch, number):
    journal, _ = Journal.open(tmp_path / "votes.journal")
    monkeypatch.setattr("ledger.journal.write_all", failing(number))
    with pytest.raises(DiskFull, match=os.strerror(number)):
        journal.append([b"a vote"])
    journal.close()
    error = plyvel.IOError(f"IO error: 000005.log: {os.strerror(number)}".encode())
    assert type(translated(error, tmp_path)) is DiskFull


def test_a_flush_that_fails_is_never_taken_for_a_full_disk(tmp_path, monkeypatch):
    journal, _ = Journal.open(tmp_path / "votes.journal")
    journal.append([b"a vote"])
    monkeypatch.setattr("os.fdatasync", failing(errno.ENOSPC))
    with pytest.raises(StorageError) as raised:
        journal.sync()
    assert type(raised.value) is StorageError
    journal.close()


def test_any_other_failed_write_is_no_full_disk(tmp_path, monkeypatch):
    journal, _ = Journal.open(tmp_path / "votes.journal")
    monkeypatch.setattr("ledger.journal.write_all", failing(errno.EIO))
    with pytest.raises(StorageError) as raised:
        journal.append([b"a vote"])
    assert type(raised.value) is StorageError
    journal.close()
    assert type(translated(plyvel.IOError(b"IO error: 000005.log: Input/output error"), tmp_path)) is StorageError


def test_room_is_tried_and_leaves_nothing_behind(tmp_path, monkeypatch):
    assert has_room(tmp_path, 1 << 16)
    monkeypatch.setattr("os.posix_fallocate", failing(errno.ENOSPC))
    assert not has_room(tmp_path, 1 << 16)
    assert not (tmp_path / PROBE_FILE).exists()
    assert not has_room(tmp_path / "nowhere", 1 << 16)


async def test_waiting_ends_when_there_is_room(tmp_path, monkeypatch):
    monkeypatch.setattr("network.room.LOOK_EVERY_S", 0.001)
    answers = iter([False, False, True])
    monkeypatch.setattr("network.room.has_room", lambda *_: next(answers))
    await asyncio.wait_for(wait_for_room(tmp_path), 10)
    assert list(answers) == []


def until(condition, what):
    deadline = time.monotonic() + DEADLINE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"gave up waiting: {what}"
        time.sleep(0.05)
    return found


def readiness(node):
    """(status, detail) of /readyz."""
    connection = http.client.HTTPConnection("127.0.0.1", node.config.gateway.port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read()).get("detail", "")
    finally:
        connection.close()


def limit_files(node, bytes_max):
    for pid in node.processes().values():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (bytes_max, resource.RLIM_INFINITY))


def test_a_node_on_a_full_disk_says_so_and_comes_back_by_itself_when_there_is_room(tmp_path):
    make_testnet(tmp_path / "net", time_ms=time.time_ns() // 1_000_000, validators=1, base_port=None)
    with Testnet(tmp_path / "net") as network:
        network.start()
        network.wait_ready()
        (node,) = network.nodes
        key, genesis = load_signing_key(network.account_key_path("admin")), load_genesis(network.genesis_path)
        with Client([node.url], key=key, genesis=genesis, timeout_s=DEADLINE_S) as client:
            kept = client.deploy("registry", examples.source("registry"))
            pid = node.pid
            limit_files(node, 0)
            raw = client.sign([("registry", "register", ("ab" * 32, "while the disk is full"))])
            client.submit(raw, wait=False)
            detail = until(lambda: readiness(node)[0] == 503 and readiness(node)[1], "the node to say that it cannot")
            assert "File too large" in detail
            limit_files(node, resource.RLIM_INFINITY)
            until(lambda: readiness(node)[0] == 200, "the node to come back")
            outcome = client.submit(raw, wait=True)
            assert outcome.ok
            assert outcome.height > kept.height
            assert client.proof(kept.transaction_id).header.height == kept.height
        assert node.pid == pid, "no process of it was started anew by hand"

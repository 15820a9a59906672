"""Four real nodes, twelve real processes: submit over HTTP, kill the primary, bring it back, compare everything."""

import hashlib
import time

import pytest

from contracts import examples
from ledger.keys import load_signing_key
from network.client import Client
from network.testnet import Testnet, make_testnet

DEADLINE_S = 60


def until(condition, what):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"gave up waiting: {what}"
        time.sleep(0.05)


@pytest.fixture
def network(tmp_path):
    make_testnet(tmp_path / "net")
    with Testnet(tmp_path / "net") as testnet:
        testnet.start()
        testnet.wait_ready()
        yield testnet


def client_of(network, *urls):
    key = load_signing_key(network.account_key_path("admin"))
    return Client(list(urls) or network.urls, key=key, genesis=network.genesis)


def tips(network):
    statuses = [Client([node.url]).status() for node in network.nodes if node.pid is not None]
    return [(status["sealed_height"], status["sealed_hash"], status["state_root"]) for status in statuses]


@pytest.mark.timeout(180)
def test_a_killed_primary_loses_nothing_and_comes_back_to_the_same_state(network):
    client = client_of(network)
    client.deploy("registry", examples.source("registry"))
    before = [
        client.call("registry", "register", hashlib.sha256(bytes([n])).hexdigest(), f"file-{n}") for n in range(5)
    ]
    assert all(receipt.code == "ok" for receipt in before)

    primary = network.nodes[client.status()["primary"]]
    primary.kill()
    alive = [node.url for node in network.nodes if node is not primary]
    survivors = client_of(network, *alive)
    after = survivors.call("registry", "register", hashlib.sha256(b"after").hexdigest(), "after")
    assert after.code == "ok"

    primary.start()
    height = survivors.status()["sealed_height"]
    until(lambda: primary.is_ready() and Client([primary.url]).status()["sealed_height"] >= height, "the restart")
    last = client_of(network).call("registry", "register", hashlib.sha256(b"last").hexdigest(), "last")
    assert last.code == "ok"
    until(lambda: len(set(tips(network))) == 1, "equal height, header hash and state root on all four")
    assert len(tips(network)) == 4

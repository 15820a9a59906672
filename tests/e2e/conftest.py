"""A network of four real nodes in a directory of its own, and what its tests ask: how a node stands, and until when."""

import time

import pytest

from ledger.genesis import load_genesis
from ledger.keys import load_signing_key
from network.client import Client
from network.testnet import Testnet, make_testnet

DEADLINE_S = 60


@pytest.fixture
def network(tmp_path):
    """Made, and not started."""
    make_testnet(tmp_path / "net", time_ms=time.time_ns() // 1_000_000, base_port=None)
    with Testnet(tmp_path / "net") as testnet:
        yield testnet


@pytest.fixture
def client_of(network):
    """`client_of(nodes)`: signs as the admin, and proves what it is given."""
    key = load_signing_key(network.account_key_path("admin"), None)
    genesis = load_genesis(network.genesis_path)
    return lambda nodes: Client([node.url for node in nodes], key=key, genesis=genesis)


@pytest.fixture
def status_of():
    """`status_of(node)`, as it says itself."""

    def ask(node):
        with Client([node.url]) as client:
            return client.status()

    return ask


@pytest.fixture
def until():
    """`until(condition, what)`: wait for it, or fail and say for what."""

    def wait(condition, what):
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            assert time.monotonic() < deadline, f"gave up waiting: {what}"
            time.sleep(0.05)

    return wait

"""Four real nodes, twelve real processes: submit over HTTP, kill the primary, bring it back, compare everything."""

import hashlib
import os
import signal

import pytest

from contracts import examples


@pytest.fixture
def network(network):
    """The same, up and ready."""
    network.start()
    network.wait_ready()
    return network


@pytest.fixture
def tips(network, status_of):
    """What the four hold: one triple where they agree."""
    fields = ("sealed_height", "sealed_hash", "state_root")
    return lambda: {tuple(status[field] for field in fields) for status in map(status_of, network.nodes)}


def register(client, text):
    return client.call("registry", "register", hashlib.sha256(text.encode()).hexdigest(), text)


@pytest.mark.timeout(180)
def test_a_killed_primary_loses_nothing_and_comes_back_to_the_same_state(network, client_of, status_of, until, tips):
    with client_of(network.nodes) as client:
        client.deploy("registry", examples.source("registry"))
        kept = [register(client, f"file {number}") for number in range(5)]
        assert all(outcome.ok and outcome.proven for outcome in kept)
        primary = network.nodes[client.status()["primary"]]

    primary.kill()
    with client_of([node for node in network.nodes if node is not primary]) as survivors:
        kept.append(register(survivors, "written without the primary"))
        assert kept[-1].ok
        assert survivors.status()["view"] > 0

    primary.start()
    network.wait_ready([primary])
    until(lambda: status_of(primary)["sealed_height"] >= kept[-1].height, "the restarted node to catch up")
    with client_of([primary]) as client:
        kept.append(register(client, "written through the restarted node"))
        assert kept[-1].ok
        proofs = [client.proof(outcome.transaction_id) for outcome in kept]
    assert [proof.header.height for proof in proofs] == [outcome.height for outcome in kept]
    until(lambda: len(tips()) == 1, "one height, header hash and state root on all four")


def test_every_process_dies_at_once_and_what_was_acknowledged_is_there(network, client_of):
    with client_of(network.nodes) as client:
        client.deploy("registry", examples.source("registry"))
        outcome = register(client, "before the power cut")
    for node in network.nodes:
        node.kill()
    network.start()
    network.wait_ready()
    with client_of(network.nodes) as client:
        assert client.proof(outcome.transaction_id).header.height == outcome.height
        assert register(client, "after the power cut").ok


def test_an_executor_and_a_gateway_that_die_are_replaced_and_votes_go_on(network, client_of, until, tips):
    node = network.nodes[1]
    with client_of(network.nodes) as client:
        client.deploy("registry", examples.source("registry"))
        before = node.processes()
        for role in ("executor", "gateway"):
            os.kill(before[role], signal.SIGKILL)
        assert register(client, "while two processes are down").ok
        until(lambda: len(node.processes()) == 3 and node.is_ready(), "both to come back")
        assert register(client, "afterwards").ok
    assert node.processes()["validator"] == before["validator"]
    until(lambda: len(tips()) == 1, "one height, header hash and state root on all four")

"""A test network's directory is complete and consistent, replaces nothing, and its processes leave nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ledger.genesis import load_genesis
from ledger.keys import load_signing_key
from network.config import read_config
from network.testnet import Testnet
from network.testnet_layout import TestnetError, fixed_ports, free_ports, is_free, make_testnet

TIME_MS = 1_700_000_000_000


def test_every_node_finds_its_key_its_peers_and_the_same_genesis(tmp_path: Path) -> None:
    genesis = make_testnet(tmp_path / "net", time_ms=TIME_MS, base_port=None)
    for index, node in enumerate(Testnet(tmp_path / "net").nodes):
        assert load_genesis(node.config.genesis_path).chain_id == genesis.chain_id
        key = load_signing_key(node.config.validator_key_path)
        assert genesis.validators.index_of(key.public_key) == index
        assert genesis.validators.members[index].name == node.name
        others = {member.name for member in genesis.validators.members} - {node.name}
        assert {peer.name for peer in node.config.peers} == others


def test_every_port_is_used_once(tmp_path: Path) -> None:
    make_testnet(tmp_path / "net", time_ms=TIME_MS, base_port=None)
    configs = [read_config(folder) for folder in sorted((tmp_path / "net").glob("node-*"))]
    listens = {config.node.name: config.peer.listen for config in configs}
    assert len({config.gateway.port for config in configs} | {*listens.values()}) == 8
    assert all(listens[peer.name] == peer.address for config in configs for peer in config.peers)


def test_accounts_get_the_roles_asked_for_and_private_keys(tmp_path: Path) -> None:
    genesis = make_testnet(
        tmp_path / "net", time_ms=TIME_MS, base_port=None, accounts={"admin": ("admin",), "ann": ("writer", "deployer")}
    )
    path = Testnet(tmp_path / "net").account_key_path("ann")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    ann = next(account for account in genesis.accounts if account.name == "ann")
    assert ann.public_key == load_signing_key(path).public_key
    assert ann.roles == ("writer", "deployer")


def test_nothing_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("dear to me")
    with pytest.raises(TestnetError, match="not empty: nothing is replaced; choose another directory"):
        make_testnet(tmp_path, time_ms=TIME_MS, base_port=None)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="role"):
        make_testnet(tmp_path / "net", time_ms=TIME_MS, base_port=None, accounts={"ann": ("king",)})
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("count", [0, 101])
def test_the_number_of_validators_has_bounds(tmp_path: Path, count: int) -> None:
    with pytest.raises(TestnetError, match=f"1 to 100 validators, not {count}"):
        make_testnet(tmp_path / "net", time_ms=TIME_MS, validators=count, base_port=None)


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert not is_free(port)
        with pytest.raises(TestnetError, match=f"port {port} is taken: .*choose another --base-port"):
            make_testnet(tmp_path / "net", time_ms=TIME_MS, base_port=port)
    assert not (tmp_path / "net").exists()


def test_a_path_too_long_for_a_socket_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(TestnetError, match="too long a path for the sockets of the nodes in it: choose a shorter one"):
        make_testnet(tmp_path / ("n" * 100), time_ms=TIME_MS, base_port=None)
    assert [*tmp_path.iterdir()] == []


def test_ports_stay_ports() -> None:
    assert len(set(free_ports(8))) == 8
    with pytest.raises(TestnetError, match="between 1 and 65535"):
        fixed_ports(65000, 4)


def test_a_directory_without_nodes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TestnetError, match=r"holds no node-1: make one with `quorate testnet"):
        Testnet(tmp_path)


def test_a_node_that_cannot_start_shows_its_log_and_leaves_no_process(tmp_path: Path) -> None:
    make_testnet(tmp_path / "net", time_ms=TIME_MS, validators=1, base_port=None)
    network = Testnet(tmp_path / "net")
    node = network.nodes[0]
    node.config.validator_key_path.unlink()
    with network:
        node.start()
        with pytest.raises(TestnetError, match=r"(?s)validator-1 ended with code 2; its log ends:.*validator.pem"):
            network.wait_ready()
    assert node.processes() == {}


def test_a_network_that_runs_is_not_started_again(tmp_path: Path) -> None:
    make_testnet(tmp_path / "net", time_ms=TIME_MS, validators=1, base_port=None)
    network, again = Testnet(tmp_path / "net"), Testnet(tmp_path / "net")
    with network:
        network.start()
        network.wait_ready()
        with pytest.raises(TestnetError, match=r"of validator-1 is taken: does .*/net run already\?"):
            again.start()
        assert network.nodes[0].is_ready()
    assert again.nodes[0].pid is None


def test_killing_takes_the_whole_node(tmp_path: Path) -> None:
    make_testnet(tmp_path / "net", time_ms=TIME_MS, validators=1, base_port=None)
    network = Testnet(tmp_path / "net")
    node = network.nodes[0]
    with network:
        network.start()
        network.wait_ready()
        before = node.processes()
        assert set(before) == {"validator", "executor", "gateway"}
        node.kill()
        assert node.processes() == {}
        assert not any(_alive(pid) for pid in before.values())
        node.start()
        network.wait_ready()
        assert node.stop() == 0
    assert node.processes() == {}


def test_a_node_that_ends_is_told_of_and_the_others_go_on(tmp_path: Path) -> None:
    make_testnet(tmp_path / "net", time_ms=TIME_MS, validators=2, base_port=None)
    network = Testnet(tmp_path / "net")
    first, second = network.nodes
    told: list[str] = []

    def hear(line: str) -> None:
        told.append(line)
        if second.pid is not None:  # it outlives the first; now it ends too, so that the watch does
            os.kill(second.pid, signal.SIGTERM)

    with network:
        network.start()
        network.wait_ready()
        os.kill(first.pid, signal.SIGKILL)
        with pytest.raises(TestnetError, match="no validator is left running"):
            network.watch(hear)
    again = f"Start it again, in another terminal: quorate start {tmp_path}/net/node"
    assert told == [
        f"validator-1 was ended by SIGKILL; 1 of 2 validators go on. {again}-1",
        f"validator-2 ended with code 0; 0 of 2 validators go on. {again}-2",
    ]


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_nodes_end_when_whoever_started_them_is_killed(tmp_path: Path) -> None:
    make_testnet(tmp_path / "net", time_ms=TIME_MS, validators=1, base_port=None)
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom network.testnet import Testnet\n"
        "network = Testnet(Path(sys.argv[1]))\nnetwork.start()\nnetwork.wait_ready()\n"
        "print(*network.nodes[0].processes().values(), flush=True)\ntime.sleep(60)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "net")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        pids = [int(word) for word in starter.stdout.readline().split()]
        assert len(pids) == 3
        starter.kill()
    deadline = time.monotonic() + 20
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "a node outlived whoever started it"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_ends_a_node_in_good_order(tmp_path: Path, number: signal.Signals) -> None:
    """So do a terminal's Ctrl-C and a service manager: all three processes get it, none is taken for a failure."""
    make_testnet(tmp_path / "net", time_ms=TIME_MS, validators=1, base_port=None)
    network = Testnet(tmp_path / "net")
    node = network.nodes[0]
    with network:
        network.start()
        network.wait_ready()
        os.killpg(node.pid, number)
        deadline = time.monotonic() + 15
        while node.exit_code() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert node.exit_code() == 0
    log = node.log_path.read_text()
    assert f"stopping: {number.name}" in log
    assert "starting it again" not in log

"""A node that cannot run as it was set up says why and what to do, in a sentence, and ends with code 2."""

import shutil
import socket
import subprocess
import sys
import time

import pytest

from ledger.genesis import load_genesis, save_genesis
from network.testnet import Testnet, make_testnet


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    directory = tmp_path_factory.mktemp("refusals") / "net"
    make_testnet(directory, time_ms=time.time_ns() // 1_000_000, base_port=None)
    return directory


@pytest.fixture
def network(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "net")


def start(directory):
    """Run `quorate start` on a directory that it must refuse; its exit code and what it printed."""
    command = [sys.executable, "-m", "network.cli", "start", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stderr


def assert_refused(directory, *sentences):
    code, printed = start(directory)
    assert code == 2, printed
    assert "Traceback" not in printed
    for sentence in sentences:
        assert sentence in printed, printed


def test_a_missing_key(network):
    (network / "node-1" / "keys" / "validator.pem").unlink()
    assert_refused(network / "node-1", "validator.pem")


def test_a_key_that_others_can_read(network):
    (network / "node-1" / "keys" / "validator.pem").chmod(0o644)
    assert_refused(network / "node-1", "chmod 600")


def test_another_members_key(network):
    shutil.copy(network / "node-2" / "keys" / "validator.pem", network / "node-1" / "keys" / "validator.pem")
    assert_refused(network / "node-1", "'validator-1'", "its key is that of 'validator-2'")


def test_a_strangers_key(network):
    shutil.copy(network / "accounts" / "admin.pem", network / "node-1" / "keys" / "validator.pem")
    assert_refused(network / "node-1", "belongs to no validator", "validator-1, validator-2, validator-3, validator-4")


def test_another_members_certificate(network):
    shutil.copy(network / "node-2" / "keys" / "tls.crt", network / "node-1" / "keys" / "tls.crt")
    assert_refused(network / "node-1", "tls.crt is not the certificate that genesis names")


def test_a_tls_key_of_another_certificate(network):
    shutil.copy(network / "node-2" / "keys" / "tls.key", network / "node-1" / "keys" / "tls.key")
    assert_refused(network / "node-1", "tls.key")


def test_a_state_of_another_chain(network, tmp_path):
    with Testnet(network) as testnet:
        testnet.nodes[0].start()
        assert_running(testnet.nodes[0])
    other = tmp_path / "other"
    make_testnet(other, time_ms=time.time_ns() // 1_000_000, base_port=None)
    shutil.copytree(network / "node-1" / "state", other / "node-1" / "state")
    assert_refused(other / "node-1", "this state belongs to chain")


def test_a_wrong_setting_names_its_line(network):
    path = network / "node-1" / "node.toml"
    path.write_text(path.read_text().replace("[gateway]", "[gateway]\nprot = 8101", 1))
    line = path.read_text().splitlines().index("prot = 8101") + 1
    assert_refused(network / "node-1", f"node.toml:{line}", "gateway.prot", "did you mean port?")


def test_a_genesis_that_differs_from_the_stored_one(network):
    with Testnet(network) as testnet:
        testnet.nodes[0].start()
        assert_running(testnet.nodes[0])
    genesis = load_genesis(network / "node-1" / "genesis.json")
    (network / "node-1" / "genesis.json").unlink()
    changed = type(genesis)(
        genesis.format, "other", genesis.time_ms, genesis.parameters, genesis.validators, genesis.accounts
    )
    save_genesis(changed, network / "node-1" / "genesis.json")
    assert_refused(network / "node-1", genesis.chain_id.hex()[:16], changed.chain_id.hex()[:16])


def test_a_data_directory_in_use_and_the_running_node_is_not_disturbed(network):
    with Testnet(network) as testnet:
        node = testnet.nodes[0]
        node.start()
        assert_running(node)
        assert_refused(node.directory, "another process", str(node.pid))
        assert node.exit_code() is None


@pytest.mark.parametrize("which", ["peer", "gateway"])
def test_a_port_that_is_taken(network, which):
    node = Testnet(network).nodes[0]
    port = node.config.gateway.port if which == "gateway" else int(node.config.peer.listen.rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        assert_refused(node.directory, str(port), "taken" if which == "peer" else "in use")


def assert_running(node):
    """The socket of the validator is the last thing that a starting node makes."""
    deadline = time.monotonic() + 30
    while not (node.directory / "run" / "validator.sock").exists():
        assert node.exit_code() is None, node.log_tail()
        assert time.monotonic() < deadline, node.log_tail()
        time.sleep(0.05)

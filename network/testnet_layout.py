"""Makes the directory of a test network: members with their keys and settings, accounts, one genesis that all share.

Everything lies on one machine and listens on loopback. It refuses to replace anything, and says which port is taken
before a node finds out. It starts no process; `network.testnet` does.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

from ledger.crypto import SigningKey
from ledger.genesis import FORMAT_VERSION, save_genesis
from ledger.keys import save_signing_key
from ledger.types import Account, Genesis, Parameters, ValidatorSet
from network.config import CONFIG_FILE, GatewaySection, NodeConfig, NodeSection, PeerAddress, PeerSection
from network.ipc import SOCKET_PATH_BYTES_MAX
from network.member import make_member
from network.paths import NodePaths

NODE_PREFIX = "node-"
LOOPBACK = "127.0.0.1"
BASE_PORT = 8101  # gateways from here on, peer links PEER_PORT_OFFSET above
PEER_PORT_OFFSET = 1000
FREE_PORTS = range(20_000, 32_000)
VALIDATORS_MAX = 100
DEFAULT_ACCOUNTS: Mapping[str, tuple[str, ...]] = {"admin": ("admin",)}


class TestnetError(Exception):
    """A test network cannot be made or started; the text says what to do."""

    __test__ = False  # no test class, whatever its name says to pytest


def make_testnet(
    directory: Path,
    *,
    time_ms: int,
    validators: int = 4,
    base_port: int | None = BASE_PORT,
    accounts: Mapping[str, tuple[str, ...]] = DEFAULT_ACCOUNTS,
    known: Sequence[Account] = (),
    parameters: Parameters | None = None,
    network: str = "testnet",
    log_level: str = "info",
) -> Genesis:
    """Create `directory` with `node-1` to `node-n`, `accounts/NAME.pem`, and `genesis.json` (also in each node).

    `base_port` None takes ports that are free now. `accounts` maps a name to its roles, and its key is made here;
    `known` are further accounts whose keys the caller holds. Raises `TestnetError`; nothing is left behind then.
    """
    if not 1 <= validators <= VALIDATORS_MAX:
        raise TestnetError(f"a test network has 1 to {VALIDATORS_MAX} validators, not {validators}")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        known_network = (directory / "genesis.json").exists()
        remedy = f"start it with `quorate testnet {directory} --start`, or " if known_network else ""
        raise TestnetError(
            f"{directory} exists and is not empty: nothing is replaced; {remedy}choose another directory"
        )
    if not fits_sockets(directory, validators):
        raise TestnetError(f"{directory} is too long a path for the sockets of the nodes in it: choose a shorter one")
    ports = free_ports(2 * validators) if base_port is None else fixed_ports(base_port, validators)
    made_here = not directory.exists()
    try:
        return _make(directory, ports, time_ms, accounts, known, parameters or Parameters(), network, log_level)
    except BaseException:
        with contextlib.suppress(OSError):
            _clear(directory, remove=made_here)
        raise


def _make(
    directory: Path,
    ports: Sequence[int],
    time_ms: int,
    accounts: Mapping[str, tuple[str, ...]],
    known: Sequence[Account],
    parameters: Parameters,
    network: str,
    log_level: str,
) -> Genesis:
    count = len(ports) // 2
    configs = [_config(directory, number, ports, log_level) for number in range(1, count + 1)]
    members = tuple(make_member(config) for config in configs)
    owners = tuple(_make_account(directory / "accounts", name, roles) for name, roles in accounts.items())
    genesis = Genesis(FORMAT_VERSION, network, time_ms, parameters, ValidatorSet(members), (*owners, *known))
    save_genesis(genesis, directory / "genesis.json")
    for config in configs:
        shutil.copyfile(directory / "genesis.json", config.genesis_path)
    return genesis


def fits_sockets(directory: Path, validators: int) -> bool:
    """Whether the nodes' processes could meet at Unix sockets there: the system bounds the length of their paths."""
    longest = NodePaths((directory / f"{NODE_PREFIX}{validators}").absolute()).validator_socket
    return len(os.fsencode(longest)) <= SOCKET_PATH_BYTES_MAX


def _config(directory: Path, number: int, ports: Sequence[int], log_level: str) -> NodeConfig:
    count = len(ports) // 2
    peers = tuple(
        PeerAddress(name=f"validator-{other}", address=f"{LOOPBACK}:{ports[count + other - 1]}")
        for other in range(1, count + 1)
        if other != number
    )
    return NodeConfig(
        node=NodeSection(name=f"validator-{number}", log_level=log_level),  # type: ignore[arg-type]  # checked on reading
        peer=PeerSection(listen=f"{LOOPBACK}:{ports[count + number - 1]}"),
        peers=peers,
        gateway=GatewaySection(port=ports[number - 1]),
        path=directory / f"{NODE_PREFIX}{number}" / CONFIG_FILE,
    )


def _make_account(directory: Path, name: str, roles: tuple[str, ...]) -> Account:
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = SigningKey.generate()
    save_signing_key(directory / f"{name}.pem", key)
    return Account(name, key.public_key, roles)


def _clear(directory: Path, *, remove: bool) -> None:
    """Take back what a failed `make_testnet` made: it started from nothing or from an empty directory."""
    for child in directory.iterdir():
        shutil.rmtree(child) if child.is_dir() else child.unlink()
    if remove:
        directory.rmdir()


# ── ports ─────────────────────────────────────────────────────────────────────────────────────────


def fixed_ports(base_port: int, validators: int) -> list[int]:
    """Gateway ports from `base_port` on, then as many peer ports. Raises `TestnetError` naming one that is taken."""
    gateways = range(base_port, base_port + validators)
    ports = [*gateways, *(port + PEER_PORT_OFFSET for port in gateways)]
    if base_port < 1 or ports[-1] > 65535:
        raise TestnetError(f"ports {base_port} to {ports[-1]} are needed; they must lie between 1 and 65535")
    for port in ports:
        if not is_free(port):
            raise TestnetError(f"port {port} is taken: stop what uses it, or choose another --base-port")
    return ports


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, below those that the system lends to outgoing connections.

    Another program may take one before a node does; the node says so then.
    """
    first = secrets.randbelow(FREE_PORTS.stop - FREE_PORTS.start - 10 * count) + FREE_PORTS.start
    free = [port for port in range(first, first + 10 * count) if is_free(port)]
    if len(free) < count:
        raise TestnetError(f"found {len(free)} free ports from {first} on, {count} are needed: give --base-port")
    return free[:count]


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback interface now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True

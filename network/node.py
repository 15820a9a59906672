"""One node: the validator in this process, the executor and the gateway beside it, started and watched.

`run` is what `quorate start` does. It checks everything that can be wrong before anything is started, says what to do
about it, and returns an exit code. It assembles and decides nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ledger.crypto import SigningKey
from ledger.errors import DiskFull, GenesisError, InvalidProof, KeyFileError, LedgerError, StorageError
from ledger.genesis import load_genesis
from ledger.keys import load_signing_key, read_private_file
from ledger.lock import DirectoryLock
from ledger.types import Genesis
from network import last_words
from network.api import NodeUnavailable
from network.config import NodeConfig
from network.ending import STATE_MISSING
from network.lifeline import StopSignal, set_up_logging, settle_memory
from network.lifeline import run as run_loop
from network.links import LinkError
from network.paths import NodePaths
from network.snapshots.switching import finish_switch, is_join_begun
from network.supervisor import Child, ChildSpec
from network.validator import ValidatorNode

if TYPE_CHECKING:
    from network.snapshots.joining import Join

log = logging.getLogger("quorate.node")

EXIT_OK = 0
EXIT_UNUSABLE = 2  # something is wrong with what the node was given; starting it again changes nothing
EXIT_FAILED = 1

JOIN_BEGUN = "begun"  # why a snapshot comes before the validator, beside what an ending says
JOIN_SETTLE_S = 120.0  # after a join, for the blocks that came meanwhile to be fetched: another would bring more
JOIN_REST_S = 600.0  # after a join that brought nothing, before another is tried
REMAKE_REST_S = 3600.0  # after a damaged block store was made anew: one that is damaged again is the machine's fault

_EXECUTOR_ENVIRONMENT = ("PYTHONPATH", "TZ")  # where its modules lie, its log's times; it forgets even these soon
_CHILD_ENVIRONMENT = ("PATH", "HOME", "LANG", "VIRTUAL_ENV", "PYTHONPATH", "SSL_CERT_FILE")


def run(config: NodeConfig) -> int:
    """Run a node until it is told to stop. 0 after a clean stop, 2 when it cannot run as configured."""
    set_up_logging("validator", config.node.log_level)
    try:
        with DirectoryLock(config.data_directory):
            paths = NodePaths(config.data_directory)
            last_words.answer(paths)
            last_words.leave(paths)
            if finish_switch(config.data_directory):
                log.warning("the parts of a snapshot that was ready were moved into their places")
            return run_loop(_run(config))
    except (LedgerError, LinkError, NodeUnavailable) as error:
        print(f"quorate: {error}", file=sys.stderr)  # noqa: T201 - the last word of a command
        return EXIT_UNUSABLE


async def _run(config: NodeConfig) -> int:
    genesis, key, member = check(config)
    paths = NodePaths(config.data_directory)
    paths.run.mkdir(mode=0o700, exist_ok=True)
    gateway = Child(_gateway_spec(config)) if config.gateway.enabled else None
    stop = StopSignal(follow_parent=False)
    async with contextlib.AsyncExitStack() as opened:
        if gateway is not None:
            opened.push_async_callback(gateway.stop)
            await gateway.start()
        join = JOIN_BEGUN if is_join_begun(config.data_directory) else ""
        again_at = remake_at = 0.0
        while True:
            if join:
                from network.snapshots.joining import Join  # rarely needed, and contracts come with it

                joined = await _join(Join(config, genesis, member, needed=join == STATE_MISSING), stop)
                again_at = time.monotonic() + (JOIN_SETTLE_S if joined else JOIN_REST_S)
            if stop.reason:
                return EXIT_OK
            executor = Child(_executor_spec(config, paths))
            node = ValidatorNode(
                config, genesis, key, member, executor, join_not_before=again_at, remake_not_before=remake_at
            )
            code = await _run_until_it_ends(node, executor, gateway, stop)
            if not node.ending.begin_again or stop.reason:
                return code
            join = node.ending.join
            if node.ending.remade:
                remake_at = time.monotonic() + REMAKE_REST_S


async def _join(join: Join, stop: StopSignal) -> bool:
    """Whether the node stands at a snapshot now. A failure of the disk is one of the join alone."""
    working, stopping = asyncio.create_task(join.run()), asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working not in done:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return False
    try:
        return working.result()
    except (StorageError, InvalidProof) as error:
        log.error("the snapshot cannot be put in place: %s", error)
        return False


async def _run_until_it_ends(node: ValidatorNode, executor: Child, gateway: Child | None, stop: StopSignal) -> int:
    """One validator with its executor, from its start to its stop."""
    await executor.start()
    try:
        return await _run_one(node, stop, [child for child in (executor, gateway) if child])
    finally:
        if gateway is not None and (stop.reason or not node.ending.begin_again):
            await gateway.stop()  # nobody is served by half a node
        await node.stop()
        await executor.stop()


async def _run_one(node: ValidatorNode, stop: StopSignal, children: list[Child]) -> int:
    """Run a validator until it ends, the exit code if the process is to end with it."""
    starting = asyncio.create_task(node.start())
    code = await _until_something_ends(starting, stop, children)
    if not starting.done() or starting.cancelled():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return code
    try:
        starting.result()
    except DiskFull as error:
        log.error("%s; waiting for room", error)
        return await _until_something_ends(asyncio.create_task(node.ending.await_room()), stop, children)
    settle_memory()
    return await _until_something_ends(asyncio.create_task(node.ending.wait()), stop, children)


async def _until_something_ends(task: asyncio.Task[None], stop: StopSignal, children: list[Child]) -> int:
    """Wait for `task`, the stop signal, or a child that cannot run: the exit code if the node must end now."""
    stopping = asyncio.create_task(stop.wait())
    unfit = [child.unfit for child in children]
    ends: list[asyncio.Future[Any]] = [task, stopping, *unfit]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
    for future in unfit:
        if future.done() and not future.cancelled():
            log.error("%s", future.result())
            return EXIT_UNUSABLE
    if stop.reason:
        log.info("stopping: %s", stop.reason)
        for child in children:
            child.expect_end()
        return EXIT_OK
    return EXIT_FAILED


def _open_key(config: NodeConfig) -> SigningKey:
    path, passphrase = config.validator_key_path, config.passphrase(os.environ)
    if passphrase is None and b"ENCRYPTED PRIVATE KEY" in read_private_file(path):
        raise KeyFileError(f"{path} is encrypted: set {config.keys.passphrase_env} to its passphrase")
    return load_signing_key(path, passphrase)


def check(config: NodeConfig) -> tuple[Genesis, SigningKey, int]:
    """Everything that can be known to be wrong before starting. Raises a `LedgerError` that says what to do."""
    genesis = load_genesis(config.genesis_path)
    key = _open_key(config)
    member = genesis.validators.index_of(key.public_key)
    names = ", ".join(each.name for each in genesis.validators.members)
    if member is None:
        raise KeyFileError(
            f"the key in {config.validator_key_path} ({key.public_key.hex()[:16]}...) belongs to no validator of "
            f"{config.genesis_path}; its validators are: {names}"
        )
    validator = genesis.validators.members[member]
    if validator.name != config.node.name:
        raise KeyFileError(
            f"{config.path} says that this node is {config.node.name!r}, but its key is that of {validator.name!r}"
        )
    for peer in config.peers:
        if all(peer.name != each.name for each in genesis.validators.members):
            raise GenesisError(f"{config.path} names a peer {peer.name!r}, which is no validator; they are: {names}")
    _check_certificate(config, validator.tls_certificate)
    return genesis, key, member


def _check_certificate(config: NodeConfig, expected: bytes) -> None:
    try:
        certificate = x509.load_pem_x509_certificate(config.tls_certificate_path.read_bytes())
    except FileNotFoundError:
        raise KeyFileError(f"{config.tls_certificate_path} is missing: it is the certificate in genesis") from None
    except (OSError, ValueError) as error:
        raise KeyFileError(f"{config.tls_certificate_path} is not a readable PEM certificate: {error}") from None
    if certificate.public_bytes(Encoding.DER) != expected:
        raise KeyFileError(
            f"{config.tls_certificate_path} is not the certificate that genesis names for this validator"
        )


def _environment() -> dict[str, str]:
    """Next to nothing: no passphrase, no token of the operator's shell reaches a child."""
    return {name: os.environ[name] for name in _CHILD_ENVIRONMENT if name in os.environ}


def _executor_spec(config: NodeConfig, paths: NodePaths) -> ChildSpec:
    arguments = [
        *("--socket", str(paths.executor_socket), "--state", str(paths.state)),
        *("--genesis", str(config.genesis_path), "--log-level", config.node.log_level),
        *("--snapshot-every", str(config.snapshots.every)),
    ]
    environment = {name: os.environ[name] for name in _EXECUTOR_ENVIRONMENT if name in os.environ}
    ended = partial(last_words.answer_child, database=paths.state)
    return ChildSpec("executor", "network.executor_process", arguments, environment, ended)


def _gateway_spec(config: NodeConfig) -> ChildSpec:
    arguments = ("--config", str(config.path.absolute()), "--log-level", config.node.log_level)
    return ChildSpec("gateway", "network.gateway_process", arguments, _environment())

"""What the tests of real sockets share: both event loops, members with TLS identities, waiting without blind sleeps."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from ledger.crypto import SigningKey
from ledger.keys import certificate_pem, new_tls_identity
from ledger.types import Validator, ValidatorSet


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Sockets are tested on uvloop, which the node runs on, and on asyncio, which an embedder may run it on."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Members:
    """Members of one network, with their key files on disk."""

    def __init__(self, directory: Path, identities: list[tuple[bytes, bytes]]) -> None:
        self.directory = directory
        self.validators = ValidatorSet(
            tuple(
                Validator(f"member{n}", SigningKey.from_seed(bytes([n]) * 32).public_key, 1, certificate)
                for n, (_, certificate) in enumerate(identities)
            )
        )
        for n, (key, certificate) in enumerate(identities):
            self.key(n).write_bytes(key)
            self.certificate(n).write_bytes(certificate_pem(certificate))

    def key(self, member: int) -> Path:
        return self.directory / f"{member}.key"

    def certificate(self, member: int) -> Path:
        return self.directory / f"{member}.crt"


@pytest.fixture(scope="session")
def members(tmp_path_factory: pytest.TempPathFactory) -> Members:
    return Members(tmp_path_factory.mktemp("tls"), [new_tls_identity(f"member{n}") for n in range(4)])


@pytest.fixture
def make_members(tmp_path: Path) -> Callable[[list[tuple[bytes, bytes]]], Members]:
    return lambda identities: Members(tmp_path, identities)


async def _until(condition: Callable[[], object], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        await asyncio.sleep(0.005)


@pytest.fixture
def until() -> Callable[..., object]:
    """`await until(lambda: ...)`: polls a condition, with a deadline."""
    return _until

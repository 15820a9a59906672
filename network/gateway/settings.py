"""The gateway's limits and choices in one frozen value: every buffer, wait and queue of this package is named here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Defaults suit a node with 150 MiB for this process. Sizes in bytes; times as their names say."""

    # Who may talk to us. Names in the Host header, without port; "*" allows every name.
    allowed_hosts: tuple[str, ...] = LOOPBACK_HOSTS
    explorer: bool = True

    # What one connection may send, and how long it may take.
    connections_max: int = 1024
    headers_max: int = 64
    header_bytes_max: int = 16 << 10
    header_timeout_s: float = 10.0
    body_bytes_max: int = 4 << 20
    body_timeout_s: float = 30.0
    write_timeout_s: float = 30.0
    keep_alive_s: int = 20
    shutdown_timeout_s: int = 5

    # All request bodies held at once.
    bodies_bytes_max: int = 32 << 20

    # Submitting: how much is held here, how it is handed over.
    transactions_per_request_max: int = 1000
    json_arguments_bytes_max: int = 512 << 10
    intake_transactions_max: int = 20_000
    intake_bytes_max: int = 32 << 20
    handover_transactions_max: int = 512
    handovers_at_once_max: int = 4
    linger_ms: float = 10.0
    known_senders_max: int = 65_536
    known_sender_ttl_s: float = 60.0

    # Waiting for seals.
    waiters_max: int = 20_000
    wait_timeout_s: float = 10.0
    wait_timeout_max_s: float = 60.0
    min_height_wait_s: float = 2.0

    # Reading.
    views_at_once_max: int = 8
    views_waiting_max: int = 64
    page_max: int = 100

    # Following.
    streams_max: int = 256
    heartbeat_s: float = 15.0
    recent_blocks_max: int = 64
    recent_bytes_max: int = 8 << 20
    status_poll_s: float = 1.0

    @property
    def host_names(self) -> frozenset[str]:
        """The allowed names as they are compared: lower case, IPv6 addresses without brackets."""
        return _host_names(self.allowed_hosts)

    @property
    def any_host(self) -> bool:
        """Whether the Host header is not checked at all."""
        return "*" in self.allowed_hosts


@lru_cache(maxsize=8)
def _host_names(hosts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(host.strip().strip("[]").lower() for host in hosts)

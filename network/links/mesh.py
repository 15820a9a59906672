"""The mesh of links between validators: who dials whom, who is let in, and what happens when a link is lost.

Of two members the one with the lower index dials, the other listens: so there is one connection for a pair, its
frames have one order, and no race between two of them needs a rule. A member that comes back while its old link still
looks alive replaces it. (Two links for a pair, each used by its dialler, was the alternative: twice the handshakes,
and half of the failures leave a link that works one way only.)

Unknown callers cost at most a bounded number of handshakes at a time (`gate`). It performs: what a payload means, and
whether to send it, is decided by its owner.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from ledger.types import ValidatorSet
from network.links.gate import Gate, plain_address
from network.links.link import Link, LinkLimits
from network.links.sockets import Address, call_address, listen_at, why_not
from network.links.tls import load_credentials

log = logging.getLogger("network.links")

TICK_S = 0.5
ACCEPT_RETRY_S = 0.5
STEADY_S = 5.0  # a link that lasted so long was a good one: its loss is dialled after the shortest pause
CLOSE_TIMEOUT_S = 1.0
SAME_LINE_AGAIN_S = 30.0
LINES_REMEMBERED_MAX = 1024


class PeerMesh:
    """This member's links to all others.

    `addresses` says where members listen; only those with a higher index are dialled. `on_frame(member, payload)` and
    `on_state(member, connected)` are called on the loop and must not block. `jitter()` is uniform in [0, 1).
    """

    def __init__(
        self,
        *,
        member: int,
        validators: ValidatorSet,
        addresses: Mapping[int, Address],
        listen: Address,
        tls_key_path: str | Path,
        tls_certificate_path: str | Path,
        chain_id: bytes,
        on_frame: Callable[[int, bytes], None],
        on_state: Callable[[int, bool], None],
        tls_passphrase: bytes | None = None,
        jitter: Callable[[], float] = random.random,
        limits: LinkLimits | None = None,
    ) -> None:
        self.member = member
        self.chain_id = chain_id
        self.limits = limits or LinkLimits()
        self.counters = dict.fromkeys(_COUNTERS, 0)
        self._credentials = load_credentials(
            member, validators, Path(tls_key_path), Path(tls_certificate_path), tls_passphrase
        )
        self._names = [validator.name for validator in validators.members]
        self._addresses = dict(addresses)
        self._listen = listen
        self._on_frame = on_frame
        self._on_state = on_state
        self._jitter = jitter
        self._links: dict[int, Link] = {}
        self._callers: set[Link] = set()  # accepted, and not greeted yet
        self._gate = Gate(self.limits)
        for host, _ in self._addresses.values():
            self._gate.reserve(host)
        self._penalised_until: dict[int, float] = {}
        self._socket: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closing = False
        self._said: dict[str, float] = {}

    # ── sending ───────────────────────────────────────────────────────────────────────────────────

    def send(self, member: int, payload: bytes) -> bool:
        """Send a vote, or anything else that must not wait behind bulk. False when it certainly does not arrive."""
        link = self._links.get(member)
        return self._count_drop(link is not None and link.send(payload))

    def send_bulk(self, member: int, payload: bytes) -> bool:
        """Send bodies, blocks or gossip: votes may overtake it. False when it certainly does not arrive."""
        link = self._links.get(member)
        return self._count_drop(link is not None and link.send_bulk(payload))

    def broadcast(self, payload: bytes) -> None:
        """`send` to every other member."""
        for member in range(len(self._names)):
            if member != self.member:
                self.send(member, payload)

    def broadcast_bulk(self, payload: bytes) -> None:
        """`send_bulk` to every other member."""
        for member in range(len(self._names)):
            if member != self.member:
                self.send_bulk(member, payload)

    def _count_drop(self, sent: bool) -> bool:
        self.counters["frames_dropped"] += not sent
        return sent

    # ── asking ────────────────────────────────────────────────────────────────────────────────────

    @property
    def port(self) -> int:
        """The port that is listened on, after `start`."""
        assert self._socket is not None, "the mesh listens"
        port: int = self._socket.getsockname()[1]
        return port

    def connected(self, member: int) -> bool:
        """Whether there is a link to this member."""
        return member in self._links

    def silent_s(self, member: int) -> float:
        """For how long nothing came from a member, not even a part of something long; infinite without a link."""
        link = self._links.get(member)
        return link.silent_s(asyncio.get_running_loop().time()) if link else float("inf")

    def round_trip_ms(self, member: int) -> float:
        """The last measured round trip, 0.0 before the first."""
        link = self._links.get(member)
        return link.round_trip_ms if link else 0.0

    def inbound_bytes_per_s(self, member: int) -> float:
        """How fast this member sent in the last whole window."""
        link = self._links.get(member)
        return link.inbound_bytes_per_s if link else 0.0

    # ── life ──────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        """Listen, and dial for ever. Raises `LinkError` when the address cannot be listened on."""
        self._socket = await listen_at(self._listen)
        self._spawn(self._accept(self._socket), "accept")
        self._spawn(self._tick(), "tick")
        self._spawn(self._learn_addresses(), "addresses")
        for member in range(self.member + 1, len(self._names)):
            self._spawn(self._dial(member), f"dial {self._names[member]}")

    async def close(self) -> None:
        """Stop listening and dialling, let what is queued go, end every link."""
        self._closing = True
        tasks, links = list(self._tasks), [*self._links.values(), *self._callers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()
        for link in links:
            link.close()
        if links:
            await asyncio.wait([link.ended for link in links], timeout=CLOSE_TIMEOUT_S)
        for link in links:
            link.reset("this node stops")
        await asyncio.sleep(0)

    def set_address(self, member: int, address: Address) -> None:
        """A member has moved: the next attempt goes there."""
        self._addresses[member] = address
        self._gate.reserve(address[0])

    def penalise(self, member: int, reason: str) -> None:
        """A member sent what no correct one sends: reset its link, and stay apart for a while."""
        self.counters["penalties"] += 1
        self._say(f"{self._name(member)} is penalised: {reason}")
        self._penalised_until[member] = asyncio.get_running_loop().time() + self.limits.penalty_s
        link = self._links.get(member)
        if link is not None:
            link.reset(f"penalised: {reason}")

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            now = asyncio.get_running_loop().time()
            for link in [*self._links.values(), *self._callers]:
                link.tick(now)

    def _spawn(self, coroutine: object, name: str) -> None:
        assert asyncio.iscoroutine(coroutine)
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # ── dialling ──────────────────────────────────────────────────────────────────────────────────

    async def _dial(self, member: int) -> None:
        """Hold a link to one member: connect, wait until it is lost, wait a little longer each time, again."""
        failures = 0
        while True:
            await self._serve_penalty(member)
            link = await self._connect(member)
            if link is not None:
                since = asyncio.get_running_loop().time()
                await asyncio.shield(link.ended)
                if asyncio.get_running_loop().time() - since > STEADY_S:
                    failures = 0
            await asyncio.sleep(self._pause_s(failures))
            failures += 1

    def _pause_s(self, failures: int) -> float:
        """Doubled with each failure up to the limit, and half of it by chance: members must not dial in step."""
        pause_ms = min(self.limits.redial_max_ms, self.limits.redial_first_ms << min(failures, 16))
        return pause_ms / 1000 * (0.5 + self._jitter() / 2)

    async def _serve_penalty(self, member: int) -> None:
        left_s = self._penalised_until.get(member, 0.0) - asyncio.get_running_loop().time()
        if left_s > 0:
            await asyncio.sleep(left_s)

    async def _connect(self, member: int) -> Link | None:
        """One attempt; None when it fails, for a reason that is logged."""
        address = self._addresses.get(member)
        if address is None:
            self._say(f"{self._name(member)} has no address in the configuration")
            return None
        link = Link(self, member)
        try:
            async with asyncio.timeout(self.limits.connect_timeout_s):
                calling = await call_address(address)
            async with asyncio.timeout(self.limits.handshake_timeout_s):
                await asyncio.get_running_loop().create_connection(
                    lambda: link,
                    sock=calling,
                    server_hostname=address[0],
                    ssl=self._credentials.dialling,
                    ssl_handshake_timeout=self.limits.handshake_timeout_s,
                    ssl_shutdown_timeout=CLOSE_TIMEOUT_S,
                )
            async with asyncio.timeout(self.limits.hello_timeout_s):
                await link.greeted
        except (OSError, UnicodeError) as error:
            self.counters["dials_failed"] += 1
            self._say(f"no link to {self._name(member)} at {address[0]}:{address[1]}: {why_not(error)}")
            return None
        finally:
            if not link.up:
                link.reset("no link came about")
        return link

    # ── being called ──────────────────────────────────────────────────────────────────────────────

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, peer = await asyncio.get_running_loop().sock_accept(listening)
            except OSError as error:
                self._say(f"no connection can be accepted: {why_not(error)}")
                await asyncio.sleep(ACCEPT_RETRY_S)
                continue
            host = plain_address(peer[0])
            if self._gate.enter(host):
                self._spawn(self._welcome(connection, host), f"caller {host}")
            else:
                connection.close()
                self.counters["callers_turned_away"] += 1
                self._say(f"a caller from {host} is turned away: too many have not said who they are")

    async def _welcome(self, connection: socket.socket, host: str) -> None:
        """Find out who called. Until then it takes one of the places of its address."""
        link = Link(self, None)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: link,
                connection,
                ssl=self._credentials.serving,
                ssl_handshake_timeout=self.limits.handshake_timeout_s,
                ssl_shutdown_timeout=CLOSE_TIMEOUT_S,
            )
            self._callers.add(link)
            async with asyncio.timeout(self.limits.hello_timeout_s):
                await link.greeted
        except OSError as error:
            self.counters["callers_refused"] += 1
            self._say(f"a caller from {host} is refused: {why_not(error)}")
        finally:
            if not link.up:
                link.reset("no greeting came about")
            self._callers.discard(link)
            self._gate.leave(host)

    async def _learn_addresses(self) -> None:
        """The places that belong to members whose address is a name."""
        for host, port in list(self._addresses.values()):
            with contextlib.suppress(OSError, UnicodeError):
                found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
                for *_, address in found:
                    self._gate.reserve(str(address[0]))

    # ── what links say (link.Owner) ───────────────────────────────────────────────────────────────

    def identify(self, certificate_der: bytes | None, dialled: int | None) -> int | str:
        """The member that a peer's certificate proves, or why it is refused."""
        found = self._credentials.member_of(certificate_der)
        if found is None or found == self.member:
            return "its certificate is that of no other member"
        if dialled is not None and found != dialled:
            return f"{self._name(found)} answered where {self._name(dialled)} was called"
        if dialled is None and found > self.member:
            return f"{self._name(found)} called, expected to be called: of two members the first in genesis dials"
        if dialled is None and self._penalised_until.get(found, 0.0) > asyncio.get_running_loop().time():
            return f"{self._name(found)} is penalised"
        return found

    def on_up(self, link: Link) -> None:
        """A link is usable. It takes the place of an older one, which can only be dead."""
        if self._closing:
            link.reset("this node stops")
            return
        before = self._links.get(link.member)
        if before is not None:
            before.reset("replaced by a new link")
        self._links[link.member] = link
        self.counters["links_made"] += 1
        self._tell(link.member, True)

    def on_down(self, link: Link, reason: str) -> None:
        """A link that was up is gone."""
        if self._links.get(link.member) is link:
            del self._links[link.member]
            self.counters["links_lost"] += 1
            log.info("link to %s lost: %s", self._name(link.member), reason)
            self._tell(link.member, False)

    def on_payload(self, link: Link, payload: bytes) -> None:
        """Hand it over; whatever it does there, the link goes on."""
        try:
            self._on_frame(link.member, payload)
        except Exception:
            self.counters["frames_failed"] += 1
            log.exception("a frame of %d bytes from %s could not be handled", len(payload), self._name(link.member))

    def _tell(self, member: int, connected: bool) -> None:
        try:
            self._on_state(member, connected)
        except Exception:
            log.exception("the news of %s could not be handled", self._name(member))

    def _name(self, member: int) -> str:
        return self._names[member]

    def _say(self, line: str) -> None:
        """Log a line, but the same one not again for a while: a stranger must not fill the disk."""
        now = asyncio.get_running_loop().time()
        if self._said.get(line, float("-inf")) + SAME_LINE_AGAIN_S > now:
            return
        if len(self._said) >= LINES_REMEMBERED_MAX:
            self._said.clear()
        self._said[line] = now
        log.warning("%s", line)


_COUNTERS = (
    "bytes_in",
    "bytes_out",
    "frames_in",
    "frames_out",
    "frames_dropped",
    "frames_failed",
    "links_made",
    "links_lost",
    "dials_failed",
    "callers_refused",
    "callers_turned_away",
    "penalties",
    "throttled",
)

"""The mesh over real sockets on loopback: frames arrive, votes overtake, strangers stay out, lost links come back."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ledger.keys import new_tls_identity
from network.frames import frame
from network.links import LinkError, LinkLimits, PeerMesh, link, mesh

CHAIN = b"\x11" * 32
FAST = LinkLimits(redial_first_ms=10, redial_max_ms=50)


class Node:
    """A mesh, and everything that it said."""

    def __init__(self, members: Any, member: int, **more: Any) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.states: list[tuple[int, bool]] = []
        settings = {
            "member": member,
            "validators": members.validators,
            "addresses": {},
            "listen": ("127.0.0.1", 0),
            "tls_key_path": members.key(member),
            "tls_certificate_path": members.certificate(member),
            "chain_id": CHAIN,
            "on_frame": lambda sender, payload: self.frames.append((sender, payload)),
            "on_state": lambda peer, up: self.states.append((peer, up)),
            "limits": FAST,
            "jitter": lambda: 0.5,
        }
        self.mesh = PeerMesh(**(settings | more))

    def payloads(self, sender: int) -> list[bytes]:
        return [payload for peer, payload in self.frames if peer == sender]


Start = Callable[..., Any]


@pytest.fixture(autouse=True)
def quick_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mesh, "TICK_S", 0.02)
    monkeypatch.setattr(link, "RATE_WINDOW_S", 0.1)


@pytest.fixture
async def start(members: Any) -> AsyncIterator[Start]:
    """Starts meshes that know each other's ports, and ends them."""
    running: list[Node] = []

    async def begin(*which: int, these: Any = members, **more: Any) -> list[Node]:
        nodes = [Node(these, member, **more) for member in which]
        for node in nodes:
            running[:] = [other for other in running if other.mesh.member != node.mesh.member]
            await node.mesh.start()
            running.append(node)
        for node in running:
            for other in running:
                node.mesh.set_address(other.mesh.member, ("127.0.0.1", other.mesh.port))
        return nodes

    yield begin
    await asyncio.gather(*(node.mesh.close() for node in running))


# ── a peer made by hand ───────────────────────────────────────────────────────────────────────────


def client_context(certificate: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def hello(member: int, *, chain: bytes = CHAIN, version: int = 1, protocol: str = "quorate") -> bytes:
    return frame(b"\x00" + msgspec.msgpack.encode((protocol, version, chain, member)))


def vote(payload: bytes) -> bytes:
    return frame(b"\x01" + payload)


class Peer:
    """A hand-driven connection that says what no mesh would."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def call(cls, port: int, context: ssl.SSLContext | None, source: str = "127.0.0.1") -> Peer:
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=context, local_addr=(source, 0)))

    @classmethod
    async def call_as(cls, members: Any, member: int, port: int) -> Peer:
        return await cls.call(port, client_context(members.certificate(member), members.key(member)))

    def say(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    async def read_to_end(self) -> bytes:
        """Everything the other side says until it closes."""
        heard = b""
        with contextlib.suppress(OSError):
            async with asyncio.timeout(5):
                while data := await self.reader.read(65536):
                    heard += data
        return heard

    async def hang_up(self) -> None:
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


# ── the mesh at work ──────────────────────────────────────────────────────────────────────────────


async def test_four_members_find_each_other_and_every_frame_knows_its_sender(start: Start, until: Any) -> None:
    nodes = await start(0, 1, 2, 3)
    await until(lambda: all(len(node.states) == 3 for node in nodes))
    for n, node in enumerate(nodes):
        assert sorted(node.states) == [(peer, True) for peer in range(4) if peer != n]
        node.mesh.broadcast(b"vote of %d" % n)
        node.mesh.broadcast_bulk(b"gossip of %d" % n)
    await until(lambda: all(len(node.frames) == 6 for node in nodes))
    for n, node in enumerate(nodes):
        for peer in range(4):
            expected = [b"vote of %d" % peer, b"gossip of %d" % peer] if peer != n else []
            assert node.payloads(peer) == expected
    assert nodes[0].mesh.counters["links_made"] == 3
    assert nodes[0].mesh.counters["frames_in"] == 6


async def test_frames_of_every_size_arrive_whole_and_in_order(start: Start, until: Any) -> None:
    a, b = await start(0, 1)
    await until(lambda: a.mesh.connected(1) and b.mesh.connected(0))
    sizes = [0, 1, 100, 65_535, 65_536, 65_537, 200_000, 5, 3_000_000]
    bulk = [bytes([n]) * size for n, size in enumerate(sizes)]
    for payload in bulk:
        assert a.mesh.send_bulk(1, payload)
    await until(lambda: len(b.frames) == len(bulk))
    assert b.payloads(0) == bulk
    for payload in bulk:
        assert b.mesh.send(0, payload)
    await until(lambda: len(a.frames) == len(bulk))
    assert a.payloads(1) == bulk


async def test_a_vote_overtakes_the_bulk_before_it(start: Start, until: Any) -> None:
    a, b = await start(0, 1)
    await until(lambda: a.mesh.connected(1))
    assert a.mesh.send_bulk(1, bytes(12 << 20))
    assert a.mesh.send_bulk(1, bytes(1 << 20))
    await until(lambda: a.mesh.counters["bytes_out"] > 100_000)
    assert a.mesh.send(1, b"vote")
    await until(lambda: len(b.frames) == 3)
    assert [len(payload) for payload in b.payloads(0)] == [4, 12 << 20, 1 << 20]


async def test_many_small_frames_of_one_turn_leave_in_few_writes(start: Start, until: Any) -> None:
    a, b = await start(0, 1)
    await until(lambda: a.mesh.connected(1))
    writes: list[int] = []
    transport = a.mesh._links[1]._transport
    original = transport.write

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(transport, name)

        def write(self, data: bytes) -> None:
            writes.append(len(data))
            original(data)

    a.mesh._links[1]._transport = Counting()
    for n in range(100):
        a.mesh.send(1, b"%04d" % n)
    await until(lambda: len(b.frames) >= 100)
    assert b.payloads(0) == [b"%04d" % n for n in range(100)]
    assert writes[0] >= 100 * (4 + 1 + 4)  # a ping may go with them


async def test_sending_to_nobody_is_false_and_counted(start: Start) -> None:
    (a,) = await start(0)
    assert not a.mesh.send(1, b"vote")
    assert not a.mesh.send_bulk(1, b"bulk")
    a.mesh.broadcast(b"vote")
    assert a.mesh.counters["frames_dropped"] == 5
    assert (a.mesh.connected(1), a.mesh.round_trip_ms(1)) == (False, 0.0)


async def test_round_trips_and_inbound_rates_are_measured(start: Start, until: Any) -> None:
    a, b = await start(0, 1)
    await until(lambda: a.mesh.round_trip_ms(1) > 0 and b.mesh.round_trip_ms(0) > 0)
    a.mesh.send_bulk(1, bytes(100_000))
    await until(lambda: b.mesh.inbound_bytes_per_s(0) > 1000)


# ── strangers (each says a valid greeting and a vote at once; none of it may be read) ─────────────


def make_certificate(
    *, days: int = 10, issuer: tuple[x509.Certificate, Any] | None = None, name: str = "member0"
) -> tuple[bytes, bytes]:
    """(key PEM, certificate DER), expired when `days` is negative."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=100))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuer[1] if issuer else key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem, certificate.public_bytes(serialization.Encoding.DER)


def expired(members: Any, directory: Path) -> ssl.SSLContext:
    """Member 0 itself, with the very certificate of genesis, the day after it ran out (see the fixture)."""
    return client_context(members.certificate(0), members.key(0))


def wrong_authority(members: Any, directory: Path) -> ssl.SSLContext:
    return written(directory, *new_tls_identity("member0"))


def right_authority_other_key(members: Any, directory: Path) -> ssl.SSLContext:
    """A certificate that member 1's own certificate issued, in the name of member 0."""
    issuer = x509.load_pem_x509_certificate(members.certificate(1).read_bytes())
    key = serialization.load_pem_private_key(members.key(1).read_bytes(), None)
    return written(directory, *make_certificate(issuer=(issuer, key)))


def no_certificate(members: Any, directory: Path) -> ssl.SSLContext:
    return client_context()


def old_version(members: Any, directory: Path) -> ssl.SSLContext:
    context = client_context(members.certificate(0), members.key(0))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def oneself(members: Any, directory: Path) -> ssl.SSLContext:
    return client_context(members.certificate(2), members.key(2))


def higher_member(members: Any, directory: Path) -> ssl.SSLContext:
    return client_context(members.certificate(3), members.key(3))


def written(directory: Path, key: bytes, certificate: bytes) -> ssl.SSLContext:
    (directory / "stranger.key").write_bytes(key)
    (directory / "stranger.crt").write_text(ssl.DER_cert_to_PEM_cert(certificate))
    return client_context(directory / "stranger.crt", directory / "stranger.key")


STRANGERS = [
    expired,
    wrong_authority,
    right_authority_other_key,
    no_certificate,
    old_version,
    oneself,
    higher_member,
]


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_a_stranger_is_cut_off_before_anything_it_says_is_read(
    stranger: Any, make_members: Any, start: Start, until: Any, tmp_path: Path
) -> None:
    identities = [
        make_certificate(name=f"member{n}", days=-1 if stranger is expired and n == 0 else 9) for n in range(4)
    ]
    members = make_members(identities)
    (node,) = await start(2, these=members)
    heard = b""
    with contextlib.suppress(OSError):  # where the refusal already ends the handshake
        peer = await Peer.call(node.mesh.port, stranger(members, tmp_path))
        for claim in (0, 1, 3):
            peer.say(hello(claim), vote(b"forged"))
        heard = await peer.read_to_end()
        await peer.hang_up()
    assert heard == b"", "not even a greeting for strangers"
    await until(lambda: node.mesh.counters["callers_refused"] == 1)
    assert (node.frames, node.states) == ([], [])
    (friend,) = await start(1, these=members)
    await until(lambda: friend.mesh.connected(2) and node.mesh.connected(1))


async def test_a_stranger_who_speaks_no_tls_is_cut_off(start: Start, until: Any) -> None:
    (node,) = await start(2)
    peer = await Peer.call(node.mesh.port, None)
    peer.say(hello(0), vote(b"plain"))
    heard = await peer.read_to_end()
    await peer.hang_up()
    assert b"quorate" not in heard
    await until(lambda: node.mesh.counters["callers_refused"] == 1)
    assert (node.frames, node.states) == ([], [])


async def test_a_member_that_answers_for_another_is_not_taken_for_it(
    start: Start, until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = await start(0, 1)
    await until(lambda: a.mesh.connected(1))
    a.mesh.set_address(2, ("127.0.0.1", b.mesh.port))
    await until(lambda: "member1 answered where member2 was called" in caplog.text)
    assert not a.mesh.connected(2)
    assert a.mesh.connected(1)


async def test_the_server_must_prove_its_key_too(start: Start, members: Any, tmp_path: Path, until: Any) -> None:
    """A stranger on a member's port: the dialler hangs up during the handshake."""
    key, certificate = new_tls_identity("member1")
    (tmp_path / "k").write_bytes(key)
    (tmp_path / "c").write_text(ssl.DER_cert_to_PEM_cert(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "c", tmp_path / "k")
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    (a,) = await start(0)
    a.mesh.set_address(1, server.sockets[0].getsockname())
    await until(lambda: a.mesh.counters["dials_failed"] >= 2)
    server.close()
    assert (heard, a.states) == ([], [])


# ── greetings ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (hello(0, chain=b"\x22" * 32), "it is on chain 2222222222222222, expected 1111111111111111"),
        (hello(0, version=2), "it speaks protocol version 2, expected 1"),
        (hello(1), "it says that it is member 1, its key is that of member 0"),
        (hello(0, protocol="http"), "no greeting of this protocol"),
        (vote(b"first"), "no greeting of this protocol"),
        (frame(b""), "no greeting of this protocol"),
        (frame(b"\x00" + b"\x91" * 100_000), "no greeting of this protocol"),
        (frame(b"\x00\xdd\xff\xff\xff\xff"), "no greeting of this protocol"),
        (frame(b"\x00\x94\xc6\xff\xff\xff\xffquo"), "no greeting of this protocol"),
        (b"\x80\x00\x00\x00", "a frame of 2147483648 bytes, expected at most 33554432"),
    ],
)
async def test_a_wrong_greeting_is_refused_with_a_line_that_says_why(
    said: bytes, line: str, members: Any, start: Start, until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (node,) = await start(2)
    peer = await Peer.call_as(members, 0, node.mesh.port)
    peer.say(said, vote(b"too early"))
    await peer.read_to_end()
    await peer.hang_up()
    await until(lambda: node.mesh.counters["callers_refused"] == 1)
    assert line in caplog.text
    assert (node.frames, node.states) == ([], [])


async def test_the_right_greeting_opens_the_link(members: Any, start: Start, until: Any) -> None:
    (node,) = await start(2)
    peer = await Peer.call_as(members, 0, node.mesh.port)
    peer.say(hello(0), vote(b"prepare"))
    await until(lambda: node.frames == [(0, b"prepare")])
    assert (await peer.reader.readexactly(len(hello(2)))) == hello(2)
    await peer.hang_up()
    await until(lambda: node.states == [(0, True), (0, False)])


# ── members that misbehave ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x80\x00\x00\x00",
        b"\xff\xff\xff\xff" + bytes(100_000),
        frame(b""),
        frame(b"\x09what"),
        frame(b"\x04short"),
        frame(b"\x05"),
        hello(0),
    ],
)
async def test_a_parser_bomb_costs_its_sender_the_link_and_us_nothing(
    bomb: bytes, members: Any, start: Start, until: Any
) -> None:
    (node,) = await start(2)
    peer = await Peer.call_as(members, 0, node.mesh.port)
    peer.say(hello(0))
    await until(lambda: node.mesh.connected(0))
    started = time.monotonic()
    peer.say(bomb, vote(b"after"))
    await until(lambda: not node.mesh.connected(0))
    assert time.monotonic() - started < 1
    await peer.hang_up()
    assert node.frames == []
    assert node.mesh.counters["penalties"] == 1
    again = await Peer.call_as(members, 0, node.mesh.port)
    assert await again.read_to_end() == b"", "it stays out for a while"
    await again.hang_up()


async def test_bulk_without_an_end_is_bounded(members: Any, start: Start, until: Any) -> None:
    (node,) = await start(2, limits=LinkLimits(frame_bytes_max=100_000))
    peer = await Peer.call_as(members, 0, node.mesh.port)
    peer.say(hello(0), *[frame(b"\x02" + bytes(40_000))] * 2)
    await until(lambda: node.mesh.connected(0))
    peer.say(frame(b"\x02" + bytes(40_000)))
    await until(lambda: not node.mesh.connected(0))
    await peer.hang_up()


async def test_whatever_a_frame_does_to_its_reader_the_link_goes_on(start: Start, until: Any) -> None:
    seen: list[bytes] = []

    def explode(sender: int, payload: bytes) -> None:
        seen.append(payload)
        raise ValueError("a defect")

    a, b = await start(0, 1, on_frame=explode)
    await until(lambda: a.mesh.connected(1))
    a.mesh.send(1, b"one")
    a.mesh.send(1, b"two")
    await until(lambda: seen == [b"one", b"two"])
    assert b.mesh.counters["frames_failed"] == 2
    assert b.mesh.connected(0)


async def test_a_penalised_member_stays_out_until_its_time_is_over(start: Start, until: Any) -> None:
    a, b = await start(0, 1, limits=LinkLimits(redial_first_ms=10, redial_max_ms=20, penalty_s=0.4))
    await until(lambda: a.mesh.connected(1) and b.mesh.connected(0))
    started = time.monotonic()
    b.mesh.penalise(0, "it sent nonsense")
    assert not b.mesh.connected(0)
    await until(lambda: b.mesh.connected(0))
    assert time.monotonic() - started >= 0.4
    assert b.mesh.counters["penalties"] == 1
    assert b.states == [(0, True), (0, False), (0, True)]


async def test_a_member_that_sends_too_fast_is_read_later_not_lost(members: Any, start: Start, until: Any) -> None:
    (node,) = await start(2, limits=LinkLimits(inbound_bytes_per_s_max=500_000))
    peer = await Peer.call_as(members, 0, node.mesh.port)
    peer.say(hello(0), *[vote(bytes(10_000))] * 100)
    await until(lambda: len(node.frames) == 100, 20)
    assert node.mesh.counters["throttled"] >= 1
    await peer.hang_up()


# ── members that stop reading, or vanish ──────────────────────────────────────────────────────────

SMALL = LinkLimits(redial_first_ms=10, redial_max_ms=50, vote_queue_bytes_max=100_000, bulk_queue_bytes_max=100_000)


async def test_a_full_bulk_queue_refuses_and_votes_still_go_until_theirs_is_full(
    members: Any, start: Start, until: Any
) -> None:
    (node,) = await start(2, limits=SMALL)
    peer = await Peer.call_as(members, 0, node.mesh.port)
    peer.writer.transport.pause_reading()
    peer.say(hello(0))
    await until(lambda: node.mesh.connected(0))
    taken = 0
    while node.mesh.send_bulk(0, bytes(50_000)):
        taken += 1
        await asyncio.sleep(0)
        assert taken < 2000, "the queue has no end"
    assert node.mesh.connected(0)
    assert node.mesh.send(0, b"vote"), "votes have a queue of their own"
    while node.mesh.send(0, bytes(10_000)):
        await asyncio.sleep(0)
    assert not node.mesh.connected(0), "who reads nothing loses the link, and gets a STATUS with the next"
    assert node.states == [(0, True), (0, False)]
    await peer.hang_up()


async def test_a_peer_that_reads_nothing_for_too_long_is_reset(members: Any, start: Start, until: Any) -> None:
    (node,) = await start(2, limits=LinkLimits(stall_max_s=0.2, ping_interval_s=60))
    peer = await Peer.call_as(members, 0, node.mesh.port)
    peer.writer.transport.pause_reading()
    peer.say(hello(0))
    await until(lambda: node.mesh.connected(0))
    for _ in range(40):
        node.mesh.send_bulk(0, bytes(1 << 20))
    await until(lambda: not node.mesh.connected(0))
    await peer.hang_up()


class Relay:
    """A wire between two members that can be cut without either noticing."""

    def __init__(self) -> None:
        self.dead = False
        self.writers: list[asyncio.StreamWriter] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self, target: int) -> int:
        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", target)
            self.writers += [writer, there_writer]
            self.tasks += [
                asyncio.create_task(self.pump(reader, there_writer)),
                asyncio.create_task(self.pump(there_reader, writer)),
            ]

        self.server = await asyncio.start_server(connect, "127.0.0.1", 0)
        return int(self.server.sockets[0].getsockname()[1])

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not self.dead:
                    writer.write(data)
        if not self.dead:
            writer.close()

    async def stop(self) -> None:
        self.server.close()
        for task in self.tasks:
            task.cancel()
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_a_wire_that_died_silently_is_noticed_by_both_ends(start: Start, until: Any) -> None:
    limits = LinkLimits(ping_interval_s=0.05, silence_max_s=0.4, redial_first_ms=10, redial_max_ms=50)
    a, b = await start(0, 1, limits=limits)
    await until(lambda: a.mesh.connected(1))
    relay = Relay()
    a.mesh.set_address(1, ("127.0.0.1", await relay.start(b.mesh.port)))
    a.mesh._links[1].reset("moved")
    await until(lambda: len(a.states) == 3 and len(b.states) == 3)
    relay.dead = True
    a.mesh.set_address(1, ("127.0.0.1", b.mesh.port))
    await until(lambda: a.states[3:4] == [(1, False)] and b.states[3:4] == [(0, False)])
    await until(lambda: a.mesh.connected(1) and b.mesh.connected(0))
    a.mesh.send(1, b"again")
    await until(lambda: b.payloads(0) == [b"again"])
    await relay.stop()


async def test_a_restarted_member_finds_its_links_again(start: Start, members: Any, until: Any) -> None:
    a, b, c = await start(0, 1, 2)
    await until(lambda: b.mesh.connected(0) and b.mesh.connected(2))
    port = b.mesh.port
    await b.mesh.close()
    await until(lambda: not a.mesh.connected(1) and not c.mesh.connected(1))
    assert a.mesh.connected(2), "the others do not notice"
    (again,) = await start(1, listen=("127.0.0.1", port))
    await until(lambda: again.mesh.connected(0) and again.mesh.connected(2))
    await until(lambda: [up for peer, up in a.states if peer == 1] == [True, False, True])  # its own end comes later
    again.mesh.broadcast(b"back")
    await until(lambda: a.payloads(1) == c.payloads(1) == [b"back"])


async def test_a_new_link_replaces_one_that_only_looks_alive(members: Any, start: Start, until: Any) -> None:
    (node,) = await start(2)
    old = await Peer.call_as(members, 0, node.mesh.port)
    old.say(hello(0))
    await until(lambda: node.mesh.connected(0))
    new = await Peer.call_as(members, 0, node.mesh.port)
    new.say(hello(0), vote(b"new"))
    await until(lambda: node.frames == [(0, b"new")])
    await old.read_to_end()
    assert node.mesh.connected(0)
    assert node.states == [(0, True), (0, False), (0, True)]
    await old.hang_up()
    await new.hang_up()


# ── floods ────────────────────────────────────────────────────────────────────────────────────────


async def test_silent_callers_are_bounded_by_address_and_in_all_and_members_still_get_in(
    start: Start, until: Any
) -> None:
    limits = LinkLimits(redial_first_ms=10, redial_max_ms=50, unauthenticated_max=4, unauthenticated_per_address_max=2)
    (node,) = await start(2, limits=limits, addresses={0: ("127.0.0.1", 1), 1: ("127.0.0.1", 1)})
    flood = [await Peer.call(node.mesh.port, None, f"127.0.0.{n}") for n in (5, 5, 5, 6, 6, 6, 7)]
    await until(lambda: node.mesh.counters["callers_turned_away"] == 3)
    for n in (2, 5, 6):
        assert await flood[n].read_to_end() == b"", "one too many: closed at once"
    (friend,) = await start(1, limits=limits)
    await until(lambda: friend.mesh.connected(2), 3)
    for peer in flood:
        await peer.hang_up()


async def test_a_node_that_stops_leaves_nobody_on_its_doorstep(
    members: Any, start: Start, until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    (node,) = await start(2)
    silent = [await Peer.call(node.mesh.port, None) for _ in range(3)]
    half_way = await Peer.call_as(members, 0, node.mesh.port)
    await until(lambda: sum(node.mesh._gate._inside.values()) == 4)
    port = node.mesh.port
    await node.mesh.close()
    for peer in silent:
        assert await peer.read_to_end() == b""
        await peer.hang_up()
    assert await half_way.read_to_end() in (b"", hello(2))
    await half_way.hang_up()
    with pytest.raises(ConnectionRefusedError):
        await Peer.call(port, None)
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_callers_who_say_nothing_are_hung_up_on_and_their_places_come_back(
    members: Any, start: Start, until: Any
) -> None:
    limits = LinkLimits(handshake_timeout_s=0.3, hello_timeout_s=0.3, unauthenticated_per_address_max=2)
    (node,) = await start(2, limits=limits)
    silent = await Peer.call(node.mesh.port, None)
    proven_but_silent = await Peer.call_as(members, 0, node.mesh.port)
    assert await silent.read_to_end() == b""
    assert await proven_but_silent.read_to_end() == hello(2)
    await until(lambda: node.mesh.counters["callers_refused"] == 2)
    later = await Peer.call_as(members, 0, node.mesh.port)
    later.say(hello(0))
    await until(lambda: node.mesh.connected(0))
    for peer in (silent, proven_but_silent, later):
        await peer.hang_up()


# ── configuration ─────────────────────────────────────────────────────────────────────────────────


async def test_a_port_in_use_is_named(members: Any) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(LinkError, match=f"port {port} is taken by another process: stop it"):
            await Node(members, 0, listen=("127.0.0.1", port)).mesh.start()


async def test_an_address_of_another_machine_is_named(members: Any) -> None:
    with pytest.raises(LinkError, match=r"cannot listen on 192.0.2.1:7001: this machine has no such address"):
        await Node(members, 0, listen=("192.0.2.1", 7001)).mesh.start()


async def test_key_files_that_do_not_fit_are_named(members: Any, tmp_path: Path) -> None:
    with pytest.raises(LinkError, match=r"1\.crt is not the TLS certificate that genesis names for member0"):
        Node(members, 0, tls_certificate_path=members.certificate(1))
    with pytest.raises(LinkError, match=r"the TLS key .*1\.key does not fit .*0\.crt: KEY_VALUES_MISMATCH"):
        Node(members, 0, tls_key_path=members.key(1))
    with pytest.raises(LinkError, match=r"the TLS key .*none cannot be read: No such file"):
        Node(members, 0, tls_key_path=tmp_path / "none")
    with pytest.raises(LinkError, match=r"the TLS certificate .*none cannot be read: No such file"):
        Node(members, 0, tls_certificate_path=tmp_path / "none")
    with pytest.raises(LinkError, match=r"0\.key is no certificate in PEM form"):
        Node(members, 0, tls_certificate_path=members.key(0))


async def test_a_locked_key_never_asks_at_the_terminal(members: Any, tmp_path: Path) -> None:
    key = serialization.load_pem_private_key(members.key(0).read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"open sesame"),
        )
    )
    for wrong in (None, b"guess"):
        with pytest.raises(LinkError, match="does not fit"):
            Node(members, 0, tls_key_path=locked, tls_passphrase=wrong)
    Node(members, 0, tls_key_path=locked, tls_passphrase=b"open sesame")


async def test_two_members_with_one_key_are_refused(make_members: Any) -> None:
    identity = new_tls_identity("twin")
    members = make_members([identity, identity])
    with pytest.raises(LinkError, match="member1 and member0 have the same TLS key in genesis"):
        Node(members, 0)


async def test_the_same_line_is_logged_once(start: Start, until: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    (node,) = await start(0)
    node.mesh.set_address(1, ("127.0.0.1", 1))
    await until(lambda: node.mesh.counters["dials_failed"] >= 3)
    assert caplog.text.count("no link to member1 at 127.0.0.1:1") == 1

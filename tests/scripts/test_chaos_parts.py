"""What chaos is made of does what it says: relays cut one way, a journal's every record, the same story for a seed."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.journal import Journal
from network.testnet_layout import free_ports
from scripts.chaos import read_options
from scripts.chaos_faults import CATALOGUE, draw
from scripts.chaos_links import Weather, Wires
from scripts.chaos_load import Load
from scripts.chaos_namespaces import Namespaces, NotAllowed
from scripts.chaos_node import set_shift
from scripts.chaos_votes import JournalFollower
from scripts.load import LoadSpec

ROOT = Path(__file__).parent.parent.parent
SOON_S = 10.0
NEVER_S = 0.2


class Pair:
    """Member 0, that calls, and member 1, that is called, with a relay between them."""

    async def __aenter__(self):
        self.called = asyncio.Queue()
        server_port, relay_port = free_ports(2)
        self._server = await asyncio.start_server(lambda *ends: self.called.put_nowait(ends), "127.0.0.1", server_port)
        targets = {0: ("127.0.0.1", 1), 1: ("127.0.0.1", server_port)}
        self.wires = Wires(targets, {(0, 1): relay_port}, seed=1)
        await self.wires.start()
        self._port = relay_port
        return self

    async def call(self):
        """(reader, writer) of the caller."""
        return await asyncio.open_connection("127.0.0.1", self._port)

    async def __aexit__(self, *_):
        await self.wires.close()
        self._server.close()


async def soon(awaitable):
    return await asyncio.wait_for(awaitable, SOON_S)


async def never(awaitable):
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(awaitable, NEVER_S)


async def test_a_cut_holds_one_way_back_and_mending_lets_it_pass():
    async with Pair() as pair:
        reader, writer = await pair.call()
        far_reader, far_writer = await soon(pair.called.get())
        pair.wires.cut([(0, 1)])
        writer.write(b"lost for now")
        far_writer.write(b"heard")
        assert await soon(reader.readexactly(5)) == b"heard"
        await never(far_reader.readexactly(1))
        pair.wires.mend([(0, 1)])
        assert await soon(far_reader.readexactly(12)) == b"lost for now"
        writer.close()
        far_writer.close()


async def test_hanging_up_is_not_heard_through_a_cut():
    async with Pair() as pair:
        _, writer = await pair.call()
        far_reader, far_writer = await soon(pair.called.get())
        pair.wires.cut([(0, 1)])
        writer.close()
        far_writer.write(b"are you there?")
        await never(far_reader.read(1))
        pair.wires.mend([(0, 1)])
        assert await soon(far_reader.read(1)) == b""
        far_writer.close()


async def test_nobody_is_reached_through_a_cut_and_all_later():
    async with Pair() as pair:
        pair.wires.cut([(1, 0)])
        _, writer = await pair.call()
        await never(pair.called.get())
        pair.wires.heal()
        _, far_writer = await soon(pair.called.get())
        writer.close()
        far_writer.close()


async def test_a_reset_ends_the_connection_for_both_and_a_new_one_comes_about():
    async with Pair() as pair:
        reader, writer = await pair.call()
        far_reader, far_writer = await soon(pair.called.get())
        pair.wires.reset([(1, 0)])
        for end in (reader, far_reader):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await soon(end.readexactly(1))
        for each in (writer, far_writer):
            each.close()
        _, writer = await pair.call()
        _, far_writer = await soon(pair.called.get())
        writer.close()
        far_writer.close()


async def test_delay_keeps_the_order():
    async with Pair() as pair:
        pair.wires.set_weather([(0, 1)], Weather(delay_s=0.05, jitter_s=0.05, lost=0.5))
        _, writer = await pair.call()
        far_reader, far_writer = await soon(pair.called.get())
        began = asyncio.get_running_loop().time()
        for number in range(5):
            writer.write(b"%d" % number)
            await writer.drain()
            await asyncio.sleep(0.005)
        assert await soon(far_reader.readexactly(5)) == b"01234"
        assert asyncio.get_running_loop().time() - began >= 0.05
        writer.close()
        far_writer.close()


def test_every_record_of_a_journal_is_seen_once_across_a_rewriting_and_a_torn_end(tmp_path):
    path = tmp_path / "votes.journal"
    journal, _ = Journal.open(path)
    follower = JournalFollower(path)
    journal.append([b"one", b"two"])
    assert list(follower.poll()) == [b"one", b"two"]
    journal.append([b"three"])
    journal.rewrite([b"two", b"three"])
    journal.append([b"four"])
    assert list(follower.poll()) == [b"three", b"two", b"three", b"four"]
    journal.append([b"torn off"])
    journal.close()
    os.truncate(path, path.stat().st_size - 3)
    assert list(follower.poll()) == []
    journal, _ = Journal.open(path)
    journal.append([b"five"])
    assert list(follower.poll()) == [b"five"]
    journal.close()
    follower.close()


def test_a_journal_that_is_not_there_yet_is_waited_for(tmp_path):
    follower = JournalFollower(tmp_path / "votes.journal")
    assert list(follower.poll()) == []
    journal, _ = Journal.open(tmp_path / "votes.journal")
    journal.append([b"one"])
    assert list(follower.poll()) == [b"one"]
    journal.close()
    follower.close()


def story(seed, count=300):
    return [
        (each.number, each.kind.name, each.victim, each.hold_s, each.chance)
        for each in itertools.islice(draw(seed, 4), count)
    ]


def test_a_seed_tells_the_same_story_and_another_seed_another_one():
    assert story(1) == story(1)
    assert story(1) != story(2)


def test_a_long_story_leaves_nothing_of_the_catalogue_out_and_keeps_to_its_times():
    drawn = list(itertools.islice(draw(3, 4), 2000))
    assert {each.kind.name for each in drawn} == {kind.name for kind in CATALOGUE}
    assert {each.victim for each in drawn} == {None, 0, 1, 2, 3}
    assert all(each.kind.hold_s[0] <= each.hold_s <= each.kind.hold_s[1] for each in drawn)


async def test_a_shifted_clock_shifts_what_proposals_are_judged_by_and_no_other(tmp_path):
    clock = tmp_path / "clock"
    set_shift(clock, -40_000)
    program = (
        "import sys, time; from pathlib import Path; from scripts.chaos_node import _shift_clock, set_shift\n"
        "before = time.monotonic_ns()\n"
        "_shift_clock(Path(sys.argv[1]))\n"
        "from network.validator import now_ms\n"
        "print(now_ms() - int(time.time() * 1000)); set_shift(Path(sys.argv[1]), 5_000)\n"
        "print(now_ms() - int(time.time() * 1000)); print(0 <= time.monotonic_ns() - before < 60e9)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(clock)], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    behind, ahead, steady = ended.stdout.split()
    assert abs(int(behind) + 40_000) < 1000
    assert abs(int(ahead) - 5_000) < 1000
    assert steady == "True"


def load_of(urls):
    spec = LoadSpec(
        urls=urls,
        chain_id="ab" * 32,
        mode="open",
        rate=50.0,
        outstanding=0,
        accounts=3,
        warmup_s=0.0,
        seconds=0.0,
        gas_limit=100_000,
        height=5,
        valid_for=100,
    )
    return Load(spec)


async def gateway(answer):
    """A server that answers each POST with what `answer(its transaction)` gives: (status, body), or None to hang up."""
    from ledger.transactions import identify

    async def serve(reader, writer):
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                found = answer(identify(await reader.readexactly(length))[0])
                if found is None:
                    break
                status, body = found
                writer.write(b"HTTP/1.1 %d Word\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def sealed(name, height=7):
    text = '{"id":"%s","state":"sealed","height":%d,"index":0,"block_hash":"aa","receipt":{"code":"ok"}}'
    return 200, (text % (name.hex(), height)).encode()


async def offered(*answers, until):
    servers = [await gateway(answer) for answer in answers]
    load = load_of([url for _, url in servers])
    load.start()
    deadline = asyncio.get_running_loop().time() + SOON_S
    try:
        while not until(load):
            assert asyncio.get_running_loop().time() < deadline, f"not what was expected: {load.again}, {load.wrong}"
            await asyncio.sleep(0.01)
        await load.stop()
        await load.drain(SOON_S)
    finally:
        await load.stop()
        load.close()
        for server, _ in servers:
            server.close()
    await asyncio.sleep(0.01)  # the connections' ends are noticed
    return load


async def test_a_transfer_that_a_dying_gateway_swallowed_is_acknowledged_by_another():
    load = await offered(lambda _: None, sealed, until=lambda load: load.again and len(load.acknowledged) > 5)
    assert load.again["connection lost"] > 0
    assert load.open == {}
    assert load.wrong == []
    assert len(load.acknowledged) == load.offered


async def test_what_waits_is_asked_again_until_it_is_sealed():
    asked = set()

    def answer(name):
        if name in asked:
            return sealed(name)
        asked.add(name)
        return 202, b'{"id":"%s","state":"pending"}' % name.hex().encode()

    load = await offered(answer, until=lambda load: len(load.acknowledged) > 3)
    assert load.again["pending"] == len(load.acknowledged) == load.offered
    assert load.wrong == []


async def test_a_gateway_that_speaks_of_another_transaction_is_named():
    load = await offered(lambda _: sealed(bytes(32)), until=lambda load: load.wrong)
    assert load.wrong[0].startswith(f"gateway 0 answered about {'00' * 32}, asked was ")


async def test_a_refusal_that_can_never_be_right_is_named():
    load = await offered(lambda _: (400, b'{"code":"bad_signature"}'), until=lambda load: load.wrong)
    assert "400 bad_signature" in load.wrong[0]


async def test_two_acknowledgements_that_differ_are_named(monkeypatch):
    monkeypatch.setattr("scripts.chaos_load.ANSWER_TIMEOUT_S", 0.0)
    monkeypatch.setattr("scripts.chaos_load.ASK_AGAIN_S", 0.0)  # so that two gateways are asked at once

    load = await offered(lambda name: sealed(name, 7), lambda name: sealed(name, 8), until=lambda load: load.wrong)
    assert "was acknowledged twice, differently" in load.wrong[0]


def test_only_must_leave_something_to_do(capsys):
    assert read_options(["--only", "kill", "--seed", "3"]).seed == 3
    with pytest.raises(SystemExit):
        read_options(["--only", "earthquake"])
    assert "leaves nothing of" in capsys.readouterr().err


def reaches(namespaces, member, address):
    """Whether a member's namespace can open a connection to `address`."""
    program = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 0.5).close()"
    command = namespaces.within(member, [sys.executable, "-c", program, address[0], str(address[1])])
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


def test_in_namespaces_the_kernel_cuts_one_way_of_one_pair_and_nothing_is_left_of_them():
    namespaces = Namespaces(3)
    try:
        namespaces.make()
    except NotAllowed as error:
        pytest.skip(str(error))
    try:
        with socket.create_server((namespaces.pair_address((0, 1)), 0)) as relay:
            address = relay.getsockname()
            assert reaches(namespaces, 0, address)
            namespaces.cut([(0, 1)])
            assert not reaches(namespaces, 0, address)
            assert reaches(namespaces, 1, address)
            namespaces.mend([(0, 1)])
            assert reaches(namespaces, 0, address)
    finally:
        namespaces.close()
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    assert namespaces.name(0) not in left

"""The load generator counts what happened: every answer, every failure, and time from when a transfer fell due."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from ledger.transactions import read_transaction, sign_transaction, signature_holds
from scripts.load import Generator, LoadReport, LoadSpec, Pool, Transfers, account_key, percentile, read_answer
from scripts.processes import age_s, usage_of

SEALED = b'{"id":"00","state":"sealed","height":7,"receipt":{"code":"ok"},"sealed_height":7}'


def spec(**changes: object) -> LoadSpec:
    plain = {
        "urls": [],
        "chain_id": "ab" * 32,
        "mode": "open",
        "rate": 200.0,
        "outstanding": 4,
        "accounts": 3,
        "warmup_s": 0.05,
        "seconds": 0.25,
        "gas_limit": 100_000,
        "height": 5,
        "valid_for": 100,
    }
    return LoadSpec(**(plain | changes))


@asynccontextmanager
async def gateway(answer: Callable[[bytes], Awaitable[bytes]]) -> AsyncIterator[str]:
    """A server that reads whole requests and answers each with what `answer` makes of its body."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                assert head.startswith(b"POST /v1/transactions?wait=sealed HTTP/1.1\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                writer.write(await answer(await reader.readexactly(length)))
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def http(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d Word\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


async def run(answer: Callable[[bytes], Awaitable[bytes]], **changes: object) -> LoadReport:
    async with gateway(answer) as url:
        return await Generator(spec(urls=[url], **changes)).run()


async def test_open_loop_offers_the_rate_and_counts_every_seal(capsys: pytest.CaptureFixture[str]) -> None:
    bodies: list[bytes] = []

    async def answer(body: bytes) -> bytes:
        bodies.append(body)
        return http(200, SEALED)

    report = await run(answer)
    assert report.due == report.sealed > 20
    assert (report.failures, report.shed, report.unanswered) == ({}, 0, 0)
    assert len(set(bodies)) == len(bodies) >= report.due
    assert capsys.readouterr().out == "measuring\nmeasured\n"


async def test_closed_loop_keeps_a_fixed_number_under_way() -> None:
    under_way, most = 0, 0

    async def answer(_: bytes) -> bytes:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.005)
        under_way -= 1
        return http(200, SEALED)

    report = await run(answer, mode="closed")
    assert most == 4
    assert report.sealed > 20


async def test_refusals_and_failed_receipts_are_told_apart_and_never_counted_as_sealed() -> None:
    answers = iter([http(503, b'{"code":"busy"}'), http(200, SEALED.replace(b'"ok"', b'"failed"'))] * 10_000)

    async def answer(_: bytes) -> bytes:
        return next(answers)

    report = await run(answer)
    assert report.sealed == 0
    assert set(report.failures) == {"status 503: busy", "receipt: failed"}
    assert sum(report.failures.values()) == report.due


async def test_a_stall_shows_in_the_latencies() -> None:
    released = asyncio.Event()
    asyncio.get_running_loop().call_later(0.2, released.set)

    async def answer(_: bytes) -> bytes:
        await released.wait()
        return http(200, SEALED)

    report = await run(answer, warmup_s=0.0)
    assert report.due == report.sealed
    assert 100 < report.latency_ms["max"] < 1000


async def test_a_gateway_that_hangs_up_is_a_failure() -> None:
    async def answer(_: bytes) -> bytes:
        raise asyncio.IncompleteReadError(b"", 1)

    report = await run(answer)
    assert report.sealed == 0
    assert sum(report.failures.values()) == report.due > 0


async def test_nobody_listening_is_a_failure() -> None:
    report = await Generator(spec(urls=["http://127.0.0.1:1"], seconds=0.1)).run()
    assert report.sealed == 0
    assert sum(report.failures.values()) == report.due > 0


async def test_a_full_line_sheds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.load.WAITING_PER_GATEWAY_MAX", 2)
    pool = Pool("http://127.0.0.1:1")
    assert [pool.post(b"x", lambda *_: None) for _ in range(3)] == [True, True, False]
    pool.close()


def test_transfers_are_signed_distinct_and_go_round() -> None:
    transfers = Transfers(spec())
    raws = [transfers.next() for _ in range(4)]
    found = [read_transaction(raw) for raw in raws]
    assert all(signature_holds(raw, transaction) for raw, transaction in zip(raws, found, strict=True))
    assert [transaction.body.sender for transaction in found] == [
        account_key(index % 3).public_key for index in range(4)
    ]
    assert {transaction.body.valid_until for transaction in found} == {105}
    assert len(set(raws)) == 4
    body = found[0].body
    key, salt = account_key(0), body.salt
    assert raws[0] == sign_transaction(key, body.chain_id, body.calls, body.gas_limit, body.valid_until, salt)


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, SEALED, ("", 7)),
        (202, b'{"state":"pending","sealed_height":9}', ("status 202: pending", 9)),
        (429, b'{"code":"too_many_requests"}', ("status 429: too_many_requests", 0)),
        (502, b"<html>", ("status 502, not the JSON expected", 0)),
        (0, b"connection lost", ("connection lost", 0)),
    ],
)
def test_an_answer_is_read_for_what_it_says(status: int, body: bytes, verdict: tuple[str, int]) -> None:
    assert read_answer(status, body) == verdict


def test_percentiles_are_values_that_occurred() -> None:
    values = [float(number) for number in range(1, 101)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50.0, 95.0, 99.0, 100.0]
    assert percentile([3.0], 0.99) == 3.0
    assert percentile([], 0.5) == 0.0


def test_usage_grows_with_work() -> None:
    import os

    before = usage_of(os.getpid())
    sum(number * number for number in range(2_000_000))
    after = usage_of(os.getpid())
    assert after.cpu_s > before.cpu_s
    assert after.peak_mib >= after.memory_mib > 5
    assert age_s(os.getpid()) > 0

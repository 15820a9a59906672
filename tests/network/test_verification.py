"""Checking transactions off the loop: every verdict, the order of answers, chunks, and what a full queue does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from ledger import codec
from ledger.crypto import SigningKey
from ledger.transactions import identify, sign_transaction
from ledger.types import Call, Parameters
from network import verification
from network.verification import Checked, Verifier, check_one

CHAIN = b"\x07" * 32
KEY = SigningKey.from_seed(b"\x01" * 32)
PARAMETERS = Parameters(validity_window=100)
HEIGHT = 50


def sign(salt: int, *, chain: bytes = CHAIN, valid_until: int = 60, gas: int = 1000, args: bytes = b"\x90") -> bytes:
    calls = [Call("registry", "register", args)]
    return sign_transaction(KEY, chain, calls, gas, valid_until, salt.to_bytes(16, "big"))


def forged(raw: bytes) -> bytes:
    return raw[:-1] + bytes([raw[-1] ^ 1])


def malleated(raw: bytes) -> bytes:
    """The same signature with S + L: what a sloppy library accepts."""
    order = (1 << 252) + 27742317777372353535851937790883648493
    s = int.from_bytes(raw[-32:], "little") + order
    return raw[:-32] + s.to_bytes(32, "little")


@pytest.fixture
async def verifier() -> AsyncIterator[Verifier]:
    made = Verifier(chain_id=CHAIN, parameters=PARAMETERS, next_height=lambda: HEIGHT)
    yield made
    await made.close()


async def test_a_good_transaction_comes_back_read_and_named(verifier: Verifier) -> None:
    raw = sign(1)
    (checked,) = await verifier.check([raw])
    assert (checked.code, checked.message, checked.raw) == ("", "", raw)
    assert (checked.transaction_id, checked.transaction_hash) == identify(raw)
    assert checked.transaction.body.sender == KEY.public_key


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "malformed"),
        (b"\xff" * 100, "malformed"),
        (b"\x92" * 100_000, "malformed"),
        (b"\xdd\xff\xff\xff\xff", "malformed"),
        (sign(1)[:-1], "malformed"),
        (sign(1) + b"\x00", "malformed"),
        (b"\xdc\x00\x02" + sign(1)[1:], "malformed"),
        (sign(1, args=bytes(PARAMETERS.transaction_bytes_max)), "too_large"),
        (sign(1, chain=b"\x08" * 32), "wrong_chain"),
        (sign(1, gas=0), "gas_limit"),
        (sign(1, gas=PARAMETERS.transaction_gas_max + 1), "gas_limit"),
        (sign(1, valid_until=HEIGHT - 1), "expired"),
        (sign(1, valid_until=HEIGHT), ""),
        (sign(1, valid_until=HEIGHT + 100), ""),
        (sign(1, valid_until=HEIGHT + 101), "too_far"),
        (forged(sign(1)), "bad_signature"),
        (malleated(sign(1)), "bad_signature"),
    ],
)
async def test_verdicts(verifier: Verifier, raw: bytes, code: str) -> None:
    (checked,) = await verifier.check([raw])
    assert checked.code == code
    assert bool(checked.message) == bool(code), "every refusal says why"
    assert bool(checked.transaction_id) == (checked.transaction is not None)


async def test_bodies_of_a_batch_are_not_judged_by_height_but_by_all_else(verifier: Verifier) -> None:
    early, late = sign(1, valid_until=HEIGHT - 10), sign(2, valid_until=HEIGHT + 5000)
    checked = await verifier.check_bodies([early, late, forged(early), sign(3, chain=bytes(32))])
    assert [each.code for each in checked] == ["", "", "bad_signature", "wrong_chain"]


async def test_answers_keep_the_order_of_the_question_across_chunks(verifier: Verifier) -> None:
    raws = [sign(n) if n % 3 else forged(sign(n)) for n in range(150)]
    checked = await verifier.check(raws)
    assert [each.raw for each in checked] == raws
    assert [each.code for each in checked] == ["" if n % 3 else "bad_signature" for n in range(150)]
    assert verifier.counters["verify_chunks"] == 3


async def test_concurrent_callers_share_chunks_and_each_gets_its_own(verifier: Verifier) -> None:
    raws = [sign(n) for n in range(40)]
    answers = await asyncio.gather(*(verifier.check([raw]) for raw in raws))
    assert [answer[0].raw for answer in answers] == raws
    assert verifier.counters["verify_chunks"] <= 4, "one at once, the rest while it ran or lingered"
    assert await verifier.check([]) == []


class Gate:
    """Holds the worker thread until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self.order: list[bytes] = []
        monkeypatch.setattr(verification, "check_one", self.check)

    def check(self, raw: bytes, **more: object) -> Checked:
        assert self.opened.wait(10)
        self.order.append(raw)
        return check_one(raw, **more)


async def test_a_full_queue_answers_busy_at_once_and_bodies_still_go_first(
    verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    monkeypatch.setattr(verification, "QUEUE_TRANSACTIONS_MAX", 5)
    first = asyncio.create_task(verifier.check([sign(0)]))
    await asyncio.sleep(0)
    raws = [sign(n) for n in range(1, 9)]
    queued = asyncio.create_task(verifier.check(raws))
    await asyncio.sleep(0)
    (late,) = await verifier.check([sign(99)])
    assert late.code == "busy", "answered although the worker has done nothing yet"
    body = asyncio.create_task(verifier.check_bodies([sign(100)]))
    await asyncio.sleep(0)
    gate.opened.set()
    assert [each.code for each in await queued] == [""] * 5 + ["busy"] * 3
    assert [each.code for each in await first + await body] == ["", ""]
    assert gate.order == [sign(0), sign(100), *raws[:5]]


async def test_bytes_are_bounded_too(verifier: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    monkeypatch.setattr(verification, "QUEUE_BYTES_MAX", 5000)
    first = asyncio.create_task(verifier.check([sign(0)]))
    await asyncio.sleep(0)
    queued = asyncio.create_task(verifier.check([sign(1, args=bytes(3000)), sign(2, args=bytes(3000)), sign(3)]))
    await asyncio.sleep(0)
    gate.opened.set()
    assert [each.code for each in await queued] == ["", "busy", ""]
    await first
    assert [each.code for each in await verifier.check([sign(4, args=bytes(3000))])] == [""], "the room came back"


async def test_closing_answers_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    verifier = Verifier(chain_id=CHAIN, parameters=PARAMETERS, next_height=lambda: HEIGHT)
    at_work = asyncio.create_task(verifier.check([sign(0)]))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(verifier.check([sign(1)]))
    await asyncio.sleep(0)
    gate.opened.set()
    await verifier.close()
    assert [each.code for each in await at_work] == [""]
    assert [each.code for each in await waiting] == ["busy"]
    assert [each.code for each in await verifier.check([sign(2)])] == ["busy"]


async def test_a_caller_who_gave_up_disturbs_nobody(verifier: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    gone = asyncio.create_task(verifier.check([sign(0)]))
    stays = asyncio.create_task(verifier.check([sign(1)]))
    await asyncio.sleep(0)
    gone.cancel()
    gate.opened.set()
    assert [each.code for each in await stays] == [""]


def test_a_deep_parser_bomb_is_one_malformed_transaction() -> None:
    bomb = codec.encode([]) * 100 + b"\x91" * 120_000
    assert check_one(bomb, chain_id=CHAIN, parameters=PARAMETERS, height=1).code == "malformed"


async def test_the_same_bytes_are_checked_once_however_they_come_again(
    verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = sign(1), forged(sign(2))
    await verifier.check([good, bad])
    asked = []
    monkeypatch.setattr(verification, "signature_holds", lambda raw, _: asked.append(raw) is not None)
    again = await verifier.check_bodies([good, bad, forged(good)])
    assert [each.code for each in again] == ["", "bad_signature", "bad_signature"]
    assert asked == [bad, forged(good)]


async def test_what_is_remembered_is_bounded_oldest_first(verifier: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "SIGNED_REMEMBERED_MAX", 2)
    raws = [sign(salt) for salt in range(3)]
    await verifier.check(raws)
    assert list(verifier._signed) == [identify(raw)[1] for raw in raws[1:]]

"""Offers signed transfers to all gateways that answer, and writes down which were acknowledged, and as what.

A transfer is acknowledged when a gateway shows its sealed receipt. Until then its very same bytes go to one gateway
after the other: a member that was killed, stopped or cut off must not matter to a client, and nothing may execute
twice. Every acknowledgement of one transfer must say the same. It knows no member but by its gateway's address.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence

import msgspec

from ledger.transactions import identify
from scripts.load import LoadSpec, Pool, Transfers

TICK_S = 0.02
ANSWER_TIMEOUT_S = 4.0  # then another gateway is asked as well
ASK_AGAIN_S, ASK_AGAIN_S_MAX = 0.2, 1.6  # doubled from try to try: a network that comes back has other things to do
UNDER_WAY_MAX = 5_000  # transfers without an outcome; while there are so many, none falls due
SHUN_S = 1.0  # a gateway that failed gets no new transfer for so long
NEVER_RIGHT = frozenset(
    {"malformed", "too_large", "wrong_chain", "bad_signature", "gas_limit", "unknown_sender", "internal"}
)


class Acknowledged(msgspec.Struct, frozen=True):
    """What a client was promised. `receipt` is the SHA-256 of the receipt as JSON."""

    height: int
    index: int
    block_hash: str
    receipt: bytes
    code: str


class _Answer(msgspec.Struct):
    state: str = ""
    code: str = ""
    id: str = ""
    height: int = 0
    index: int = 0
    block_hash: str = ""
    sealed_height: int = 0
    receipt: msgspec.Raw = msgspec.Raw()


class _Code(msgspec.Struct):
    code: str


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_code = msgspec.json.Decoder(_Code).decode


def receipt_digest(receipt_json: bytes) -> bytes:
    """What `Acknowledged.receipt` is made of."""
    return hashlib.sha256(receipt_json).digest()


class Transfer:
    """One transfer on its way."""

    __slots__ = ("due", "name", "raw", "settled", "timer", "tries")

    def __init__(self, raw: bytes, due: float) -> None:
        self.raw = raw
        self.name: bytes = identify(raw)[0]
        self.due = due
        self.tries = 0
        self.settled = False
        self.timer: asyncio.TimerHandle | None = None


class Load:
    """Offers `spec.rate` transfers a second from `start` to `stop`; `drain` waits for the outcome of each."""

    def __init__(self, spec: LoadSpec) -> None:
        self.acknowledged: dict[bytes, Acknowledged] = {}
        self.open: dict[bytes, Transfer] = {}
        self.refused: Counter[str] = Counter()
        self.again: Counter[str] = Counter()  # why another gateway was asked
        self.wrong: list[str] = []
        self.latencies_s: list[float] = []
        self.offered = 0
        self.held_back = 0
        self._rate = spec.rate
        self._transfers = Transfers(spec)
        self._pools = [Pool(url) for url in spec.urls]
        self._shunned_until = [0.0] * len(self._pools)
        self._turn = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Offer from now on."""
        self._task = asyncio.create_task(self._offer())

    async def stop(self) -> None:
        """Offer no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def drain(self, timeout_s: float) -> None:
        """Wait until every transfer has an outcome; what has none after `timeout_s` stays in `open`."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self.open and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - a few times in a run
            await asyncio.sleep(TICK_S)

    def close(self) -> None:
        """Hang up."""
        for transfer in self.open.values():
            if transfer.timer is not None:
                transfer.timer.cancel()
            transfer.settled = True
        for pool in self._pools:
            pool.close()

    async def _offer(self) -> None:
        loop = asyncio.get_running_loop()
        started, due = loop.time(), 0
        while True:
            await asyncio.sleep(TICK_S)
            fallen_due = int((loop.time() - started) * self._rate)
            for _ in range(fallen_due - due):
                if len(self.open) >= UNDER_WAY_MAX:
                    self.held_back += 1
                    continue
                transfer = Transfer(self._transfers.next(), loop.time())
                self.open[transfer.name] = transfer
                self.offered += 1
                self._send(transfer)
            due = fallen_due

    def _send(self, transfer: Transfer) -> None:
        """To the next gateway in turn, those that failed lately left out while others are there."""
        if transfer.settled:
            return
        loop = asyncio.get_running_loop()
        gateway = self._next_gateway(loop.time())
        transfer.tries += 1
        transfer.timer = loop.call_later(ANSWER_TIMEOUT_S, self._on_silence, transfer, gateway)
        if not self._pools[gateway].post(
            transfer.raw, lambda status, body: self._on_answer(transfer, gateway, status, body)
        ):
            self._try_again(transfer, gateway, "no free connection")

    def _next_gateway(self, now: float) -> int:
        count = len(self._pools)
        turns: Sequence[int] = [(self._turn + each) % count for each in range(count)]
        chosen = next((each for each in turns if self._shunned_until[each] <= now), turns[0])
        self._turn = chosen + 1
        return chosen

    def _on_silence(self, transfer: Transfer, gateway: int) -> None:
        if not transfer.settled:
            self._try_again(transfer, gateway, "no answer in time")

    def _try_again(self, transfer: Transfer, gateway: int, why: str, *, shun: bool = True) -> None:
        loop = asyncio.get_running_loop()
        self.again[why] += 1
        if shun:
            self._shunned_until[gateway] = loop.time() + SHUN_S
        if transfer.timer is not None:
            transfer.timer.cancel()
        delay_s = min(ASK_AGAIN_S * 2 ** min(transfer.tries - 1, 10), ASK_AGAIN_S_MAX)
        transfer.timer = loop.call_later(delay_s, self._send, transfer)

    def _on_answer(self, transfer: Transfer, gateway: int, status: int, body: bytes) -> None:
        """Also a late answer counts, to a transfer that another gateway acknowledged long ago."""
        try:
            answer = _decode_answer(body) if status else _Answer()
        except msgspec.MsgspecError:
            self.wrong.append(f"gateway {gateway} answered {status} with what is no JSON of this API: {body[:200]!r}")
            answer = _Answer()
        self._transfers.height = max(self._transfers.height, answer.sealed_height)
        if status == 200 and answer.state == "sealed":
            self._acknowledge(transfer, gateway, answer)
        elif transfer.settled:
            return
        elif answer.code in NEVER_RIGHT:
            self.wrong.append(f"gateway {gateway} refused transfer {transfer.name.hex()}: {status} {answer.code}")
            self._settle(transfer)
        elif answer.code == "expired":
            self.refused["expired"] += 1  # whether an earlier try went through, the chain will tell
            self._settle(transfer)
        elif status == 202:
            self._try_again(transfer, gateway, "pending", shun=False)
        else:
            self._try_again(transfer, gateway, f"{status} {answer.code}".strip() if status else "connection lost")

    def _acknowledge(self, transfer: Transfer, gateway: int, answer: _Answer) -> None:
        receipt = bytes(answer.receipt)
        code = _decode_code(receipt).code
        found = Acknowledged(answer.height, answer.index, answer.block_hash, receipt_digest(receipt), code)
        if answer.id != transfer.name.hex():
            self.wrong.append(f"gateway {gateway} answered about {answer.id}, asked was {transfer.name.hex()}")
        before = self.acknowledged.setdefault(transfer.name, found)
        if before != found:
            self.wrong.append(f"{transfer.name.hex()} was acknowledged twice, differently: {before}, {found}")
        if not transfer.settled:
            self.latencies_s.append(asyncio.get_running_loop().time() - transfer.due)
            self._settle(transfer)

    def _settle(self, transfer: Transfer) -> None:
        transfer.settled = True
        if transfer.timer is not None:
            transfer.timer.cancel()
        self.open.pop(transfer.name, None)

"""Asks the other members, one after the other, for a single sealed block. Believes none: a quorum's seal must hold.

Beside the fetching by which a node follows (`network.sync`), which is never disturbed: that asks above the sealed
height, this below it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass

from ledger.errors import InvalidProof
from ledger.snapshot import check_sealed
from ledger.types import BlockRecord, Genesis
from network.wire import Blocks, BlocksRequest, PeerMessage

log = logging.getLogger("quorate.scrub")

ANSWER_S = 10.0


@dataclass(frozen=True)
class Given:
    """A block that holds, and the name of who gave it."""

    record: BlockRecord
    by: str


class BlockMender:
    """`send(member, message)` is False when it certainly does not arrive; `linked()` are those there is a link to."""

    def __init__(
        self,
        *,
        genesis: Genesis,
        send: Callable[[int, PeerMessage], object],
        linked: Callable[[], Collection[int]],
        answer_s: float = ANSWER_S,
    ) -> None:
        self._genesis = genesis
        self._send = send
        self._linked = linked
        self._answer_s = answer_s
        self._asked: tuple[int, int] | None = None  # member, height
        self._answer: asyncio.Future[Blocks] | None = None

    async def fetch(self, height: int) -> Given | None:
        """The block of a height that a quorum sealed, None where nobody who is linked gives it."""
        for member in sorted(self._linked()):
            answer = await self._ask(member, height)
            if answer is None or not answer.records:
                continue
            name = self._genesis.validators.members[member].name
            try:
                if answer.records[0].height != height:
                    raise InvalidProof(f"it is block {answer.records[0].height}")
                check_sealed(answer.records[0], self._genesis)
            except InvalidProof as error:
                log.error("REFUSED: block %d that %s gave does not hold: %s", height, name, error)
                continue
            return Given(answer.records[0], name)
        return None

    def take(self, member: int, message: Blocks) -> bool:
        """Whether this answers what was asked here."""
        if self._asked != (member, message.first) or self._answer is None or self._answer.done():
            return False
        self._answer.set_result(message)
        return True

    async def _ask(self, member: int, height: int) -> Blocks | None:
        self._asked, self._answer = (member, height), asyncio.get_running_loop().create_future()
        try:
            if self._send(member, BlocksRequest(height, height)) is False:
                return None
            async with asyncio.timeout(self._answer_s):
                return await self._answer
        except TimeoutError:
            return None
        finally:
            self._asked = self._answer = None

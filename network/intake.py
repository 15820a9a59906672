"""Transactions on their way in: from this node's clients and from peers' gossip, checked, deduplicated, pooled.

Every signature is checked here, by this node, whoever handed the transaction over. What was sealed already is
answered "known": the first outcome stands. It decides nothing about order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from ledger.hashing import transaction_hash, transaction_id
from ledger.types import body_bytes
from network.api import Admission
from network.mempool import Mempool
from network.verification import Checked

_SENTENCES = {
    "busy": "the pool of waiting transactions is full, or this sender's share of it: send it again in a second",
    "known": "this transaction was received before: its first outcome stands",
    "accepted": "",
}


class Intake:
    """`check` verifies off the loop; `in_block(id)` says whether a transaction was executed; `added` gets the news;
    `asked_again` what waits here already and a client of this node hands over: whoever spread it may be gone.
    """

    def __init__(
        self,
        *,
        mempool: Mempool,
        check: Callable[[Sequence[bytes]], Awaitable[Sequence[Checked]]],
        in_block: Callable[[bytes], bool],
        added: Callable[[Sequence[tuple[bytes, bytes]], bool], None],
        asked_again: Callable[[Sequence[tuple[bytes, bytes]]], None],
    ) -> None:
        self._mempool = mempool
        self._check = check
        self._in_block = in_block
        self._added = added
        self._asked_again = asked_again
        self.counters = {"submitted": 0, "accepted": 0, "rejected": 0, "gossiped": 0}

    async def submit(self, raws: Sequence[bytes]) -> list[Admission]:
        """From this node's clients: one admission each, in order. What is accepted goes on to every peer."""
        self.counters["submitted"] += len(raws)
        hashes = [transaction_hash(raw) for raw in raws]
        waiting = [each in self._mempool for each in hashes]
        if any(waiting):
            self._asked_again(
                [pair for pair, known in zip(zip(hashes, raws, strict=True), waiting, strict=True) if known]
            )
        fresh = [raw for raw, known in zip(raws, waiting, strict=True) if not known]
        admissions = iter(self._admit(await self._check(fresh), own=True))
        return [_known(raw) if known else next(admissions) for raw, known in zip(raws, waiting, strict=True)]

    async def take_gossip(self, raws: Sequence[bytes]) -> set[str]:
        """From a peer's clients. What does not hold is dropped and counted; the codes of all that was not taken."""
        self.counters["gossiped"] += len(raws)
        # Bytes that wait here already were checked: they need no second signature check.
        fresh = [raw for raw in raws if transaction_hash(raw) not in self._mempool]
        admissions = self._admit(await self._check(fresh), own=False)
        return {admission.code for admission in admissions if not admission.accepted}

    def _admit(self, checks: Sequence[Checked], *, own: bool) -> list[Admission]:
        admissions: list[Admission] = []
        news: list[tuple[bytes, bytes]] = []
        for checked in checks:
            admission = self._admit_one(checked)
            if admission.code == "accepted":
                news.append((checked.transaction_hash, checked.raw))
            admissions.append(admission)
        self.counters["accepted"] += len(news)
        self.counters["rejected"] += sum(not admission.accepted for admission in admissions)
        if news:
            self._added(news, own)
        return admissions

    def _admit_one(self, checked: Checked) -> Admission:
        if checked.code in ("", "expired") and self._in_block(checked.transaction_id):
            return Admission("known", checked.transaction_id, _SENTENCES["known"])
        if checked.code or checked.transaction is None:
            return Admission(checked.code, checked.transaction_id, checked.message)
        code = self._mempool.add(checked.raw, checked.transaction, checked.transaction_id, checked.transaction_hash)
        return Admission(code, checked.transaction_id, _SENTENCES[code])


def _known(raw: bytes) -> Admission:
    return Admission("known", transaction_id(body_bytes(raw)), _SENTENCES["known"])

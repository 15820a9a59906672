"""The transactions that wait for a block: bounded, fair between senders, first come first proposed.

A pure data structure. It checks nothing (what comes in was judged already), reads no clock and knows no peer. An
entry *waits*, or is *in flight*: named by a proposal for a height that is not sealed yet, and so not to be proposed
again. What is in flight is remembered by hash, whether the transaction itself is here or still on its way.

Fairness is one rule: a sender may hold as much as is still free. A lone sender can fill half of the pool, n senders
1/(n+1) each, and whatever some of them do there is always room for one who holds nothing. (Choudhury and Hahne,
"Dynamic queue length thresholds for shared-memory packet switches", 1998; alpha is one.)
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter

from ledger.types import Hash, PublicKey, Transaction

Raw = bytes  # a signed transaction in its canonical encoding


@dataclass(frozen=True)
class Limits:
    """The bounds of the pool. An entry takes about 700 bytes of memory beside its own bytes."""

    transactions_max: int = 50_000
    bytes_max: int = 32 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """One transaction in the pool. `arrival` counts up: lower came first."""

    raw: bytes
    transaction_id: bytes
    transaction_hash: bytes
    sender: bytes
    gas_limit: int
    valid_until: int
    arrival: int


@dataclass(slots=True)
class _Share:
    """What one sender holds."""

    transactions: int = 0
    bytes: int = 0


_arrival = attrgetter("arrival")


class Mempool:
    """Every entry is in exactly one of `_waiting`, `_returned` and `_flying`."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._bytes = 0
        self._arrivals = 0
        self._entries: dict[Hash, Entry] = {}
        self._ids: dict[Hash, bytes] = {}
        self._shares: dict[PublicKey, _Share] = {}
        self._waiting: dict[Hash, Entry] = {}  # in order of arrival
        self._returned: dict[Hash, Entry] = {}  # waiting again after a flight: in no order, mostly empty
        self._flights: dict[int, tuple[Hash, ...]] = {}
        self._flying: dict[Hash, int] = {}  # hash -> number of heights that name it
        self._expiries: dict[int, dict[Hash, None]] = {}
        self._expiry_heights: list[int] = []  # a heap over the keys of _expiries

    # ── asking ────────────────────────────────────────────────────────────────────────────────────

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, transaction_hash: Hash) -> bool:
        return transaction_hash in self._entries

    @property
    def waiting(self) -> int:
        """Transactions that a proposal could take: here, and not in flight."""
        return len(self._waiting) + len(self._returned)

    @property
    def bytes(self) -> int:
        """The sizes of all transactions here, added up."""
        return self._bytes

    def waits(self, transaction_hash: Hash, *, beyond: int = 0) -> bool:
        """Whether a proposal beyond that height could take it: here, not in flight, and valid there."""
        entry = self._waiting.get(transaction_hash) or self._returned.get(transaction_hash)
        return entry is not None and entry.valid_until > beyond

    def entry(self, transaction_hash: Hash) -> Entry | None:
        """What is known about one transaction."""
        return self._entries.get(transaction_hash)

    def get(self, transaction_hash: Hash) -> Raw | None:
        """The signed bytes with this hash."""
        entry = self._entries.get(transaction_hash)
        return None if entry is None else entry.raw

    def by_id(self, transaction_id: Hash) -> Raw | None:
        """The signed bytes that came first for this body."""
        transaction_hash = self._ids.get(transaction_id)
        return None if transaction_hash is None else self._entries[transaction_hash].raw

    def select(
        self,
        count_max: int,
        bytes_max: int,
        gas_max: int,
        *,
        height: int = 0,
        exclude: Container[Hash] = frozenset(),
    ) -> list[Hash]:
        """Hashes for a batch at `height`, in order of arrival, within the three limits.

        The batch ends at the first transaction that does not fit behind the others, so nobody is overtaken by
        smaller ones for ever. What could not even stand alone, or is not valid at `height` any more, is passed over.
        """
        chosen: list[Hash] = []
        bytes_sum = gas_sum = 0
        for entry in self._in_order():
            size, gas = len(entry.raw), entry.gas_limit
            if entry.valid_until < height or size > bytes_max or gas > gas_max or entry.transaction_hash in exclude:
                continue
            bytes_sum, gas_sum = bytes_sum + size, gas_sum + gas
            if len(chosen) == count_max or bytes_sum > bytes_max or gas_sum > gas_max:
                break
            chosen.append(entry.transaction_hash)
        return chosen

    def _in_order(self) -> Iterator[Entry]:
        if not self._returned:
            return iter(self._waiting.values())
        return heapq.merge(sorted(self._returned.values(), key=_arrival), self._waiting.values(), key=_arrival)

    # ── coming and going ──────────────────────────────────────────────────────────────────────────

    def add(self, raw: Raw, transaction: Transaction, transaction_id: Hash, transaction_hash: Hash) -> str:
        """Take one checked transaction, and say "accepted", "known" or "busy".

        "known": this body is here, under this or another signature; the first stays. "busy": the pool, or the
        sender's share of it, is full.
        """
        if transaction_id in self._ids:
            return "known"
        body = transaction.body
        share = self._shares.get(body.sender)
        if not self._has_room(share or _Share(), len(raw)):
            return "busy"
        entry = Entry(
            raw, transaction_id, transaction_hash, body.sender, body.gas_limit, body.valid_until, self._arrivals
        )
        self._arrivals += 1
        self._keep(entry)
        if transaction_hash not in self._flying:
            self._waiting[transaction_hash] = entry
        return "accepted"

    def _has_room(self, share: _Share, size: int) -> bool:
        """Whether a sender that holds `share` may add `size` bytes: never more than is free."""
        return (
            share.transactions < self._limits.transactions_max - len(self._entries)
            and share.bytes + size <= self._limits.bytes_max - self._bytes
        )

    def _keep(self, entry: Entry) -> None:
        self._entries[entry.transaction_hash] = entry
        self._ids[entry.transaction_id] = entry.transaction_hash
        self._bytes += len(entry.raw)
        share = self._shares.setdefault(entry.sender, _Share())
        share.transactions += 1
        share.bytes += len(entry.raw)
        self._note_expiry(entry)

    def remove(self, hashes: Iterable[Hash]) -> int:
        """These were sealed, or proved invalid: forget them, and say how many were here."""
        before = len(self._entries)
        for transaction_hash in hashes:
            entry = self._entries.pop(transaction_hash, None)
            if entry is not None:
                self._forget(entry)
        return before - len(self._entries)

    def remove_ids(self, ids: Iterable[Hash]) -> int:
        """These bodies were sealed, perhaps under another signature than the one here."""
        return self.remove([self._ids[each] for each in ids if each in self._ids])

    def _forget(self, entry: Entry) -> None:
        del self._ids[entry.transaction_id]
        self._waiting.pop(entry.transaction_hash, None)
        self._returned.pop(entry.transaction_hash, None)
        self._bytes -= len(entry.raw)
        share = self._shares[entry.sender]
        share.transactions -= 1
        share.bytes -= len(entry.raw)
        if not share.transactions:
            del self._shares[entry.sender]
        bucket = self._expiries.get(entry.valid_until)
        if bucket is not None:
            bucket.pop(entry.transaction_hash, None)

    def drop_expired(self, height: int) -> int:
        """Forget what is not valid at `height` or above, and say how many those were. What is in flight stays.

        An expired transaction in flight is dropped by the first call after its flight has ended.
        """
        dropped = 0
        flying: list[Hash] = []
        while self._expiry_heights and self._expiry_heights[0] < height:
            bucket = self._expiries.pop(heapq.heappop(self._expiry_heights))
            flying += [each for each in bucket if each in self._flying]
            dropped += self.remove(each for each in bucket if each not in self._flying)
        for each in flying:
            self._note_expiry(self._entries[each])
        return dropped

    def _note_expiry(self, entry: Entry) -> None:
        if entry.valid_until not in self._expiries:
            self._expiries[entry.valid_until] = {}
            heapq.heappush(self._expiry_heights, entry.valid_until)
        self._expiries[entry.valid_until][entry.transaction_hash] = None

    # ── in flight ─────────────────────────────────────────────────────────────────────────────────

    def mark_in_flight(self, height: int, hashes: Iterable[Hash]) -> None:
        """A proposal for `height` names these. It takes the place of an earlier proposal for that height."""
        before = self._flights.get(height, ())
        self._flights[height] = now = tuple(dict.fromkeys(hashes))
        for each in now:
            self._flying[each] = self._flying.get(each, 0) + 1
            self._waiting.pop(each, None)
            self._returned.pop(each, None)
        self._land(before)

    def heights_in_flight(self) -> tuple[int, ...]:
        """The heights that a proposal is known for and that were not released yet, ascending."""
        return tuple(sorted(self._flights))

    def follow(self, proposed: Mapping[int, Iterable[Hash]]) -> None:
        """After a view change: these proposals, by height, are in flight, and no others; what others named waits."""
        for height in self.heights_in_flight():
            if height not in proposed:
                self.release(height)
        for height, hashes in proposed.items():
            self.mark_in_flight(height, hashes)

    def release(self, height: int) -> None:
        """Nothing is proposed for `height` any more: what is still here waits again, in its old place.

        Call it after `remove` when the height is sealed, and by itself when a view change leaves it empty.
        """
        self._land(self._flights.pop(height, ()))

    def _land(self, hashes: Iterable[Hash]) -> None:
        for each in hashes:
            if self._flying[each] > 1:
                self._flying[each] -= 1
                continue
            del self._flying[each]
            if each in self._entries:
                self._returned[each] = self._entries[each]

"""The state's tree cut into subtrees that can be checked one by one, and put together again. Pure: hashes and pages.

A chunk holds every entry whose path begins with some nibbles: a whole subtree, in the order of its paths. What stands
at those nibbles (its *slot*) follows from the entries alone, and from the slots of all chunks follows the state root.
So whoever holds a sealed header and the slots that give its root can judge each chunk by itself, whoever sent it.

A tree is cut in one way only: a chunk is a largest subtree of at most `CHUNK_BYTES` of entries. Two nodes that cut the
state of one height get the same chunks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Annotated

from msgspec import Meta

from ledger import codec
from ledger.errors import CodecError, InvalidProof
from ledger.state_proof import BRANCHES, EMPTY, HASH_BYTES, LEAF_BYTES, path_of, value_hash
from ledger.state_tree import NOTHING, Page, Slot, join_slots, root_hash
from ledger.types import Count, Struct

ENTRY_OVERHEAD_BYTES = 16  # more than the encoding of an entry adds to its key and value
CHUNK_BYTES = (1 << 20) + (4 << 10)  # so that the largest entry there may be has room in one
CHUNKS_MAX = 1 << 16
LIST_BYTES = 16  # more than the encoding of a list adds to that of its entries

Entry = tuple[bytes, bytes]
"""A key of the state and its value."""

_entries_kind = tuple[tuple[bytes, bytes], ...]


class StateChunk(Struct, frozen=True):
    """One subtree: the nibbles that lead to it, what stands there, and how much is below."""

    prefix: Annotated[str, Meta(pattern="^[0-9a-f]{0,64}$")]
    slot: Annotated[bytes, Meta(min_length=HASH_BYTES, max_length=LEAF_BYTES)]
    entries: Count
    entry_bytes: Count


def entry_bytes(key: bytes, value: bytes) -> int:
    """What an entry counts for when a tree is cut."""
    return ENTRY_OVERHEAD_BYTES + len(key) + len(value)


def chunk_bytes_max(chunk: StateChunk) -> int:
    """The most bytes that a chunk with so much in it can have."""
    return min(chunk.entry_bytes, CHUNK_BYTES) + LIST_BYTES


# ── making chunks ─────────────────────────────────────────────────────────────────────────────────


def cut(prefix: str, entries: Sequence[tuple[str, bytes, bytes]]) -> Iterator[tuple[StateChunk, bytes]]:
    """The chunks of a subtree, each with its bytes. `entries` are (path in hexadecimal, key, value), in that order."""
    size = sum(entry_bytes(key, value) for _, key, value in entries)
    if size > CHUNK_BYTES:
        for digit, group in groupby(entries, lambda entry: entry[0][len(prefix)]):
            yield from cut(prefix + digit, list(group))
    elif entries:
        leaves = [(path, bytes.fromhex(path) + value_hash(value)) for path, _, value in entries]
        chunk = StateChunk(prefix, _build(prefix, leaves, {}), len(entries), size)
        yield chunk, codec.encode(tuple((key, value) for _, key, value in entries))


# ── judging them ──────────────────────────────────────────────────────────────────────────────────


def join(chunks: Sequence[StateChunk], pages: dict[str, bytes]) -> Slot:
    """The root slot that these chunks give; the tree's pages above them are put into `pages`. Raises `InvalidProof`."""
    if len(chunks) > CHUNKS_MAX:
        raise InvalidProof(f"it has {len(chunks)} chunks of state, at most {CHUNKS_MAX} are allowed")
    for chunk in chunks:
        sized = len(chunk.slot) in (HASH_BYTES, LEAF_BYTES) and 0 < chunk.entry_bytes <= CHUNK_BYTES
        if not sized or chunk.slot == EMPTY:
            raise InvalidProof(f"the chunk at {chunk.prefix or 'the root'} is empty or too large")
    return _join("", list(chunks), pages)


def join_root(chunks: Sequence[StateChunk]) -> bytes:
    """The state root that these chunks give. Raises `InvalidProof`."""
    return root_hash(join(chunks, {}))


def _join(prefix: str, chunks: Sequence[StateChunk], pages: dict[str, bytes]) -> Slot:
    if len(chunks) == 1 and chunks[0].prefix == prefix:
        return chunks[0].slot
    if not chunks:
        return NOTHING
    slots, previous = [NOTHING] * BRANCHES, -1
    if any(len(chunk.prefix) <= len(prefix) for chunk in chunks):
        raise InvalidProof(f"two chunks of the state overlap at {prefix or 'the root'}")
    for digit, group in groupby(chunks, lambda chunk: chunk.prefix[len(prefix)]):
        branch = int(digit, 16)
        if branch <= previous:
            raise InvalidProof(f"the chunks of the state below {prefix or 'the root'} are not in order")
        previous = branch
        slots[branch] = _join(prefix + digit, list(group), pages)
    page = Page(join_slots(slots))
    if page.lone() is not None:
        raise InvalidProof(f"a leaf stands alone below {prefix or 'the root'}: no tree of a state has that shape")
    pages[prefix] = page.stored
    return page.hash()


def read_chunk(chunk: StateChunk, data: bytes, pages: dict[str, bytes]) -> tuple[Entry, ...]:
    """The entries in a chunk's bytes; the pages of its subtree are put into `pages`. Raises `InvalidProof`."""
    where = f"the chunk at {chunk.prefix or 'the root'}"
    if len(data) > chunk_bytes_max(chunk):  # what is small as bytes may be large as entries
        raise InvalidProof(f"{where} has {len(data)} bytes, {chunk_bytes_max(chunk)} is the most")
    try:
        entries: tuple[Entry, ...] = codec.decode(data, _entries_kind)
    except CodecError as error:
        raise InvalidProof(f"{where} is no list of entries: {error}") from None
    size = sum(entry_bytes(key, value) for key, value in entries)
    if (len(entries), size) != (chunk.entries, chunk.entry_bytes):
        raise InvalidProof(
            f"{where} has {len(entries)} entries, {size} bytes, expected {chunk.entries}, {chunk.entry_bytes}"
        )
    if _slot_of(chunk.prefix, entries, pages, where) != chunk.slot:
        raise InvalidProof(f"{where} holds other entries than the state root vouches for")
    return entries


def _slot_of(prefix: str, entries: Iterable[Entry], pages: dict[str, bytes], where: str) -> Slot:
    leaves: list[tuple[str, Slot]] = []
    previous = ""
    for key, value in entries:
        path = path_of(key)
        digits = path.hex()
        if not digits.startswith(prefix) or digits <= previous:
            raise InvalidProof(f"{where} has an entry that does not belong there: key {key.hex()[:64]}")
        previous = digits
        leaves.append((digits, path + value_hash(value)))
    return _build(prefix, leaves, pages)


def _build(prefix: str, leaves: Sequence[tuple[str, Slot]], pages: dict[str, bytes]) -> Slot:
    """What stands at a place that holds exactly these leaves, in order of path."""
    if len(leaves) <= 1:
        return leaves[0][1] if leaves else NOTHING
    slots = [NOTHING] * BRANCHES
    for digit, group in groupby(leaves, lambda leaf: leaf[0][len(prefix)]):
        slots[int(digit, 16)] = _build(prefix + digit, list(group), pages)
    page = Page(join_slots(slots))
    pages[prefix] = page.stored
    return page.hash()


def root_of(entries: Iterable[Entry]) -> bytes:
    """The state root of a state of few entries, such as that of genesis."""
    leaves = sorted((path_of(key).hex(), path_of(key) + value_hash(value)) for key, value in entries)
    return root_hash(_build("", leaves, {}))

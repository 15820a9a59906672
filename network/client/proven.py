"""Transactions, lists of blocks and events, believed for the proofs that come with them and not for what stands beside.

Each is shown in the API's form, built anew from what was verified; `proven` says so, and where it is False one node
said it. Lists of blocks have no gaps. What no proof can say: that no block is newer, that nothing was left out of a
stream, that what is pending is so.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar

from ledger.blocks import GENESIS_HEIGHT, null_batch
from ledger.errors import InvalidProof
from ledger.proof_file import as_text
from ledger.proofs import VerifiedProof
from ledger.types import Block, BlockRecord, Header, Seal
from network import present
from network.client import reads
from network.client.checks import about_transaction
from network.client.errors import ProofInvalid, Rejected, Unavailable
from network.client.light import LightClient
from network.client.messages import Event, Reply, Step

if TYPE_CHECKING:
    from network.client.core import Core

T = TypeVar("T")
Flow = Generator[Step, Reply, T]
Json = dict[str, Any]


def transaction(core: Core, name: bytes, mode: str) -> Flow[Json]:
    """A transaction as the API shows it: with "local" as one node says; else, where it is sealed, as its proof does."""
    params = {"proof": "false" if mode == reads.LOCAL else "true", "min_height": core.fresh()}

    def ask() -> Flow[Json]:
        told = yield from core.get(f"/v1/transactions/{name.hex()}", **params)
        proof = told.pop("proof", None)
        if mode == reads.LOCAL or told.get("state") != "sealed":
            return told | {"proven": False}
        light = core.need_light("prove a transaction")
        return _transaction(about_transaction(_learned(light, proof), name), light)

    return (yield from reads.first_that_holds(core, ask))


def _transaction(found: VerifiedProof, light: LightClient) -> Json:
    assert found.transaction is not None
    assert found.receipt is not None
    shown = present.transaction(found.transaction.encode())
    return {
        "id": shown["id"],
        "state": "sealed",
        "height": found.height,
        "index": found.receipt.index,
        "block_hash": found.header_hash.hex(),
        "time_ms": found.time_ms,
        "time": present.iso_time(found.time_ms),
        "transaction": shown,
        "receipt": present.receipt(found.receipt.encode()),
        "seal": present.seal(found.seal, light.validators(found.header.epoch)),
        "proven": True,
    }


def blocks(core: Core, before: int | None, limit: int, mode: str) -> Flow[list[Json]]:
    """Summaries of blocks, newest first: each as its sealed header has it, or with "local" as one node says."""
    is_local = mode == reads.LOCAL

    def ask() -> Flow[list[Json]]:
        params = {"before": before, "limit": limit, "proof": None if is_local else "true", "min_height": core.fresh()}
        answer = yield from core.get("/v1/blocks", **params)
        lines = answer.get("blocks")
        if not isinstance(lines, list) or not all(isinstance(line, dict) for line in lines):
            raise ProofInvalid("a node's answer is not a list of blocks")
        if is_local:
            return [line | {"proven": False} for line in lines]
        _expect_page(lines, before, limit)
        for place, line in enumerate(lines):
            lines[place] = yield from _line(core, line)
        heights = [line["height"] for line in lines]
        if heights and heights != list(range(heights[0], heights[0] - len(heights), -1)):
            raise ProofInvalid(f"a node left out blocks, or gave them out of order: {heights}")
        return lines

    return (yield from reads.first_that_holds(core, ask))


def _expect_page(lines: list[Json], before: int | None, limit: int) -> None:
    """Newest first, each once, below `before`, and no more than asked for: who turns the pages comes to an end."""
    heights = [line.get("height") for line in lines]
    last = before
    for height in heights:
        if type(height) is not int or (last is not None and height >= last) or len(lines) > limit:
            raise ProofInvalid(
                f"a node's list has the heights {heights[:4]}, asked were {limit} at most, newest first"
                + ("" if before is None else f", below {before}")
            )
        last = height


def _line(core: Core, line: Json) -> Flow[Json]:
    light = core.need_light("prove a block")
    if line.get("height") == GENESIS_HEIGHT and light.known(GENESIS_HEIGHT + 1) is None:
        return line | {"proven": False}  # nothing vouches for it yet
    if line.get("height") == GENESIS_HEIGHT:
        header = yield from reads.sealed(core, GENESIS_HEIGHT)
        return _summary(header, None, light)
    found = _learned(light, line.get("proof"))
    return _summary(found.header, found.seal, light)


def _summary(header: Header, seal: Seal | None, light: LightClient) -> Json:
    batch = null_batch(epoch=header.epoch, height=header.height, view=0, proposer=0, time_ms=0)  # no summary shows it
    record = BlockRecord(Block(header, batch, ()), (), (), seal)
    return present.block_summary(record, light.validators(header.epoch)) | {"proven": True}


def event(core: Core, told: Event, node: str) -> Flow[Event]:
    """An event that a node streamed, proven by what the same node gives. Raises `ProofInvalid`."""
    core.answered_by = node
    try:
        data = yield from (_block_event if told.kind == "block" else _contract_event)(core, told.data, node)
    except (KeyError, TypeError, AttributeError):
        raise ProofInvalid("a node streamed what is no event") from None
    except reads.Unproven as error:
        if isinstance(error.__cause__, Unavailable):
            raise error.__cause__ from None  # it is away, and did not lie
        raise ProofInvalid(f"a node streamed a block that it does not give: {error.__cause__}") from None
    return Event(told.kind, told.cursor, data, proven=True)


def _block_event(core: Core, told: Json, _: str) -> Flow[Json]:
    header = yield from reads.sealed(core, reads.height_of(told, 0))
    if told["hash"] != header.hash.hex():
        raise ProofInvalid(f"a node streamed block {header.height} with another hash than it has")
    light = core.need_light("prove an event")
    found = light.sealed(header.height)
    shown = _summary(header, None if found is None else found.seal, light)
    return {name: each for name, each in shown.items() if name != "proven"}


def _contract_event(core: Core, told: Json, node: str) -> Flow[Json]:
    path = f"/v1/proofs/event/{told['transaction_id']}/{told['event']}"
    try:
        file = yield from core.exchange(path, params={"min_height": str(told["height"])}, only=node)
    except Rejected as error:
        raise ProofInvalid(f"a node streamed an event that it cannot prove: {error}") from None
    found = core.need_light("prove an event").learn(file.body)
    if found.event is None or found.receipt is None:
        raise ProofInvalid(f"the proof of an event is one of kind {found.kind!r}")
    data = {
        "height": found.height,
        "index": found.receipt.index,
        "event": json.loads(found.text)["event"],
        "transaction_id": found.receipt.transaction_id.hex(),
        **present.event(found.event),
    }
    if data != told:
        raise ProofInvalid("a node streamed another event than the one that it proved")
    return data


def _learned(light: LightClient, proof: object) -> VerifiedProof:
    """A proof file that came inside another answer."""
    if not isinstance(proof, dict):
        raise ProofInvalid("a node's answer came without its proof")
    try:
        return light.learn(as_text(proof))
    except (InvalidProof, RecursionError) as error:
        raise ProofInvalid(f"a node's proof is none: {error}") from None

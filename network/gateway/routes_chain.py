"""Routes that read the chain: blocks, transactions, what an account sent, validators, genesis."""

from __future__ import annotations

import asyncio
import re
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Response

from ledger import codec
from ledger.errors import LedgerError
from ledger.proofs import prove_header, prove_transaction
from ledger.types import HEIGHT_MAX, BlockRecord
from network import present
from network.api import AccountEntry, TransactionRecord
from network.gateway.parameters import MinHeight
from network.gateway.problems import Problem
from network.gateway.services import Services, hex_32
from network.gateway.submit import STILL_PENDING, parse_wait
from network.json_values import to_json

BLOCK_TYPE = "application/vnd.quorate.block"
PENDING_NOTE = "accepted, waits for a block"
PAGE_PROOFS_BYTES_MAX = 2 << 20
_CURSOR = re.compile(r"^(\d{1,16})\.(\d{1,6})$", re.ASCII)

Limit = Annotated[int, Query(ge=1, le=100, description="At most so many.")]
Key = Annotated[str, Path(description="An account's public key: 64 hexadecimal digits.")]
TransactionId = Annotated[str, Path(description="A transaction's id: 64 hexadecimal digits.")]


def chain_routes(services: Services) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/v1")
    _add_blocks(router, services)
    _add_transactions(router, services)
    _add_accounts(router, services)
    _add_network(router, services)
    return router


# ── blocks ────────────────────────────────────────────────────────────────────────────────────────


def _add_blocks(router: APIRouter, services: Services) -> None:
    @router.get("/blocks", tags=["chain"], summary="Sealed blocks, newest first")
    async def list_blocks(
        before: Annotated[int | None, Query(ge=0, le=HEIGHT_MAX, description="Only heights below this one.")] = None,
        limit: Limit = 20,
        proof: Annotated[bool, Query(description="Whether to add the proof of each header.")] = False,
        min_height: MinHeight = None,
    ) -> Response:
        await services.reach(min_height)
        top = services.feed.height if before is None else min(before - 1, services.feed.height)
        validators = await services.validators()
        records = await _light_blocks(services, max(0, top - limit + 1), top)
        shown = [
            present.block_summary(record, present.signers_of(record.block.header, validators))
            for record in reversed(records)
        ]
        if proof:
            records = records[-await _add_proofs(services, shown, records[::-1]) :]
        shown = shown[: len(records)]
        next_before = records[0].height if records and records[0].height > 0 else None
        return services.answer({"blocks": shown, "next_before": next_before})

    @router.get("/blocks/{block}", tags=["chain"], summary="One sealed block with its seal, transactions and receipts")
    async def get_block(
        block: Annotated[str, Path(description="A height, or a block's hash.")],
        accept: Annotated[
            str,
            Query(
                alias="format",
                description='"json"; "raw" for the record\'s own bytes; "light" for these without bodies and receipts.',
            ),
        ] = "json",
        min_height: MinHeight = None,
    ) -> Response:
        await services.reach(min_height)
        if accept not in ("json", "raw", "light"):
            raise Problem("bad_parameter", f"format is {accept[:40]!r}; it is json, raw or light")
        record = await find_block(services, block, light=accept == "light")
        if accept != "json":
            return Response(codec.encode(record), media_type=BLOCK_TYPE)
        validators = present.signers_of(record.block.header, await services.validators())
        return services.answer(present.block(record, validators))


async def _add_proofs(services: Services, lines: list[dict[str, Any]], records: list[BlockRecord]) -> int:
    """Give each line the proof of its block; how many have one when the page is full, of all there are at least one.

    A proof brings every change of the validators since the genesis, so a page is shorter where there were many.
    """
    size = 0
    for number, (line, record) in enumerate(zip(lines, records, strict=True)):
        line["proof"] = found = await _header_proof(services, record)
        size += 0 if found is None else len(memoryview(found))
        if size > PAGE_PROOFS_BYTES_MAX:
            return max(1, number)
        await asyncio.sleep(0)  # a hundred take longer than others should wait
    return len(lines)


async def _header_proof(services: Services, record: BlockRecord) -> msgspec.Raw | None:
    """The proof file of a sealed header, for use inside another answer; block 0 has none."""
    if record.seal is None:
        return None
    return msgspec.Raw(prove_header(record, await services.closings.way_to(record)).encode())


async def _light_blocks(services: Services, first: int, last: int) -> list[BlockRecord]:
    if last < first:
        return []
    blocks: list[BlockRecord] = []
    for start in range(first, last + 1, 64):  # the most that one question may ask for
        blocks += await services.validator.blocks(start, min(last, start + 63), light=True)
    return blocks


async def find_block(services: Services, name: str, *, light: bool) -> BlockRecord:
    """A sealed block by height or hash. Raises `Problem`."""
    if len(name) == 64:
        record = await services.validator.block_by_hash(hex_32("the block's hash", name))
        if record is None:
            raise Problem("unknown_block", f"this node has no sealed block with the hash {name}")
        return BlockRecord(record.block, (), (), record.seal) if light else record
    if not (name.isascii() and name.isdigit()) or len(name) > 16 or int(name) > HEIGHT_MAX:
        raise Problem("bad_parameter", f"{name[:80]!r} is neither a height nor a block's hash of 64 hexadecimal digits")
    records = await services.validator.blocks(int(name), int(name), light)
    if not records:
        raise Problem("unknown_block", f"no sealed block at height {name}; the highest is {services.feed.height}")
    return records[0]


# ── transactions ──────────────────────────────────────────────────────────────────────────────────


def _add_transactions(router: APIRouter, services: Services) -> None:
    @router.get(
        "/transactions/{transaction_id}", tags=["transactions"], summary="A transaction, its receipt and its proof"
    )
    async def get_transaction(
        transaction_id: TransactionId,
        proof: Annotated[bool, Query(description="Whether to add the proof.")] = True,
        wait: Annotated[str, Query(description='"sealed" waits for the outcome.')] = "",
        timeout_s: Annotated[str, Query(description="How long to wait, in seconds.")] = "",
        min_height: MinHeight = None,
    ) -> Response:
        await services.reach(min_height)
        name = hex_32("the transaction's id", transaction_id)
        waiting = parse_wait(wait, timeout_s, services.settings)
        found = await find_transaction(services, name, waiting.timeout_s if waiting.sealed else 0.0)
        if found.state != "sealed":
            shown = _pending(found, STILL_PENDING if waiting.sealed else PENDING_NOTE)
            return services.answer(shown, 202 if waiting.sealed else 200)
        return services.answer(await _sealed(services, found, with_proof=proof))

    @router.get(
        "/transactions/{transaction_id}/receipt", tags=["transactions"], summary="The one-file receipt, to keep"
    )
    async def download_receipt(transaction_id: TransactionId, min_height: MinHeight = None) -> Response:
        await services.reach(min_height)
        name = hex_32("the transaction's id", transaction_id)
        found = await find_transaction(services, name, 0.0)
        if found.state != "sealed":
            raise Problem("not_sealed", "the transaction waits for a block; its receipt exists once that is sealed")
        record = await record_of(services, found, light=False)
        return Response(
            await make_proof_json(services, record, found.index),
            headers={"content-disposition": f'attachment; filename="receipt-{name.hex()[:16]}.json"'},
            media_type="application/json",
        )


async def find_transaction(services: Services, transaction_id: bytes, wait_s: float) -> TransactionRecord:
    """A transaction, sealed or waiting; for its outcome one may wait. Raises `Problem`."""
    with services.waiters.place(transaction_id) as place:
        found = await services.validator.transaction(transaction_id)
        if found is not None and found.state != "sealed" and wait_s > 0 and await place.outcome(wait_s):
            found = await services.validator.transaction(transaction_id)
    if found is None:
        raise Problem(
            "unknown_transaction",
            "unknown here, which is not the same as never accepted: another node may know it, and sending the same "
            "bytes again is always safe",
            sealed_height=services.feed.height,
        )
    return found


def _pending(found: TransactionRecord, detail: str) -> dict[str, Any]:
    shown = present.transaction(found.raw)
    detail = detail.replace("{id}", shown["id"])
    return {"id": shown["id"], "state": "pending", "detail": detail, "transaction": shown}


async def record_of(services: Services, found: TransactionRecord, *, light: bool) -> BlockRecord:
    """The block that a sealed transaction is in. Raises `Problem`."""
    records = await services.validator.blocks(found.height, found.height, light)
    if not records:
        raise Problem("busy", f"block {found.height} is not at hand; try again, or ask another node")
    return records[0]


async def _sealed(services: Services, found: TransactionRecord, *, with_proof: bool) -> dict[str, Any]:
    record = await record_of(services, found, light=not with_proof)
    validators = present.signers_of(record.block.header, await services.validators())
    shown = present.transaction(found.raw)
    answer = {
        "id": shown["id"],
        "state": "sealed",
        "height": found.height,
        "index": found.index,
        "block_hash": record.block.header.hash.hex(),
        "time_ms": record.block.header.time_ms,
        "time": present.iso_time(record.block.header.time_ms),
        "transaction": shown,
        "receipt": present.receipt(found.receipt),
        "seal": present.seal(record.seal, validators),
    }
    if with_proof:
        answer["proof"] = msgspec.Raw(await make_proof_json(services, record, found.index))
    return answer


async def make_proof_json(services: Services, record: BlockRecord, index: int) -> bytes:
    """The one-file receipt: transaction, receipt, both paths, header and seal."""
    way = await services.closings.way_to(record)
    try:
        return prove_transaction(record, index, way).encode()
    except LedgerError as error:
        raise Problem("busy", f"the proof cannot be made yet: {error}") from error


# ── accounts ──────────────────────────────────────────────────────────────────────────────────────


def _add_accounts(router: APIRouter, services: Services) -> None:
    @router.get("/accounts", tags=["accounts"], summary="Accounts of this network, by public key")
    async def list_accounts(
        after: Annotated[str, Query(description="Only keys after this one.")] = "",
        limit: Limit = 50,
        min_height: MinHeight = None,
    ) -> Response:
        await services.reach(min_height)
        if after:
            hex_32("after", after)
        found, height = await _system_view(services, "accounts", [after.lower(), limit])
        return services.answer({"accounts": to_json(found), "height": height})

    @router.get("/accounts/{public_key}", tags=["accounts"], summary="One account: its name and roles")
    async def get_account(public_key: Key, min_height: MinHeight = None) -> Response:
        await services.reach(min_height)
        key = hex_32("the account", public_key)
        found, height = await _system_view(services, "account", [key.hex()])
        if not found:
            raise Problem("unknown_account", f"{key.hex()} is no account of this network")
        return services.answer({"public_key": key.hex(), "account": to_json(found), "height": height})

    @router.get("/accounts/{public_key}/transactions", tags=["accounts"], summary="What an account sent, newest first")
    async def list_account_transactions(
        public_key: Key,
        before: Annotated[str, Query(description="Only what comes before this cursor (next_before of a page).")] = "",
        limit: Limit = 20,
        min_height: MinHeight = None,
    ) -> Response:
        await services.reach(min_height)
        key = hex_32("the account", public_key)
        height, index = read_cursor(before)
        entries = await services.validator.account(key, height, index, limit)
        shown = await asyncio.gather(*(_entry(services, entry) for entry in entries))
        more = f"{entries[-1].height}.{entries[-1].index}" if len(entries) == limit else None
        return services.answer({"public_key": key.hex(), "transactions": shown, "next_before": more})


def read_cursor(text: str) -> tuple[int, int]:
    """A page's cursor "height.index"; without one, beyond everything."""
    if not text:
        return HEIGHT_MAX, 0
    found = _CURSOR.match(text)
    if found is None:
        raise Problem("bad_parameter", f"before is {text[:40]!r}; pass the next_before of the page before")
    return int(found[1]), int(found[2])


async def _entry(services: Services, entry: AccountEntry) -> dict[str, Any]:
    line: dict[str, Any] = {"id": entry.transaction_id.hex(), "height": entry.height, "index": entry.index}
    found = await services.validator.transaction(entry.transaction_id)
    if found is not None and found.state == "sealed":
        receipt = present.receipt(found.receipt)
        line |= {
            "calls": present.transaction(found.raw)["calls"],
            "code": receipt["code"],
            "message": receipt["message"],
            "gas_used": receipt["gas_used"],
        }
    return line


async def _system_view(services: Services, method: str, args: list[Any]) -> tuple[Any, int]:
    async with services.views.place():
        outcome = await services.executor.view("system", method, codec.encode(args), bytes(32))
    if outcome.code != "ok":
        raise Problem("view_failed", f"system.{method} answered {outcome.code}: {outcome.message}")
    return codec.decode(outcome.value), outcome.height


# ── the network ───────────────────────────────────────────────────────────────────────────────────


def _add_network(router: APIRouter, services: Services) -> None:
    @router.get("/validators", tags=["network"], summary="The validators of the current epoch, as this node sees them")
    async def list_validators() -> Response:
        validators = await services.validators()
        status = await services.validator.status()
        peers = {peer.member: peer for peer in status.peers}
        members = []
        for index, member in enumerate(validators.members):
            line: dict[str, Any] = {
                "member": index,
                "name": member.name,
                "public_key": member.public_key.hex(),
                "power": member.power,
                "primary": index == status.primary,
                "self": index == status.member,
                "connected": index == status.member,
                "view": status.view if index == status.member else 0,
                "sealed_height": status.sealed_height if index == status.member else 0,
            }
            peer = peers.get(index)
            if peer is not None:
                line |= {"connected": peer.connected, "view": peer.view, "sealed_height": peer.sealed_height}
            members.append(line)
        return services.answer(
            {
                "validators": members,
                "hash": validators.hash.hex(),
                "total_power": validators.total_power,
                "view": status.view,
                "primary": status.primary,
            }
        )

    @router.get("/genesis", tags=["network"], summary="The genesis: what every member agreed on first")
    async def get_genesis(
        shape: Annotated[str, Query(alias="format", description='"json", or "file" for genesis.json itself.')] = "json",
    ) -> Response:
        if shape not in ("json", "file"):
            raise Problem("bad_parameter", f"format is {shape[:40]!r}; it is json or file")
        from ledger.genesis import to_json as genesis_file  # here: it loads X.509, a tenth of the gateway's start

        genesis = await services.genesis()
        text = genesis_file(genesis).encode()
        if shape == "file":
            headers = {"content-disposition": 'attachment; filename="genesis.json"'}
            return Response(text, headers=headers, media_type="application/json")
        return services.answer({"chain_id": genesis.chain_id.hex(), "genesis": msgspec.Raw(text)})

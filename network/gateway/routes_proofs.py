"""Routes that hand out proof files: one file for one thing, which `quorate verify` checks without any node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from ledger.errors import LedgerError
from ledger.proofs import Way, prove_event, prove_header, prove_receipt, prove_state, prove_transaction
from ledger.types import HEIGHT_MAX, BlockRecord
from network.gateway.parameters import MinHeight
from network.gateway.problems import Problem
from network.gateway.routes_chain import TransactionId, find_block, find_transaction, record_of
from network.gateway.routes_contracts import AtHeight, ContractName, look_up, path_segments
from network.gateway.services import Services, hex_32

Begin = Annotated[
    str, Query(alias="header", description="The hash of a header that the reader trusts: the proof begins there.")
]


def proof_routes(services: Services) -> APIRouter:
    """The router."""
    router = APIRouter(prefix="/v1/proofs", tags=["proofs"])
    _add_blocks(router, services)
    _add_transactions(router, services)
    _add_state(router, services)
    return router


def _add_blocks(router: APIRouter, services: Services) -> None:
    @router.get("/header/{block}", summary="A sealed header, as a file")
    async def prove_sealed_header(
        block: Annotated[str, Path(description="A height, or a block's hash.")],
        header: Begin = "",
        min_height: MinHeight = None,
    ) -> Response:
        await services.reach(min_height)
        record = await find_block(services, block, light=True)
        way = await _way(services, record, header)
        return _file(f"block-{record.height}.json", lambda: prove_header(record, way))


def _add_transactions(router: APIRouter, services: Services) -> None:
    @router.get("/transaction/{transaction_id}", summary="A transaction and its outcome, as a file")
    async def prove_whole(transaction_id: TransactionId, header: Begin = "", min_height: MinHeight = None) -> Response:
        record, index, way = await _found(services, transaction_id, header, min_height)
        return _file(f"receipt-{transaction_id[:16]}.json", lambda: prove_transaction(record, index, way))

    @router.get("/receipt/{transaction_id}", summary="The outcome of a transaction, without its arguments, as a file")
    async def prove_outcome(
        transaction_id: TransactionId, header: Begin = "", min_height: MinHeight = None
    ) -> Response:
        record, index, way = await _found(services, transaction_id, header, min_height)
        return _file(f"outcome-{transaction_id[:16]}.json", lambda: prove_receipt(record, index, way))

    @router.get("/event/{transaction_id}/{number}", summary="An event that a transaction emitted, as a file")
    async def prove_emitted(
        transaction_id: TransactionId,
        number: Annotated[int, Path(ge=0, le=HEIGHT_MAX, description="Which of its events, from 0 on.")],
        header: Begin = "",
        min_height: MinHeight = None,
    ) -> Response:
        record, index, way = await _found(services, transaction_id, header, min_height)
        return _file(f"event-{transaction_id[:16]}-{number}.json", lambda: prove_event(record, index, number, way))


def _add_state(router: APIRouter, services: Services) -> None:
    @router.get("/state/{contract}/{path:path}", summary="A state value, or its absence, as a file")
    async def prove_value(
        request: Request,
        contract: ContractName,
        path: Annotated[str, Path(description="The variable, then one segment for each part of the key.")],  # noqa: ARG001 - documents the route
        height: AtHeight = None,
        header: Begin = "",
        min_height: MinHeight = None,
    ) -> Response:
        await services.reach(min_height)
        _, variable, found = await look_up(services, contract, path_segments(request, "/v1/proofs/state"), height)
        record = await find_block(services, str(found.height), light=True)
        way = await _way(services, record, header)
        value = found.value if found.present else None
        name = f"state-{contract}-{variable}-{found.height}.json"
        return _file(name, lambda: prove_state(record, found.key, value, found.proof, way))


async def _found(
    services: Services, transaction_id: str, header: str, min_height: int | None
) -> tuple[BlockRecord, int, Way]:
    """The block of a sealed transaction, its index there, and where the proof begins."""
    await services.reach(min_height)
    found = await find_transaction(services, hex_32("the transaction's id", transaction_id), 0.0)
    if found.state != "sealed":
        raise Problem("not_sealed", "the transaction waits for a block; it can be proven once that is sealed")
    record = await record_of(services, found, light=False)
    return record, found.index, await _way(services, record, header)


async def _way(services: Services, record: BlockRecord, header: str) -> Way:
    """From the genesis, or from the header with this hash, to the set that sealed a block."""
    if not header:
        return await services.closings.way_to(record)
    trusted = await find_block(services, hex_32("header", header).hex(), light=True)
    return await services.closings.way_to(record, trusted)


def _file(name: str, prove: Callable[[], str]) -> Response:
    try:
        text = prove()
    except LedgerError as error:
        raise Problem("no_proof", str(error)) from None
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(text.encode(), headers=headers, media_type="application/json")

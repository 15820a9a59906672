"""The outcome of a transaction, for people and for machines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from network.client import Outcome

PENDING_ADVICE = "not sealed yet; ask again with: quorate tx {id}"

UNDECIDED_ADVICE = (
    "It may still be executed, and the same command again would be a second transaction: ask for this one with "
    "quorate tx {id}; quorate status says whether a quorum is connected"
)


def outcome_rows(outcome: Outcome) -> list[tuple[str, object]]:
    """Names and values, in the order in which a person asks."""
    name = outcome.transaction_id.hex()
    if not outcome.sealed:
        return [("transaction", name), ("outcome", PENDING_ADVICE.format(id=name))]
    where = f" ({outcome.contract}, line {outcome.line})" if outcome.line else ""
    rows: list[tuple[str, object]] = [
        ("outcome", "ok" if outcome.ok else f"{outcome.code}: {outcome.message}{where}"),
        *(("result", shown(result)) for result in outcome.results if result is not None),
        *(("event", f"{event['contract']}.{event['name']} {shown(event['fields'])}") for event in outcome.events),
        ("transaction", name),
        ("block", f"{outcome.height}, {outcome.block_hash.hex()}"),
        ("gas used", outcome.gas_used),
    ]
    return [*rows, ("proven", "against the genesis")] if outcome.proven else rows


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """The same for a machine; contract values as the HTTP API writes them."""
    from network.json_values import to_json

    return {
        "id": outcome.transaction_id.hex(),
        "state": outcome.state,
        "code": outcome.code,
        "message": outcome.message,
        "contract": outcome.contract,
        "line": outcome.line,
        "height": outcome.height,
        "index": outcome.index,
        "block_hash": outcome.block_hash.hex(),
        "gas_used": outcome.gas_used,
        "results": [to_json(result) for result in outcome.results],
        "events": [{**event, "fields": to_json(event["fields"])} for event in outcome.events],
        "proven": outcome.proven,
    }


def shown(value: Any) -> str:
    """A contract value on one line, as JSON."""
    from network.json_values import to_json

    return json.dumps(to_json(value), ensure_ascii=False)

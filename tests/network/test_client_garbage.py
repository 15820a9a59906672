"""Whatever a node answers, the SDK gives an answer of its own or one of its own errors: never another exception."""

from __future__ import annotations

import contextlib
import json

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger import codec
from ledger.crypto import SigningKey
from ledger.proofs import prove_transaction
from ledger.transactions import identify
from network import present
from network.client import Client, ClientError
from scripts.paper_proofs import Chain

CHAIN = Chain("paper")
RECORD = CHAIN.records[1]
NAME = identify(RECORD.bodies[0])[0]
PROOF = json.loads(prove_transaction(RECORD, 0))
STATUS = {
    "chain_id": CHAIN.genesis.chain_id.hex(),
    "sealed_height": 2,
    "parameters": {"validity_window": 4096},
}
OUTCOME = {
    "id": NAME.hex(),
    "state": "sealed",
    "height": 2,
    "index": 0,
    "block_hash": RECORD.block.header.hash.hex(),
    "receipt": present.receipt(RECORD.receipts[0]),
}
TRUE = [
    STATUS,
    OUTCOME,
    OUTCOME | {"transaction": present.transaction(RECORD.bodies[0]), "proof": PROOF, "time_ms": 1},
    PROOF,
    {"results": [OUTCOME]},
    {"blocks": [present.block_summary(RECORD, None) | {"proof": PROOF}], "next_before": None},
    {"value": 1, "height": 2, "gas_used": 3},
    {"present": True, "encoded": "01", "proof": "93c4", "height": 2, "key": "00", "value": 1},
    {"code": "busy", "detail": "later", "status": 503},
]
RAW = [RECORD.encode(), codec.encode([]), b""]
CALLS = {
    "status": lambda client: client.status(),
    "view": lambda client: client.view("token", "balance_of", "x"),
    "view by quorum": lambda client: client.view("token", "balance_of", "x", mode="quorum"),
    "state": lambda client: client.state("token", "supply"),
    "local state": lambda client: client.state("token", "supply", mode="local"),
    "state by quorum": lambda client: client.state("token", "supply", mode="quorum"),
    "header": lambda client: client.header(),
    "header 2": lambda client: client.header(2),
    "transaction": lambda client: client.transaction(NAME),
    "local transaction": lambda client: client.transaction(NAME, mode="local"),
    "proof": lambda client: client.proof(NAME),
    "block": lambda client: client.block(2),
    "blocks": lambda client: client.blocks(),
    "local blocks": lambda client: client.blocks(mode="local"),
    "submit": lambda client: client.submit(RECORD.bodies[0], timeout_s=0.01),
    "submit many": lambda client: client.submit_many(RECORD.bodies[:1], wait=True, timeout_s=0.01),
    "call": lambda client: client.call("token", "pay", "x", 1, timeout_s=0.01),
    "events": lambda client: next(client.events(start=1)),
    "local events": lambda client: next(client.events(start=1, mode="local")),
}

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["", "00", "$int"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["$int", "$bytes", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def answers(draw):
    """A true answer, perhaps to another question, with some of it replaced; or bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(RAW) | st.binary(max_size=20))
    found = json.loads(json.dumps(draw(st.sampled_from(TRUE) | values)))
    holder = found
    while isinstance(holder, dict | list) and holder and draw(st.booleans()):
        place = draw(st.sampled_from(sorted(holder)) if isinstance(holder, dict) else st.integers(0, len(holder) - 1))
        if draw(st.booleans()):
            if isinstance(holder, dict) and draw(st.booleans()):
                del holder[place]
            else:
                holder[place] = draw(values)
            break
        holder = holder[place]
    return json.dumps(found).encode()


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_answer_to(name, data, monkeypatch):
    for constant in ("READ_TIMEOUT_S", "SAME_NODE_TIMEOUT_S", "PAUSE_MIN_S", "PAUSE_MAX_S"):
        monkeypatch.setattr(f"network.client.core.{constant}", 0.0)
    monkeypatch.setattr("network.client.web.RECONNECT_S", 0.0)
    statuses = st.sampled_from([200, 200, 200, 202, 404, 409, 429, 500])
    drawn = data.draw(st.lists(st.tuples(statuses, answers(), st.booleans()), min_size=6, max_size=6))
    prepared = iter(drawn)

    def answer(request):
        status, body, is_event = next(prepared, (404, b'{"code": "not_found", "detail": "no more"}', False))
        if request.url.path == "/v1/events" and is_event:
            body = b"id: 2.0.0\nevent: contract\ndata: " + body + b"\n\n"
        return httpx.Response(status, content=body)

    key = SigningKey.from_seed(b"k" * 32)
    urls = ["http://a", "http://b"]
    transport = httpx.MockTransport(answer)
    with (
        Client(urls, key=key, genesis=CHAIN.genesis, timeout_s=0.01, transport=transport) as client,
        contextlib.suppress(ClientError),
    ):
        CALLS[name](client)

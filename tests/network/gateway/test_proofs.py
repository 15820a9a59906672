"""The routes that hand out proof files: each file verifies offline, and is about what was asked for."""

from __future__ import annotations

import contextlib
import json

import msgspec
import pytest

from ledger import codec
from ledger.proof_file import as_text
from ledger.proofs import verify_proof
from ledger.state import State
from ledger.transactions import identify
from network.gateway import routes_chain


@pytest.fixture
def state(node, tmp_path):
    """The node keeps its entries in a real state, with real proofs."""
    with contextlib.closing(State.open(tmp_path / "state")) as found:
        node.state = found
        found.commit(0, {})
        yield found


async def sealed(gateway, node, poll, *digests) -> str:
    """The id of the last of these registrations, sealed together."""
    raws = [node.sign(digest) for digest in digests]
    node.pending = {identify(raw)[0]: raw for raw in raws}
    height = node.seal().height
    await poll(lambda: gateway.app.services.feed.height >= height)
    return identify(raws[-1])[0].hex()


async def test_a_file_of_each_kind_is_about_what_was_asked_for(gateway, node, state, poll):
    name = await sealed(gateway, node, poll, "aa", "bb")
    for path, kind, file in [
        (f"transaction/{name}", "transaction", f"receipt-{name[:16]}.json"),
        (f"receipt/{name}", "receipt", f"outcome-{name[:16]}.json"),
        (f"event/{name}/0", "event", f"event-{name[:16]}-0.json"),
        ("header/1", "header", "block-1.json"),
        (f"header/{node.records[1].block.header.hash.hex()}", "header", "block-1.json"),
        ("state/registry/entries/bb", "state", "state-registry-entries-1.json"),
    ]:
        answer = await gateway.get(f"/v1/proofs/{path}")
        assert answer.headers["content-disposition"] == f'attachment; filename="{file}"'
        found = verify_proof(answer.content, node.genesis)
        assert (found.kind, found.height, found.signers) == (kind, 1, ("alpha", "bravo", "delta"))
        assert found.receipt is None or found.receipt.transaction_id.hex() == name
        assert found.event is None or codec.decode(found.event.fields) == {"digest": "bb"}


async def test_a_value_and_an_absence_at_a_height(gateway, node, state, poll):
    await sealed(gateway, node, poll, "aa")
    await sealed(gateway, node, poll, "a/b")
    for path, value, height in [
        ("a%2Fb", node.alice.public_key.hex(), 2),
        ("a%2Fb?height=1", None, 1),
        ("aa?height=1", node.alice.public_key.hex(), 1),
        ("zz", None, 2),
    ]:
        found = verify_proof((await gateway.get(f"/v1/proofs/state/registry/entries/{path}")).content, node.genesis)
        assert (found.height, found.state.contract, found.state.variable) == (height, "registry", "entries")
        assert found.state.value == (None if value is None else codec.encode(value))


async def test_a_proof_may_begin_at_a_header_that_the_reader_trusts(gateway, node, poll):
    name = await sealed(gateway, node, poll, "aa")
    trusted = node.records[1].block.header.hash
    answer = await gateway.get(f"/v1/proofs/receipt/{name}?header={trusted.hex()}")
    assert verify_proof(answer.content, trusted).receipt.transaction_id.hex() == name
    unknown = await gateway.get(f"/v1/proofs/receipt/{name}?header={'ab' * 32}")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_block")
    wrong = await gateway.get(f"/v1/proofs/receipt/{name}?header=ab")
    assert (wrong.status_code, wrong.json()["code"]) == (400, "bad_parameter")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("event/{id}/1", 404, "no_proof"),
        ("event/{id}/-1", 400, "bad_parameter"),
        ("event/{id}/x", 400, "bad_parameter"),
        ("header/0", 404, "no_proof"),
        ("header/9", 404, "unknown_block"),
        ("header/x", 400, "bad_parameter"),
        ("transaction/abab", 400, "bad_parameter"),
        ("transaction/" + "ab" * 32, 404, "unknown_transaction"),
        ("state/registry/none/aa", 404, "unknown_variable"),
        ("state/registry/entries", 422, "bad_arguments"),
        ("state/other/entries/aa", 404, "unknown_contract"),
        ("state/registry/entries/aa?height=9", 409, "height_not_reached"),
        ("state/registry/entries/aa?height=0", 404, "no_proof"),
    ],
)
async def test_what_cannot_be_proven_is_said(gateway, node, state, poll, path, status, code):
    name = await sealed(gateway, node, poll, "aa")
    answer = await gateway.get("/v1/proofs/" + path.replace("{id}", name))
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_a_list_of_blocks_has_the_proof_of_each(gateway, node, poll):
    for _ in range(3):
        await sealed(gateway, node, poll, f"{node.height}")
    lines = (await gateway.get("/v1/blocks?proof=true&limit=3")).json()["blocks"]
    assert [verify_proof(as_text(line["proof"]), node.genesis).height for line in lines] == [3, 2, 1]
    assert (await gateway.get("/v1/blocks?proof=true&before=1")).json()["blocks"][0]["proof"] is None
    assert "proof" not in (await gateway.get("/v1/blocks")).json()["blocks"][0]


async def test_a_page_ends_early_where_its_proofs_are_long(gateway, node, poll, monkeypatch):
    """Each brings the closings since the genesis: a hundred lines of a thousand of them would be hundreds of MB."""
    for _ in range(5):
        await sealed(gateway, node, poll, f"{node.height}")
    whole = (await gateway.get("/v1/blocks?proof=true")).json()["blocks"]
    longest = max(len(msgspec.json.encode(line["proof"])) for line in whole)
    monkeypatch.setattr(routes_chain, "PAGE_PROOFS_BYTES_MAX", 2 * longest + 1000)  # in a file they have white space
    heights, before, pages = [], "", 0
    while before is not None:
        page = (await gateway.get(f"/v1/blocks?proof=true{before and f'&before={before}'}")).json()
        assert 1 <= len(page["blocks"]) < 5
        heights += [line["height"] for line in page["blocks"]]
        assert all(line["proof"] or line["height"] == 0 for line in page["blocks"])
        before, pages = page["next_before"], pages + 1
    assert heights == [5, 4, 3, 2, 1, 0]
    assert pages > 1
    monkeypatch.setattr(routes_chain, "PAGE_PROOFS_BYTES_MAX", 1)
    page = (await gateway.get("/v1/blocks?proof=true")).json()
    assert ([line["height"] for line in page["blocks"]], page["next_before"]) == ([5], 5)
    assert len((await gateway.get("/v1/blocks")).json()["blocks"]) == 6


async def test_what_waits_for_a_block_is_not_proven_yet(gateway, node):
    raw = node.sign("aa")
    node.pending[identify(raw)[0]] = raw
    answer = await gateway.get(f"/v1/proofs/transaction/{identify(raw)[0].hex()}")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_sealed")


async def test_the_receipt_of_a_transaction_is_the_same_file(gateway, node, poll):
    name = await sealed(gateway, node, poll, "aa")
    files = [await gateway.get(path) for path in (f"/v1/transactions/{name}/receipt", f"/v1/proofs/transaction/{name}")]
    assert files[0].content == files[1].content
    assert json.loads(files[0].content)["kind"] == "transaction"

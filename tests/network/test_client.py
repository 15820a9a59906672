"""The SDK against gateways on real sockets: one call, three outcomes, retries, and nodes that lie."""

from __future__ import annotations

import asyncio
import contextlib
import json

import httpx
import pytest

from ledger import codec
from ledger.proofs import prove_transaction, verify_proof
from ledger.state import State
from ledger.transactions import identify, read_transaction
from network.client import (
    AsyncClient,
    Client,
    NotConfigured,
    ProofInvalid,
    Rejected,
    TransactionFailed,
    Unavailable,
    Undecided,
)
from network.client.core import Core
from network.client.messages import Ask, NoAnswer
from network.gateway import bind


@pytest.fixture
async def url(node, settings, serving):
    async with serving(node, settings) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def client(url, node):
    async with AsyncClient([url], key=node.alice, genesis=node.genesis) as found:
        yield found


def dead_url() -> str:
    with contextlib.closing(bind("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def fake_client(node, answer, **options) -> AsyncClient:
    """A client whose nodes are a function of the request."""
    options = {"key": node.alice, "genesis": node.genesis, "timeout_s": 0.3} | options
    return AsyncClient(["http://a", "http://b"], transport=httpx.MockTransport(answer), **options)


# ── calls ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_call_returns_a_proven_outcome(client, node):
    outcome = await client.call("registry", "register", "aa")
    assert (outcome.state, outcome.code, outcome.height, outcome.value, outcome.proven) == ("sealed", "ok", 1, 2, True)
    assert outcome.events == ({"contract": "registry", "name": "Registered", "fields": {"digest": "aa"}},)
    assert outcome.block_hash == node.records[1].block.header.hash


async def test_without_a_genesis_the_outcome_is_labelled_unproven(url, node):
    async with AsyncClient([url], key=node.alice) as client:
        assert (await client.call("registry", "register", "aa")).proven is False


async def test_a_call_picks_salt_and_valid_until_by_itself(client, node):
    first = read_transaction(await client.sign([("registry", "register", ["aa"])]))
    second = read_transaction(await client.sign([("registry", "register", ["aa"])]))
    assert first.body.salt != second.body.salt
    assert first.body.valid_until == node.height + node.genesis.parameters.validity_window // 2
    assert first.body.chain_id == node.genesis.chain_id


async def test_not_waiting_returns_a_pending_outcome(client, node):
    outcome = await client.call("registry", "register", "aa", wait=False)
    assert (outcome.state, outcome.sealed, outcome.ok) == ("pending", False, False)


async def test_a_failed_call_raises_with_the_contracts_own_words_and_line(client):
    await client.call("registry", "register", "aa")
    with pytest.raises(TransactionFailed, match=r"^failed: registered already \(registry, line 8\)$") as caught:
        await client.call("registry", "register", "aa")
    assert (caught.value.code, caught.value.line, caught.value.outcome.sealed) == ("failed", 8, True)
    assert caught.value.outcome.proven


async def test_deploy_is_a_call_of_the_system_contract(client, node):
    await client.deploy("mine", "class Mine(Contract): ...", 7)
    call = read_transaction(node.records[1].bodies[0]).body.calls[0]
    assert (call.contract, call.method) == ("system", "deploy")
    assert codec.decode(call.args) == ["mine", "class Mine(Contract): ...", [7]]


async def test_many_get_one_result_each(client, node):
    raws = [node.sign("aa"), node.sign("bb", signer=node.stranger), node.sign(7)]
    good, refused, failed = await client.submit_many(raws, wait=True)
    assert (good.code, failed.code) == ("ok", "bad_arguments")
    assert isinstance(refused, Rejected)
    assert refused.code == "unknown_sender"


async def test_many_more_than_one_request_holds(client, node):
    raws = [node.sign(f"{n:04x}") for n in range(1100)]
    outcomes = await client.submit_many(raws)
    assert [outcome.transaction_id for outcome in outcomes] == [identify(raw)[0] for raw in raws]
    assert {outcome.state for outcome in outcomes} == {"pending"}


async def test_the_blocking_client_is_the_same(url, node):
    def work():
        with Client([url], key=node.alice, genesis=node.genesis) as client:
            outcome = client.call("registry", "register", "aa")
            assert outcome.proven
            assert client.view("registry", "owner_of", "aa") == node.alice.public_key.hex()
            assert client.status()["sealed_height"] == 1
            assert client.chain_id() == node.genesis.chain_id
            assert client.block(1)["header"]["height"] == 1
            assert [block["height"] for block in client.blocks()] == [1, 0]
            assert client.transaction(outcome.transaction_id)["state"] == "sealed"
            assert client.proof(outcome.transaction_id).receipt.index == 0
            assert client.submit_many([node.sign("bb")], wait=True)[0].ok
            assert client.get("/v1/validators")["total_power"] == 4
            assert [event.kind for event in zip_two(client.events(start=1))] == ["contract", "block"]
            with pytest.raises(TransactionFailed):
                client.call("registry", "register", "aa")

    await asyncio.to_thread(work)


def zip_two(events):
    return [next(events), next(events)]


# ── what is refused, and what is not known ────────────────────────────────────────────────────────


async def test_an_unknown_sender_is_rejected_with_the_nodes_reason(url, node):
    async with AsyncClient([url], key=node.stranger, genesis=node.genesis) as client:
        with pytest.raises(Rejected, match="is no account of this network") as caught:
            await client.call("registry", "register", "aa")
    assert (caught.value.code, caught.value.status) == ("unknown_sender", 403)


async def test_a_node_of_another_chain_is_noticed_before_anything_is_sent(url, node):
    other = type(node)().genesis
    other = type(other)(1, "othernet", other.time_ms, other.parameters, other.validators, other.accounts)
    async with AsyncClient([url], key=node.alice, genesis=other) as client:
        with pytest.raises(ProofInvalid, match="the node is on chain"):
            await client.call("registry", "register", "aa")
    assert node.calls["submit"] == 0


async def test_no_seal_within_the_time_is_undecided_and_the_same_bytes_resolve_it(client, node):
    node.auto_seal = False
    with pytest.raises(Undecided, match="no seal within the time") as caught:
        await client.call("registry", "register", "aa", timeout_s=0.1)
    node.seal()
    outcome = await client.submit(caught.value.raw)
    assert (outcome.transaction_id, outcome.ok) == (caught.value.transaction_id, True)
    assert len(node.records[1].bodies) == 1


async def test_no_node_at_all_is_unavailable(node):
    async with AsyncClient([dead_url()], key=node.alice, genesis=node.genesis, timeout_s=0.2) as client:
        with pytest.raises(Unavailable, match="ConnectError"):
            await client.submit(node.sign("aa"))


async def test_a_busy_node_is_asked_again(client, node, poll):
    node.busy = True
    raw = node.sign("aa")
    sending = asyncio.create_task(client.submit(raw))
    await poll(lambda: node.calls["submit"] >= 2)
    node.busy = False
    assert (await sending).ok


async def test_a_node_that_stays_busy_rejects(client, node):
    node.busy = True
    with pytest.raises(Rejected) as caught:
        await client.submit(node.sign("aa"), timeout_s=0.1)
    assert caught.value.code == "busy"


async def test_a_dead_node_is_passed_over(url, node):
    async with AsyncClient([dead_url(), url, dead_url()], key=node.alice, genesis=node.genesis) as client:
        for name in ("aa", "bb", "cc"):
            assert (await client.call("registry", "register", name)).ok


@pytest.mark.parametrize(("nodes", "shares"), [(1, [10.0]), (2, [5.0, 5.0]), (8, [3.0, 3.0, 3.0, 1.0])])
def test_a_node_that_hangs_leaves_time_for_the_others(node, nodes, shares):
    """A read has ten seconds: they are shared among the nodes not asked yet, or the first that hangs had them all."""
    now = [0.0]
    urls = [f"http://{number}" for number in range(nodes)]
    core = Core(urls, None, None, timeout_s=10, gas_limit=1, clock=lambda: now[0])
    flow = core.get("/v1/status")
    asked = []

    def let_them_hang():
        step = next(flow)
        while True:
            asked.extend([step] if isinstance(step, Ask) else [])
            now[0] += step.timeout_s if isinstance(step, Ask) else step.seconds
            step = flow.send(NoAnswer("timed out", sent=True) if isinstance(step, Ask) else None)

    with pytest.raises(Unavailable):
        let_them_hang()
    assert [round(ask.timeout_s, 1) for ask in asked] == [round(share, 1) for share in shares]
    assert len({ask.url for ask in asked}) == len(asked)


async def test_an_answer_lost_on_the_way_is_retried_with_the_same_bytes(node):
    bodies = []

    def answer(request):
        bodies.append(request.content)
        if len(bodies) == 1:
            raise httpx.ReadError("connection reset")
        name = identify(request.content)[0].hex()
        return httpx.Response(202, json={"id": name, "state": "pending"})

    async with fake_client(node, answer) as client:
        assert (await client.submit(node.sign("aa"), wait=False)).state == "pending"
    assert bodies[0] == bodies[1]


async def test_a_refusal_after_a_lost_answer_is_undecided_and_never_called_rejected(node):
    replies = iter([None, httpx.Response(422, json={"code": "expired", "detail": "too late"})])

    def answer(request):
        found = next(replies)
        if found is None:
            raise httpx.ReadError("connection reset")
        return found

    async with fake_client(node, answer) as client:
        with pytest.raises(Undecided, match="may have taken it"):
            await client.submit(node.sign("aa"))


async def test_a_refusal_that_every_node_would_give_is_rejected_even_then(node):
    replies = iter([None, httpx.Response(422, json={"code": "bad_signature", "detail": "does not hold"})])

    def answer(request):
        found = next(replies)
        if found is None:
            raise httpx.ReadError("connection reset")
        return found

    async with fake_client(node, answer) as client:
        with pytest.raises(Rejected, match="bad_signature"):
            await client.submit(node.sign("aa"))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b'{"id": "zz", "state": "sealed"}', b'{"state": 1}', b"[" * 9999]
)
async def test_an_answer_that_is_no_nodes(node, body):
    async with fake_client(node, lambda request: httpx.Response(200, content=body)) as client:
        with pytest.raises(ProofInvalid):
            await client.submit(node.sign("aa"))


async def test_errors_without_a_problem_are_still_rejections(node):
    async with fake_client(node, lambda request: httpx.Response(404, content=b"<html>not here")) as client:
        with pytest.raises(Rejected, match="HTTP status 404"):
            await client.view("registry", "owner_of", "aa")


async def test_without_a_key_or_a_genesis(url, node):
    async with AsyncClient([url]) as client:
        with pytest.raises(NotConfigured, match="no key"):
            await client.call("registry", "register", "aa")
        with pytest.raises(NotConfigured, match="no genesis"):
            await client.proof(bytes(32))
    with pytest.raises(ValueError, match="at least one node"):
        AsyncClient([])
    with pytest.raises(TypeError, match="not one string"):
        AsyncClient("http://127.0.0.1")


# ── reads ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_view_returns_the_value_itself(client):
    await client.call("registry", "register", "aa")
    args = [b"\x00", 1 << 200, -5, None, {"k": [True]}, {"$bytes": "odd"}]
    assert await client.view("registry", "echo", *args) == args


async def test_a_view_that_fails_says_why(client):
    with pytest.raises(Rejected, match="no such key") as caught:
        await client.view("registry", "owner_of", "zz")
    assert caught.value.code == "view_failed"
    assert caught.value.problem["contract_code"] == "key_error"


async def test_reads_are_never_older_than_ones_own_write(node, settings, serving, poll):
    """The node that took the write and the one that is read from are two; the second is behind, then catches up."""
    behind = type(node)()
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(serving(node, settings))
        second = await stack.enter_async_context(serving(behind, settings))
        client = AsyncClient([f"http://127.0.0.1:{first}"], key=node.alice, genesis=node.genesis)
        await stack.enter_async_context(client)
        outcome = await client.call("registry", "register", "aa")
        client._core.nodes = type(client._core.nodes)([f"http://127.0.0.1:{second}"], client._core._clock)
        reading = asyncio.create_task(client.view("registry", "owner_of", "aa"))
        polls = behind.calls["status"]
        await poll(lambda: behind.calls["status"] > polls + 2)
        assert not reading.done()
        behind.pending = {outcome.transaction_id: node.records[1].bodies[0]}
        behind.seal()
        assert await reading == node.alice.public_key.hex()


async def test_events_come_in_order_and_resume_over_a_broken_connection(node, settings, serving):
    port_of = {}
    seen = []

    async def follow(client):
        async for event in client.events(start=1):
            seen.append((event.kind, event.cursor))
            if len(seen) == 4:
                return

    async with contextlib.AsyncExitStack() as stack:
        port_of["first"] = await stack.enter_async_context(serving(node, settings))
        async with contextlib.AsyncExitStack() as doomed:
            port_of["second"] = await doomed.enter_async_context(serving(node, settings))
            client = AsyncClient([f"http://127.0.0.1:{port}" for port in port_of.values()], key=node.alice)
            await stack.enter_async_context(client)
            await client.call("registry", "register", "aa")
            following = asyncio.create_task(follow(client))
            while len(seen) < 2:
                await asyncio.sleep(0.002)
        await client.call("registry", "register", "bb")
        await following
    assert seen == [("contract", "1.0.0"), ("block", "1"), ("contract", "2.0.0"), ("block", "2")]


# ── proofs ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_proof_is_one_that_verifies_offline(client, node):
    outcome = await client.call("registry", "register", "aa")
    proof = await client.proof(outcome.transaction_id)
    found = verify_proof(proof.to_json(), node.genesis)
    assert found.signers == ("alpha", "bravo", "delta")
    assert found.height == 1


async def test_a_node_that_lies_about_a_receipt_is_passed_over(node):
    raw = node.sign("aa")
    node.pending[identify(raw)[0]] = raw
    text = prove_transaction(node.seal(), 0)
    lie = text.replace('"outcome": "ok"', '"outcome": "no"')

    def answer(request):
        return httpx.Response(200, content=lie if request.url.host == "a" else text)

    async with fake_client(node, answer) as client:
        for _ in range(2):
            assert (await client.proof(identify(raw)[0])).height == 1


async def test_only_lying_nodes_are_an_error(node):
    first, second = node.sign("aa"), node.sign("bb")
    node.pending = {identify(raw)[0]: raw for raw in (first, second)}
    text = prove_transaction(node.seal(), 0)

    async with fake_client(node, lambda request: httpx.Response(200, content=text)) as client:
        with pytest.raises(ProofInvalid, match="asked was"):
            await client.proof(identify(second)[0])


async def test_a_node_that_invents_a_success_is_found_out(node):
    """It says "sealed, ok", and has no proof of it."""

    def answer(request):
        name = identify(raw)[0].hex()
        receipt = {"code": "ok", "message": "", "contract": "", "line": 0, "gas_used": 1, "results": [], "events": []}
        if request.method == "POST":
            found = {"id": name, "state": "sealed", "height": 1, "index": 0, "block_hash": "00", "receipt": receipt}
            return httpx.Response(200, json=found)
        return httpx.Response(200, content=b"{}")

    raw = node.sign("aa")
    async with fake_client(node, answer) as client:
        with pytest.raises(ProofInvalid, match="does not hold"):
            await client.submit(raw)


async def test_blocks_are_checked_against_the_genesis(client, node):
    await client.call("registry", "register", "aa")
    block = await client.block(1)
    assert [signer["name"] for signer in block["seal"]["signatures"]] == ["alpha", "bravo", "delta"]
    assert (await client.block(block["header"]["hash"])) == block
    assert (await client.block_record(1)) == node.records[1]
    assert (await client.block(0))["seal"] is None


async def test_a_block_that_was_tampered_with(node):
    raw = node.sign("aa")
    node.pending[identify(raw)[0]] = raw
    record = node.seal()
    seal = record.seal
    lies = {
        "another height": (2, record),
        "too few signatures": (1, _replaced(record, seal=_replaced(seal, signatures=seal.signatures[:2]))),
        "no seal": (1, _replaced(record, seal=None)),
        "another receipt": (1, _replaced(record, receipts=(record.receipts[0][:-1] + b"\x00",))),
        "another chain": (0, node.records[0]),
    }
    for name, (height, lie) in lies.items():
        async with fake_client(node, lambda request, lie=lie: httpx.Response(200, content=codec.encode(lie))) as client:
            if name == "another chain":
                other = node.genesis
                client._core.genesis = type(other)(
                    1, "othernet", other.time_ms, other.parameters, other.validators, other.accounts
                )
            with pytest.raises(ProofInvalid):
                await client.block(height)


def _replaced(struct, **changes):
    return type(struct)(**{name: getattr(struct, name) for name in type(struct).__struct_fields__} | changes)


@pytest.fixture
def state(node, tmp_path):
    """The node keeps its entries in a real state, with real proofs."""
    with contextlib.closing(State.open(tmp_path / "state")) as found:
        node.state = found
        found.commit(0, {})
        yield found


async def test_a_state_value_and_an_absence_are_proven(client, node, state):
    await client.call("registry", "register", "a/b")
    found = await client.state("registry", "entries", "a/b")
    assert (found.value, found.present, found.height, found.proven) == (node.alice.public_key.hex(), True, 1, True)
    absent = await client.state("registry", "entries", "zz", height=1)
    assert (absent.value, absent.present, absent.proven) == (None, False, True)


async def test_without_a_genesis_a_state_value_is_labelled_unproven(url, node, state):
    node.seal()
    async with AsyncClient([url]) as client:
        assert (await client.state("registry", "entries", "zz")).proven is False


@pytest.mark.parametrize(
    "lie",
    [
        {"encoded": codec.encode("somebody else").hex()},
        {"present": False, "encoded": ""},
        {"proof": ""},
        {"height": 0},
        {"height": 7},
        {"height": "1"},
        {"encoded": None},
    ],
)
async def test_a_node_that_lies_about_a_state_value(client, node, state, monkeypatch, lie):
    await client.call("registry", "register", "aa")
    honest = client._core.get

    def get(path, **params):
        answer = yield from honest(path, **params)
        return answer | lie if path.startswith("/v1/state") else answer

    monkeypatch.setattr(client._core, "get", get)
    monkeypatch.setattr("network.client.core.READ_TIMEOUT_S", 0.2)
    with pytest.raises((ProofInvalid, Unavailable, Rejected)):
        await client.state("registry", "entries", "aa")


async def test_json_blocks_of_the_api_and_of_the_sdk_are_the_same(client, url):
    await client.call("registry", "register", "aa")
    async with httpx.AsyncClient() as http:
        shown = (await http.get(f"{url}/v1/blocks/1")).json()
    shown.pop("sealed_height")
    assert json.loads(json.dumps(await client.block(1))) == shown


def test_nobody_answers_is_said_once_a_node() -> None:
    error = Unavailable(["http://a:1: refused", "http://b:2: refused", "http://a:1: too slow", "http://b:2: refused"])
    assert str(error) == "no node answered: http://a:1: too slow; http://b:2: refused"
    assert len(error.attempts) == 4

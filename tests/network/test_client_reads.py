"""Reads of the SDK and why they are believed: proven, by a quorum, or one node's word; and a light client's headers."""

from __future__ import annotations

import asyncio
import contextlib
import json

import httpx
import msgspec
import pytest

from ledger import codec
from ledger.state import State
from ledger.transactions import identify
from ledger.types import Validator, ValidatorSet
from network.client import (
    AsyncClient,
    Client,
    Forked,
    LightClient,
    NoQuorum,
    NotConfigured,
    ProofInvalid,
    Rejected,
    Unavailable,
)
from network.client.reads import faulty_max


@pytest.fixture
async def url(node, settings, serving, tmp_path):
    with contextlib.closing(State.open(tmp_path / "state")) as state:
        node.state = state
        state.commit(0, {})
        async with serving(node, settings) as port:
            yield f"http://127.0.0.1:{port}"


class Liar(httpx.AsyncBaseTransport):
    """Four nodes with one gateway behind them; `lies` by node change what it answers, None is no answer at all."""

    def __init__(self, url, lies):
        self.url, self.lies = url, lies
        self.inner = httpx.AsyncHTTPTransport()
        self.asked = []

    async def handle_async_request(self, request):
        name = request.url.host
        self.asked.append((name, request.url.path))
        lie = self.lies.get(name)
        if lie is None and name in self.lies:
            raise httpx.ConnectError("nobody there")
        target = httpx.URL(self.url).copy_with(raw_path=request.url.raw_path)
        reply = await self.inner.handle_async_request(
            httpx.Request(request.method, target, headers={"host": target.netloc.decode()}, content=request.content)
        )
        body = await reply.aread()
        await reply.aclose()
        headers = {"content-type": reply.headers["content-type"]}
        if lie and reply.headers["content-type"] == "application/json":
            body = json.dumps(json.loads(body) | lie).encode()
        return httpx.Response(reply.status_code, headers=headers, content=body)

    async def aclose(self):
        await self.inner.aclose()


NODES = ["http://a", "http://b", "http://c", "http://d"]


def four(genesis, powers=(1, 1, 1, 1)):
    """The same network, told to have four members: what a quorum read asks is how many may be faulty."""
    first = genesis.validators.members[0]
    members = tuple(Validator(f"m{n}", bytes([n]) * 32, power, first.tls_certificate) for n, power in enumerate(powers))
    return msgspec.structs.replace(genesis, validators=ValidatorSet(members))


@contextlib.asynccontextmanager
async def asking(url, genesis, lies=None, nodes=NODES, **options):
    transport = Liar(url, lies or {})
    async with AsyncClient(nodes, genesis=genesis, transport=transport, **options) as client:
        client.transport = transport
        yield client


WRONG = {"encoded": codec.encode("somebody else").hex(), "value": "somebody else", "present": True}


# ── proven ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_read_is_proven_unless_told_otherwise(url, node):
    async with AsyncClient([url], key=node.alice, genesis=node.genesis) as client:
        await client.call("registry", "register", "aa")
        found = await client.state("registry", "entries", "aa")
        assert (found.value, found.proven, found.mode) == (node.alice.public_key.hex(), True, "proven")
        assert client.verified_height == 1
        local = await client.state("registry", "entries", "aa", mode="local")
        assert (local.value, local.proven, local.mode) == (found.value, False, "local")


async def test_a_node_that_lies_about_a_value_is_passed_over(url, node):
    node.seal()
    for liars in (["a"], ["a", "b", "c"]):
        async with asking(url, node.genesis, dict.fromkeys(liars, WRONG)) as client:
            for _ in range(4):  # whoever is asked first
                found = await client.state("registry", "entries", "zz")
                assert (found.present, found.proven) == (False, True)
    async with asking(url, node.genesis, dict.fromkeys("abcd", WRONG)) as client:
        with pytest.raises(ProofInvalid, match="does not hold"):
            await client.state("registry", "entries", "zz")
        believed = await client.state("registry", "entries", "zz", mode="local")
        assert (believed.value, believed.proven, believed.mode) == ("somebody else", False, "local")


async def test_a_node_that_lied_is_left_alone_for_a_while(url, node):
    node.seal()
    async with asking(url, node.genesis, {"a": WRONG}) as client:
        for _ in range(8):
            await client.state("registry", "entries", "zz")
        assert [name for name, path in client.transport.asked if "/state/" in path].count("a") == 1


async def test_without_a_genesis_nothing_is_proven_and_nothing_says_so(url, node):
    async with AsyncClient([url]) as client:
        found = await client.state("registry", "entries", "zz")
        assert (found.proven, found.mode) == (False, "local")
        for mode in ("proven", "quorum"):
            with pytest.raises(NotConfigured, match="make it with genesis="):
                await client.state("registry", "entries", "zz", mode=mode)
        with pytest.raises(NotConfigured):
            await client.header()


async def test_a_mode_is_one_of_three(url, node):
    with pytest.raises(ValueError, match="'trust' is no read mode; there are proven, quorum, local"):
        AsyncClient([url], genesis=node.genesis, read_mode="trust")
    async with AsyncClient([url], genesis=node.genesis) as client:
        with pytest.raises(ValueError, match="is no read mode"):
            await client.view("registry", "owner_of", "aa", mode="maybe")
        with pytest.raises(NotConfigured, match="what a view computes has no proof"):
            await client.view("registry", "owner_of", "aa", mode="proven")


async def test_block_0_is_proven_by_block_1_and_by_nothing_else(url, node):
    async with AsyncClient([url], genesis=node.genesis) as client:
        with pytest.raises(ProofInvalid, match=r"block 0 has no seal: block 1 vouches for it, .* mode=\"local\""):
            await client.state("registry", "entries", "zz")
        assert (await client.state("registry", "entries", "zz", mode="local")).height == 0
        node.seal()
        assert await client.header(0) == node.records[0].block.header


def test_a_block_0_with_another_state_is_refused(node):
    header = msgspec.structs.replace(node.records[0].block.header, state_root=b"\x07" * 32)
    lie = msgspec.structs.replace(node.records[0], block=msgspec.structs.replace(node.records[0].block, header=header))
    light = LightClient(node.genesis)
    light.accept(light_bytes(node.seal()))
    with pytest.raises(ProofInvalid, match="block 0 is not the one that block 1 was built on"):
        light.accept(light_bytes(lie))
    assert light.accept(light_bytes(node.records[0])) == node.records[0].block.header


# ── transactions, lists and events ────────────────────────────────────────────────────────────────


def swap(path, old, new):
    """A node that answers so with other words in it."""
    return lambda asked, body: body.replace(old, new) if asked.startswith(path) else body


class Forger(Liar):
    """As `Liar`, but that lies are functions of path and body."""

    async def handle_async_request(self, request):
        lie, self.lies = self.lies.get(request.url.host), {}
        try:
            reply = await super().handle_async_request(request)
        finally:
            self.lies = {} if lie is None else self.all
        body = reply.content if lie is None else lie(request.url.path, reply.content)
        return httpx.Response(reply.status_code, headers={"content-type": "application/json"}, content=body)


@contextlib.asynccontextmanager
async def forged(url, genesis, lie, nodes=("http://a", "http://b")):
    """The first of these nodes lies."""
    transport = Forger(url, {"a": lie})
    transport.all = {"a": lie}
    async with AsyncClient(nodes, genesis=genesis, transport=transport) as client:
        yield client


async def test_a_transaction_is_shown_as_its_proof_has_it(url, node):
    await register(url, node)
    name = next(iter(node.sealed))
    async with AsyncClient([url], genesis=node.genesis) as client:
        proven, local = await client.transaction(name), await client.transaction(name, mode="local")
        assert (proven["proven"], local["proven"]) == (True, False)
        told = {key: value for key, value in local.items() if key not in ("proven", "sealed_height")}
        assert {key: proven[key] for key in told} == told
    for lie in (
        swap("/v1/transactions", b'"height":1', b'"height":2'),
        swap("/v1/transactions", b"Registered", b"Unregister"),
        swap("/v1/transactions", b'"proof"', b'"prove"'),
        swap("/v1/transactions", b'"summary"', b'"symmary"'),
    ):
        async with forged(url, node.genesis, lie) as client:
            for _ in range(2):
                assert await client.transaction(name) == proven
    async with forged(url, node.genesis, swap("/v1/transactions", b'"proof"', b'"prove"'), ["http://a"]) as client:
        with pytest.raises(ProofInvalid, match="came without its proof"):
            await client.transaction(name)


async def test_what_is_pending_is_one_nodes_word(url, node):
    raw = node.sign("aa")
    node.pending[identify(raw)[0]] = raw
    async with AsyncClient([url], genesis=node.genesis) as client:
        found = await client.transaction(identify(raw)[0])
        assert (found["state"], found["proven"]) == ("pending", False)


async def test_every_block_of_a_list_is_proven(url, node):
    async with AsyncClient([url], genesis=node.genesis) as client:
        assert [line["proven"] for line in await client.blocks()] == [False]  # nothing vouches for block 0 yet
        for _ in range(3):
            node.seal()
        found = await client.blocks()
        assert [(line["height"], line["proven"]) for line in found] == [(3, True), (2, True), (1, True), (0, True)]
        local = await client.blocks(mode="local")
        assert [line | {"proven": True} for line in local] == found
    for lie in (
        swap("/v1/blocks", b'"gas_used":0', b'"gas_used":7'),
        swap("/v1/blocks", b'"height":3', b'"height":9'),
        swap("/v1/blocks", b'"proof"', b'"prove"'),
        swap("/v1/blocks", b'"blocks"', b'"block"'),
        lambda path, body: without(body, 1) if path == "/v1/blocks" else body,
        lambda path, body: without(without(body, 1), 1) if path == "/v1/blocks" else body,
    ):
        async with forged(url, node.genesis, lie) as client:
            for _ in range(2):
                assert await client.blocks() == found


@pytest.mark.parametrize(
    "change",
    [
        lambda lines, every: lines[:1] * 2,
        lambda lines, every: lines[::-1],
        lambda lines, every: every[:1],
        lambda lines, every: [*lines, *every[3:]],
        lambda lines, every: [line | {"height": "2"} for line in lines],
    ],
    ids=["one twice", "oldest first", "above what was asked", "more than asked", "no heights"],
)
async def test_a_page_of_blocks_is_the_one_that_was_asked_for(url, node, change):
    """Each line may hold, and the page be another all the same: who turns pages by it would never come to an end."""
    for _ in range(3):
        node.seal()
    async with httpx.AsyncClient(base_url=url) as http:
        every = (await http.get("/v1/blocks", params={"proof": "true"})).json()["blocks"]

    def lie(path, body):
        if path != "/v1/blocks":
            return body
        answer = json.loads(body)
        return json.dumps(answer | {"blocks": change(answer["blocks"], every)}).encode()

    async with AsyncClient([url], genesis=node.genesis) as client:
        found = await client.blocks(before=3, limit=2)
    assert [line["height"] for line in found] == [2, 1]
    async with forged(url, node.genesis, lie) as client:
        for _ in range(2):
            assert await client.blocks(before=3, limit=2) == found
    async with forged(url, node.genesis, lie, ["http://a"]) as client:
        with pytest.raises(ProofInvalid, match=r"asked were 2 at most, newest first, below 3"):
            await client.blocks(before=3, limit=2)


def without(body, place):
    """A list of blocks that leaves one out."""
    answer = json.loads(body)
    del answer["blocks"][place]
    return json.dumps(answer).encode()


async def test_events_are_proven_one_by_one(url, node):
    await register(url, node)
    async with AsyncClient([url], genesis=node.genesis) as client:
        for mode, proven in ((None, True), ("local", False)):
            found = [event async for event in first(client.events(start=1, mode=mode), 2)]
            assert [(event.kind, event.cursor, event.proven) for event in found] == [
                ("contract", "1.0.0", proven),
                ("block", "1", proven),
            ]
            assert found[0].data["fields"] == {"digest": "aa"}
            assert found[1].data["hash"] == node.records[1].block.header.hash.hex()
    async with AsyncClient([url]) as client:
        assert [event.proven async for event in first(client.events(start=1), 2)] == [False, False]


class Stream(httpx.AsyncBaseTransport):
    """Node a streams this text and answers else like the others."""

    def __init__(self, url, text):
        self.url, self.text, self.inner = url, text, httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request):
        if request.url.host == "a" and request.url.path == "/v1/events":
            return httpx.Response(200, content=self.text.encode())
        target = httpx.URL(self.url).copy_with(raw_path=request.url.raw_path)
        headers = {"host": target.netloc.decode()}
        if "last-event-id" in request.headers:
            headers["last-event-id"] = request.headers["last-event-id"]
        return await self.inner.handle_async_request(httpx.Request(request.method, target, headers=headers))

    async def aclose(self):
        await self.inner.aclose()


@pytest.mark.parametrize(
    "lie",
    [
        {"fields": {"digest": "bb"}},
        {"event": 1},
        {"transaction_id": "ab" * 32},
        {"height": 2},
        {"transaction_id": None},
        {"name": "Unregistered"},
    ],
)
async def test_a_node_that_streams_what_never_was_is_passed_over(url, node, monkeypatch, lie):
    monkeypatch.setattr("network.client.web.RECONNECT_S", 0.01)
    monkeypatch.setattr("network.client.core.READ_TIMEOUT_S", 0.2)
    await register(url, node)
    true = {
        "height": 1,
        "index": 0,
        "event": 0,
        "transaction_id": next(iter(node.sealed)).hex(),
        "contract": "registry",
        "name": "Registered",
        "fields": {"digest": "aa"},
    }
    text = f"id: 1.0.0\nevent: contract\ndata: {json.dumps(true | lie)}\n\n"
    async with AsyncClient(["http://a", "http://b"], genesis=node.genesis, transport=Stream(url, text)) as client:
        found = [event async for event in first(client.events(start=1, contract="registry"), 1)]
        assert [event.data for event in found] == [true]
    async with AsyncClient(["http://a"], genesis=node.genesis, transport=Stream(url, text)) as client:
        with pytest.raises(ProofInvalid):
            await anext(client.events(start=1))


async def first(events, count):
    """The first of them."""
    while count:
        yield await anext(events)
        count -= 1
    await events.aclose()


# ── min_height ────────────────────────────────────────────────────────────────────────────────────


async def test_no_read_is_below_its_min_height(url, node, monkeypatch):
    node.seal()
    monkeypatch.setattr("network.client.core.READ_TIMEOUT_S", 0.2)
    async with AsyncClient([url], genesis=node.genesis) as client:
        assert (await client.state("registry", "entries", "zz", min_height=1)).height == 1
        assert (await client.header(min_height=1)).height == 1
        for read in (
            client.state("registry", "entries", "zz", min_height=2),
            client.state("registry", "entries", "zz", min_height=2, mode="local"),
            client.view("registry", "owner_of", "zz", min_height=2),
            client.header(2),
        ):
            with pytest.raises((Rejected, Unavailable), match=r"height_not_reached|unknown_block"):
                await read


OLD = {"height": 0}


async def test_an_answer_that_is_older_than_asked_is_not_believed(url, node):
    await register(url, node)
    async with asking(url, node.genesis, dict.fromkeys("abcd", OLD)) as client:
        for read in (
            client.state("registry", "entries", "aa", min_height=1),
            client.state("registry", "entries", "aa", min_height=1, mode="local"),
            client.view("registry", "owner_of", "aa", min_height=1),
        ):
            with pytest.raises(ProofInvalid, match="the node answered for height 0, asked was 1 at least"):
                await read


async def register(url, node):
    """An entry of alice's at height 1."""
    async with AsyncClient([url], key=node.alice, genesis=node.genesis) as client:
        await client.call("registry", "register", "aa")


# ── quorum ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("powers", "faulty"),
    [((1,), 0), ((1,) * 3, 0), ((1,) * 4, 1), ((1,) * 6, 1), ((1,) * 7, 2), ((5, 1, 1, 1), 2), ((1, 1, 1, 9), 3)],
)
def test_how_many_may_be_faulty_counts_the_weakest(node, powers, faulty):
    assert faulty_max(four(node.genesis, powers).validators) == faulty


@pytest.mark.parametrize(
    "lies", [{}, {"a": WRONG}, {"d": WRONG}, {"b": None}, {"a": None, "c": None}, {"a": {"height": 9}}]
)
async def test_what_more_nodes_than_can_be_faulty_say_is_believed(url, node, lies):
    node.seal()
    async with asking(url, four(node.genesis), lies) as client:
        found = await client.state("registry", "entries", "zz", mode="quorum")
        assert (found.present, found.height, found.proven, found.mode) == (False, 1, False, "quorum")


@pytest.mark.parametrize(
    "lies",
    [
        dict.fromkeys("abc", None),
        {"a": WRONG, "b": WRONG | {"encoded": codec.encode("a third").hex()}, "c": None},
        {"a": {"height": "1"}, "b": {"encoded": None}, "c": None},
    ],
)
async def test_without_enough_that_say_the_same_nothing_is_believed(url, node, lies):
    node.seal()
    async with asking(url, four(node.genesis), lies) as client:
        with pytest.raises(NoQuorum, match="2 nodes have to say the same, and they do not: http://a: ") as refused:
            await client.state("registry", "entries", "zz", mode="quorum")
        assert set(refused.value.answers) == set(NODES)


async def test_a_view_of_a_quorum(url, node):
    await register(url, node)
    async with asking(url, four(node.genesis), {"a": {"value": "mallory"}}, read_mode="quorum") as client:
        assert await client.view("registry", "owner_of", "aa") == node.alice.public_key.hex()
        assert await client.view("registry", "owner_of", "aa", mode="local") in ("mallory", node.alice.public_key.hex())
        with pytest.raises(Rejected, match="view_failed"):  # all refuse alike
            await client.view("registry", "owner_of", "zz")
    async with asking(url, four(node.genesis), {"a": {"value": "mallory"}, "b": None, "c": None}) as client:
        with pytest.raises(NoQuorum):
            await client.view("registry", "owner_of", "aa", mode="quorum")


async def test_nodes_at_different_heights_are_asked_for_one_that_enough_have(url, node):
    for _ in range(3):
        node.seal()

    class Behind(Liar):
        async def handle_async_request(self, request):
            height = {"a": 3, "b": 2, "c": 1, "d": 1}[request.url.host]
            if "height" not in request.url.params:
                request.url = request.url.copy_merge_params({"height": str(height)})
            elif int(request.url.params["height"]) > height:
                return httpx.Response(409, json={"code": "height_not_reached", "detail": "not yet"})
            return await super().handle_async_request(request)

    async with AsyncClient(NODES, genesis=four(node.genesis), transport=Behind(url, {})) as client:
        assert (await client.state("registry", "entries", "zz", mode="quorum")).height == 2  # though two say 1

    transport = Behind(url, {"d": WRONG})
    async with AsyncClient(NODES, genesis=four(node.genesis), transport=transport) as client:
        assert (await client.state("registry", "entries", "zz", mode="quorum")).height == 2
        assert (await client.state("registry", "entries", "zz", mode="quorum", height=1)).height == 1
        with pytest.raises(NoQuorum):
            await client.state("registry", "entries", "zz", mode="quorum", height=3)


async def test_a_quorum_needs_enough_nodes_and_one_node_counts_once(url, node):
    for nodes in (["http://a"], ["http://a", "http://a/"]):
        async with asking(url, four(node.genesis), nodes=nodes) as client:
            with pytest.raises(NotConfigured, match="a quorum read needs 2 nodes to ask, this client has 1"):
                await client.state("registry", "entries", "zz", mode="quorum")


# ── headers ───────────────────────────────────────────────────────────────────────────────────────


async def test_headers_are_followed_and_skipped(url, node):
    async with AsyncClient([url], genesis=node.genesis) as client:
        node.seal()
        headers = client.headers()
        assert await anext(headers) == node.records[1].block.header
        for _ in range(3):
            node.seal()
        assert await anext(headers) == node.records[4].block.header
        assert client.verified_height == 4
        assert await client.header(2) == node.records[2].block.header
        assert client.verified_height == 4
        await headers.aclose()


async def test_another_header_than_the_one_asked_for_is_none(node):
    record = node.seal()
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=light_bytes(record)))
    async with AsyncClient(["http://a"], genesis=node.genesis, transport=transport) as client:
        assert await client.header(1) == record.block.header
        with pytest.raises(ProofInvalid, match="the node gave block 1, asked was 2"):
            await client.header(2)


async def test_the_blocking_client_follows_as_well(url, node):

    node.seal()

    def follow():
        with Client([url], genesis=node.genesis) as client:
            return next(client.headers()), client.state("registry", "entries", "zz").mode, client.verified_height

    assert await asyncio.to_thread(follow) == (node.records[1].block.header, "proven", 1)


def light_bytes(record):
    return msgspec.structs.replace(record, bodies=(), receipts=()).encode()


def test_what_is_not_sealed_is_no_header(node):
    record = node.seal()
    light = LightClient(node.genesis)
    assert light.height == -1
    for data, because in (
        (b"", "does not hold"),
        (light_bytes(record)[:-1], "does not hold"),
        (light_bytes(msgspec.structs.replace(record, seal=None)), "came without a seal"),
        (light_bytes(node.seal()), "the node gave block 2, asked was 1"),
    ):
        with pytest.raises(ProofInvalid, match=because):
            light.accept(data, 1)
    assert light.accept(light_bytes(record), 1) == record.block.header
    other = LightClient(msgspec.structs.replace(node.genesis, network="othernet"))
    with pytest.raises(ProofInvalid, match="not of this genesis"):
        other.accept(light_bytes(record), 1)


def resealed(node, record, **changes):
    """Another header, sealed by the same keys: what only more faulty members than allowed can make."""
    header = msgspec.structs.replace(record.block.header, **changes)
    block = msgspec.structs.replace(record.block, header=header)
    return msgspec.structs.replace(record, block=block, seal=node._seal(header))


@pytest.mark.parametrize("order", [(1, 0), (0, 1)])
def test_two_sealed_headers_of_one_height_are_a_fork(node, order):
    record = node.seal()
    both = [record, resealed(node, record, state_root=bytes(32))]
    light = LightClient(node.genesis)
    light.accept(light_bytes(both[order[0]]))
    light.accept(light_bytes(both[order[0]]))
    with pytest.raises(Forked, match="More validators are faulty than this network can bear") as fork:
        light.accept(light_bytes(both[order[1]]))
    assert {each.header for each in fork.value.headers} == {each.block.header for each in both}


@pytest.mark.parametrize("order", [(1, 0), (0, 1)])
def test_neighbours_that_do_not_follow_one_another_are_a_fork(node, order):
    first, second = node.seal(), node.seal()
    both = [first, resealed(node, second, previous_hash=b"\x01" * 32)]
    light = LightClient(node.genesis)
    light.accept(light_bytes(both[order[0]]))
    with pytest.raises(Forked):
        light.accept(light_bytes(both[order[1]]))
    fine = LightClient(node.genesis)
    for record in (second, first):
        fine.accept(light_bytes(record))
    assert fine.height == 2


def test_what_is_remembered_is_bounded(node, monkeypatch):
    monkeypatch.setattr("network.client.light.REMEMBERED_MAX", 3)
    light = LightClient(node.genesis)
    for _ in range(8):
        light.accept(light_bytes(node.seal()))
    assert len(light._seen) == 3
    assert light.height == 8

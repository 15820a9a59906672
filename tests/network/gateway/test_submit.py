"""POST /v1/transactions: every shape in, and one clear outcome for each, right and wrong."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from ledger import codec, transactions
from ledger.crypto import SigningKey
from network.gateway import GatewaySettings

L = (1 << 252) + 27742317777372353535851937790883648493


def structured(node, raw: bytes, **changes):
    """A raw transaction as the JSON fields that a client without msgpack would send."""
    found = transactions.read_transaction(raw)
    body = found.body
    return {
        "chain_id": body.chain_id.hex(),
        "sender": body.sender.hex(),
        "calls": [{"contract": c.contract, "method": c.method, "args": codec.decode(c.args)} for c in body.calls],
        "gas_limit": body.gas_limit,
        "valid_until": body.valid_until,
        "salt": body.salt.hex(),
        "signature": found.signature.hex(),
    } | changes


def code(answer) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"] == "urn:quorate:problem:" + problem["code"]
    assert len(problem["detail"]) > 10
    return answer.status_code, problem["code"]


# ── what is taken ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["application/octet-stream", "application/vnd.quorate.transaction"])
async def test_raw_bytes_are_taken_and_answered_with_their_id(gateway, node, kind):
    raw = node.sign("aa")
    answer = await gateway.post(raw, headers={"content-type": kind})
    assert answer.status_code == 202
    assert answer.json()["id"] == transactions.identify(raw)[0].hex()
    assert answer.json()["state"] == "pending"
    assert answer.headers["location"] == f"/v1/transactions/{answer.json()['id']}"
    assert "sealed_height" in answer.json()


async def test_waiting_for_the_seal_brings_the_receipt(gateway, node):
    answer = await gateway.post(node.sign("aa"), "?wait=sealed")
    assert answer.status_code == 200
    found = answer.json()
    assert (found["state"], found["height"], found["index"]) == ("sealed", 1, 0)
    assert found["block_hash"] == node.records[1].block.header.hash.hex()
    assert found["receipt"]["code"] == "ok"
    assert found["receipt"]["results"] == [2]
    assert found["receipt"]["events"] == [{"contract": "registry", "name": "Registered", "fields": {"digest": "aa"}}]


async def test_json_with_raw_hex_is_the_same_transaction(gateway, node):
    raw = node.sign("aa")
    answer = await gateway.http.post("/v1/transactions?wait=sealed", json={"raw": raw.hex()})
    assert answer.json()["id"] == transactions.identify(raw)[0].hex()


async def test_json_fields_are_the_same_transaction(gateway, node):
    raw = node.sign("aa")
    answer = await gateway.http.post("/v1/transactions?wait=sealed", json=structured(node, raw))
    assert answer.json()["id"] == transactions.identify(raw)[0].hex()
    assert answer.json()["receipt"]["code"] == "ok"


async def test_json_fields_carry_bytes_and_large_integers(gateway, node):
    raw = node.sign(b"\x00\xff", 1 << 200, {"k": [True, None]})
    calls = [
        {
            "contract": "registry",
            "method": "register",
            "args": [{"$bytes": "00ff"}, {"$int": str(1 << 200)}, {"k": [True, None]}],
        }
    ]
    answer = await gateway.http.post("/v1/transactions", json=structured(node, raw, calls=calls))
    assert answer.json()["id"] == transactions.identify(raw)[0].hex()


@pytest.mark.parametrize("form", ["msgpack", "json"])
async def test_many_in_one_request_get_one_result_each_in_order(gateway, node, form):
    raws = [node.sign(name) for name in ("aa", "bb", "cc")]
    if form == "msgpack":
        answer = await gateway.post(
            msgspec.msgpack.encode(raws), "?wait=sealed", headers={"content-type": "application/msgpack"}
        )
    else:
        body = [{"raw": raws[0].hex()}, structured(node, raws[1]), {"raw": raws[2].hex()}]
        answer = await gateway.http.post("/v1/transactions?wait=sealed", json=body)
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [result["id"] for result in results] == [transactions.identify(raw)[0].hex() for raw in raws]
    assert {result["status"] for result in results} == {200}


async def test_one_bad_transaction_of_many_is_that_ones_problem(gateway, node):
    raws = [node.sign("aa"), b"\xc0", node.sign("bb", signer=node.stranger), node.sign("cc")]
    answer = await gateway.post(
        msgspec.msgpack.encode(raws), "?wait=sealed", headers={"content-type": "application/msgpack"}
    )
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert [result["status"] for result in results] == [200, 400, 403, 200]
    assert [result.get("code") for result in results] == [None, "malformed", "unknown_sender", None]


async def test_a_failed_call_is_an_outcome_and_not_an_error(gateway, node):
    await gateway.post(node.sign("aa"), "?wait=sealed")
    receipt = (await gateway.post(node.sign("aa"), "?wait=sealed")).json()["receipt"]
    assert (receipt["code"], receipt["message"], receipt["line"]) == ("failed", "registered already", 8)


@pytest.mark.parametrize(
    ("changes", "args", "expected"),
    [
        ({"contract": "nothing"}, ("aa",), "unknown_contract"),
        ({"method": "nothing"}, ("aa",), "unknown_method"),
        ({}, (7,), "bad_arguments"),
        ({}, ("aa", "bb"), "bad_arguments"),
    ],
)
async def test_what_the_contract_refuses_is_in_the_receipt(gateway, node, changes, args, expected):
    answer = await gateway.post(node.sign(*args, **changes), "?wait=sealed")
    assert answer.status_code == 200
    assert answer.json()["receipt"]["code"] == expected


# ── the same transaction twice ────────────────────────────────────────────────────────────────────


async def test_a_sealed_duplicate_returns_the_first_outcome(gateway, node):
    raw = node.sign("aa")
    first = (await gateway.post(raw, "?wait=sealed")).json()
    node.seal()
    for query in ("", "?wait=sealed"):
        again = await gateway.post(raw, query)
        assert again.status_code == 200
        assert again.json()["receipt"] == first["receipt"]
        assert again.json()["height"] == first["height"]


async def test_a_pending_duplicate_waits_for_the_same_outcome(gateway, node, poll):
    node.auto_seal = False
    raw = node.sign("aa")
    assert (await gateway.post(raw)).status_code == 202
    assert (await gateway.post(raw)).status_code == 202
    waiting = [asyncio.create_task(gateway.post(raw, "?wait=sealed")) for _ in range(3)]
    await poll(lambda: gateway.app.services.waiters.count == 3 and node.calls["transaction"] >= 4)
    node.seal()
    answers = await asyncio.gather(*waiting)
    assert {answer.json()["height"] for answer in answers} == {1}
    assert len(node.records[1].bodies) == 1


async def test_the_same_body_signed_again_is_the_same_transaction(gateway, node):
    first = (await gateway.post(node.sign("aa", salt=bytes(16)), "?wait=sealed")).json()
    second = (await gateway.post(node.sign("aa", salt=bytes(16), valid_until=100), "?wait=sealed")).json()
    assert first["id"] == second["id"]
    assert first["receipt"] == second["receipt"]


# ── what is refused ───────────────────────────────────────────────────────────────────────────────


async def test_a_transaction_for_another_chain(gateway, node):
    assert code(await gateway.post(node.sign("aa", chain_id=b"\x01" * 32))) == (422, "wrong_chain")


async def test_a_forged_signature(gateway, node):
    raw = node.sign("aa")
    assert code(await gateway.post(raw[:-1] + bytes([raw[-1] ^ 1]))) == (422, "bad_signature")


async def test_a_signature_by_another_key(gateway, node):
    mine, other = node.sign("aa"), node.sign("aa", signer=node.bob)
    assert code(await gateway.post(mine[:-64] + other[-64:])) == (422, "bad_signature")


async def test_a_malleated_signature(gateway, node):
    raw = node.sign("aa")
    s = int.from_bytes(raw[-32:], "little") + L
    assert code(await gateway.post(raw[:-32] + s.to_bytes(32, "little"))) == (422, "bad_signature")


@pytest.mark.parametrize("cut", [0, 1, 40, -64, -1])
async def test_a_truncated_transaction(gateway, node, cut):
    assert code(await gateway.post(node.sign("aa")[:cut])) == (400, "malformed")


async def test_trailing_bytes(gateway, node):
    assert code(await gateway.post(node.sign("aa") + b"\x00")) == (400, "malformed")


async def test_another_encoding_of_the_same_transaction(gateway, node):
    raw = node.sign("aa")
    wide = b"\xdc\x00\x02" + raw[1:]  # array16 where fixarray is canonical
    assert code(await gateway.post(wide)) == (400, "malformed")


async def test_a_sender_that_is_no_account(gateway, node):
    answer = await gateway.post(node.sign("aa", signer=node.stranger))
    assert code(answer) == (403, "unknown_sender")
    assert node.stranger.public_key.hex() in answer.json()["detail"]
    assert node.calls["submit"] == 0


async def test_an_expired_transaction(gateway, node):
    node.seal()
    node.seal()
    assert code(await gateway.post(node.sign("aa", valid_until=2))) == (422, "expired")


async def test_a_valid_until_far_ahead(gateway, node):
    assert code(await gateway.post(node.sign("aa", valid_until=10_000))) == (422, "too_far")


async def test_a_gas_limit_out_of_range(gateway, node):
    assert code(await gateway.post(node.sign("aa", gas_limit=0))) == (422, "gas_limit")


async def test_a_transaction_larger_than_the_network_allows(gateway, node):
    assert code(await gateway.post(node.sign("a" * 200_000))) == (413, "too_large")


async def test_a_body_larger_than_the_limit_is_refused_before_it_is_read(gateway, node):
    sent = 0

    async def parts():
        nonlocal sent
        for _ in range(1000):
            sent += 65_536
            yield bytes(65_536)

    assert code(await gateway.post(bytes(5 << 20))) == (413, "too_large")
    answer = await gateway.post(parts())
    assert code(answer) == (413, "too_large")
    assert sent <= (4 << 20) + 2 * 65_536


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'"text"',
        b"nonsense",
        b"[" * 100_000,
        b'{"raw":' + b"[" * 100_000,
        b'{"calls":[{"contract":"c","method":"m","args":' + b"[" * 100_000,
        b'{"raw": 7}',
        b'{"raw": "00", "extra": 1}',
        b'{"gas_limit": 1e400}',
        b"\xff\xfe",
    ],
)
async def test_malformed_json(gateway, body):
    answer = await gateway.post(body, headers={"content-type": "application/json"})
    assert code(answer) == (400, "bad_json")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x91" * 100_000,
        b"\x91\x01",
        b"\xdd\xff\xff\xff\xff",
        b"\x91\xc6\x7f\xff\xff\xff12345",
        b"\x90\x90",
    ],
)
async def test_malformed_msgpack(gateway, body):
    answer = await gateway.post(body, headers={"content-type": "application/msgpack"})
    assert code(answer) == (400, "bad_msgpack")


async def test_arguments_nested_too_deep(gateway, node):
    args = []
    for _ in range(100):
        args = [args]
    answer = await gateway.http.post(
        "/v1/transactions",
        json=structured(node, node.sign("aa"))
        | {"calls": [{"contract": "registry", "method": "register", "args": args}]},
    )
    assert code(answer) == (400, "bad_value")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"chain_id": "zz"}, (400, "malformed")),
        ({"sender": "00"}, (400, "malformed")),
        ({"salt": "00"}, (400, "malformed")),
        ({"signature": ""}, (400, "malformed")),
        ({"calls": []}, (400, "malformed")),
        ({"gas_limit": -1}, (400, "malformed")),
        ({"valid_until": 1 << 60}, (400, "malformed")),
        ({"salt": None}, (400, "malformed")),
        ({"calls": [{"contract": "registry", "method": "register", "args": [1.5]}]}, (400, "bad_value")),
        ({"calls": [{"contract": "registry", "method": "register", "args": [{"$bytes": "xyz"}]}]}, (400, "bad_value")),
        ({"calls": [{"contract": "registry", "method": "register", "args": {"a": 1}}]}, (400, "bad_value")),
        ({"calls": [{"contract": "registry", "method": "other", "args": ["aa"]}]}, (422, "bad_signature")),
        ({"calls": [{"contract": "r", "method": "m"}] * 65}, (400, "malformed")),
    ],
)
async def test_json_fields_that_are_wrong(gateway, node, changes, expected):
    answer = await gateway.http.post("/v1/transactions", json=structured(node, node.sign("aa"), **changes))
    assert code(answer) == expected


async def test_an_empty_list_and_too_long_a_list(gateway, node):
    headers = {"content-type": "application/msgpack"}
    assert code(await gateway.post(b"\x90", headers=headers)) == (400, "malformed")
    many = msgspec.msgpack.encode([b"x"] * 1001)
    assert code(await gateway.post(many, headers=headers)) == (413, "too_many_transactions")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
async def test_types_that_a_web_page_could_send_without_asking_are_refused(gateway, node, kind):
    answer = await gateway.post(node.sign("aa"), headers={"content-type": kind})
    assert code(answer) == (415, "unsupported_media_type")


@pytest.mark.parametrize("query", ["?wait=now", "?wait=sealed&timeout_s=61", "?timeout_s=-1", "?timeout_s=nan", "?x=1"])
async def test_parameters_that_mean_nothing(gateway, node, query):
    assert code(await gateway.post(node.sign("aa"), query)) == (400, "bad_parameter")
    assert node.calls["submit"] == 0


# ── when the node is in trouble ───────────────────────────────────────────────────────────────────


async def test_a_full_mempool(gateway, node):
    node.busy = True
    answer = await gateway.post(node.sign("aa"))
    assert code(answer) == (503, "busy")
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("part", ["down", "executor_down"])
async def test_a_part_of_the_node_that_is_away(gateway, node, part):
    setattr(node, part, True)
    answer = await gateway.post(node.sign("aa"))
    assert code(answer) == (503, "node_unavailable")
    assert answer.headers["retry-after"] == "2"


async def test_no_seal_in_time_says_what_to_do_next(gateway, node):
    node.auto_seal = False
    answer = await gateway.post(node.sign("aa"), "?wait=sealed&timeout_s=0.05")
    assert answer.status_code == 202
    assert f"/v1/transactions/{answer.json()['id']}?wait=sealed" in answer.json()["detail"]
    node.seal()
    later = await gateway.get(f"/v1/transactions/{answer.json()['id']}?wait=sealed")
    assert later.json()["receipt"]["code"] == "ok"


async def test_a_seal_that_the_stream_lost_still_answers_the_waiting_client(gateway, node, poll):
    node.auto_seal = False
    waiting = asyncio.create_task(gateway.post(node.sign("aa"), "?wait=sealed"))
    await poll(lambda: node.pending)
    node.break_stream()
    node.seal(announce=False)
    assert (await waiting).json()["height"] == 1


async def test_a_stop_answers_those_who_wait(gateway, node, poll):
    node.auto_seal = False
    waiting = asyncio.create_task(gateway.post(node.sign("aa"), "?wait=sealed"))
    many = msgspec.msgpack.encode([node.sign("bb"), node.sign("cc")])
    waiting_many = asyncio.create_task(
        gateway.post(many, "?wait=sealed", headers={"content-type": "application/msgpack"})
    )
    await poll(lambda: len(node.pending) == 3)
    gateway.app.begin_stop()
    assert (await waiting).status_code == 202
    assert (await waiting_many).status_code == 202


# ── many clients at once ──────────────────────────────────────────────────────────────────────────


async def test_submissions_of_one_moment_go_to_the_validator_together(gateway, node):
    answers = await asyncio.gather(*(gateway.post(node.sign(f"{n:02x}"), "?wait=sealed") for n in range(100)))
    assert {answer.json()["receipt"]["code"] for answer in answers} == {"ok"}
    assert sum(node.batches) == 100
    assert node.calls["submit"] <= 10
    assert node.calls["known_senders"] == 1


async def test_a_lone_submission_waits_for_nobody(node, settings, gateway):
    loop = asyncio.get_running_loop()
    gateway.app._intake._settings = GatewaySettings(linger_ms=10_000)
    before = loop.time()
    assert (await gateway.post(node.sign("aa"))).status_code == 202
    assert loop.time() - before < 5


async def test_a_sender_is_asked_for_once_and_forgotten_after_a_while(gateway, node):
    await gateway.post(node.sign("aa"))
    await gateway.post(node.sign("bb"))
    assert node.calls["known_senders"] == 1
    gateway.app._intake._senders._until.clear()
    node.known.clear()
    assert code(await gateway.post(node.sign("cc"))) == (403, "unknown_sender")
    node.known.add(node.alice.public_key)  # a refusal is not remembered
    assert (await gateway.post(node.sign("cc"))).status_code == 202


class TestLimits:
    @pytest.fixture
    def settings(self):
        return GatewaySettings(intake_transactions_max=5, waiters_max=2, linger_ms=0, status_poll_s=0.02)

    async def test_more_than_the_intake_holds(self, gateway, node, poll):
        node.gate = asyncio.Event()
        first = [asyncio.create_task(gateway.post(node.sign(f"{n:02x}"))) for n in range(5)]
        await poll(lambda: gateway.app._intake.held == 5)
        answer = await gateway.post(node.sign("zz"))
        assert code(answer) == (429, "too_many_requests")
        assert answer.headers["retry-after"] == "1"
        node.gate.set()
        assert {answer.status_code for answer in await asyncio.gather(*first)} == {202}
        assert gateway.app._intake.held == 0
        assert (await gateway.post(node.sign("zz"))).status_code == 202

    async def test_a_full_waiting_room_takes_the_transaction_and_answers_at_once(self, gateway, node, poll):
        node.auto_seal = False
        waiting = [asyncio.create_task(gateway.post(node.sign(f"{n:02x}"), "?wait=sealed")) for n in range(2)]
        await poll(lambda: len(node.pending) == 2)
        answer = await gateway.post(node.sign("zz"), "?wait=sealed")
        assert answer.status_code == 202
        assert len(node.pending) == 3
        node.seal()
        assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}
        assert gateway.app.services.waiters.count == 0

    async def test_a_client_that_leaves_gives_its_place_back(self, gateway, node, poll):
        node.auto_seal = False
        waiting = asyncio.create_task(gateway.post(node.sign("aa"), "?wait=sealed"))
        await poll(lambda: node.pending)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert gateway.app.services.waiters.count == 0
        assert gateway.app.services.waiters.ids == []


async def test_the_key_is_never_the_gateways(gateway, node):
    """Nothing in the gateway can sign: a transaction whose sender field is ours and signature is not stays refused."""
    other = SigningKey.from_seed(bytes(32))
    raw = node.sign("aa", signer=other).replace(other.public_key, node.alice.public_key)
    assert code(await gateway.post(raw)) == (422, "bad_signature")

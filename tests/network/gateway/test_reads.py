"""Every read: the answer, its height, its proof, and what a wrong question gets."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest

from ledger import codec
from ledger.genesis import from_json as read_genesis
from ledger.proof_file import as_text
from ledger.proofs import verify_proof
from ledger.types import BlockRecord
from network.gateway import GatewaySettings
from network.gateway.state_keys import key_kinds
from network.ipc import RemoteError


def refused(answer, status, code):
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return answer.json()


async def submitted(gateway, node, *names):
    return [(await gateway.post(node.sign(name), "?wait=sealed")).json() for name in names]


# ── blocks ────────────────────────────────────────────────────────────────────────────────────────


async def test_blocks_come_newest_first_in_pages(gateway, node):
    await submitted(gateway, node, "aa", "bb", "cc")
    first = (await gateway.get("/v1/blocks?limit=2")).json()
    assert [block["height"] for block in first["blocks"]] == [3, 2]
    assert (first["next_before"], first["sealed_height"]) == (2, 3)
    rest = (await gateway.get("/v1/blocks?limit=2&before=2")).json()
    assert [block["height"] for block in rest["blocks"]] == [1, 0]
    assert rest["next_before"] is None
    assert first["blocks"][0]["signers"] == 3
    assert first["blocks"][0]["proposer_name"] == "alpha"
    assert first["blocks"][0]["transaction_count"] == 1
    assert (await gateway.get("/v1/blocks?before=0")).json()["blocks"] == []


async def test_a_long_page_is_asked_for_in_parts(gateway, node):
    for _ in range(80):
        node.seal()
    blocks = (await gateway.get("/v1/blocks?limit=100&min_height=80")).json()["blocks"]
    assert [block["height"] for block in blocks] == list(range(80, -1, -1))


async def test_a_block_by_height_and_by_hash(gateway, node):
    await submitted(gateway, node, "aa")
    by_height = await gateway.get("/v1/blocks/1")
    block = by_height.json()
    assert block["header"]["hash"] == node.records[1].block.header.hash.hex()
    assert block["header"]["time"].startswith("2025-10-09T")
    assert [signer["name"] for signer in block["seal"]["signatures"]] == ["alpha", "bravo", "delta"]
    (entry,) = block["transactions"]
    assert entry["transaction"]["calls"] == [{"contract": "registry", "method": "register", "args": ["aa"]}]
    assert entry["receipt"]["code"] == "ok"
    assert by_height.headers["quorate-height"] == "1"
    assert (await gateway.get(f"/v1/blocks/{block['header']['hash']}")).json() == block


async def test_a_block_in_its_own_bytes(gateway, node):
    await submitted(gateway, node, "aa")
    answer = await gateway.get("/v1/blocks/1?format=raw")
    assert answer.headers["content-type"] == "application/vnd.quorate.block"
    assert codec.decode(answer.content, BlockRecord) == node.records[1]
    for name in ("1", node.records[1].block.header.hash.hex()):
        light = codec.decode((await gateway.get(f"/v1/blocks/{name}?format=light")).content, BlockRecord)
        assert (light.block, light.seal, light.bodies) == (node.records[1].block, node.records[1].seal, ())


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/blocks/1", 404, "unknown_block"),
        ("/v1/blocks/" + "0" * 64, 404, "unknown_block"),
        ("/v1/blocks/-1", 400, "bad_parameter"),
        ("/v1/blocks/1.5", 400, "bad_parameter"),
        ("/v1/blocks/99999999999999999999", 400, "bad_parameter"),
        ("/v1/blocks/9007199254740992", 400, "bad_parameter"),
        ("/v1/blocks/٣", 400, "bad_parameter"),
        ("/v1/blocks/" + "g" * 64, 400, "bad_parameter"),
        ("/v1/blocks/latest", 400, "bad_parameter"),
        ("/v1/blocks/0?format=xml", 400, "bad_parameter"),
        ("/v1/blocks?limit=0", 400, "bad_parameter"),
        ("/v1/blocks?limit=101", 400, "bad_parameter"),
        ("/v1/blocks?before=-1", 400, "bad_parameter"),
        ("/v1/blocks?before=x", 400, "bad_parameter"),
        ("/v1/nothing", 404, "not_found"),
        ("/v2/blocks", 404, "not_found"),
        ("/v1/blocks/../../etc/passwd", 404, "not_found"),
    ],
)
async def test_a_wrong_question(gateway, path, status, code):
    refused(await gateway.get(path), status, code)


async def test_a_method_that_is_not_available(gateway):
    refused(await gateway.http.delete("/v1/blocks"), 405, "method_not_allowed")


# ── transactions ──────────────────────────────────────────────────────────────────────────────────


async def test_a_sealed_transaction_with_receipt_and_proof(gateway, node):
    (sent,) = await submitted(gateway, node, "aa")
    found = (await gateway.get(f"/v1/transactions/{sent['id']}")).json()
    assert found["state"] == "sealed"
    assert found["receipt"] == sent["receipt"]
    assert found["transaction"]["sender"] == node.alice.public_key.hex()
    proof = as_text(found["proof"])
    assert verify_proof(proof, node.genesis).height == 1
    assert "proof" not in (await gateway.get(f"/v1/transactions/{sent['id']}?proof=false")).json()


async def test_the_receipt_file_verifies_offline(gateway, node):
    (sent,) = await submitted(gateway, node, "aa")
    answer = await gateway.get(f"/v1/transactions/{sent['id']}/receipt")
    assert answer.headers["content-disposition"] == f'attachment; filename="receipt-{sent["id"][:16]}.json"'
    found = verify_proof(answer.content, node.genesis)
    assert found.receipt.transaction_id.hex() == sent["id"]


async def test_a_pending_transaction(gateway, node):
    node.auto_seal = False
    sent = (await gateway.post(node.sign("aa"))).json()
    found = (await gateway.get(f"/v1/transactions/{sent['id']}")).json()
    assert (found["state"], found["transaction"]["id"]) == ("pending", sent["id"])
    waited = await gateway.get(f"/v1/transactions/{sent['id']}?wait=sealed&timeout_s=0.05")
    assert (waited.status_code, waited.json()["state"]) == (202, "pending")
    assert f"/v1/transactions/{sent['id']}?wait=sealed" in waited.json()["detail"]
    refused(await gateway.get(f"/v1/transactions/{sent['id']}/receipt"), 409, "not_sealed")


async def test_waiting_for_a_transaction_by_its_id(gateway, node, poll):
    node.auto_seal = False
    sent = (await gateway.post(node.sign("aa"))).json()
    waiting = asyncio.create_task(gateway.get(f"/v1/transactions/{sent['id']}?wait=sealed"))
    await poll(lambda: gateway.app.services.waiters.count == 1)
    node.seal()
    assert (await waiting).json()["receipt"]["code"] == "ok"


@pytest.mark.parametrize("tail", ["", "/receipt"])
async def test_a_transaction_that_this_node_does_not_know(gateway, tail):
    problem = refused(await gateway.get(f"/v1/transactions/{'00' * 32}{tail}"), 404, "unknown_transaction")
    assert "not the same as never accepted" in problem["detail"]
    refused(await gateway.get(f"/v1/transactions/xyz{tail}"), 400, "bad_parameter")


# ── accounts ──────────────────────────────────────────────────────────────────────────────────────


async def test_what_an_account_sent_in_pages(gateway, node):
    await submitted(gateway, node, "aa", "bb", "aa")
    path = f"/v1/accounts/{node.alice.public_key.hex()}/transactions"
    page = (await gateway.get(f"{path}?limit=2")).json()
    assert [(entry["height"], entry["code"]) for entry in page["transactions"]] == [(3, "failed"), (2, "ok")]
    rest = (await gateway.get(f"{path}?limit=2&before={page['next_before']}")).json()
    assert [entry["height"] for entry in rest["transactions"]] == [1]
    assert rest["next_before"] is None
    assert (await gateway.get(f"/v1/accounts/{node.bob.public_key.hex()}/transactions")).json()["transactions"] == []
    refused(await gateway.get(f"{path}?before=x"), 400, "bad_parameter")
    refused(await gateway.get("/v1/accounts/alice/transactions"), 400, "bad_parameter")


async def test_accounts_and_one_account(gateway, node):
    found = (await gateway.get("/v1/accounts")).json()
    assert sorted(account["name"] for account in found["accounts"]) == ["alice", "bob"]
    one = (await gateway.get(f"/v1/accounts/{node.alice.public_key.hex()}")).json()
    assert one["account"] == {"name": "alice", "roles": ["admin"]}
    refused(await gateway.get("/v1/accounts/" + "00" * 32), 404, "unknown_account")
    refused(await gateway.get("/v1/accounts?after=zz"), 400, "bad_parameter")


# ── contracts, views, state ───────────────────────────────────────────────────────────────────────


async def test_contracts_with_interface_and_one_with_source(gateway):
    (listed,) = (await gateway.get("/v1/contracts")).json()["contracts"]
    assert "source" not in listed
    assert listed["methods"][0] == {
        "name": "register",
        "kind": "call",
        "parameters": [{"name": "digest", "type": "str"}],
        "returns": "int",
        "doc": "Register a digest, once.",
    }
    one = (await gateway.get("/v1/contracts/registry")).json()
    assert one["source"].startswith("class Registry(Contract):")
    refused(await gateway.get("/v1/contracts/nothing"), 404, "unknown_contract")


async def test_a_view_by_post_and_by_get(gateway, node):
    await submitted(gateway, node, "aa")
    body = {"contract": "registry", "method": "owner_of", "args": ["aa"]}
    by_post = (await gateway.http.post("/v1/view", json=body)).json()
    assert by_post["value"] == node.alice.public_key.hex()
    assert (by_post["height"], by_post["gas_used"]) == (1, 500)
    by_get = await gateway.get("/v1/view", params=body | {"args": '["aa"]'})
    assert by_get.json() == by_post


async def test_view_values_keep_their_types(gateway):
    args = [{"$bytes": "00ff"}, {"$int": str(1 << 255)}, {"k": [None, True]}]
    answer = await gateway.http.post("/v1/view", json={"contract": "registry", "method": "echo", "args": args})
    assert answer.json()["value"] == args


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"contract": "nothing"}, 404, "unknown_contract"),
        ({"method": "nothing"}, 404, "unknown_method"),
        ({"args": [7]}, 422, "bad_arguments"),
        ({"args": []}, 422, "bad_arguments"),
        ({"args": ["zz"]}, 422, "view_failed"),
        ({"args": [0.5]}, 400, "bad_value"),
        ({"args": "aa"}, 400, "bad_value"),
        ({"sender": "me"}, 400, "bad_parameter"),
        ({"height": 10}, 409, "height_not_reached"),
        ({"height": -1}, 400, "bad_json"),
        ({"extra": 1}, 400, "bad_json"),
        ({"contract": None}, 400, "bad_json"),
    ],
)
async def test_a_view_that_has_no_value(gateway, changes, status, code):
    body = {"contract": "registry", "method": "owner_of", "args": ["aa"]} | changes
    refused(await gateway.http.post("/v1/view", json=body), status, code)


async def test_a_failing_view_carries_the_contracts_code_and_line(gateway):
    body = {"contract": "registry", "method": "owner_of", "args": ["zz"]}
    problem = refused(await gateway.http.post("/v1/view", json=body), 422, "view_failed")
    assert (problem["contract_code"], problem["line"], problem["height"]) == ("key_error", 14, 0)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"contract":' + b"[" * 100_000])
async def test_view_bodies_that_are_not_json(gateway, body):
    answer = await gateway.http.post("/v1/view", content=body, headers={"content-type": "application/json"})
    refused(answer, 400, "bad_json")


async def test_view_bodies_of_another_type_or_size(gateway):
    refused(await gateway.http.post("/v1/view", content=b"{}"), 415, "unsupported_media_type")
    big = await gateway.http.post("/v1/view", content=bytes(2 << 20), headers={"content-type": "application/json"})
    refused(big, 413, "too_large")
    refused(await gateway.get("/v1/view?contract=registry"), 400, "bad_parameter")
    refused(await gateway.get("/v1/view?contract=registry&method=echo&args=["), 400, "bad_json")


async def test_a_state_value_with_its_proof(gateway, node):
    await submitted(gateway, node, "aa")
    found = (await gateway.get("/v1/state/registry/entries/aa")).json()
    assert (found["present"], found["value"], found["height"]) == (True, node.alice.public_key.hex(), 1)
    assert (found["proof"], found["type"]) == (b"proof".hex(), "Map[str, str]")
    assert codec.decode(bytes.fromhex(found["encoded"])) == found["value"]


async def test_a_proven_absence(gateway):
    found = (await gateway.get("/v1/state/registry/entries/nothing")).json()
    assert (found["present"], found["value"]) == (False, None)


async def test_the_variables_of_a_contract(gateway):
    found = (await gateway.get("/v1/state/registry")).json()
    assert {"name": "entries", "type": "Map[str, str]"} in found["variables"]


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("entries/a%2Fb", ["entries", "a/b"]),
        ("entries/%C3%A4", ["entries", "ä"]),
        ("pairs/x/-7", ["pairs", "x", -7]),
        ("total", ["total"]),
    ],
)
async def test_path_segments_become_keys_of_the_declared_types(gateway, node, path, keys):
    assert (await gateway.get(f"/v1/state/registry/{path}")).status_code == 200
    assert node.calls[f"path {keys!r}"] == 1


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("registry/nothing", 404, "unknown_variable"),
        ("nothing/entries", 404, "unknown_contract"),
        ("registry/entries", 422, "bad_arguments"),
        ("registry/entries/a/b", 422, "bad_arguments"),
        ("registry/total/a", 422, "bad_arguments"),
        ("registry/pairs/x", 422, "bad_arguments"),
        ("registry/pairs/x/seven", 422, "bad_arguments"),
        ("registry/pairs/x/" + "9" * 500, 422, "bad_arguments"),
        ("registry/entries/aa?height=9", 409, "height_not_reached"),
    ],
)
async def test_a_state_path_that_names_nothing(gateway, path, status, code):
    refused(await gateway.get(f"/v1/state/{path}"), status, code)


@pytest.mark.parametrize(
    ("declared", "kinds"),
    [
        ("int", []),
        ("Map[str, int]", ["str"]),
        ("Map[tuple[str, int], bytes]", ["str", "int"]),
        ("Map[str, dict[str, list[int]]]", ["str"]),
        ("List[str]", ["int"]),
        ("dict[str, int]", []),
    ],
)
def test_the_key_types_of_a_declaration(declared, kinds):
    assert key_kinds(declared) == kinds


# ── the network and the node ──────────────────────────────────────────────────────────────────────


async def test_evidence_is_listed_and_handed_out_as_the_file_it_is(gateway, node):
    assert (await gateway.get("/v1/evidence")).json()["evidence"] == []
    node.evidence["member2-charlie-prepare.json"] = b'{"format": "quorate-evidence-1"}'
    (found,) = (await gateway.get("/v1/evidence")).json()["evidence"]
    assert (found["name"], found["kind"], found["view"], found["height"]) == ("charlie", "prepare", 1, 7)
    answer = await gateway.get(f"/v1/evidence/{found['file']}")
    assert answer.content == b'{"format": "quorate-evidence-1"}'
    assert answer.headers["content-disposition"] == f'attachment; filename="{found["file"]}"'


async def test_evidence_of_another_name_is_no_page(gateway):
    answer = await gateway.get("/v1/evidence/nothing.json")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_status_validators_and_genesis(gateway, node):
    status = (await gateway.get("/v1/status")).json()
    assert status["chain_id"] == node.genesis.chain_id.hex()
    assert (status["network"], status["sealed_height"], status["primary"]) == ("testnet", 0, 0)
    assert status["parameters"]["validity_window"] == 4096
    assert status["executor"]["sandbox"] == ["seccomp"]
    assert [peer["name"] for peer in status["peers"]] == ["bravo", "charlie", "delta"]
    found = (await gateway.get("/v1/validators")).json()
    assert [member["name"] for member in found["validators"]] == ["alpha", "bravo", "charlie", "delta"]
    assert [member["primary"] for member in found["validators"]] == [True, False, False, False]
    assert [member["self"] for member in found["validators"]] == [True, False, False, False]


async def test_the_genesis_is_the_one_that_the_chain_id_names(gateway, node):
    node.genesis = read_genesis(GENESIS)
    found = (await gateway.get("/v1/genesis")).json()
    assert found["chain_id"] == node.genesis.chain_id.hex()
    file = await gateway.get("/v1/genesis?format=file")
    assert read_genesis(file.content).chain_id == node.genesis.chain_id
    assert read_genesis(json.dumps(found["genesis"])) == node.genesis


async def test_health_and_readiness(gateway, node):
    assert (await gateway.get("/healthz")).json()["ok"] is True
    assert (await gateway.get("/readyz")).json()["ready"] is True
    node.halted = "diverged at height 7"
    assert "diverged at height 7" in refused(await gateway.get("/readyz"), 503, "node_unavailable")["detail"]
    node.halted, node.executor_down = "", True
    refused(await gateway.get("/readyz"), 503, "node_unavailable")
    node.executor_down, node.down = False, True
    refused(await gateway.get("/readyz"), 503, "node_unavailable")
    assert (await gateway.get("/healthz")).status_code == 200


async def test_the_probes_do_not_import_the_whole_api(gateway):
    """They are asked first of all right after a power cut; FastAPI comes with the first question that needs it."""
    for probe in ("/healthz", "/readyz"):
        answer = await gateway.get(probe)
        assert (answer.status_code, answer.headers["quorate-height"]) == (200, str(answer.json()["sealed_height"]))
    assert gateway.app._api is None
    assert (await gateway.http.post("/readyz")).status_code == 405
    assert gateway.app._api is not None


async def test_metrics_are_prometheus_text(gateway, node):
    await submitted(gateway, node, "aa")
    await gateway.post(b"\xc0")
    answer = await gateway.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    assert "quorate_gateway_sealed_height 1" in lines
    assert 'quorate_submissions_total{outcome="sealed"} 1' in lines
    assert 'quorate_submissions_total{outcome="malformed"} 1' in lines
    assert 'quorate_http_requests_total{method="POST",status="400"} 1' in lines
    assert 'quorate_peer_connected{peer="bravo"} 1' in lines
    assert 'quorate_validator_events_total{event="frames"} 7' in lines
    assert all(line.startswith(("# ", "quorate_")) for line in lines)


@pytest.mark.parametrize(
    "path",
    ["/v1/blocks", "/v1/status", "/v1/validators", "/v1/view?contract=c&method=m", "/v1/accounts/" + "00" * 32],
)
async def test_a_node_that_does_not_answer(gateway, node, path):
    node.down = node.executor_down = True
    answer = await gateway.get(path)
    refused(answer, 503, "node_unavailable")
    assert answer.headers["retry-after"] == "2"


async def test_a_fault_of_the_gateway_tells_nothing_of_its_inside(gateway, node, monkeypatch):
    async def broken(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(node.validator, "validators", broken)
    answer = await gateway.get("/v1/blocks")
    refused(answer, 500, "internal")
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (RemoteError("height_unavailable", "height 1 cannot be read here: 5 to 9 can"), 410, "height_unavailable"),
        (RemoteError("height_too_costly", "read less at a time, or at a newer height"), 422, "height_too_costly"),
        (RemoteError("view_too_long", "ask for less at a time"), 422, "view_too_long"),
        (RemoteError("size_limit", "a key of 2000 bytes"), 422, "bad_arguments"),
        (RemoteError("internal", "KeyError: secret detail"), 500, "internal"),
        (RemoteError("odd", "secret detail"), 500, "internal"),
    ],
)
async def test_what_the_executor_refuses(gateway, node, monkeypatch, refusal, status, code):
    async def refuse(*_):
        raise refusal

    monkeypatch.setattr(node.executor, "state", refuse)
    answer = await gateway.get("/v1/state/registry/total")
    refused(answer, status, code)
    assert "secret" not in answer.text


# ── heights ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "path",
    ["/v1/blocks?", "/v1/status?", "/v1/contracts?", "/v1/view?contract=registry&method=echo&", "/v1/accounts?"],
)
async def test_min_height_waits_briefly_then_says_no(gateway, node, path):
    problem = refused(await gateway.get(f"{path}min_height=5"), 409, "height_not_reached")
    assert problem["sealed_height"] == 0
    reading = asyncio.create_task(gateway.get(f"{path}min_height=1"))
    node.seal()
    assert (await reading).status_code == 200


class TestViewsAtOnce:
    @pytest.fixture
    def settings(self):
        return GatewaySettings(views_at_once_max=2, views_waiting_max=1, status_poll_s=0.02)

    async def test_more_views_than_there_is_room_for(self, gateway, node, poll):
        node.gate = asyncio.Event()
        path = "/v1/view?contract=registry&method=echo"
        running = [asyncio.create_task(gateway.get(path)) for _ in range(3)]
        await poll(lambda: gateway.app.services.views.inside == 3)
        assert node.calls["view"] == 2
        refused(await gateway.get(path), 429, "too_many_requests")
        node.gate.set()
        assert {answer.status_code for answer in await asyncio.gather(*running)} == {200}
        assert (await gateway.get(path)).status_code == 200


GENESIS = None


@pytest.fixture(scope="module", autouse=True)
def _genesis_text():
    """A genesis file with everything that the strict reader asks for."""
    global GENESIS
    GENESIS = make_genesis_text()


def make_genesis_text() -> str:
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ed25519
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    from ledger.crypto import SigningKey
    from ledger.genesis import to_json
    from ledger.types import Account, Genesis, Parameters, Validator, ValidatorSet

    members = []
    for number in range(4):
        tls = ed25519.Ed25519PrivateKey.generate()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"node-{number}")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(tls.public_key())
            .serial_number(number + 1)
            .not_valid_before(datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC))
            .not_valid_after(datetime.datetime(2035, 1, 1, tzinfo=datetime.UTC))
            .sign(tls, None)
        )
        members.append(
            Validator(f"node-{number}", SigningKey.generate().public_key, 1, certificate.public_bytes(Encoding.DER))
        )
    accounts = (Account("admin", SigningKey.generate().public_key, ("admin",)),)
    return to_json(Genesis(1, "testnet", 1_760_000_000_000, Parameters(), ValidatorSet(tuple(members)), accounts))


# ── the first of them ─────────────────────────────────────────────────────────────────────────────


async def test_while_the_api_is_made_the_rest_is_answered_and_all_first_readers_share_one(gateway, node, monkeypatch):
    """FastAPI takes a quarter of a second to import: probes and transactions do not wait for it."""
    may_go_on, made = threading.Event(), []
    make = gateway.app._make_api

    def make_slowly():
        made.append(threading.current_thread())
        assert may_go_on.wait(20)
        return make()

    monkeypatch.setattr(gateway.app, "_make_api", make_slowly)
    reading = [asyncio.create_task(gateway.get("/v1/status")) for _ in range(3)]
    while not made:
        await asyncio.sleep(0)
    assert (await gateway.get("/healthz")).status_code == 200
    assert (await gateway.post(node.sign("aa"), "?wait=sealed")).status_code == 200
    assert not any(task.done() for task in reading)
    may_go_on.set()
    assert [answer.status_code for answer in await asyncio.gather(*reading)] == [200, 200, 200]
    assert len(made) == 1
    assert made[0] is not threading.main_thread()


async def test_an_api_that_could_not_be_made_is_made_for_the_next_reader(gateway, monkeypatch):
    make, failures = gateway.app._make_api, [OSError("too many open files")]
    monkeypatch.setattr(gateway.app, "_make_api", lambda: make() if not failures else throw(failures.pop()))
    refused(await gateway.get("/v1/status"), 500, "internal")
    assert (await gateway.get("/v1/status")).status_code == 200


def throw(error):
    raise error

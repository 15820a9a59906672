"""What the explorer shows, drawn outside a browser: verified, or labelled as one node's word; and a node that lies."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from pathlib import Path

import pytest

from contracts.keys import state_key
from ledger import codec, hashing
from ledger.state import State
from ledger.transactions import identify

DRAW = Path(__file__).with_name("draw_pages.mjs")
SOURCE_LINE = "require(digest not in self.entries"


def system_state(node, source):
    """What the system contract keeps of an account and of a contract."""
    code = hashing.code_hash(source.encode())
    alice = node.alice.public_key.hex()
    contract = {"version": 1, "code_hash": code, "owner": alice, "height": 1}
    version = {"source": source, "code_hash": code, "by": alice, "height": 1}
    return {
        state_key("system", "registered", (alice,)): codec.encode({"name": "alice", "roles": ["admin"]}),
        state_key("system", "contracts", ("registry",)): codec.encode(contract),
        state_key("system", "sources", ("registry", 1)): codec.encode(version),
    }


@pytest.fixture
async def explorer(node, settings, serving, tmp_path):
    """Draws pages of a node that sealed two blocks: `explorer(pages, lies)`."""
    with contextlib.closing(State.open(tmp_path / "state")) as state:
        node.state = state
        info = await node.executor.contract("registry")
        state.commit(0, system_state(node, info.source))
        for digest in ("aa", "bb"):
            raw = node.sign(digest)
            node.pending[identify(raw)[0]] = raw
            node.seal()
        async with serving(node, settings) as port:
            yield lambda pages, lies=(), **more: draw(f"http://127.0.0.1:{port}", pages, lies, more)


async def draw(base, pages, lies, more):
    found = shutil.which("node")
    assert found, "the explorer is tested in Node 20 or newer, and there is no node on the PATH"
    process = await asyncio.create_subprocess_exec(found, DRAW, stdin=-1, stdout=-1, stderr=-1)
    asked = json.dumps({"base": base, "pages": pages, "lies": lies} | more).encode()
    out, errors = await asyncio.wait_for(process.communicate(asked), 60)
    assert process.returncode == 0, errors.decode()
    return json.loads(out)


def pages_of(node):
    name = next(iter(node.sealed)).hex()
    alice = node.alice.public_key.hex()
    return {
        "home": ["chain.js", "home", ""],
        "blocks": ["chain.js", "blocks", ""],
        "block": ["chain.js", "block", "1"],
        "genesis": ["chain.js", "block", "0"],
        "transaction": ["chain.js", "transaction", name],
        "contracts": ["ledger.js", "contracts", ""],
        "contract": ["ledger.js", "contract", "registry"],
        "accounts": ["ledger.js", "accounts", ""],
        "account": ["ledger.js", "account", alice],
        "stranger": ["ledger.js", "account", "ab" * 32],
        "validators": ["ledger.js", "validators", ""],
    }


def card_of(page, title):
    found = [card for card in page["cards"] if card["title"] == title]
    assert len(found) == 1, [card["title"] for card in page["cards"]]
    return found[0]


VERIFIED = {
    "home": ["Latest blocks"],
    "blocks": ["Blocks"],
    "block": ["Header", "Proof", "Transactions"],
    "genesis": ["Header", "Seal", "Transactions"],
    "transaction": ["Calls", "Events", "Transaction", "Proof"],
    "contract": ["About", "Source"],
    "account": ["About"],
    "stranger": ["About"],
    "validators": ["Keys"],
}


async def test_all_that_is_shown_is_verified_here_or_labelled(explorer, node):
    pages = pages_of(node)
    drawn = dict(zip(pages, await explorer(list(pages.values())), strict=True))
    for name, page in drawn.items():
        assert page["proofs"], name
        for part in (*page["cards"], *page["tiles"]):
            if name != "contracts":  # one label for the whole page
                assert part["proofs"], f"{name}: {part['title']} says nothing about who vouches for it"
        verified = [card["title"] for card in page["cards"] if card["proofs"] == ["verified"]]
        assert verified == VERIFIED.get(name, []), name
    assert {part["title"]: part["proofs"] for part in drawn["home"]["tiles"]} == {
        "Sealed height": ["verified"],
        "Throughput": ["verified"],
        "Primary": ["said"],
        "Waiting": ["said"],
    }
    assert card_of(drawn["validators"], "Agreed parameters")["proofs"] == ["genesis"]
    assert "alice" in drawn["account"]["text"]
    assert "not an account of this network" in drawn["stranger"]["text"]


LIES = [
    ("blocks", "Blocks", [r"^/v1/blocks\?", '"transaction_count":1', '"transaction_count":77'], "77", ["verified"]),
    ("home", "Latest blocks", [r"^/v1/blocks\?", '"height":2', '"height":77'], "77", ["invalid"]),
    ("blocks", "Blocks", [r"^/v1/blocks\?", '"sealed_by_members"', '"sealed"'], "", ["invalid"]),
    ("block", "Header", [r"^/v1/blocks/1$", '"gas_used":1000', '"gas_used":77'], "77", ["verified"]),
    ("block", "Transactions", [r"format=raw", "register", "reg1ster"], "", ["invalid"]),
    ("block", "Transactions", [r"^/v1/blocks/1$", "register", "reg1ster"], "reg1ster", ["verified"]),
    ("genesis", "Header", ["/0.format=light", "testnet", "restnet"], "", ["verified"]),
    ("genesis", "Header", ["/0.format=light", "\x00" * 8, "\x01" * 8], "", ["invalid"]),
    ("transaction", "Calls", [r"^/v1/transactions/", '"aa"', '"77"'], "77", ["verified"]),
    ("contract", "Source", [r"^/v1/contracts/registry$", SOURCE_LINE, "require(True"], "require(True", ["verified"]),
    ("contract", "About", [r"^/v1/contracts/registry$", '"version":1', '"version":777777'], "777777", ["verified"]),
    ("validators", "Keys", [r"^/v1/validators$", '"alpha"', '"mallory"'], "mallory", ["verified"]),
]


@pytest.mark.parametrize(("name", "title", "lie", "shown", "proofs"), LIES, ids=range(len(LIES)))
async def test_a_node_that_says_one_thing_and_proves_another_is_not_believed(
    explorer, node, name, title, lie, shown, proofs
):
    (page,) = await explorer([pages_of(node)[name]], [lie])
    card = card_of(page, title)
    assert card["proofs"] == proofs
    if "verified" in proofs and shown:
        assert shown not in card["text"]


@pytest.mark.parametrize("visit", [{"secure": False}, {"chain": "ab" * 32}], ids=["plain HTTP", "another chain before"])
async def test_where_nothing_can_be_verified_nothing_says_it_was(explorer, node, visit):
    pages = pages_of(node)
    for name, page in zip(pages, await explorer(list(pages.values()), **visit), strict=True):
        assert set(page["proofs"]) <= {"said", "unchecked"}, name
        assert page["proofs"], name
        for title in VERIFIED.get(name, []):
            assert card_of(page, title)["proofs"] == ["unchecked"], (name, title)


async def test_an_account_that_only_the_node_knows_is_none(explorer, node):
    """The node answers for a stranger as it would for alice."""
    alice = node.alice.public_key.hex()
    (page,) = await explorer([pages_of(node)["account"]], [["^/v1/accounts/", '"admin"', '"auditor"']])
    assert "admin" in page["text"]
    assert "auditor" not in page["text"]
    (page,) = await explorer([["ledger.js", "account", "ab" * 32]], [["^/v1/proofs/", "ab" * 32, alice]])
    assert card_of(page, "About")["proofs"] == ["invalid"]


async def test_another_block_than_the_one_in_the_address_is_not_shown_as_it(explorer, node):
    (page,) = await explorer([["chain.js", "block", "1"]], [["^/v1/blocks/1$", '"height":1', '"height":2']])
    assert card_of(page, "Header")["proofs"] == ["invalid"]


async def test_what_was_called_before_an_upgrade_is_not_named_by_the_new_code(explorer, node):
    """The new code may call the same places otherwise, and have something else in the line that failed."""
    failed = node.sign("aa")
    node.pending[identify(failed)[0]] = failed
    node.seal()
    pages = [["chain.js", "transaction", identify(failed)[0].hex()]]
    (now,) = await explorer(pages)
    assert "digest" in card_of(now, "Calls")["text"]
    assert "registered already · registry, line 8The" in now["text"]
    (later,) = await explorer(pages, [["^/v1/contracts/registry$", '"deployed_height":0', '"deployed_height":9']])
    calls = card_of(later, "Calls")["text"]
    assert ("digest" in calls, "argument 0" in calls, "was upgraded since" in calls) == (False, True, True)
    assert "registered already · registry, line 8 of an earlier version" in later["text"]


async def test_too_few_members_for_a_seal_are_an_alarm_and_one_that_is_away_is_not(explorer, node):
    home = pages_of(node)["home"]
    (calm,) = await explorer([home])
    assert "not connected" not in calm["text"]
    delta = (
        f'{node.genesis.validators.members[3].public_key.hex()}","power":1,"primary":false,"self":false,"connected":'
    )
    (away,) = await explorer([home], [["^/v1/validators$", f"{delta}true", f"{delta}false"]])
    assert "delta is not connected to this node." in away["text"]
    (lost,) = await explorer([home], [["^/v1/validators$", '"connected":true', '"connected":false']])
    assert (
        "it reaches power 0 of 4, and a quorum is 3. Where the others reach no more, nothing is sealed." in lost["text"]
    )


async def test_transactions_that_wait_while_nothing_is_sealed_are_not_idleness(explorer, node):
    home = pages_of(node)["home"]
    waiting = [["^/v1/status$", '"transactions":0', '"transactions":2']]
    (calm,), (stuck,) = await explorer([home]), await explorer([home], waiting)
    assert "blocks are made when there is work" in calm["text"]
    assert "transactions wait, and no block is sealed" in stuck["text"]

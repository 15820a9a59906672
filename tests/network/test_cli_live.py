"""The command line against a real node: contracts deployed, called, asked, and what they did looked at and proven."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from network.testnet import Testnet, make_testnet

TOKEN = Path(__file__).parents[2] / "contracts" / "examples" / "token.py"


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


COUNTER = """from contracts import Contract, Var, init, view


class Counter(Contract):
    number: Var[int]

    @init
    def create(self) -> None:
        self.number.set(1)

    @view
    def count(self) -> int:
        return self.number.get()
"""


class Shell:
    """Types commands, each in a process of its own, with the network's address and an account's key at hand."""

    def __init__(self, network: Testnet) -> None:
        self.network = network
        self.directory = network.directory

    def __call__(self, *words: object, key: str = "admin", genesis: bool = False) -> Result:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("QUORATE")}
        environment["QUORATE_URL"] = self.network.urls[0]
        environment["QUORATE_KEY"] = str(self.network.account_key_path(key))
        if genesis:
            environment["QUORATE_GENESIS"] = str(self.network.genesis_path)
        ended = subprocess.run(
            [sys.executable, "-m", "network.cli", *map(str, words)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
        )
        assert "Traceback" not in ended.stderr, ended.stderr
        return Result(ended.returncode, ended.stdout, ended.stderr)

    def address(self, name: str) -> str:
        return self("keys", "show", self.network.account_key_path(name), "--address").out.strip()


@pytest.fixture(scope="module")
def quorate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A network of one validator with a token deployed."""
    directory = tmp_path_factory.mktemp("cli") / "net"
    accounts = {"admin": ("admin",), "ann": ("writer",)}
    make_testnet(directory, time_ms=1_700_000_000_000, validators=1, base_port=None, accounts=accounts)
    with Testnet(directory) as network:
        network.start()
        network.wait_ready()
        shell = Shell(network)
        deployed = shell("deploy", TOKEN, "Acme", "ACM", "1000")
        assert deployed.code == 0, deployed.err
        yield shell


def test_a_call_is_sealed_proven_and_seen_by_a_view(quorate: Shell) -> None:
    ann = quorate.address("ann")
    before = int(quorate("view", "token", "balance_of", ann).out)
    sent = quorate("call", "token", "transfer", ann, "25", "--json", genesis=True)
    assert (sent.code, sent.json["code"], sent.json["proven"]) == (0, "ok", True)
    assert sent.json["events"][0]["fields"]["amount"] == 25
    assert int(quorate("view", "token", "balance_of", ann).out) == before + 25


def test_an_upgrade_brings_new_code_over_the_old_state(quorate: Shell, tmp_path: Path) -> None:
    path = tmp_path / "counter.py"
    path.write_text(COUNTER)
    assert quorate("deploy", path).code == 0
    assert quorate("view", "counter", "count").out == "1\n"
    path.write_text(COUNTER.replace("return self.number.get()", "return -self.number.get()"))
    upgraded = quorate("upgrade", path, "--json")
    assert (upgraded.code, upgraded.json["events"][0]["name"]) == (0, "Upgraded")
    assert quorate("view", "counter", "count").out == "-1\n"
    path.write_text(COUNTER.replace("number: Var[int]", "number: Var[str]"))
    misread = quorate("upgrade", path)
    assert (misread.code, "layout_changed" in misread.out) == (1, True)
    path.write_text(COUNTER)
    assert "not_permitted" in quorate("upgrade", path, key="ann").out
    assert "unknown_contract" in quorate("upgrade", path, "--name", "nobody").out


def test_the_deployed_contracts_are_listed_a_page_at_a_time_and_proven(quorate: Shell, tmp_path: Path) -> None:
    path = tmp_path / "counter.py"
    path.write_text(COUNTER)
    for name in ("page-a", "page-b"):
        assert quorate("deploy", path, "--name", name).code == 0
    path.write_text(COUNTER.replace("set(1)", "set(2)"))
    height = quorate("upgrade", path, "--name", "page-b", "--json").json["height"]
    owner = quorate.address("admin")
    first = quorate("contracts", "--after", "page", "--limit", 1, "--json").json
    assert [each["name"] for each in first["contracts"]] == [first["next_after"]] == ["page-a"]
    rest = quorate("contracts", "--after", first["next_after"], "--json", genesis=True).json
    listed = {each["name"]: each for each in rest["contracts"]}
    assert {name: listed["page-b"][name] for name in ("version", "owner", "height", "proven")} == {
        "version": 2,
        "owner": owner,
        "height": height,
        "proven": True,
    }
    assert (first["contracts"][0]["proven"], rest["next_after"]) == (False, None)
    lines = quorate("contracts", "--limit", 2, "--after", "page").out.splitlines()
    assert [line.split() for line in lines][::2] == [
        ["name", "version", "owner", "height"],
        ["page-b", "2", owner, str(height)],
    ]
    assert "quorate contracts --after page-b" in quorate("contracts", "--limit", 2, "--after", "page").err
    assert quorate("contracts", "--after", "zz").out == "no contract comes after zz\n"
    assert quorate("contracts", "--limit", 0).code == 2


def test_a_transaction_is_looked_up_kept_and_verified(quorate: Shell, tmp_path: Path) -> None:
    sent = quorate("call", "token", "transfer", "somebody", "1", "--json").json
    receipt = tmp_path / "receipt.json"
    found = quorate("tx", sent["id"], "--receipt", receipt)
    assert found.code == 0
    assert "token.transfer" in found.out
    assert f"receipt written: {receipt}" in found.out
    verified = quorate("verify", receipt, "--genesis", quorate.network.genesis_path)
    assert verified.out.startswith(f"valid: this transaction took place at block {sent['height']}, sealed by 1 of 1")
    assert quorate("tx", sent["id"], "--receipt", receipt).code == 1  # a receipt is never replaced


def test_everything_that_can_be_proven_is_kept_as_a_file_and_verified(quorate: Shell, tmp_path: Path) -> None:
    ann = quorate.address("ann")
    sent = quorate("call", "token", "transfer", ann, "7", "--json").json
    for words, claim in [
        (("transaction", sent["id"]), "valid: this transaction took place at block "),
        (("receipt", sent["id"]), "valid: this was the outcome of the transaction at block "),
        (("event", sent["id"], 0), "valid: this event was emitted at block "),
        (("header", sent["height"]), "valid: block "),
        (("state", "token", "balances", ann), f"valid: token.balances['{ann}'] had this value at block "),
        (("state", "token", "balances", "nobody"), "valid: token.balances['nobody'] had no value at block "),
    ]:
        file = tmp_path / f"{words[0]}-{words[-1]}.json"
        kept = quorate("proof", *words, "--output", file, genesis=True)
        assert kept.code == 0, kept.err
        assert kept.out.startswith(claim)
        assert f"written: {file}" in kept.out
        verified = quorate("verify", file, "--genesis", quorate.network.genesis_path)
        assert (verified.code, verified.out) == (0, kept.out.partition("written: ")[0])
        assert quorate("proof", *words, "--output", file).code == 1  # a proof is never replaced


def test_a_proof_may_begin_at_a_trusted_header(quorate: Shell, tmp_path: Path) -> None:
    sent = quorate("call", "token", "transfer", "somebody", "1", "--json").json
    file = tmp_path / "outcome.json"
    kept = quorate("proof", "receipt", sent["id"], "--output", file, "--header", sent["block_hash"])
    assert kept.code == 0, kept.err
    verified = quorate("verify", file, "--header", sent["block_hash"], "--json")
    assert (verified.code, verified.json["transaction_id"]) == (0, sent["id"])
    refused = quorate("verify", file, "--genesis", quorate.network.genesis_path)
    assert refused.out.startswith(f"invalid, because it begins at header {sent['block_hash']}")
    assert quorate("verify", file, "--header", "ab").code == 2


def test_a_proof_that_nothing_checks_is_written_and_called_unchecked(quorate: Shell, tmp_path: Path) -> None:
    file = tmp_path / "supply.json"
    kept = quorate("proof", "state", "token", "supply", "--output", file)
    assert kept.code == 0
    assert kept.err.startswith("not checked: give --genesis FILE")
    assert quorate("verify", file, "--genesis", quorate.network.genesis_path).code == 0


def test_a_block_names_its_transactions(quorate: Shell) -> None:
    sent = quorate("call", "token", "transfer", "somebody", "1", "--json").json
    for name in (sent["height"], sent["block_hash"]):
        found = quorate("block", name, genesis=True)
        assert found.code == 0
        assert f"{sent['id']}  ok  token.transfer" in found.out
        assert "sealed by     validator-1" in found.out
    assert quorate("block", "latest", "--json").json["header"]["height"] >= sent["height"]


def test_status_says_where_the_node_stands(quorate: Shell) -> None:
    status = quorate("status", "--json").json
    assert (status["name"], status["halted"]) == ("validator-1", "")
    assert f"chain {status['chain_id']}" in quorate("status").out


def test_a_failed_call_says_why_and_ends_with_one(quorate: Shell) -> None:
    failed = quorate("call", "token", "transfer", "somebody", "100000", key="ann")
    assert failed.code == 1
    assert "outcome      failed: insufficient balance (token, line " in failed.out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("call", "tokem", "transfer"), "no contract is named 'tokem'; quorate contracts lists those there are"),
        (("view", "tokem", "supply"), "no contract is named 'tokem'; quorate contracts lists those there are"),
        (("call", "token", "transfre"), "token has no call 'transfre'; it has: approve, burn, mint"),
        (("call", "token", "balance_of", "x"), "token has no call 'balance_of'"),
        (("call", "token", "transfer", "x"), "number of arguments expected: 2, found: 1"),
        (("call", "token", "transfer", "x", "much"), "argument 'amount' of transfer(to: str, amount: int): 'much'"),
        (("view", "token", "transfer", "x", "1"), "token has no view 'transfer'"),
        (("call", "token", "transfer", "x", "much", "-5"), "number of arguments expected: 2, found: 3"),
        (("block", "999999"), "unknown_block"),
        (("tx", "ab" * 32), "unknown_transaction"),
        (("deploy", "none.py"), "none.py: No such file or directory"),
        (("deploy", __file__), "the contract would be refused, nothing was sent:"),
    ],
)
def test_a_mistake_is_met_with_one_line_of_advice(quorate: Shell, words: tuple[str, ...], complaint: str) -> None:
    result = quorate(*words)
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("quorate: ")
    assert complaint in result.err


def test_a_stranger_is_turned_away(quorate: Shell, tmp_path: Path) -> None:
    key = tmp_path / "stranger.pem"
    assert quorate("keys", "new", key).code == 0
    refused = quorate("call", "token", "transfer", "x", "1", "--key", key)
    assert refused.code == 1
    assert "is no account of this network" in refused.err


def test_a_key_of_the_wrong_network_is_no_matter_but_its_genesis_is(quorate: Shell, tmp_path: Path) -> None:
    make_testnet(tmp_path / "other", time_ms=1, validators=1, base_port=None)
    other = tmp_path / "other" / "genesis.json"
    refused = quorate("call", "token", "transfer", "x", "1", "--genesis", other)
    assert refused.code == 1
    assert "the node is on chain" in refused.err


def test_a_second_node_in_the_same_directory_is_refused(quorate: Shell) -> None:
    second = quorate("start", quorate.network.nodes[0].directory)
    assert second.code == 2
    assert "is running with the data directory" in second.err


def test_a_taken_port_is_named(quorate: Shell, tmp_path: Path) -> None:
    make_testnet(tmp_path / "net", time_ms=1, validators=1, base_port=None)
    settings = tmp_path / "net" / "node-1" / "node.toml"
    mine = Testnet(tmp_path / "net").nodes[0].config
    taken = quorate.network.nodes[0].config
    for old, new in (
        (mine.peer.listen, taken.peer.listen),
        (f"port = {mine.gateway.port}", f"port = {taken.gateway.port}"),
    ):
        text = settings.read_text()
        settings.write_text(text.replace(old, new))
        result = quorate("start", tmp_path / "net" / "node-1")
        settings.write_text(text)
        assert result.code == 2
        assert new.rpartition(":")[2].removeprefix("port = ") in result.err


def test_a_sealed_transaction_is_replayed_from_the_gateway_and_from_the_directory_of_the_running_node(
    quorate: Shell,
) -> None:
    ann = quorate.address("ann")
    sent = quorate("call", "token", "transfer", ann, "5", "--json").json
    over_http = quorate("replay", sent["id"], "--trace", "--json", genesis=True)
    assert (over_http.code, over_http.json["equal"], over_http.json["height"]) == (0, True, sent["height"])
    assert over_http.json["receipt"]["gas_used"] == sent["gas_used"]
    steps = over_http.json["trace"]
    assert (steps[0]["contract"], steps[0]["method"], steps[0]["args"][1]) == ("token", "transfer", "5")
    beside = quorate("replay", sent["id"], "--trace", "--json", "--data", quorate.directory / "node-1")
    assert (beside.code, beside.json["equal"], beside.json["trace"]) == (0, True, steps)
    unknown = quorate("replay", "00" * 32)
    assert (unknown.code, unknown.out) == (2, "")
    assert unknown.err.startswith("quorate: ")


def test_the_status_tells_which_protections_of_the_executor_are_in_force(quorate: Shell) -> None:
    shown, found = quorate("status").out, quorate("status", "--json").json["executor"]
    assert {"empty-environment", "closed-descriptors", "no-core-dump", "memory-limit"} <= set(found["sandbox"])
    named = [*found["sandbox"], *found["unprotected"]]
    assert sorted(named) == sorted(set(named))
    assert {"files-confined", "system-calls-filtered", "no-network", "no-io-uring"} <= set(named)
    assert all(name in shown for name in named)
    assert all(reason in shown for reason in found["unprotected"].values())

"""The engine: what runs, what is skipped, what a failure leaves behind, and that two runs agree to the byte."""

import sys

import pytest

from contracts import costs
from contracts.catalogue import NodeFault
from contracts.engine import PRUNE_EVERY, VERSIONS_KEPT, Engine, HeightUnavailable
from contracts.keys import state_key
from contracts.memory import MemoryState
from ledger import blocks, codec, hashing
from ledger.errors import GenesisError
from ledger.state import State
from ledger.types import Parameters, Receipt

ADD = ("counter", "add", 1)


# ── genesis ───────────────────────────────────────────────────────────────────────────────────────


def test_genesis_writes_the_accounts_and_a_second_start_finds_them(chain):
    root = chain.engine.root
    again = Engine(chain.state, chain.genesis, chain.compile)
    assert again.initialise() == root
    assert again.height == 0
    assert chain.view("system", "account", chain.address("cleo")).code == "ok"


def test_a_later_start_still_knows_the_root_of_height_zero(chain):
    root = chain.engine.root
    chain.deploy("counter")
    assert chain.engine.root != root
    assert Engine(chain.state, chain.genesis, chain.compile).initialise() == root


def test_a_state_of_another_genesis_is_refused(chain, make_chain):
    other = make_chain(parameters=Parameters(window=9))
    with pytest.raises(GenesisError, match="belongs to chain"):
        Engine(chain.state, other.genesis).initialise()


# ── one transaction ───────────────────────────────────────────────────────────────────────────────


def test_a_call_succeeds_with_its_result_its_event_and_its_gas(chain):
    chain.deploy("counter")
    raw = chain.transaction("cleo", ADD)
    outcome = chain.block(raw)
    receipt = codec.decode(outcome.receipts[0], Receipt)
    assert (receipt.code, receipt.message, receipt.contract, receipt.line) == ("ok", "", "", 0)
    assert [codec.decode(result) for result in receipt.results] == [1]
    assert [(e.contract, e.name, codec.decode(e.fields)) for e in receipt.events] == [
        ("counter", "Added", {"amount": 1})
    ]
    assert (receipt.height, receipt.index) == (2, 0)
    assert receipt.transaction_hash == hashing.transaction_hash(raw)
    assert 0 < receipt.gas_used == outcome.gas_used
    assert chain.value("counter", "count") == 1


def test_the_roots_cover_the_executed_transactions_and_their_receipts(chain):
    chain.deploy("counter")
    raws = [chain.transaction("cleo", ADD) for _ in range(3)]
    outcome = chain.block(*raws)
    assert outcome.executed == (0, 1, 2)
    assert outcome.transactions_root == blocks.transactions_root([hashing.transaction_hash(raw) for raw in raws])
    assert outcome.receipts_root == blocks.receipts_root(outcome.receipts)
    assert outcome.state_root == chain.engine.root


def test_an_empty_block_changes_the_height_alone(chain):
    root = chain.engine.root
    outcome = chain.block()
    assert (outcome.height, outcome.executed, outcome.receipts, outcome.gas_used) == (1, (), (), 0)
    assert outcome.state_root == root


def test_a_contract_sees_who_when_and_where(chain):
    chain.deploy("counter")
    raw = chain.transaction("cleo", ("counter", "who"))
    (receipt,) = chain.receipts(raw)
    assert codec.decode(receipt.results[0]) == [
        chain.address("cleo"), 2, 1_200, receipt.transaction_id.hex(), "counter",
    ]  # fmt: skip


def test_a_failure_leaves_a_receipt_with_contract_and_line_and_nothing_else(chain):
    chain.deploy("counter")
    root = chain.engine.root
    receipt = chain.send("cleo", ("counter", "add_then_fail", 5))
    assert (receipt.code, receipt.message, receipt.contract, receipt.line) == ("failed", "no more", "counter", 7)
    assert receipt.results == receipt.events == ()
    assert receipt.gas_used > costs.TRANSACTION
    assert chain.engine.root == root


def test_calls_of_a_transaction_see_each_other_and_succeed_together(chain):
    chain.deploy("counter")
    receipt = chain.send("cleo", ADD, ADD, ("counter", "count"))
    assert [codec.decode(result) for result in receipt.results] == [1, 2, 2]


def test_calls_of_a_transaction_fail_together(chain):
    chain.deploy("counter")
    receipt = chain.send("cleo", ADD, ("counter", "add_then_fail", 5))
    assert receipt.code == "failed"
    assert chain.value("counter", "count") is None


def test_a_failed_transaction_is_invisible_to_the_next_in_its_block(chain):
    chain.deploy("counter")
    bad = chain.transaction("cleo", ADD, ("counter", "add_then_fail", 5))
    first, second = chain.receipts(bad, chain.transaction("cleo", ADD))
    assert (first.code, second.code) == ("failed", "ok")
    assert codec.decode(second.results[0]) == 1


# ── senders and roles ─────────────────────────────────────────────────────────────────────────────


def test_a_stranger_gets_a_receipt_and_changes_nothing(chain):
    chain.deploy("counter")
    root = chain.engine.root
    receipt = chain.send("eve", ADD)
    assert receipt.code == "unknown_sender"
    assert chain.address("eve") in receipt.message
    assert chain.engine.root == root


def test_an_auditor_cannot_send(chain):
    chain.deploy("counter")
    assert chain.send("dora", ADD).code == "not_permitted"
    assert chain.send("dora", ("system", "parameters")).code == "not_permitted"


def test_a_writer_calls_but_does_not_deploy(chain):
    chain.deploy("counter")
    assert chain.send("cleo", ADD).code == "ok"
    assert chain.send("cleo", ("system", "deploy", "mine", "counter", [])).code == "not_permitted"


def test_known_senders_are_those_who_may_send(chain):
    keys = [chain.keys[name].public_key for name in ("ada", "ben", "cleo", "dora", "eve")]
    assert chain.engine.known_senders(keys) == [True, True, True, False, False]


# ── refusals before a contract runs ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (("nowhere", "add", 1), "unknown_contract"),
        (("Counter", "add", 1), "unknown_contract"),
        (("caf\u00e9", "add", 1), "unknown_contract"),
        (("counter", "subtract", 1), "unknown_method"),
        (("system", "format_disk"), "unknown_method"),
        (("system", "account"), "bad_arguments"),
        (("system", "account", 7), "bad_arguments"),
    ],
)
def test_a_call_that_leads_nowhere_says_so(chain, call, code):
    chain.deploy("counter")
    assert chain.send("ada", call).code == code


@pytest.mark.parametrize(
    "args",
    [
        b"",
        b"\xc0",  # None, no list
        b"\x91",  # cut short
        b"\x90\x90",  # trailing bytes
        b"\x91\xcc\x01",  # 1, written longer than it must be
        b"\x91\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00",  # 1.5
        b"\x91\x81\x01\x02",  # a dict with an int for a key
        b"\x91" * 40 + b"\xc0",  # too deep
        b"\x91" * 100_000 + b"\xc0",  # far too deep
        b"\x91\xd6\xff\x00\x00\x00\x00",  # a timestamp
    ],
)
def test_arguments_that_are_no_list_of_values_are_refused_in_one_way(chain, args):
    from ledger.types import Call, Transaction, TransactionBody

    chain.deploy("counter")
    body = TransactionBody(
        chain.genesis.chain_id, chain.keys["cleo"].public_key, (Call("counter", "add", args),), 10**7, 50, bytes(16)
    )
    (receipt,) = chain.receipts(Transaction(body, bytes(64)).encode())
    assert receipt.code == "bad_arguments"
    assert receipt.message == "the arguments are not the canonical encoding of a list of values"


# ── executed once ─────────────────────────────────────────────────────────────────────────────────


def test_the_same_transaction_twice_in_a_block_runs_once(chain):
    chain.deploy("counter")
    raw = chain.transaction("cleo", ADD)
    outcome = chain.block(raw, raw)
    assert (outcome.executed, outcome.returned) == ((0,), ())
    assert chain.value("counter", "count") == 1


def test_the_same_body_with_another_signature_runs_once(chain):
    chain.deploy("counter")
    twins = [chain.transaction("cleo", ADD, salt=77, signature=bytes([n]) * 64) for n in (1, 2)]
    assert twins[0] != twins[1]
    assert chain.block(*twins).executed == (0,)
    assert chain.block(twins[1]).executed == ()
    assert chain.value("counter", "count") == 1


def test_a_transaction_executed_in_an_earlier_block_is_skipped_up_to_its_last_height(chain):
    chain.deploy("counter")
    raw = chain.transaction("cleo", ADD, valid_until=6)
    chain.block(raw)
    for _ in range(3, 7):
        assert chain.block(raw).executed == ()
    assert chain.value("counter", "count") == 1


def test_a_failed_transaction_does_not_run_again_either(chain):
    chain.deploy("counter")
    raw = chain.transaction("cleo", ("counter", "add_then_fail", 1))
    assert chain.block(raw).executed == (0,)
    assert chain.block(raw).executed == ()


def test_executed_ids_survive_a_restart(chain):
    chain.deploy("counter")
    raw = chain.transaction("cleo", ADD)
    chain.block(raw)
    again = Engine(chain.state, chain.genesis, chain.compile)
    again.initialise()
    assert again.execute(3, 2_000, [raw]).executed == ()


def test_expired_ids_are_forgotten_once_no_block_can_need_them(make_chain):
    chain = make_chain()
    chain.block(chain.transaction("cleo", ("system", "parameters"), valid_until=3))
    assert len(chain.state.side_scan(b"i")) == 1
    while chain.engine.height < 3 + VERSIONS_KEPT + chain.parameters.window:
        chain.block()
    assert len(chain.state.side_scan(b"i")) == 1
    chain.block()
    assert len(chain.state.side_scan(b"i")) == 0


# ── gas ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_loop_without_end_ends_with_its_gas(chain):
    chain.deploy("counter")
    receipt = chain.send("cleo", ADD, ("counter", "spin"), gas=1_000_000)
    assert (receipt.code, receipt.gas_used) == ("out_of_gas", 1_000_000)
    assert chain.value("counter", "count") is None


def test_gas_below_the_base_price_is_used_up_and_nothing_runs(chain):
    chain.deploy("counter")
    receipt = chain.send("cleo", ADD, gas=10)
    assert (receipt.code, receipt.gas_used) == ("out_of_gas", 10)


def test_whoever_swallows_the_exception_still_meets_the_meter(chain):
    chain.deploy("counter")
    receipt = chain.send("cleo", ("counter", "swallow"), ADD)
    assert receipt.code == "out_of_gas"
    assert receipt.results == ()


def test_one_unit_of_gas_decides(chain):
    chain.deploy("counter")
    chain.send("cleo", ADD)
    used = chain.send("cleo", ADD, gas=chain.send("cleo", ADD).gas_used).gas_used  # the limit has a size, too
    assert chain.send("cleo", ADD, gas=used).code == "ok"
    assert chain.send("cleo", ADD, gas=used - 1).code == "out_of_gas"


def test_a_block_runs_until_its_gas_is_used_up_and_returns_the_rest(make_chain, chain):
    small = make_chain(chain.programs, Parameters(block_gas_max=1_000_000))
    small.deploy("counter")
    raws = [small.transaction("cleo", ADD, gas=400_000) for _ in range(40)]
    outcome = small.block(*raws)
    assert outcome.executed == tuple(range(len(outcome.executed)))
    assert outcome.returned == tuple(range(len(outcome.executed), 40))
    used = outcome.gas_used
    assert used <= 1_000_000 < used + 400_000
    assert small.block(*[raws[index] for index in outcome.returned]).executed[0] == 0


def test_a_transaction_that_does_not_fit_holds_back_those_behind_it(make_chain, chain):
    small = make_chain(chain.programs, Parameters(block_gas_max=1_000_000))
    small.deploy("counter")
    raws = [small.transaction("cleo", ADD, gas=gas) for gas in (400_000, 990_000, 100_000)]
    outcome = small.block(*raws)
    assert (outcome.executed, outcome.returned) == ((0,), (1, 2))


def test_the_first_transaction_always_fits_even_above_the_blocks_gas(make_chain, chain):
    small = make_chain(chain.programs, Parameters(block_gas_max=1_000_000))
    small.deploy("counter")
    outcome = small.block(small.transaction("cleo", ADD, gas=50_000_000), small.transaction("cleo", ADD, gas=100_000))
    assert (outcome.executed, outcome.returned) == ((0, 1), ())


def test_a_block_ends_before_its_receipts_fill_a_message(chain, monkeypatch):
    monkeypatch.setattr("contracts.costs.BLOCK_RECEIPTS_BYTES_MAX", (256 << 10) + 250_000)
    chain.add_program("shout", say=lambda _host, _meter: "x" * 100_000)
    chain.deploy("shout")
    raws = [chain.transaction("cleo", ("shout", "say"), gas=50_000_000) for _ in range(6)]
    outcome = chain.block(*raws)
    assert (outcome.executed, outcome.returned) == ((0, 1, 2), (3, 4, 5))
    assert chain.block(*[raws[index] for index in outcome.returned]).executed == (0, 1, 2)


# ── between contracts ─────────────────────────────────────────────────────────────────────────────


def test_a_contract_calls_another_in_its_own_name(chain):
    chain.deploy("counter")
    chain.deploy("pair")
    receipt = chain.send("cleo", ("pair", "call", "counter", "who", []))
    assert codec.decode(receipt.results[0])[0] == "pair"
    assert codec.decode(receipt.results[0])[4] == "counter"


def test_two_calls_into_one_contract_see_each_other(chain):
    chain.deploy("counter")
    chain.deploy("pair")
    assert codec.decode(chain.send("cleo", ("pair", "double", "counter")).results[0]) == 2
    assert chain.value("counter", "count") == 2


def test_a_failure_inside_undoes_the_callers_writes_too(chain):
    chain.deploy("counter")
    chain.deploy("pair")
    receipt = chain.send("cleo", ("pair", "write_and_call", "counter", "add_then_fail", [1]))
    assert (receipt.code, receipt.contract, receipt.line) == ("failed", "counter", 7)
    assert chain.value("pair", "mine") is None
    assert chain.value("counter", "count") is None


def test_arguments_and_results_are_copies(chain):
    chain.deploy("pair")
    kept = []

    def take(_host, _meter, items):
        items.append("changed")
        kept.append(items)
        return items

    def lend(host, _meter):
        mine = ["a"]
        theirs = host.call("taker", "take", [mine])
        theirs.append("more")
        return [mine, theirs, kept[0]]

    chain.add_program("taker", take=take)
    chain.add_program("lender", lend=lend)
    chain.deploy("taker")
    chain.deploy("lender")
    receipt = chain.send("cleo", ("lender", "lend"))
    assert codec.decode(receipt.results[0]) == [["a"], ["a", "changed", "more"], ["a", "changed"]]


def test_a_contract_cannot_be_entered_while_it_runs(chain):
    chain.deploy("pair")
    receipt = chain.send("cleo", ("pair", "call", "pair", "who", []))
    assert (receipt.code, receipt.contract) == ("reentrancy", "pair")
    chain.deploy("friend", source="pair")
    receipt = chain.send("cleo", ("pair", "call", "friend", "call", ["pair", "who", []]))
    assert receipt.code == "reentrancy"


def test_calls_nest_eight_deep_and_no_deeper(chain):
    names = [f"p{number}" for number in range(9)]
    for name in names:
        chain.deploy(name, source="pair")

    def nested(depth):
        """Arguments that make `depth` contracts call each other, the last one answering."""
        call = [names[depth - 1], "who", []]
        for name in reversed(names[: depth - 1]):
            call = [name, "call", call]
        return call[0], call[1], *call[2]

    assert costs.CALL_DEPTH_MAX == 8
    assert chain.send("cleo", nested(8)).code == "ok"
    assert chain.send("cleo", nested(9)).code == "call_depth"


def test_a_contract_has_no_rights_in_the_system_contract(chain):
    chain.deploy("pair")
    assert chain.send("ada", ("pair", "call", "system", "deploy", ["x", "counter", []])).code == "not_permitted"
    refused = chain.send("ada", ("pair", "call", "system", "set_account", [chain.address("eve"), "eve", ["admin"]]))
    assert (refused.code, refused.message) == ("failed", "this needs the role admin, which the sender does not have")
    receipt = chain.send("cleo", ("pair", "call", "system", "account", [chain.address("ben")]))
    assert codec.decode(receipt.results[0]) == {"name": "ben", "roles": ["deployer", "writer"]}


def test_an_init_cannot_be_called(chain):
    chain.add_program("born", init=lambda host, meter: None)
    chain.programs["born"].entries["init"] = ("init", chain.programs["born"].entries["init"][1])
    chain.deploy("born")
    assert chain.send("cleo", ("born", "init")).code == "unknown_method"


# ── views ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_view_answers_with_value_gas_and_height(chain):
    chain.deploy("counter")
    chain.send("cleo", ADD)
    outcome = chain.view("counter", "count")
    assert (outcome.code, codec.decode(outcome.value), outcome.height) == ("ok", 1, 2)
    assert outcome.gas_used > 0


@pytest.mark.parametrize("method", ["sneaky", "chatty"])
def test_a_view_cannot_write_nor_emit(chain, method):
    chain.deploy("counter")
    root = chain.engine.root
    assert chain.view("counter", method).code == "not_permitted"
    assert chain.send("cleo", ("counter", method)).code == "not_permitted"
    assert chain.engine.root == root


def test_a_view_cannot_run_a_call_neither_itself_nor_through_another(chain):
    chain.deploy("counter")
    chain.deploy("pair")
    assert chain.view("counter", "add", 1).code == "not_permitted"
    assert chain.view("pair", "view_call", "counter", "add", [1]).code == "not_permitted"
    assert chain.view("pair", "view_call", "counter", "count", []).code == "ok"


def test_a_view_reads_an_earlier_height_with_its_time(chain):
    chain.deploy("counter")
    chain.send("cleo", ADD)
    chain.send("cleo", ADD)
    assert [codec.decode(chain.view("counter", "count", height=height).value) for height in (1, 2, 3)] == [0, 1, 2]
    assert codec.decode(chain.view("counter", "who", height=2).value)[1:3] == [2, 1_200]


def test_a_view_has_a_gas_limit_of_its_own(chain):
    chain.add_program("slow", spin=chain.programs["counter"].entries["spin"][1])
    chain.programs["slow"].entries["spin"] = ("view", chain.programs["slow"].entries["spin"][1])
    chain.deploy("slow")
    outcome = chain.view("slow", "spin")
    assert (outcome.code, outcome.gas_used) == ("out_of_gas", costs.VIEW_GAS_MAX)


def test_reads_serve_the_last_sealed_height_and_not_what_was_executed_ahead(chain):
    chain.deploy("counter")
    chain.block(chain.transaction("cleo", ADD), seal=False)
    assert (chain.engine.height, chain.engine.sealed_height) == (2, 1)
    assert codec.decode(chain.view("counter", "count").value) == 0
    assert chain.value("counter", "count") is None
    with pytest.raises(HeightUnavailable, match="0 to 1 can"):
        chain.view("counter", "count", height=2)
    chain.engine.mark_sealed(2)
    assert codec.decode(chain.view("counter", "count").value) == 1


def test_a_seal_never_goes_back_nor_beyond_what_was_executed(chain):
    chain.block()
    chain.engine.mark_sealed(99)
    assert chain.engine.sealed_height == 1
    chain.engine.mark_sealed(0)
    assert chain.engine.sealed_height == 1


def test_heights_below_the_kept_versions_are_refused(chain):
    for _ in range(VERSIONS_KEPT + 2):
        chain.block()
    with pytest.raises(HeightUnavailable):
        chain.view("system", "parameters", height=1)
    assert chain.view("system", "parameters", height=2).code == "ok"


def test_a_state_that_was_made_again_in_a_row_can_be_read_after_the_next_start(tmp_path, make_chain):
    """All blocks are executed before one is known to be sealed, and the node stops before the next block comes."""
    state = State.open(tmp_path / "state")
    chain = make_chain(state=state)
    top = 2 * VERSIONS_KEPT
    while chain.engine.height < top:
        chain.block(seal=False)
    chain.engine.mark_sealed(top)
    again = Engine(state, chain.genesis, chain.compile)
    again.initialise()
    assert again.contract_names() == ["system"]
    assert again.view("system", "parameters", codec.encode([])).code == "ok"
    while chain.engine.height < top + PRUNE_EVERY:
        chain.block()
    assert state.oldest_height > 0  # and once a later seal is noted the versions below go, as ever
    once_more = Engine(state, chain.genesis, chain.compile)
    once_more.initialise()
    assert once_more.contract_names() == ["system"]
    state.close()


# ── the host's own failures ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["memory", "stack", "bug"])
def test_a_failure_of_the_host_is_the_nodes_and_leaves_no_receipt(chain, kind):
    chain.deploy("counter")
    with pytest.raises(NodeFault) as fault:
        chain.send("cleo", ("counter", "boom", kind))
    assert "secret" not in str(fault.value)
    assert chain.engine.height == 1
    assert chain.send("cleo", ADD).code == "ok"


def test_a_failing_view_of_the_host_is_a_fault_too(chain):
    chain.programs["counter"].entries["boom"] = ("view", chain.programs["counter"].entries["boom"][1])
    chain.deploy("counter")
    with pytest.raises(NodeFault):
        chain.view("counter", "boom", "memory")


# ── limits ────────────────────────────────────────────────────────────────────────────────────────


def test_a_value_above_the_limit_is_refused(chain):
    chain.deploy("map")
    most = costs.VALUE_BYTES_MAX - 5
    assert chain.send("cleo", ("map", "set_at", [1], "x" * most), gas=100_000_000).code == "ok"
    assert chain.send("cleo", ("map", "set_at", [1], "x" * (most + 1)), gas=100_000_000).code == "size_limit"


def test_a_receipt_does_not_grow_beyond_its_limit(chain):
    chain.deploy("counter")
    calls = [("counter", "give", "x" * 5_000)] * 60
    receipt = chain.send("cleo", *calls, gas=100_000_000)
    assert receipt.code == "size_limit"
    assert receipt.results == ()


@pytest.mark.parametrize("key", [[None], [["a"]], [{"a": 1}], ["x" * 2000], [1] * 9])
def test_what_is_no_key_fails_the_call(chain, key):
    chain.deploy("map")
    assert chain.send("cleo", ("map", "set_at", key, 1)).code in ("bad_type", "size_limit")


# ── scans ─────────────────────────────────────────────────────────────────────────────────────────


def entries(receipt_or_view):
    value = receipt_or_view.value if hasattr(receipt_or_view, "value") else receipt_or_view.results[-1]
    return [(tuple(key), value) for key, value in codec.decode(value)]


def test_a_scan_sees_state_block_and_transaction_in_key_order(chain):
    chain.deploy("map")
    chain.send("cleo", ("map", "set_at", ["b"], 1), ("map", "set_at", ["d"], 1), ("map", "set_at", ["f"], 1))
    first = chain.transaction("cleo", ("map", "set_at", ["d"], None), ("map", "set_at", ["a"], 2))
    second = chain.transaction(
        "cleo", ("map", "set_at", ["f"], 3), ("map", "set_at", ["c"], 3), ("map", "scan", [], None, 10)
    )
    _, receipt = chain.receipts(first, second)
    assert entries(receipt) == [(("a",), 2), (("b",), 1), (("c",), 3), (("f",), 3)]
    assert entries(chain.view("map", "scan", [], None, 10)) == entries(receipt)


def test_a_scan_goes_on_after_a_key_and_stops_at_its_limit(chain):
    chain.deploy("map")
    chain.send("cleo", *[("map", "set_at", [number], number) for number in range(-3, 4)])
    assert entries(chain.view("map", "scan", [], None, 2)) == [((-3,), -3), ((-2,), -2)]
    assert entries(chain.view("map", "scan", [], [-2], 2)) == [((-1,), -1), ((0,), 0)]
    assert entries(chain.view("map", "scan", [], [3], 2)) == []
    assert entries(chain.view("map", "scan", [], None, 0)) == []


def test_a_scan_under_a_prefix_leaves_the_neighbours_out(chain):
    chain.deploy("map")
    keys = [["a", 1], ["a", 2], ["a\0", 1], ["ab", 1], ["", 1], ["a"]]
    chain.send("cleo", *[("map", "set_at", key, 1) for key in keys])
    assert entries(chain.view("map", "scan", ["a"], None, 10)) == [(("a", 1), 1), (("a", 2), 1)]
    assert entries(chain.view("map", "scan", ["a"], ["a", 1], 10)) == [(("a", 2), 1)]
    assert entries(chain.view("map", "scan", ["a"], ["", 1], 10)) == [(("a", 1), 1), (("a", 2), 1)]
    assert entries(chain.view("map", "scan", ["a"], ["ab", 1], 10)) == []


def test_a_scan_does_not_reach_another_variable_or_contract(chain):
    chain.deploy("map")
    chain.deploy("map2", source="map")
    chain.send("cleo", ("map2", "set_at", ["x"], 1))
    assert entries(chain.view("map", "scan", [], None, 10)) == []


def test_entries_deleted_in_the_block_are_paid_for_when_a_scan_passes_them(chain):
    chain.deploy("map")
    chain.send("cleo", *[("map", "set_at", [number], 1) for number in range(50)])
    scan = chain.transaction("cleo", ("map", "scan", [], None, 1))
    deletions = [chain.transaction("cleo", *[("map", "set_at", [number], None) for number in range(49)])]
    _, receipt = chain.receipts(*deletions, scan)
    assert entries(receipt) == [((49,), 1)]
    assert receipt.gas_used > 50 * costs.SCAN_DELETED


def test_a_scan_of_too_many_bytes_is_refused(chain):
    chain.deploy("map")
    for number in range(10):
        chain.send("cleo", ("map", "set_at", [number], "x" * 120_000), gas=100_000_000)
    assert chain.view("map", "scan", [], None, 10).code == "size_limit"
    assert len(codec.decode(chain.view("map", "scan", [], None, 2).value)) == 2


def test_a_scan_reads_on_page_after_page(chain):
    chain.deploy("map")
    count = 3 * costs.SCAN_PAGE + 5
    for first in range(0, count, 50):
        chain.send("cleo", *[("map", "set_at", [n], n) for n in range(first, min(first + 50, count))], gas=10**8)
    found = entries(chain.view("map", "scan", [], None, 1000))
    assert found == [((number,), number) for number in range(count)]


def test_a_scan_of_more_than_the_limit_is_refused(chain):
    chain.deploy("map")
    assert chain.view("map", "scan", [], None, costs.SCAN_ENTRIES_MAX + 1).code == "size_limit"


# ── the same again ────────────────────────────────────────────────────────────────────────────────


def play(chain):
    """A small history with successes and failures; its roots."""
    chain.deploy("counter")
    chain.deploy("map")
    outcomes = [
        chain.block(chain.transaction("cleo", ADD, salt=1), chain.transaction("eve", ADD, salt=2)),
        chain.block(
            chain.transaction("cleo", *[("map", "set_at", [f"k{n}"], n) for n in range(20)], salt=3),
            chain.transaction("cleo", ("counter", "add_then_fail", 1), salt=4),
        ),
        chain.block(chain.transaction("cleo", ("map", "scan", [], None, 100), salt=3_000)),
    ]
    return [(outcome.state_root, outcome.receipts_root, outcome.gas_used) for outcome in outcomes]


def test_two_engines_agree_to_the_byte(chain, make_chain):
    assert play(make_chain(chain.programs)) == play(make_chain(chain.programs))


def test_an_engine_with_cold_caches_agrees_with_a_warm_one(chain, make_chain):
    warm, cold = make_chain(chain.programs), make_chain(chain.programs)

    def forgetful_block(*transactions, seal=True):
        cold.engine = Engine(cold.state, cold.genesis, cold.compile)
        cold.engine.initialise()
        return type(cold).block(cold, *transactions, seal=seal)

    cold.block = forgetful_block
    assert play(warm) == play(cold)


def test_a_block_can_be_executed_again_with_the_same_outcome(chain):
    chain.deploy("counter")
    batches = [[chain.transaction("cleo", ADD), chain.transaction("eve", ADD)] for _ in range(3)]
    batches[2].append(batches[0][0])
    first = [chain.engine.execute(height, 500 * height, batch) for height, batch in enumerate(batches, start=2)]
    root = chain.engine.root
    again = [chain.engine.execute(height, 500 * height, batch) for height, batch in enumerate(batches, start=2)]
    assert again == first
    assert first[2].executed == (0, 1)
    assert (chain.engine.height, chain.engine.root) == (4, root)


def test_a_height_that_is_neither_next_nor_done_is_refused(chain):
    for height in (-1, 0, 2, 99):
        with pytest.raises(HeightUnavailable, match="1 is next"):
            chain.engine.execute(height, 1_000, [])


def test_bytes_that_are_no_transaction_are_the_nodes_fault(chain):
    with pytest.raises(NodeFault, match="transaction 0 of block 1"):
        chain.block(b"\x00")


def test_the_host_stack_has_room_for_what_the_language_allows(chain):
    from contracts.language.limits import HOST_RECURSION_LIMIT

    assert sys.getrecursionlimit() >= HOST_RECURSION_LIMIT


def test_memory_state_keeps_every_version():
    state = MemoryState()
    state.commit(0, {b"a": b"1", b"b": b"1"}, {b"x": b"1"})
    state.commit(1, {b"a": None, b"c": b"2"}, {b"x": None})
    assert (state.get(b"a"), state.get(b"a", 0)) == (None, b"1")
    assert state.scan(b"", None, 10, 0) == [(b"a", b"1"), (b"b", b"1")]
    assert state.scan(b"", b"b", 10) == [(b"b", b"1"), (b"c", b"2")]
    assert state.side_get(b"x") is None
    assert state.root_at(0) != state.root


def test_what_lies_below_a_deletion_is_paid_for_by_the_scan_that_reads_it(chain):
    chain.deploy("map")
    chain.send("cleo", ("map", "set_at", [1], "x" * 100_000), ("map", "set_at", [2], "x"), gas=10**8)
    delete = chain.transaction("cleo", ("map", "set_at", [1], None))
    _, receipt = chain.receipts(delete, chain.transaction("cleo", ("map", "scan", [], None, 1)))
    assert entries(receipt) == [((2,), "x")]
    base = costs.TRANSACTION + costs.CALL + costs.SCAN
    assert receipt.gas_used > base + 100_000 // costs.READ_BYTES_PER_UNIT


# ── long keys ─────────────────────────────────────────────────────────────────────────────────────


def test_a_state_key_costs_gas_for_each_byte_beyond_the_first_256(chain):
    chain.deploy("map")

    def used(*call):
        receipt = chain.send("cleo", ("map", *call))
        assert receipt.code == "ok"
        return receipt.gas_used

    def size(key):
        return len(state_key("map", "m", (key,)))

    short, zeros = b"k" * 480, bytes(480)
    assert size(zeros) - size(short) == 480
    again = [used("set_at", [key], turn) and used("set_at", [key], turn) for turn, key in enumerate((short, zeros))]
    written = costs.WRITE_BYTE * 480  # for each byte of the key besides, in a block of its own
    assert again[1] - again[0] == written + 480
    found = [chain.view("map", "scan", [], [key], 10).gas_used for key in (b"", short)]
    assert found[0] - found[1] >= costs.SCAN_ENTRY + size(short) - costs.KEY_BYTES_FREE


# ── large results ─────────────────────────────────────────────────────────────────────────────────


def test_a_result_has_as_many_bytes_as_a_receipt_keeps_and_no_more(chain):
    chain.add_program(
        "large", fits=lambda host, meter, size: "x" * size, many=lambda host, meter: ["x" * 200_000] * 60_000
    )
    chain.deploy("large")
    chain.deploy("pair")
    most = costs.RECEIPT_BYTES_MAX - 5  # what says that it is a text, and how long
    for size, code in ((most, "ok"), (most + 1, "size_limit")):
        assert chain.send("cleo", ("large", "fits", size)).code == code
        assert chain.send("cleo", ("pair", "call", "large", "fits", [size])).code == code
    root = chain.engine.root
    for call in (("large", "many"), ("pair", "call", "large", "many", [])):
        receipt = chain.send("cleo", call)
        assert (receipt.code, receipt.message) == ("size_limit", "a result larger than 262144 bytes encoded")
    assert chain.engine.root == root

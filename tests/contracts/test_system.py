"""The system contract: accounts and roles, deployment with init, upgrades that keep state and history readable."""

import pytest

from contracts import catalogue, codes, costs
from contracts.engine import Engine
from contracts.language.interface import Failure, Problem, SourceRefused
from contracts.language.source import memory_of
from contracts.system import PAGE_MAX, PROBLEMS_SHOWN_MAX
from ledger import codec, hashing
from ledger.types import Parameters


def account(chain, name):
    return codec.decode(chain.view("system", "account", chain.address(name)).value)


def set_account(chain, name, roles, sender="ada", label=None):
    return chain.send(sender, ("system", "set_account", chain.address(name), label or name, roles))


def with_init(chain, source="born"):
    """A program whose init stores its two arguments and fails for a negative one."""

    def init(host, _meter, owner, amount):
        if amount < 0:
            raise Failure("failed", "a negative amount", line=4)
        host.put("owner", (), codec.encode([owner, amount, host.context.sender, host.context.contract]))
        host.emit("Born", {"amount": amount})

    chain.add_program(source, state=[("owner", "Var[str]")], init=init)
    chain.programs[source].entries["init"] = ("init", init)


# ── accounts ──────────────────────────────────────────────────────────────────────────────────────


def test_an_admin_makes_a_stranger_a_writer_who_can_then_send(chain):
    chain.deploy("counter")
    receipt = set_account(chain, "eve", ["auditor", "writer"])
    assert receipt.code == "ok"
    assert account(chain, "eve") == {"name": "eve", "roles": ["writer", "auditor"]}
    assert chain.send("eve", ("counter", "add", 1)).code == "ok"
    (event,) = receipt.events
    assert (event.contract, event.name) == ("system", "AccountSet")


def test_a_removed_account_is_a_stranger(chain):
    assert chain.send("ada", ("system", "remove_account", chain.address("cleo"))).code == "ok"
    assert account(chain, "cleo") is None
    assert chain.send("cleo", ("system", "parameters")).code == "unknown_sender"
    again = chain.send("ada", ("system", "remove_account", chain.address("cleo")))
    assert (again.code, again.message) == ("failed", f"{chain.address('cleo')} is no account of this network")


def test_what_is_no_list_of_arguments_is_told_in_the_words_of_the_language(chain):
    for arguments, message in (
        (("counter",), "deploy takes 3 arguments (name, source, args), not 1"),
        (("counter", "counter", [], 1), "deploy takes 3 arguments (name, source, args), not 4"),
        ((None, "counter", []), "the argument 'name' of deploy must be str, not None"),
        (("counter", b"counter", []), "the argument 'source' of deploy must be str, not bytes"),
        (("counter", "counter", {}), "the argument 'args' of deploy must be list[Value], not dict"),
    ):
        receipt = chain.send("ben", ("system", "deploy", *arguments))
        assert (receipt.code, receipt.message) == ("bad_arguments", message)
    for value, found in ((True, "bool"), ("1", "str")):
        answer = chain.view("system", "source", "counter", value)
        assert answer.message == f"the argument 'version' of source must be int, not {found}"


@pytest.mark.parametrize("sender", ["ben", "cleo"])
def test_who_is_no_admin_changes_no_account(chain, sender):
    for receipt in (
        set_account(chain, sender, ["admin"], sender=sender),
        chain.send(sender, ("system", "remove_account", chain.address("dora"))),
    ):
        assert receipt.code == "failed"
        assert receipt.message == "this needs the role admin, which the sender does not have"
    assert account(chain, "dora") is not None


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("ab" * 31, "eve", ["writer"]), "failed"),
        (("AB" * 32, "eve", ["writer"]), "bad_arguments"),
        (("ab" * 32 + "\n", "eve", ["writer"]), "bad_arguments"),
        (("token", "eve", ["writer"]), "failed"),
        (("ab" * 32, "Eve", ["writer"]), "failed"),
        (("ab" * 32, "eve\n", ["writer"]), "failed"),
        (("ab" * 32, "9lives", ["writer"]), "failed"),
        (("ab" * 32, "a" * 64, ["writer"]), "failed"),
        (("ab" * 32, "", ["writer"]), "failed"),
        (("ab" * 32, "caf\u00e9", ["writer"]), "failed"),
        (("ab" * 32, "eve", []), "failed"),
        (("ab" * 32, "eve", ["king"]), "failed"),
        (("ab" * 32, "eve", ["writer", "king"]), "failed"),
        (("ab" * 32, "eve", ["writer", "writer"]), "failed"),
        (("ab" * 32, "eve", "writer"), "bad_arguments"),
        (("ab" * 32, "eve", [1]), "bad_arguments"),
        (("ab" * 32, "eve"), "bad_arguments"),
        (("ab" * 32, "eve", ["writer"], 1), "bad_arguments"),
        ((True, "eve", ["writer"]), "bad_arguments"),
    ],
)
def test_an_account_out_of_shape_is_refused(chain, arguments, code):
    root = chain.engine.root
    assert chain.send("ada", ("system", "set_account", *arguments)).code == code
    assert chain.engine.root == root


def test_the_last_admin_can_neither_be_removed_nor_demoted(chain):
    last = ("failed", "this is the last admin; make another one first")
    removed = chain.send("ada", ("system", "remove_account", chain.address("ada")))
    assert (removed.code, removed.message) == last
    assert set_account(chain, "ada", ["writer"]).message == last[1]
    assert set_account(chain, "eve", ["admin"]).code == "ok"
    assert set_account(chain, "ada", ["writer"]).code == "ok"
    assert set_account(chain, "eve", ["writer"], sender="eve").message == last[1]
    assert set_account(chain, "eve", ["admin", "writer"], sender="eve", label="eva").code == "ok"


def test_an_admin_has_every_role(chain):
    chain.deploy("counter", sender="ada")
    assert chain.send("ada", ("counter", "add", 1)).code == "ok"


def test_accounts_are_listed_by_key_page_by_page(chain):
    expected = sorted(chain.address(name) for name in ("ada", "ben", "cleo", "dora"))
    first = codec.decode(chain.view("system", "accounts", "", 3).value)
    rest = codec.decode(chain.view("system", "accounts", first[-1]["public_key"], 3).value)
    assert [entry["public_key"] for entry in first + rest] == expected
    assert len(rest) == 1
    for limit in (0, -1, PAGE_MAX + 1):
        assert chain.view("system", "accounts", "", limit).message == "1 to 100 accounts at once"


def test_the_parameters_are_those_of_the_genesis(chain, make_chain):
    chain = make_chain(parameters=Parameters(window=9))
    assert codec.decode(chain.view("system", "parameters").value)["window"] == 9


# ── deploying ─────────────────────────────────────────────────────────────────────────────────────


def test_a_deployed_contract_is_recorded_and_listed(chain):
    receipt = chain.deploy("counter")
    assert [event.name for event in receipt.events] == ["Deployed"]
    info = chain.engine.contract("counter")
    assert info.code_hash == hashing.code_hash(b"counter")
    assert (info.owner, info.height, info.version) == (chain.keys["ben"].public_key, 1, 1)
    assert (info.source, info.doc) == ("counter", "A program for tests.")
    assert ("add", "call") in [(method.name, method.kind) for method in info.methods]
    listed = chain.engine.contracts()
    assert [entry.name for entry in listed] == ["system", "counter"]
    assert listed[1].source == ""
    assert chain.engine.contract("nothing") is None
    assert chain.engine.contract("caf\u00e9") is None


def test_the_system_contract_describes_itself(chain):
    info = chain.engine.contract("system")
    assert info.owner == b""
    methods = {method.name: method for method in info.methods}
    assert methods["deploy"].parameters == (("name", "str"), ("source", "str"), ("args", "list[Value]"))
    assert (methods["deploy"].kind, methods["account"].kind) == ("call", "view")
    assert all(method.doc for method in info.methods)


def test_init_runs_with_its_arguments_as_the_deployer_in_the_same_transaction(chain):
    with_init(chain)
    receipt = chain.deploy("born", "me", 3)
    assert chain.value("born", "owner") == ["me", 3, chain.address("ben"), "born"]
    assert [(event.contract, event.name) for event in receipt.events] == [("system", "Deployed"), ("born", "Born")]


def test_a_failing_init_leaves_no_contract(chain):
    with_init(chain)
    root = chain.engine.root
    receipt = chain.send("ben", ("system", "deploy", "born", "born", ["me", -1]))
    assert (receipt.code, receipt.contract, receipt.line) == ("failed", "born", 4)
    assert chain.engine.root == root
    assert chain.send("cleo", ("born", "anything")).code == "unknown_contract"


def test_arguments_for_a_contract_without_init_are_refused(chain):
    receipt = chain.send("ben", ("system", "deploy", "counter", "counter", [1]))
    assert receipt.code == "bad_arguments"
    assert chain.engine.contract("counter") is None


def test_a_contract_can_be_called_in_the_transaction_that_deploys_it(chain):
    receipt = chain.send("ben", ("system", "deploy", "counter", "counter", []), ("counter", "add", 4))
    assert receipt.code == "ok"
    assert chain.value("counter", "count") == 4


@pytest.mark.parametrize(
    "name",
    ["system", "Counter", "9lives", "", "a" * 64, "a b", "a/b", "caf\u00e9", "counter\n", "ab" * 32, "_x", "a\0"],
)
def test_a_name_out_of_the_pattern_or_reserved_is_refused(chain, name):
    assert chain.send("ben", ("system", "deploy", name, "counter", [])).code == "bad_name"


def test_a_name_is_taken_once(chain):
    chain.deploy("counter")
    assert chain.send("ada", ("system", "deploy", "counter", "pair", [])).code == "name_taken"


def test_a_refused_source_tells_its_problems_with_their_lines(chain):
    receipt = chain.send("ben", ("system", "deploy", "wrong", "wrong", []))
    assert (receipt.code, receipt.contract) == ("source_refused", "system")
    assert receipt.message == "3:1: unknown: no such program"


def test_a_hundred_problems_are_told_in_bounds(chain):
    def compile_source(_source):
        raise SourceRefused([Problem(line, 1, "odd", "x" * 90) for line in range(1, 101)])

    chain.engine._catalogue._compile = compile_source
    receipt = chain.send("ben", ("system", "deploy", "wrong", "wrong", []))
    assert len(receipt.message) <= 2_000
    assert receipt.message.startswith("1:1: odd: x")
    assert len(receipt.message.splitlines()) <= PROBLEMS_SHOWN_MAX + 1


def test_a_source_is_paid_for_before_it_is_compiled(chain):
    compiled = []
    chain.engine._catalogue._compile = compiled.append
    receipt = chain.send("ben", ("system", "deploy", "big", "x" * 50_000, []), gas=5_000_000)
    assert receipt.code == "out_of_gas"
    assert compiled == []


# ── upgrading ─────────────────────────────────────────────────────────────────────────────────────


def test_an_upgrade_keeps_the_state_and_the_history(chain):
    chain.deploy("counter")
    chain.send("cleo", ("counter", "add", 5))

    def doubled(host, _meter):
        """view"""
        return 2 * codec.decode(host.get("count", ()))

    chain.add_program("counter2", doubled=doubled)
    receipt = chain.send("ben", ("system", "upgrade", "counter", "counter2"))
    assert codec.decode(receipt.results[0]) == 2
    assert codec.decode(chain.view("counter", "doubled").value) == 10
    assert chain.view("counter", "count").code == "unknown_method"
    info = chain.engine.contract("counter")
    assert (info.version, info.source, info.owner) == (2, "counter2", chain.keys["ben"].public_key)
    versions = [codec.decode(chain.view("system", "source", "counter", number).value) for number in (1, 2, 3)]
    assert [version and version["source"] for version in versions] == ["counter", "counter2", None]
    assert codec.decode(chain.view("counter", "count", height=2).value) == 5


def test_an_upgrade_is_for_the_owner_and_for_admins(chain):
    chain.deploy("counter")
    set_account(chain, "eve", ["deployer"])
    for stranger in ("eve", "cleo"):
        assert chain.send(stranger, ("system", "upgrade", "counter", "pair")).code == "not_permitted"
    assert chain.send("ada", ("system", "upgrade", "counter", "pair")).code == "ok"
    assert chain.engine.contract("counter").owner == chain.keys["ben"].public_key
    assert chain.send("ben", ("system", "upgrade", "counter", "counter")).code == "ok"
    set_account(chain, "ben", ["writer"])
    assert chain.send("ben", ("system", "upgrade", "counter", "pair")).code == "not_permitted"


@pytest.mark.parametrize("name", ["nothing", "system", "", "caf\u00e9", "x" * 500])
def test_what_is_not_deployed_cannot_be_upgraded(chain, name):
    assert chain.send("ada", ("system", "upgrade", name, "counter")).code == "unknown_contract"


def test_an_upgrade_that_would_misread_old_state_is_refused(chain):
    chain.add_program("v1", state=[("balances", "Map[str, int]"), ("owner", "Var[str]")])
    chain.add_program("grown", state=[("balances", "Map[str, int]"), ("owner", "Var[str]"), ("notes", "List[str]")])
    chain.add_program("retyped", state=[("balances", "Map[str, str]"), ("owner", "Var[str]")])
    chain.add_program("smaller", state=[("owner", "Var[str]")])
    chain.deploy("thing", source="v1")
    receipt = chain.send("ben", ("system", "upgrade", "thing", "retyped"))
    assert receipt.code == "layout_changed"
    assert "balances is Map[str, int]" in receipt.message
    for source in ("grown", "smaller", "grown"):
        assert chain.send("ben", ("system", "upgrade", "thing", source)).code == "ok"
    # What was once declared stays remembered, though no code names it now.
    assert chain.send("ben", ("system", "upgrade", "thing", "smaller")).code == "ok"
    assert chain.send("ben", ("system", "upgrade", "thing", "retyped")).code == "layout_changed"


def test_counting_the_words_of_the_old_source_is_paid_for(chain):
    long = "long " * 1_000
    chain.add_program(long, go=lambda host, meter: 1)
    chain.deploy("first", source="pair")
    chain.deploy("second", source=long)
    few, many = (chain.send("ben", ("system", "upgrade", name, "counter")) for name in ("first", "second"))
    assert (few.code, many.code) == ("ok", "ok")
    paid, read = costs.REPLACED_BYTE * (len(long) - len("pair")), len(long) // costs.READ_BYTES_PER_UNIT
    assert paid <= many.gas_used - few.gas_used <= paid + read + 10


def test_a_refused_upgrade_leaves_the_old_code_at_work(chain):
    chain.deploy("counter")
    assert chain.send("ben", ("system", "upgrade", "counter", "wrong")).code == "source_refused"
    assert chain.send("cleo", ("counter", "add", 1)).code == "ok"


# ── state and codes ───────────────────────────────────────────────────────────────────────────────


def test_accounts_are_state_like_any_other(chain):
    value = chain.engine.state_value("system", codec.encode(["registered", chain.address("ben")]))
    assert value.present
    assert codec.decode(value.value) == {"name": "ben", "roles": ["deployer", "writer"]}
    absent = chain.engine.state_value("system", codec.encode(["registered", chain.address("eve")]))
    assert (absent.present, absent.value, absent.state_root) == (False, b"", chain.engine.root)


@pytest.mark.parametrize("path", [b"", b"\xc0", codec.encode([]), codec.encode([1]), codec.encode(["m", None])])
def test_a_path_that_names_no_place_is_refused(chain, path):
    with pytest.raises(Failure):
        chain.engine.state_value("system", path)


def test_every_code_in_use_is_a_known_one():
    assert all(code == code.lower() and code.isascii() for code in codes.ALL)


# ── keys of accounts ──────────────────────────────────────────────────────────────────────────────


NO_KEYS = {
    "small order": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "identity": "01" + "00" * 31,
    "not canonical": "ee" + "ff" * 30 + "7f",
    "not on the curve": "02" + "00" * 31,
}


@pytest.mark.parametrize("name", NO_KEYS)
def test_what_is_no_key_of_prime_order_becomes_no_account(chain, name):
    receipt = chain.send("ada", ("system", "set_account", NO_KEYS[name], "ghost", ["writer"]))
    assert receipt.code == "failed"
    assert receipt.message == "this is no Ed25519 public key: no point of prime order, canonically encoded"
    assert codec.decode(chain.view("system", "account", NO_KEYS[name]).value) is None


def test_a_key_is_checked_and_paid_for_once(chain):
    new, again = set_account(chain, "eve", ["writer"]), set_account(chain, "eve", ["auditor"])
    assert (new.code, again.code) == ("ok", "ok")
    assert 350_000 < new.gas_used - again.gas_used + 10_000 < 370_000


# ── owners ────────────────────────────────────────────────────────────────────────────────────────


def test_an_owner_hands_a_contract_over_and_may_upgrade_it_no_more(chain):
    chain.deploy("counter")
    set_account(chain, "eve", ["deployer"])
    receipt = chain.send("ben", ("system", "set_owner", "counter", chain.address("eve")))
    assert (receipt.code, [event.name for event in receipt.events]) == ("ok", ["OwnerSet"])
    assert codec.decode(chain.view("system", "contract", "counter").value)["owner"] == chain.address("eve")
    assert chain.send("ben", ("system", "upgrade", "counter", "pair")).code == "not_permitted"
    assert chain.send("eve", ("system", "upgrade", "counter", "pair")).code == "ok"


def test_an_admin_hands_over_what_a_removed_owner_left(chain):
    chain.deploy("counter")
    assert chain.send("ada", ("system", "remove_account", chain.address("ben"))).code == "ok"
    assert chain.send("ada", ("system", "set_owner", "counter", chain.address("ada"))).code == "ok"


@pytest.mark.parametrize(
    ("sender", "contract", "owner", "code"),
    [
        ("cleo", "counter", "cleo", "not_permitted"),
        ("ben", "counter", "eve", "bad_value"),  # no account
        ("ben", "nothing", "ada", "unknown_contract"),
        ("ada", "system", "ada", "unknown_contract"),
    ],
)
def test_who_may_not_hand_over_does_not(chain, sender, contract, owner, code):
    chain.deploy("counter")
    root = chain.engine.root
    assert chain.send(sender, ("system", "set_owner", contract, chain.address(owner))).code == code
    assert chain.engine.root == root


# ── the history of a contract's code ──────────────────────────────────────────────────────────────


def test_every_version_stays_listed_with_who_put_it_there_and_when(chain):
    chain.deploy("counter")
    chain.send("ada", ("system", "upgrade", "counter", "pair"))
    chain.send("ben", ("system", "upgrade", "counter", "counter"))
    listed = codec.decode(chain.view("system", "versions", "counter", 0, 100).value)
    assert [(each["version"], each["by"], each["height"]) for each in listed] == [
        (1, chain.address("ben"), 1),
        (2, chain.address("ada"), 2),
        (3, chain.address("ben"), 3),
    ]
    assert listed[0]["code_hash"] == listed[2]["code_hash"] != listed[1]["code_hash"]
    assert codec.decode(chain.view("system", "versions", "counter", 1, 1).value) == [listed[1]]
    assert codec.decode(chain.view("system", "versions", "counter", 3, 1).value) == []
    assert codec.decode(chain.view("system", "versions", "nothing", 0, 1).value) == []


@pytest.mark.parametrize(("after", "limit"), [(0, 0), (0, PAGE_MAX + 1), (-1, 1)])
def test_versions_are_listed_within_bounds(chain, after, limit):
    assert chain.view("system", "versions", "counter", after, limit).code == "bad_value"


# ── room for all programs ─────────────────────────────────────────────────────────────────────────


def words(count, letter="x"):
    """A source that takes this many words of memory."""
    return f"{letter} " * count


@pytest.fixture
def narrow(make_chain, monkeypatch):
    """A network whose contracts have room for ten words, and what was compiled, in order."""
    monkeypatch.setattr(costs, "PROGRAMS_BYTES_MAX", 10 * memory_of("x"))
    compiled = []

    narrow = make_chain()

    def compile_counted(source):
        compiled.append(source[0])
        return narrow.programs[source]

    narrow.compile = compile_counted
    narrow.engine = Engine(narrow.state, narrow.genesis, compile_counted)
    narrow.engine.initialise()
    for number in range(1, 13):
        for letter in "abcdef":
            narrow.add_program(words(number, letter), go=lambda host, meter: 1)
    return narrow, compiled


def test_contracts_that_do_not_fit_beside_the_others_are_not_deployed(narrow):
    chain, _ = narrow
    chain.deploy("first", source=words(4, "a"))
    chain.deploy("second", source=words(6, "b"))
    receipt = chain.send("ben", ("system", "deploy", "third", words(1, "c"), []))
    needed = memory_of("x")
    assert receipt.code == codes.SIZE_LIMIT
    assert f"would take {11 * needed} bytes of memory, {needed} of them this one; at most" in receipt.message
    assert chain.engine.contract("third") is None
    assert chain.value("system", "programs") == 10 * needed


def test_an_upgrade_takes_the_place_of_the_old_version(narrow):
    chain, _ = narrow
    chain.deploy("first", source=words(4, "a"))
    chain.deploy("second", source=words(6, "b"))
    too_large = chain.send("ben", ("system", "upgrade", "first", words(5, "c")))
    assert (too_large.code, chain.engine.contract("first").version) == (codes.SIZE_LIMIT, 1)
    assert chain.send("ben", ("system", "upgrade", "first", words(2, "d"))).code == "ok"
    assert chain.send("ben", ("system", "upgrade", "second", words(8, "e"))).code == "ok"
    assert chain.value("system", "programs") == 10 * memory_of("x")


def test_what_is_deployed_is_compiled_once_whatever_else_is_compiled(narrow, monkeypatch):
    monkeypatch.setattr(catalogue, "CALLED_BYTES_MAX", 12 * memory_of("x"))
    monkeypatch.setattr(catalogue, "COMPILED_BYTES_MAX", 8 * memory_of("x"))
    chain, compiled = narrow
    chain.engine = Engine(chain.state, chain.genesis, chain.compile)
    chain.engine.initialise()
    for name in "abcde":
        chain.deploy(name, source=words(2, name))
    for name in "abcde":
        assert chain.send("cleo", (name, "go")).code == "ok"
    compiled.clear()
    for turn in range(3):
        for name in "abcde":
            assert chain.send("cleo", (name, "go")).code == "ok"
        refused = chain.send("ben", ("system", "deploy", "more", words(6 + turn, "f"), []))
        assert refused.code == codes.SIZE_LIMIT
    assert compiled == ["f", "f", "f"]


def test_the_number_of_contracts_is_known_without_compiling_any(narrow):
    chain, compiled = narrow
    for name in "abcde":
        chain.deploy(name, source=words(2, name))
    again = Engine(chain.state, chain.genesis, chain.compile)
    again.initialise()
    again.mark_sealed(again.height)
    compiled.clear()
    assert again.contract_names() == ["system", "a", "b", "c", "d", "e"]
    assert compiled == []

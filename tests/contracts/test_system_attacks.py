"""The system contract under attack: from contracts, from an `init` that is being deployed, and with arguments of any
shape. Whatever it is given, it answers with a code, and who has no right changes nothing."""

import random

import pytest

from contracts import codes
from contracts.testing import LocalChain

IMPORTS = "from contracts import Contract, Value, Var, call, init, view\n"
GO = f"""{IMPORTS}
class Go(Contract):
    @call
    def go(self, method: str, args: Value) -> Value:
        return self.call("system", method, args)

    @view
    def look(self, method: str, args: Value) -> Value:
        return self.call("system", method, args)
"""
BORN = f"""{IMPORTS}
class Born(Contract):
    answer: Var[Value]

    @init
    def create(self, method: str, args: list[Value]) -> None:
        self.answer.set(self.call("system", method, args))
"""
BORN_LINE = 8


@pytest.fixture
def chain():
    return LocalChain("ann", "ben")


# ── while a contract is being deployed ────────────────────────────────────────────────────────────


def test_an_init_finds_its_own_record_source_and_version(chain):
    asked = {
        "contract": ["born"],
        "source": ["born", 1],
        "versions": ["born", 0, 10],
        "contracts": ["", 10],
        "account": [chain.address("ann")],
        "parameters": [],
    }
    found = {}
    start = chain.snapshot()
    for method, args in asked.items():
        chain.revert(start)
        chain.deploy(BORN, "born", method, args, sender="ann")
        found[method] = chain.state("born", "answer")
    assert found["contract"]["owner"] == chain.address("ann")
    assert found["source"]["source"] == BORN
    assert [each["version"] for each in found["versions"]] == [1]
    assert [each["name"] for each in found["contracts"]] == ["born"]
    assert found["account"]["name"] == "ann"
    assert found["parameters"]["window"] > 0


@pytest.mark.parametrize("sender", ["ann", "admin"])
@pytest.mark.parametrize(
    ("method", "args", "code"),
    [
        ("set_owner", ["born", "SENDER"], "not_permitted"),
        ("upgrade", ["born", GO], "not_permitted"),
        ("deploy", ["other", GO, []], "not_permitted"),
        ("set_account", ["SENDER", "me", ["admin"]], "failed"),
        ("remove_account", ["SENDER"], "failed"),
        ("require_admin", [], "unknown_method"),
        ("count_admins", [True, False], "unknown_method"),
        ("create", [], "unknown_method"),
    ],
)
def test_an_init_has_no_rights_of_its_deployer(chain, sender, method, args, code):
    root = chain.engine.root
    own = [chain.address(sender) if arg == "SENDER" else arg for arg in args]
    outcome = chain.deploy(BORN, "born", method, own, sender=sender, check=False)
    assert (outcome.code, chain.engine.root) == (code, root)
    if code == "failed":
        assert (outcome.contract, outcome.line > 0) == ("system", True)  # a line of members.py
    else:
        assert (outcome.contract, outcome.line) == ("born", BORN_LINE)
    assert chain.contract("born") is None


def test_a_contract_cannot_be_given_a_role(chain):
    chain.deploy(GO, "go", sender="ann")
    outcome = chain.call("admin", "system", "set_account", "go", "go", ["admin"], check=False)
    assert (outcome.code, outcome.message) == ("failed", "an account is named by the 64 hex digits of its public key")


# ── many calls in one transaction ─────────────────────────────────────────────────────────────────


def test_a_contract_is_deployed_called_upgraded_and_called_in_one_transaction(chain):
    newer = GO.replace("def look", "def look_again")
    outcome = chain.transact(
        "ann",
        ("system", "deploy", "go", GO, []),
        ("go", "look", "contract", ["go"]),
        ("system", "upgrade", "go", newer),
        ("go", "look_again", "contract", ["go"]),
    )
    assert [result["version"] for result in outcome.results[1::2]] == [1, 2]


@pytest.mark.parametrize(
    ("calls", "code"),
    [
        ([("system", "deploy", "go", GO, []), ("system", "deploy", "go", GO, [])], "name_taken"),
        ([("system", "deploy", "go", GO, []), ("go", "nothing")], "unknown_method"),
        ([("system", "deploy", "go", GO, []), ("system", "upgrade", "go", GO)], "bad_value"),
        ([("system", "deploy", "go", GO, []), ("system", "upgrade", "go", "x =")], "source_refused"),
    ],
)
def test_what_fails_late_leaves_nothing_of_what_came_before(chain, calls, code):
    root = chain.engine.root
    assert chain.transact("ann", *calls, check=False).code == code
    assert chain.engine.root == root


def test_an_admin_who_steps_down_is_none_for_the_calls_behind(chain):
    ann, admin = chain.address("ann"), chain.address("admin")
    down = [("system", "set_account", ann, "ann", ["admin"]), ("system", "set_account", admin, "admin", ["writer"])]
    late = chain.transact("admin", *down, ("system", "remove_account", ann), check=False)
    assert (late.code, late.message) == ("failed", "this needs the role admin, which the sender does not have")
    chain.transact("admin", *down)
    assert chain.state("system", "admins") == 1
    last = chain.call("ann", "system", "remove_account", ann, check=False)
    assert last.message == "this is the last admin; make another one first"
    names = [[each["name"] for each in chain.view("system", "accounts", "", 10, height=at)] for at in (0, chain.height)]
    assert names[0] == names[1]
    roles = [chain.view("system", "account", admin, height=at)["roles"] for at in (0, chain.height)]
    assert roles == [["admin"], ["writer"]]


# ── arguments of any shape ────────────────────────────────────────────────────────────────────────

SHAPES = [
    *(None, True, False, 0, 1, -1, 100, 101, 2**63, 2**64, -(2**63), 2**256 - 1),
    *("", "a", "go", "system", "x" * 63, "x" * 64, "x" * 1_024, "x" * 1_025, "x" * 60_000, "AB" * 32, "ff" * 32),
    *("00" * 32, "caf\u00e9", "a\0b", "../x", "Go", b"", b"\0" * 32, [], [1], ["admin"], ["admin", "admin"], ["king"]),
    *([None], [["admin"]], ["x"] * 3_000, {}, {"a": 1}, [{}], GO, "def", "\ufeff" + GO, [[[[[[]]]]]]),
]


@pytest.mark.parametrize("mode", ["interpreter", "both"])
def test_arguments_of_every_shape_are_answered_with_a_code(mode):
    chain = LocalChain("ann", mode=mode)
    chain.deploy(GO, "go", sender="ann")
    draw = random.Random(7)
    seen = set()
    methods = chain.contract("system").methods
    for _ in range(400):
        method = draw.choice(methods)
        count = len(method.parameters) if draw.random() < 0.9 else draw.randrange(6)
        args = [draw.choice([*SHAPES, chain.address("ann")]) for _ in range(count)]
        sender = draw.choice(["ann", "admin"])
        call = ("go", "go", method.name, args) if draw.random() < 0.3 else ("system", method.name, *args)
        root = chain.engine.root
        outcome = chain.transact(sender, *[call], gas_limit=3_000_000, check=False)
        assert outcome.code in codes.ALL
        assert outcome.code == codes.OK or (outcome.message and chain.engine.root == root)
        assert "Traceback" not in outcome.message
        seen.add(outcome.code)
    assert seen >= {"ok", "bad_arguments", "bad_value", "failed", "unknown_contract", "size_limit"}

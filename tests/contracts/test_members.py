"""Members and roles are a contract like anybody's: it deploys as it stands, runs in plain Python, and is traced."""

import pytest

from contracts import Contract, Error, check, compile_source, view
from contracts.engine import Engine
from contracts.memory import MemoryState
from contracts.system import members, roles
from contracts.system.program import MEMBERS_SOURCE
from contracts.testing import LocalChain
from contracts.tracing import CallStep, FailStep, LineStep, Tracer
from ledger import codec, genesis
from ledger.types import Parameters

ADA, BEN, EVE = "aa" * 32, "bb" * 32, "ee" * 32


class Curve(Contract):
    """The other half, where a key is one unless it is Eve's."""

    asked = 0

    @view
    def is_public_key(self, key: str) -> bool:
        """Whether it is not Eve's."""
        Curve.asked += 1
        return key != EVE


@pytest.fixture
def network():
    """In plain Python: Ada is an admin, and Curve answers for keys."""
    Curve.asked = 0
    network = members.Members()
    network.ctx.contract = "members"
    network.registered[ADA] = members.Account(name="ada", roles=["admin"])
    network.admins.set(1)
    network.ctx.sender = ADA
    network.ctx.connect("system", Curve())
    return network


def test_the_source_is_one_that_anybody_could_deploy():
    assert check(MEMBERS_SOURCE) == []


def test_in_plain_python_a_new_key_is_looked_at_once(network):
    network.at = lambda interface, _name: Contract.at(network, interface, "system")
    network.set_account(BEN, "ben", ["writer", "deployer"])
    assert network.account(BEN) == {"name": "ben", "roles": ["deployer", "writer"]}
    network.set_account(BEN, "benedict", ["writer"])
    assert (Curve.asked, network.account(BEN)) == (1, {"name": "benedict", "roles": ["writer"]})
    with pytest.raises(Error, match="no Ed25519 public key"):
        network.set_account(EVE, "eve", ["writer"])
    assert network.account(EVE) is None
    assert [entry["public_key"] for entry in network.accounts("", 10)] == [ADA, BEN]
    assert network.accounts(BEN, 10) == []


def test_in_plain_python_the_last_admin_stays(network):
    for wish in (lambda: network.remove_account(ADA), lambda: network.set_account(ADA, "ada", ["writer"])):
        with pytest.raises(Error, match="the last admin"):
            wish()
    assert (network.admins.get(), network.account(ADA)["roles"]) == (1, ["admin"])


def test_the_lines_of_a_refused_account_are_traced():
    chain = LocalChain("ann")
    outcome = chain.call("ann", "system", "set_account", EVE, "eve", ["writer"], check=False)
    assert outcome.code == "failed"
    assert outcome.line == 1 + MEMBERS_SOURCE.split("\n").index(
        '        require(admin, "this needs the role admin, which the sender does not have")'
    )


def test_a_trace_shows_both_halves_and_changes_nothing():
    plain, traced = MemoryState(), MemoryState()
    chain = LocalChain("ann", state=plain)
    key = chain.address("ann")
    raw = chain.sign("admin", ("system", "set_account", key, "anna", ["writer"]), gas_limit=5_000_000)
    outcome = chain.engine.execute(1, chain.time_ms + 1, [raw])
    tracer = Tracer(codec.decode(outcome.receipts[0])[2].hex())
    engine = Engine(traced, chain._genesis, watch=tracer.watch)
    engine.initialise()
    again = engine.execute(1, chain.time_ms + 1, [raw])
    assert (again.receipts, again.state_root) == (outcome.receipts, outcome.state_root)
    assert [step.method for step in tracer.steps if isinstance(step, CallStep)] == ["set_account"]
    lines = [step.source for step in tracer.steps if isinstance(step, LineStep)]
    assert "self.registered[public_key] = Account(name=name, roles=ordered)" in lines
    assert not [step for step in tracer.steps if isinstance(step, FailStep)]


def test_the_contract_and_the_runtime_mean_the_same_roles_and_the_same_places():
    assert members.ROLES == roles.ROLES == genesis.ROLES
    declared = {name for name, _ in compile_source(MEMBERS_SOURCE).state}
    assert declared == {roles.REGISTERED, roles.ADMINS, roles.SETTINGS}


def test_the_parameters_are_state_that_can_be_proven(make_chain):
    chain = make_chain(parameters=Parameters(window=9))
    assert chain.value("system", "settings")["window"] == 9
    assert chain.value("system", "settings") == codec.decode(chain.view("system", "parameters").value)


def test_a_contract_may_ask_whether_a_key_is_one(chain):
    chain.deploy("pair")
    for key, known in ((chain.address("ben"), True), ("02" + "00" * 31, False), ("AB" * 32, False), ("", False)):
        receipt = chain.send("cleo", ("pair", "call", "system", "is_public_key", [key]))
        assert codec.decode(receipt.results[0]) is known


def test_an_upgrade_to_the_source_in_force_is_refused(chain):
    chain.deploy("counter")
    receipt = chain.send("ben", ("system", "upgrade", "counter", "counter"))
    assert (receipt.code, receipt.message) == ("bad_value", "this very source is version 1 of contract counter")
    assert chain.engine.contract("counter").version == 1

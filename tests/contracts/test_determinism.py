"""The same history gives the same roots: over hash seeds, over kinds of state, and against a cold start."""

import os
import subprocess
import sys

import pytest

from contracts import examples
from contracts.testing import LocalChain
from ledger.state import State
from ledger.state_proof import check_state_proof

HISTORY = """
import sys, tempfile
from contracts import examples
from contracts.testing import LocalChain
from ledger.state import State

with tempfile.TemporaryDirectory() as folder:
    state = State.open(folder + "/state")
    chain = LocalChain("alice", "bob", "carol", state=state)
    print(chain.engine.root.hex())
    for name, args in (("token", ("Acme", "ACM", 1000)), ("registry", ()), ("escrow", ())):
        chain.deploy(examples.source(name), name, *args, sender="alice")
    for turn in range(12):
        chain.call("alice", "token", "transfer", chain.address("bob"), turn * 17 % 40, check=False)
        chain.call("bob", "registry", "register", f"{turn * 31 % 7:064x}", f"file {turn}", check=False)
    chain.call("alice", "token", "approve", "escrow", 100)
    chain.call("alice", "escrow", "deposit", chain.address("bob"), "", "token", 100, chain.time_ms + 5000)
    chain.call("alice", "escrow", "release", 1)
    for height in range(chain.height + 1):
        print(state.root_at(height).hex())
    print([(event.contract, event.name, sorted(event.fields.items())) for event in chain.events])
    print(sorted(chain.gas.items()))
    state.close()
"""


def run_history(seed):
    environment = os.environ | {"PYTHONHASHSEED": seed}
    done = subprocess.run([sys.executable, "-c", HISTORY], env=environment, capture_output=True, text=True, check=True)
    return done.stdout


def test_hash_seeds_change_nothing():
    first = run_history("0")
    assert len(first.splitlines()) > 30
    assert run_history("1") == first


@pytest.fixture
def disk(tmp_path):
    state = State.open(tmp_path / "state")
    yield state
    state.close()


def play(chain):
    chain.deploy(examples.source("token"), "token", "Acme", "ACM", 100, sender="alice")
    chain.call("alice", "token", "transfer", chain.address("bob"), 30)
    chain.call("bob", "token", "transfer", chain.address("alice"), 31, check=False)
    chain.call("bob", "token", "transfer", chain.address("alice"), 30)
    return chain


def test_a_state_on_disk_and_one_in_memory_give_the_same_receipts(disk):
    def gas(chain):
        return chain.gas, chain.events, chain.view("token", "balance_of", chain.address("alice"))

    assert gas(play(LocalChain("alice", "bob", state=disk))) == gas(play(LocalChain("alice", "bob")))


def test_a_state_value_is_proven_present_and_absent(disk):
    from ledger import codec

    chain = play(LocalChain("alice", "bob", state=disk))
    there = chain.engine.state_value("token", codec.encode(["balances", chain.address("alice")]))
    check_state_proof(there.state_root, there.key, there.value, there.proof)
    gone = chain.engine.state_value("token", codec.encode(["balances", chain.address("bob")]))
    assert not gone.present
    check_state_proof(gone.state_root, gone.key, None, gone.proof)
    before = chain.engine.state_value("token", codec.encode(["balances", chain.address("bob")]), height=2)
    assert (before.present, codec.decode(before.value)) == (True, 30)
    check_state_proof(before.state_root, before.key, before.value, before.proof)


def test_a_restart_over_the_same_disk_goes_on_where_it_was(tmp_path):
    state = State.open(tmp_path / "state")
    chain = play(LocalChain("alice", "bob", state=state))
    root, height = chain.engine.root, chain.height
    raw = chain.sign("alice", ("token", "transfer", chain.address("bob"), 1))
    chain.block(raw)
    state.close()

    state = State.open(tmp_path / "state")
    again = LocalChain("alice", "bob", state=state)
    assert (again.height, again.engine.root != root) == (height + 1, True)
    assert again.block(raw) == []
    assert again.view("token", "balance_of", again.address("bob")) == 1
    state.close()


def test_a_block_on_disk_can_be_executed_again(disk):
    chain = LocalChain("alice", "bob", state=disk)
    chain.deploy(examples.source("token"), "token", "Acme", "ACM", 100, sender="alice")
    batch = [chain.sign("alice", ("token", "transfer", chain.address("bob"), n)) for n in range(3)]
    first = chain.engine.execute(2, chain.time_ms, batch)
    chain.engine.execute(3, chain.time_ms + 1, [])
    assert chain.engine.execute(2, chain.time_ms, batch) == first


def test_every_example_is_found_as_package_data_and_passes_the_checker():
    from contracts import check

    for name in examples.NAMES:
        assert check(examples.source(name)) == []
    with pytest.raises(ValueError, match="there is no example"):
        examples.source("../engine")

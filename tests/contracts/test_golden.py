"""One fixed history whose roots, receipts, gas and proofs are written down: making the engine faster changes none.

Whoever means to change one of them changes the rules that validators agree on, and writes the new digests here.
"""

from hashlib import sha256

import pytest

from contracts import examples
from contracts.testing import LocalChain
from ledger import codec
from ledger.state import State

# SHA-256 of all of a kind, in order.
ROOTS = "a591c3db794e59cd3e2f84ee59a1945b4e7d0f59fbb80c4bc18e03ff95de79b8"
RECEIPTS = "dc29d16310cbbe0a94be5eaf4e63eda8fca53c64cd72b01445d909e658d84770"
PROOFS = "ed0c4f365e37348da85cc771194d222e3943666877fe03a234cae0e02235caa2"


@pytest.fixture
def state(tmp_path):
    opened = State.open(tmp_path / "state")
    yield opened
    opened.close()


def play(chain):
    """Every example, what succeeds and what fails, alone in a block and many together; all receipts, in order."""
    receipts = []

    def run(*transactions):
        chain.time_ms += 1000
        outcome = chain.engine.execute(chain.height + 1, chain.time_ms, transactions)
        chain.engine.mark_sealed(outcome.height)
        receipts.extend(outcome.receipts)

    def sign(sender, *calls, gas_limit=5_000_000):
        return chain.sign(sender, *calls, gas_limit=gas_limit)

    names = ["alice", "bob", *[f"member{number}" for number in range(60)]]
    for name, args in (("token", ["Acme", "ACM", 10**6]), ("registry", []), ("escrow", [])):
        run(sign("alice", ("system", "deploy", name, examples.source(name), args), gas_limit=100_000_000))
    address = chain.address
    run(*[sign("alice", ("token", "transfer", address(name), 1000 + turn)) for turn, name in enumerate(names[1:])])
    for turn in range(25):
        run(
            *[
                sign(
                    names[(turn * 7 + number * 3) % 62],
                    ("token", "transfer", address(names[(turn + number * 5) % 62]), (turn * 37 + number * 211) % 1500),
                )
                for number in range(20)
            ]
        )
    run(
        sign("alice", ("token", "approve", "escrow", 100)),
        sign("alice", ("escrow", "deposit", address("bob"), "", "token", 100, chain.time_ms + 50_000)),
        sign("bob", ("registry", "register", "ab" * 32, "a file \N{SNOWMAN}")),
        sign("bob", ("token", "transfer", address("alice"), "many")),
        sign("bob", ("token", "transfer", address("alice"))),
        sign("bob", ("token", "nothing")),
        sign("bob", ("nobody", "nothing", {"a": [1, b"2", None, True, -(2**200)]})),
        sign("bob", ("token", "transfer", address("alice"), 1), gas_limit=20_000),
        sign("bob", ("token", "transfer", address("alice"), 2**255), ("token", "burn", 1)),
        sign("bob", ("token", "burn", 5), ("token", "transfer", "somebody", 1)),
    )
    run(sign("alice", ("escrow", "release", 1)), sign("alice", ("escrow", "release", 1)))
    run()
    return receipts


def digest(parts):
    total = sha256()
    for part in parts:
        total.update(len(part).to_bytes(4, "big") + part)
    return total.hexdigest()


def test_the_history_is_as_it_was_written_down(state):
    names = ["alice", "bob", *[f"member{number}" for number in range(60)]]
    chain = LocalChain(*names, state=state)
    receipts = play(chain)
    assert {codec.decode(raw)[4] for raw in receipts} >= {"ok", "failed", "bad_arguments", "out_of_gas"}
    roots = [state.root_at(height) for height in range(chain.height + 1)]
    keys = [codec.encode(["balances", chain.address(name)]) for name in names] + [codec.encode(["balances", "nobody"])]
    proofs = [chain.engine.state_value("token", key, height).proof for height in (10, 20, None) for key in keys]
    assert (digest(roots), digest(receipts), digest(proofs)) == (ROOTS, RECEIPTS, PROOFS)

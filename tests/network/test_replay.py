"""Any past transaction is executed again on the state of its block; what comes out is compared with what was stored."""

from __future__ import annotations

import json
import shutil
import sys

import msgspec
import plyvel
import pytest

from contracts import engine
from ledger import codec
from ledger.lock import DirectoryLock
from ledger.state import State
from ledger.store import BlockStore
from ledger.transactions import identify
from ledger.types import Receipt
from network.audit import Unfit
from network.audit.rows import NUMBER, read_header, read_rest, row_check
from network.cli import main
from network.replay import Broken, DirectoryChain, Unknown, directory, replay
from scripts.paper_node import PaperNode, transfer

BLOCKS = 12
AT = 9  # the height whose middle transaction is replayed


@pytest.fixture(scope="session")
def paper(tmp_path_factory):
    """A stopped node; `wanted` is the second of three transfers of one sender in block 9."""
    node = PaperNode(tmp_path_factory.mktemp("replay") / "node")
    _, sender, to, *_ = node.people
    while node.engine.height < BLOCKS:
        raws = [node.sign(sender, transfer(to, amount)) for amount in (10, 20, 30)]
        if node.engine.height == AT - 1:
            node.wanted = identify(raws[1])[0]
        node.block(raws)
    node.failing = node.sign(sender, transfer(to, 10**12))
    node.block([node.failing])
    node.close()
    return node


@pytest.fixture
def copied(paper, tmp_path):
    return Copied(paper, tmp_path / "node")


class Copied:
    """A copy of the node's directory, to be changed."""

    def __init__(self, node, path):
        shutil.copytree(node.directory, path)
        self.node = node
        self.path = path

    def replay(self, transaction_id=None, **options):
        with DirectoryChain(self.path, self.node.genesis) as chain:
            return replay(chain, transaction_id or self.node.wanted, **options)

    def lose_state(self):
        shutil.rmtree(self.path / "state")

    def change(self, kind, height, change):
        database = plyvel.DB(str(self.path / "blocks"))
        key = kind + NUMBER.pack(height)
        row = change(database.get(key))
        database.delete(key) if row is None else database.put(key, row)
        database.close()


def with_receipts(height, change):
    """A change of the receipts in a row b, its check mended."""

    def changed(row):
        rest = read_rest(row)
        receipts = tuple(change(codec.decode(raw, Receipt)).encode() for raw in rest.receipts)
        data = codec.encode(msgspec.structs.replace(rest, receipts=receipts))
        return row_check(height, data) + data

    return changed


# ── it comes out again ────────────────────────────────────────────────────────────────────────────


def test_a_transaction_comes_out_again_from_the_state_that_the_node_keeps(copied):
    found = copied.replay()
    assert (found.height, found.index, found.from_height) == (AT, 1, AT - 1)
    assert found.equal
    assert found.again == found.stored
    assert found.trace is None


def test_from_genesis_it_comes_out_the_same_with_the_same_trace(copied):
    kept, heights = copied.replay(trace=True), []
    found = copied.replay(trace=True, from_genesis=True, show=lambda height, last: heights.append((height, last)))
    assert (found.from_height, found.equal) == (0, True)
    assert found.trace.steps == kept.trace.steps
    assert len(kept.trace.steps) > 10
    assert heights == [(height, AT) for height in range(1, AT)]


def test_what_came_before_it_in_its_block_has_happened(copied):
    balance = 'balances["' + copied.node.people[1].public_key.hex() + '"]'
    values = [step.value for step in copied.replay(trace=True).trace.steps if getattr(step, "place", "") == balance]
    before = 10**9 - 60 * (AT - 3) - 10
    assert values == [str(before), str(before - 20)]


@pytest.mark.parametrize("kept", [3, 4])
def test_a_version_that_is_kept_no_more_is_made_again(copied, monkeypatch, kept):
    """The state knows of seal 12: with three versions below it block 10 can be executed again, with four 9."""
    monkeypatch.setattr(engine, "VERSIONS_KEPT", kept)
    assert copied.replay().from_height == (0 if kept == 3 else AT - 1)
    assert copied.replay().equal


def test_without_a_state_it_is_made_from_genesis(copied):
    copied.lose_state()
    assert copied.replay().from_height == 0


def test_a_damaged_state_is_not_needed(copied):
    (copied.path / "state" / "CURRENT").write_text("nonsense")
    found = copied.replay()
    assert (found.from_height, found.equal) == (0, True)


def test_a_failed_transaction_fails_again_at_the_same_line(copied):
    found = copied.replay(identify(copied.node.failing)[0], trace=True)
    assert found.equal
    assert (found.receipt.code, found.receipt.contract) == ("failed", "token")
    assert (found.trace.steps[-1].code, found.trace.steps[-1].line) == ("failed", found.receipt.line)


def test_nothing_in_the_directory_is_changed(copied):
    def files():
        return {path: path.read_bytes() for path in sorted(copied.path.rglob("*")) if path.is_file()}

    before = files()
    assert copied.replay(from_genesis=True).equal
    assert copied.replay().equal
    assert files() == before


# ── while the node runs ───────────────────────────────────────────────────────────────────────────


def test_a_running_node_is_read_through_a_copy(copied):
    with DirectoryLock(copied.path):
        store, state = BlockStore(copied.path / "blocks"), State.open(copied.path / "state")
        found = copied.replay()
        assert (found.equal, found.from_height) == (True, AT - 1)
        store.close()
        state.close()


def test_a_database_that_never_holds_still_is_given_up(copied, monkeypatch, tmp_path):
    shapes = iter(range(10_000))
    monkeypatch.setattr(directory, "_shape", lambda _: ([], str(next(shapes)).encode()))
    with pytest.raises(Unfit, match="changes faster than it can be copied: try again, or stop the node, or give --url"):
        directory.copy_running(copied.path / "blocks", tmp_path / "copy")


def test_a_file_that_goes_away_while_it_is_copied_is_no_end(copied, monkeypatch, tmp_path):
    take, failures = directory._take, iter([FileNotFoundError("compacted")])

    def take_once_gone(source, target):
        for failure in failures:
            raise failure
        take(source, target)

    monkeypatch.setattr(directory, "_take", take_once_gone)
    directory.copy_running(copied.path / "blocks", tmp_path / "copy")
    names = {path.name for path in (tmp_path / "copy").iterdir()}
    assert "CURRENT" in names
    assert "LOCK" not in names


# ── what does not hold ────────────────────────────────────────────────────────────────────────────


def test_a_stored_receipt_that_is_not_what_comes_out_is_told(copied):
    copied.change(b"b", AT, with_receipts(AT, lambda each: msgspec.structs.replace(each, gas_used=each.gas_used + 1)))
    found = copied.replay()
    assert not found.equal
    assert found.receipt.gas_used == codec.decode(found.stored, Receipt).gas_used - 1
    assert found.block_equal  # the header is whole: it is the receipt's row that was changed


def test_a_stored_header_that_is_not_what_comes_out_is_told(copied):
    def other_root(row):
        return row[:32] + msgspec.structs.replace(read_header(row), state_root=b"\x07" * 32).encode()

    copied.change(b"h", AT, other_root)
    found = copied.replay()
    assert (found.equal, found.block_equal, found.again == found.stored) == (False, False, True)


def test_a_block_below_that_gives_another_header_ends_the_way_from_genesis(copied):
    copied.change(b"b", 5, with_receipts(5, lambda each: each))
    assert copied.replay(from_genesis=True).equal  # changed to the same: it holds
    copied.change(b"h", 5, lambda row: row[:32] + msgspec.structs.replace(read_header(row), gas_used=1).encode())
    with pytest.raises(Broken, match="block 5 gives another header when it is executed"):
        copied.replay(from_genesis=True)


def test_an_unknown_transaction_is_told_with_what_is_there(copied):
    with pytest.raises(Unknown, match=rf"^transaction {'00' * 32} is unknown here: block 13 is the highest in "):
        copied.replay(bytes(32))


def test_blocks_that_are_not_there_are_needed_only_from_genesis(copied):
    copied.change(b"b", 3, lambda _: None)
    assert copied.replay().equal
    with pytest.raises(Unknown, match=r"block 3 is not in .* every block from genesis on, or the state below"):
        copied.replay(from_genesis=True)


def test_a_directory_of_another_chain_is_refused(copied):
    copied.node = msgspec.structs.replace(copied.node.genesis, network="other")
    with pytest.raises(Unfit, match="give the right one with --genesis"), DirectoryChain(copied.path, copied.node):
        pass


def test_what_is_no_data_directory_is_refused(tmp_path, paper):
    with pytest.raises(Unfit, match="give a node's data directory, the one with blocks/"):
        DirectoryChain(tmp_path, paper.genesis)


# ── the command ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def quorate(monkeypatch, capsys, copied):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["quorate", "replay", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    monkeypatch.delenv("QUORATE_GENESIS", raising=False)
    monkeypatch.setattr("ledger.genesis.load_genesis", lambda _: copied.node.genesis)
    (copied.path / "genesis.json").write_text("{}")
    return run


def test_the_command_shows_the_trace_and_that_the_receipt_is_equal(quorate, copied):
    code, out, err = quorate(copied.node.wanted.hex(), "--trace", "--data", copied.path)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "    gas used  line"
    assert lines[-2:] == [
        "state        of height 8, kept by the node",
        "receipt      equal to the stored one, byte for byte",
    ]
    assert any(line.endswith("  138        balance = self.balances.get(sender, 0)") for line in lines)


def test_the_command_names_the_fields_that_differ(quorate, copied):
    copied.change(b"b", AT, with_receipts(AT, lambda each: msgspec.structs.replace(each, line=7)))
    code, out, _ = quorate(copied.node.wanted.hex(), "--data", copied.path)
    assert code == 1
    assert "receipt      DIFFERS from the stored one: line was 7, is 0" in out


def test_the_command_speaks_json(quorate, copied):
    code, out, _ = quorate(copied.node.wanted.hex(), "--json", "--trace", "--data", copied.path, "--from-genesis")
    found = json.loads(out)
    assert (code, found["equal"], found["height"], found["index"], found["from_height"]) == (0, True, AT, 1, 0)
    assert found["receipt"]["code"] == "ok"
    assert found["trace"][0]["step"] == "call"
    assert found["trace"][0]["args"][1] == "20"
    assert found["steps_left_out"] == 0


@pytest.mark.parametrize(
    ("word", "message"),
    [("00" * 32, "is unknown here"), ("00" * 31, "is no transaction id: it has 64 hex digits"), ("x" * 64, "is no")],
)
def test_the_command_ends_with_advice_for_what_is_no_transaction(quorate, copied, word, message):
    code, out, err = quorate(word, "--data", copied.path)
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("quorate: ")

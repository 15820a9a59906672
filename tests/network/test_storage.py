"""What a validator finds on its disk: its own chain or none, blocks that can be fetched again, votes that cannot."""

import msgspec
import pytest

from consensus import Turn, first_journal, memory_heights
from ledger.errors import DataLost, GenesisError
from ledger.journal import Journal
from ledger.store import BlockStore
from network.driver import BODY_RECORD, REPLICA_RECORD
from network.storage import check_chain, open_blocks, open_journal, read_votes, tip_of
from scripts.paper_node import PaperNode

WINDOW = 1
BLOCKS = 5


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    node = PaperNode(tmp_path_factory.mktemp("paper") / "node")
    for _ in range(BLOCKS - 2):
        node.block([node.transfer()])
    node.close()
    return node


def test_the_blocks_of_this_chain_are_opened_and_those_of_another_refused(paper):
    other = msgspec.structs.replace(paper.genesis, network="another")
    store = open_blocks(paper.paths.blocks)
    try:
        check_chain(store, paper.genesis)
        with pytest.raises(GenesisError, match=r"belongs to chain .*use the genesis file that it was made with"):
            check_chain(store, other)
    finally:
        store.close()


def test_an_empty_directory_is_of_every_chain(paper, tmp_path):
    store = open_blocks(tmp_path / "blocks")
    check_chain(store, paper.genesis)
    assert store.height == -1
    store.close()


def test_blocks_that_cannot_be_opened_are_kept_aside_and_fetched_again(tmp_path, caplog):
    BlockStore(tmp_path / "blocks").close()
    (tmp_path / "blocks" / "CURRENT").write_bytes(b"no table of this name\n")
    store = open_blocks(tmp_path / "blocks")
    assert store.height == -1
    store.close()
    assert "the blocks are fetched from peers" in caplog.text
    assert any(path.name.startswith("blocks.") for path in tmp_path.iterdir() if path.is_dir())


def test_a_journal_that_is_damaged_is_the_operators_to_move_away(tmp_path):
    path = tmp_path / "votes.journal"
    journal, _ = Journal.open(path)
    journal.append([b"one", b"two"])
    journal.sync()
    journal.close()
    data = path.read_bytes()
    path.write_bytes(bytes(byte ^ 0xFF for byte in data[:16]) + data[16:])
    with pytest.raises(DataLost, match="Move it away, never restore a copy, and start again: this validator stays"):
        open_journal(path)


def test_bodies_and_votes_are_told_apart_and_a_stranger_among_the_votes_is_damage():
    records = first_journal()
    votes = read_votes([BODY_RECORD + b"body", *(REPLICA_RECORD + each for each in records)])
    assert (votes.bodies, votes.records, votes.batches) == ([b"body"], [*records], [])
    with pytest.raises(DataLost, match="holds what this program never writes"):
        read_votes([REPLICA_RECORD + b"no record"])


def test_the_replica_begins_at_the_highest_sealed_block_with_the_turns_before_it(paper):
    store = BlockStore(paper.paths.blocks)
    try:
        tip = tip_of(store, WINDOW)
        record = store.record(store.sealed_height)
        header = record.block.header
        assert (tip.height, tip.header_hash, tip.time_ms, tip.seal) == (
            *(header.height, header.hash, header.time_ms),
            record.seal,
        )
        turns = [store.header(each) for each in range(1, header.height + 1)][-memory_heights(WINDOW) :]
        assert tip.turns == tuple(Turn(each.batch_view, each.batch_proposer, each.batch_since) for each in turns)
    finally:
        store.close()

"""Golden transcripts of whole exchanges: every event and every action of four replicas, to be read as a diff.

`QUORATE_TRANSCRIPTS=write pytest tests/consensus/test_transcripts.py` writes them anew; read what changed.
"""

import os
from pathlib import Path

import pytest

from consensus.events import BatchReady, RequestsWaiting

NOW = 1_700_000_000_000
FOLDER = Path(__file__).parent / "transcripts"


def propose(cluster, bench, height, view=0, names=("a",)):
    batch = bench.batch(height, view, names)
    cluster.tell(batch.proposer, BatchReady(height, view, batch.hashes, NOW, NOW))
    return cluster


def one_block(cluster, bench):
    propose(cluster, bench, 1).run()


def two_heights_in_flight(cluster, bench):
    propose(cluster, bench, 1)
    propose(cluster, bench, 2, names=("b",)).run()


def a_dead_primary_is_replaced(cluster, bench):
    cluster.down.add(0)
    for member in (1, 2, 3):
        cluster.tell(member, RequestsWaiting(True, NOW))
    cluster.run()
    for member in (1, 2, 3):
        cluster.expire(member)
    cluster.run()
    propose(cluster, bench, 1, view=1).run()


def a_prepared_batch_survives_its_primary(cluster, bench):
    """Members 1 and 2 prepare; the primary dies before anybody has a quorum of COMMITs."""
    batch = bench.batch()
    cluster.down.update((0, 3))
    for member in (1, 2):
        cluster.tell(member, received(bench.pre_prepare(batch)))
        cluster.tell(member, received(bench.prepare(0, batch)))
    cluster.run()
    cluster.down.discard(3)
    for member in (1, 2, 3):
        cluster.tell(member, RequestsWaiting(True, NOW))
        cluster.expire(member)
    cluster.run()


def received(envelope):
    from consensus.events import Received

    return Received(envelope.encode(), NOW)


STORIES = [one_block, two_heights_in_flight, a_dead_primary_is_replaced, a_prepared_batch_survives_its_primary]


@pytest.mark.parametrize("story", STORIES, ids=[story.__name__ for story in STORIES])
def test_the_exchange_is_the_one_on_file(bench, lock_step, story):
    cluster = lock_step(bench)
    story(cluster, bench)
    found = "\n".join(cluster.lines) + "\n"
    path = FOLDER / f"{story.__name__}.txt"
    if os.environ.get("QUORATE_TRANSCRIPTS") == "write":
        FOLDER.mkdir(exist_ok=True)
        path.write_text(found)
    assert found == path.read_text()


def test_all_four_seal_the_block(bench, lock_step):
    cluster = lock_step(bench)
    one_block(cluster, bench)
    assert {replica.sealed_height for replica in cluster.replicas.values()} == {1}

"""How many votes one replica takes in a second, with signatures stubbed: the protocol's own cost, nothing else.

    python -m scripts.bench_replica [--members 4,10] [--votes 20000] [--runs 3]

A backup goes through full heights: proposal, every other member's PREPARE, COMMIT and CHECKPOINT, the driver's answers,
a seal. Every message comes as bytes through `Received`, as from a link, in the order of a calm network, and late votes
count like any. Time is CPU time of the one thread; making the messages is not in it. A vote is a PREPARE, a COMMIT or
a CHECKPOINT; the figure is votes by the time of all events, so a vote pays for its share of everything else. The best
of the runs is shown, because a busy machine can only be slower. `--profile` shows where the time goes.
"""

from __future__ import annotations

import argparse
import cProfile
import hashlib
import pstats
import time
from collections.abc import Callable

import msgspec

from consensus.events import BodiesReady, Event, Executed, Received, Start
from consensus.messages import CHECKPOINT, COMMIT, PRE_PREPARE, PREPARE, Vote
from consensus.recovery import first_journal
from consensus.replica import Replica
from consensus.simulation.stubs import CHAIN_ID, EPOCH_START_MS, GENESIS, execute, stub_validators
from consensus.turns import turn_heights
from ledger.types import Batch, Checkpoint, Header, Parameters
from scripts.cast import Cast

NOW = EPOCH_START_MS
PARAMETERS = Parameters()
TRANSACTIONS_A_BLOCK = 100
SIGNATURE = bytes(64)  # anything holds: `verify` is stubbed to yes
VOTE_KINDS = (PREPARE, COMMIT, CHECKPOINT)


class Measured(msgspec.Struct, frozen=True):
    """One run."""

    members: int
    votes: int
    seconds: float

    @property
    def rate(self) -> int:
        """Votes a second."""
        return int(self.votes / self.seconds)

    def __str__(self) -> str:
        each_us = self.seconds / self.votes * 1e6
        return f"n = {self.members:>2}: {self.rate:>7} votes a second ({each_us:.1f} us a vote, {self.votes} votes)"


def backup(members: int) -> Replica:
    """A started replica of the member whose turn to propose comes last."""
    replica = Replica(
        member=members - 1,
        chain_id=CHAIN_ID,
        validators=stub_validators((1,) * members),
        parameters=PARAMETERS,
        sign=lambda _: SIGNATURE,
        verify=lambda *_: True,
        tip=GENESIS,
        journal=first_journal(),
    )
    replica.step(Start(NOW))
    return replica


def course(members: int) -> tuple[list[Event], int]:
    """The events of the heights before that member's turn, and how many heights they are."""
    cast = Cast((1,) * members, PARAMETERS)
    cast.pens = [lambda _: SIGNATURE] * members
    heights = (members - 1) * turn_heights(PARAMETERS.window)
    events: list[Event] = []
    parent: Header | None = None
    for height in range(1, heights + 1):
        parent = _height(cast, height, parent, members - 1, events)
    return events, heights


def _height(cast: Cast, height: int, parent: Header | None, me: int, events: list[Event]) -> Header:
    """The events of one height, in a calm network's order. Turns to propose go by index."""
    proposer = (height - 1) // turn_heights(cast.parameters.window) % cast.size
    hashes = tuple(hashlib.sha256(b"%d %d" % (height, each)).digest() for each in range(TRANSACTIONS_A_BLOCK))
    batch = Batch(0, height, 0, proposer, NOW, hashes)
    header, _ = execute(
        parent.hash if parent else GENESIS.header_hash, parent.time_ms if parent else GENESIS.time_ms, batch, set()
    )
    others = [each for each in range(cast.size) if each != me]

    def votes(kind: str) -> list[Event]:
        return [_vote(cast, kind, each, batch, header) for each in others]

    proposal = cast.envelope(PRE_PREPARE, proposer, Vote(0, 0, height, proposer, batch.digest), (batch,))
    events.append(Received(proposal.encode(), NOW))
    events.append(BodiesReady(batch.digest, NOW))
    events += votes(PREPARE) + votes(COMMIT)
    events.append(Executed(height, header.hash, NOW))
    events += votes(CHECKPOINT)
    return header


def _vote(cast: Cast, kind: str, sender: int, batch: Batch, header: Header) -> Event:
    if kind == CHECKPOINT:
        envelope = cast.envelope(CHECKPOINT, sender, Checkpoint(0, batch.height, sender, header.hash))
    else:
        vote = Vote(0, 0, batch.height, sender, batch.digest)
        envelope = cast.envelope(PREPARE if kind == PREPARE else COMMIT, sender, vote)
    return Received(envelope.encode(), NOW)


def measure(members: int, votes: int, around: Callable[[Callable[[], None]], None] | None = None) -> Measured:
    """One run of at least so many votes: every event through `step`, replica after replica, up to their ends."""
    events, heights = course(members)
    votes_each = heights * len(VOTE_KINDS) * (members - 1)
    replicas = [backup(members) for _ in range(-(-votes // votes_each))]

    def run() -> None:
        for replica in replicas:
            for event in events:
                replica.step(event)

    began = time.process_time()
    around(run) if around else run()
    seconds = time.process_time() - began
    for replica in replicas:
        assert replica.sealed_height == heights, f"sealed {replica.sealed_height} of {heights}: refusals were measured"
    return Measured(members, votes_each * len(replicas), seconds)


def profile(run: Callable[[], None]) -> None:
    """Run under the profiler, and show the functions that take most."""
    profiler = cProfile.Profile()
    profiler.runcall(run)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--members", default="4,10", help="sizes of the cluster")
    parser.add_argument("--votes", type=int, default=20_000, help="a run has at least so many")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    for members in (int(each) for each in options.members.split(",")):
        if options.profile:
            measure(members, options.votes, profile)
        else:
            runs = [measure(members, options.votes) for _ in range(options.runs)]
            print(max(runs, key=lambda run: run.rate))


if __name__ == "__main__":
    main()
